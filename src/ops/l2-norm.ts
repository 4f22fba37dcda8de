import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { setSize } from '../plan/geometry.ts';
import { checkEps } from './check.ts';
import type { EpsMode } from './conventions.ts';
import { type EpilogueOptions, epilogueNames, type GateOptions, gateNames } from './epilogue.ts';
import { parameterShapeOf } from './modulated.ts';
import {
  type BackwardOptions,
  type BackwardResult,
  backwardNames,
  type ForwardOutputs,
  type GammaOption,
  type NormCall,
  type NormOptions,
  normNames,
  type Statistic,
  type StatisticsOption,
  statisticsNames,
  weightOffsetOf,
} from './norm.ts';
import { type NormalizedOptions, normalizedNames, normalizedParts } from './normalized.ts';
import { backwardWithoutMean, forwardWithoutMean } from './without-mean.ts';

/** What a length is compared with, or what is added to its square. */
export interface L2EpsOptions {
  /** Default 1e-12, as of torch.nn.functional.normalize; where it is added 1e-6, as of flash-linear-attention's l2norm. */
  eps?: number | undefined;
  /** What eps does. Default 'max'. */
  epsMode?: EpsMode | undefined;
}

/** Options of {@link l2Norm}. */
export interface L2NormOptions
  extends NormOptions,
    NormalizedOptions,
    L2EpsOptions,
    EpilogueOptions,
    GateOptions {
  out?: Omit<ForwardOutputs, 'mean' | 'sum' | 'variance'> | undefined;
}

const epsNames = { eps: 'number', epsMode: 'string' } as const satisfies OptionNames<L2EpsOptions>;

/** @internal */
export const l2NormNames = {
  ...normNames,
  ...statisticsNames,
  ...normalizedNames,
  ...epsNames,
  ...epilogueNames,
  ...gateNames,
  out: 'other',
} as const satisfies OptionNames<L2NormOptions & StatisticsOption>;
/** @internal */
export const l2NormReasons = { bias: 'l2Norm has no bias: add one to the result.' };

/** Options of {@link l2NormBackward}: eps and epsMode are those of forward. */
export interface L2NormBackwardOptions
  extends Omit<BackwardOptions, 'eps'>,
    NormalizedOptions,
    L2EpsOptions,
    EpilogueOptions,
    GateOptions {}

/** @internal */
export const l2NormBackwardNames = {
  ...backwardNames,
  ...epilogueNames,
  ...gateNames,
  ...normalizedNames,
  ...epsNames,
} as const satisfies OptionNames<L2NormBackwardOptions>;

/** What {@link l2Norm} returns. */
export interface L2NormResult<Kept extends boolean | undefined = true> {
  /** Shape and dtype of x. */
  y: Tensor;
  /**
   * f32 [...rows]: √n / max(‖x‖, eps), or √n / sqrt(‖x‖² + eps), over n elements: what 1 over the root mean square is. A length of f32 numbers
   * may be larger than any of them, and this is never too small.
   */
  rstd: Statistic<Kept>;
}

/**
 * Divides by the Euclidean length over the trailing dimensions, or over any axes: y = x / max(‖x‖, eps) · weight, which is
 * torch.nn.functional.normalize with p = 2
 * (https://pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html), or with `epsMode: 'add'` y = x / sqrt(‖x‖² + eps) · weight,
 * which is flash-linear-attention's l2norm (https://github.com/fla-org/flash-linear-attention, fla/modules/l2norm.py). What follows may be
 * the activation of that and a residual, or that times the activation of a gate: see {@link EpilogueOptions} and {@link GateOptions}.
 *
 * A row of zeros stays one. With `epsMode: 'max'` and an eps below √n·5e-32, and with an eps of 0, rows of a root mean square below that are
 * NaN, as rows of zeros are in PyTorch with an eps of 0.
 *
 * @param x - f32, f16 or bf16, [...rows, ...normalizedShape]; with axes, `rows` are the sizes of the others.
 * @returns y like x; rstd f32 [...rows], or [...rows, numGroups] with several groups; null with `statistics: false`.
 * @throws NormError `shape`, `dtype`, `value`, `aliasing`, `limit`, `destroyed`, `wrong-device`, `device-lost`.
 * @example
 * ```ts
 * const { y, rstd } = l2Norm(gpu, embeddings, { normalizedShape: 384 });
 * const { dx } = l2NormBackward(gpu, dy, embeddings, { normalizedShape: 384, rstd });
 * ```
 */
export function l2Norm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  options: L2NormOptions & StatisticsOption<Kept>,
): L2NormResult<Kept> {
  checkTensor(gpu, x, 'x', true);
  checkOptions('l2Norm', options, l2NormNames, l2NormReasons);
  const call = l2NormCall(x.shape, options, parameterShapeOf(options));
  return forwardWithoutMean(gpu, call, x, options) as L2NormResult<Kept>;
}

/**
 * Gradients of {@link l2Norm}: with g = dy·weight, x̂ = x / length and length what forward divided by,
 * dx = (g − x̂·Σ(g·x̂)) / length, and dweight = Σ dy·x̂ over rows. Where eps was the greater one, dx = g / eps.
 *
 * @param dy - like x.
 * @param x - what forward normalized.
 * @returns dx like x; dweight of the shape of weight, or null where not wanted; dresidual; dgate.
 * @throws as {@link l2Norm}.
 */
export function l2NormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: L2NormBackwardOptions,
): Omit<BackwardResult, 'dbias'> {
  checkTensor(gpu, x, 'x', true);
  checkOptions('l2NormBackward', options, l2NormBackwardNames, l2NormReasons);
  return backwardWithoutMean(gpu, l2NormCall(x.shape, options, parameterShapeOf(options)), dy, x, options);
}

/** The largest rstd that kernels make, so that a limit beyond it is none. */
const largestRstd = 2 ** 104;

/** @internal The eps that is used. Throws `value` unless it and its mode are such. */
export function l2Eps({ eps, epsMode = 'max' }: L2EpsOptions): { eps: number; epsMode: EpsMode } {
  if (epsMode !== 'max' && epsMode !== 'add') {
    throw new NormError('value', `There is no epsMode '${shown(epsMode)}'.`, "Use 'max' or 'add'.");
  }
  const used = eps ?? (epsMode === 'max' ? 1e-12 : 1e-6);
  checkEps(used);
  return { eps: used, epsMode };
}

/** @internal */
export function l2NormCall(
  shape: readonly number[],
  settings: NormalizedOptions & GammaOption & L2EpsOptions,
  parameterShape?: readonly number[],
): NormCall {
  const { eps, epsMode } = l2Eps(settings);
  const parts = normalizedParts(shape, settings, parameterShape);
  // As of a root mean square, which is the length over the root of the number of elements.
  const count = Math.max(1, setSize(parts.geometry));
  const mostRstd = Math.sqrt(count) / eps;
  const limited = epsMode === 'max' && mostRstd <= largestRstd;
  return {
    name: 'l2_norm',
    kind: 'l2',
    strided: true,
    ...parts,
    eps: epsMode === 'add' ? eps / count : 0,
    ...(limited && { mostRstd }),
    weightOffset: weightOffsetOf(settings),
  };
}
