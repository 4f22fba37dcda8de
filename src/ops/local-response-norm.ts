import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import { execute, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { bytesOf } from '../gpu/filled.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Program } from '../gpu/program.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { type ResponseDescriptor, responseBackward, responseForward } from '../kernels/response.ts';
import { groupNormGeometry, type Layout } from '../plan/geometry.ts';
import { checkCount, checkLayout, checkLike, checkTarget, floatDType } from './check.ts';
import { remember } from './programs.ts';
import { checkRanges } from './shared-buffers.ts';

/** What a local response normalization is made of. */
export interface LocalResponseNormSettings {
  /** Channels in a window, an integer ≥ 1: ⌊size/2⌋ before the channel, itself, ⌊(size − 1)/2⌋ after it. */
  size: number;
  /** Factor of the window's sum of squares, which is divided by size. Default 1e-4. */
  alpha?: number | undefined;
  /** Exponent of the denominator. Default 0.75; 0.5, 0.75 and 1 are computed by roots. */
  beta?: number | undefined;
  /** Added to the window's share. Default 1. */
  k?: number | undefined;
  /** Where x's channels are: [N, C, ...] or [N, ..., C]. Neither is transposed. Default 'channels-first'. */
  layout?: Layout | undefined;
}

/** Options of {@link localResponseNorm}. */
export interface LocalResponseNormOptions extends LocalResponseNormSettings, RecordOptions {
  /** y is written here instead of to a new tensor: shape and dtype of x, none of its elements. */
  out?: { y?: Tensor | undefined } | undefined;
}

/** Options of {@link localResponseNormBackward}. */
export interface LocalResponseNormBackwardOptions extends LocalResponseNormSettings, RecordOptions {
  /** dx is written here instead of to a new tensor: shape and dtype of x, none of the elements of x or dy. */
  out?: { dx?: Tensor | undefined } | undefined;
}

/** What {@link localResponseNorm} returns. */
export interface LocalResponseNormResult {
  /** Shape and dtype of x. */
  y: Tensor;
}

/** What {@link localResponseNormBackward} returns. */
export interface LocalResponseNormBackwardResult {
  /** Shape and dtype of x. */
  dx: Tensor;
}

/** @internal */
export const localResponseNormNames = {
  ...recordNames,
  size: 'number',
  alpha: 'number',
  beta: 'number',
  k: 'number',
  layout: 'string',
  out: 'other',
} as const satisfies OptionNames<LocalResponseNormOptions>;

/**
 * Divides every element by a power of what its neighbouring channels hold at the same position:
 * y = x / d^beta with d = k + alpha/size · Σ x² over the window of channels, zero beyond the first and last
 * (Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural networks", §3.3;
 * torch.nn.functional.local_response_norm, which divides alpha by size).
 *
 * @param x - f32, f16 or bf16, [N, C, ...spatial] or, channels-last, [N, ...spatial, C], 1 or more spatial dimensions.
 * Arithmetic is f32. One sample must fit a binding (maxStorageBufferBindingSize).
 * @returns an object with y like x; empty if x is.
 * @throws NormError `shape` (fewer than 3 dimensions), `dtype`, `value`, `aliasing`, `limit`, `destroyed`,
 * `wrong-device`, `device-lost`.
 */
export function localResponseNorm(
  gpu: Gpu,
  x: Tensor,
  options: LocalResponseNormOptions,
): LocalResponseNormResult {
  checkOptions('localResponseNorm', options, localResponseNormNames);
  checkTensor(gpu, x, 'x');
  const { out = {}, encoder, pass } = options;
  checkTarget({ encoder, pass });
  checkOptions("localResponseNorm's out", out, { y: 'tensor' });
  const shared = checkRanges(gpu, { x }, { 'out.y': out.y });
  const program = localResponseNormProgram(gpu, 'forward', x.shape, floatDType(x, 'x'), options, shared);
  checkLike({ 'out.y': out.y }, x);
  return gpu.orNothing(() => {
    const y = out.y ?? gpu.empty(x.shape, { dtype: x.dtype });
    execute(gpu, program, { x, y }, { encoder, pass }, 'local_response_norm.forward');
    return { y };
  });
}

/**
 * Gradient of {@link localResponseNorm}:
 * dx = dy·d^−beta − (2·alpha·beta/size)·x·Σ dy·x·d^(−beta − 1), summed over the channels in whose window the element
 * lies: ⌊(size − 1)/2⌋ before it to ⌊size/2⌋ after it.
 *
 * @param dy - like x.
 * @param x - what forward was given.
 * @returns an object with dx like x.
 * @throws as {@link localResponseNorm}.
 */
export function localResponseNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: LocalResponseNormBackwardOptions,
): LocalResponseNormBackwardResult {
  checkOptions('localResponseNormBackward', options, localResponseNormNames);
  checkTensor(gpu, x, 'x');
  checkTensor(gpu, dy, 'dy');
  const { out = {}, encoder, pass } = options;
  checkTarget({ encoder, pass });
  checkOptions("localResponseNormBackward's out", out, { dx: 'tensor' });
  const shared = checkRanges(gpu, { dy, x }, { 'out.dx': out.dx });
  const program = localResponseNormProgram(gpu, 'backward', x.shape, floatDType(x, 'x'), options, shared);
  checkLike({ dy, 'out.dx': out.dx }, x);
  return gpu.orNothing(() => {
    const dx = out.dx ?? gpu.empty(x.shape, { dtype: x.dtype });
    execute(gpu, program, { x, dy, dx }, { encoder, pass }, 'local_response_norm.backward');
    return { dx };
  });
}

/** @internal The dispatches for an x of that shape. Throws `shape` or `value` if there are none. */
export function localResponseNormProgram(
  gpu: Gpu,
  direction: 'forward' | 'backward',
  shape: readonly number[],
  dtype: FloatDType,
  settings: LocalResponseNormSettings,
  shared?: ResponseDescriptor['shared'],
): Program {
  bytesOf(gpu, shape, floatDType({ dtype }, 'dtype'));
  const d = { ...responseDescriptor(shape, dtype, settings), ...(shared && { shared }) };
  return remember(gpu, `local_response_norm.${direction}`, d, () => responseProgram(direction, d, gpu.facts));
}

/** @internal */
export const responseProgram = (
  direction: 'forward' | 'backward',
  d: ResponseDescriptor,
  facts: DeviceFacts,
): Program => (direction === 'forward' ? responseForward : responseBackward)(d, facts);

/** @internal What the kernels are told of an x of that shape. Throws `shape` or `value` if it cannot be normalized. */
export function responseDescriptor(
  shape: readonly number[],
  dtype: FloatDType,
  settings: LocalResponseNormSettings,
): ResponseDescriptor {
  const { layout = 'channels-first' } = settings;
  const { size, alpha, beta, k } = checkLocalResponseNorm(settings);
  if (shape.length < 3) {
    throw new NormError(
      'shape',
      `Expected 3D or higher dimensionality input (got ${shape.length}D input).`,
      'Pass [N, C, ...spatial], or [N, ...spatial, C] with the layout channels-last.',
    );
  }
  // No groups: there are no statistics.
  const geometry = { ...groupNormGeometry(shape, 1, layout), groups: 0 };
  return { geometry, dtype, size, alpha, beta, k };
}

type Settled = { [Key in keyof LocalResponseNormSettings]-?: NonNullable<LocalResponseNormSettings[Key]> };

/** The settings with their defaults. Throws `value` unless they make sense. */
export function checkLocalResponseNorm({
  size,
  alpha = 1e-4,
  beta = 0.75,
  k = 1,
  layout = 'channels-first',
}: LocalResponseNormSettings): Settled {
  checkCount('size', size);
  for (const [name, value] of Object.entries({ alpha, beta, k })) {
    if (!Number.isFinite(value)) {
      throw new NormError('value', `${name} is ${value}.`, 'Use a finite number.');
    }
  }
  checkLayout(layout);
  return { size, alpha, beta, k, layout };
}
