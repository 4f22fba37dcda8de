import { checkTensor } from '../gpu/check-context.ts';
import { execute, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Program } from '../gpu/program.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import type { BackwardDescriptor, ForwardDescriptor } from '../kernels/descriptor.ts';
import { tanhBackward, tanhForward } from '../kernels/row-kernels.ts';
import { checkLike, checkTarget, checkTensorDType, floatDType, type Like, parameterDType } from './check.ts';
import { backwardDescriptor, forwardDescriptor } from './descriptors.ts';
import type { NormCall } from './norm.ts';
import { normalizedParts } from './normalized.ts';
import { checkOutputs, named, withOutputs } from './outputs.ts';
import { remember } from './programs.ts';
import { checkRanges } from './shared-buffers.ts';

/** The parameters of {@link dynamicTanh}, all of one dtype: that of x, or f32 beside an x of f16 or bf16. */
export interface DynamicTanhParameters {
  /** What x is multiplied by, [1]. */
  alpha: Tensor;
  /** γ, of the trailing sizes of x. Absent or null: 1. */
  weight?: Tensor | null | undefined;
  /** β, likewise. Absent or null: 0. */
  bias?: Tensor | null | undefined;
}

/** Options of {@link dynamicTanh}. */
export interface DynamicTanhOptions extends DynamicTanhParameters, RecordOptions {
  /** y is written here instead of to a new tensor: shape and dtype of x, none of the elements of what is read. */
  out?: { y?: Tensor | undefined } | undefined;
}

/** @internal */
export const dynamicTanhNames = {
  ...recordNames,
  alpha: 'tensor',
  weight: 'tensor?',
  bias: 'tensor?',
  out: 'other',
} as const satisfies OptionNames<DynamicTanhOptions>;

/** Tensors that {@link dynamicTanhBackward} writes to instead of new ones. None overlaps another operand. */
export interface DynamicTanhGradients {
  /** Shape and dtype of x. */
  dx?: Tensor | undefined;
  /** [1], of the dtype of alpha. */
  dalpha?: Tensor | undefined;
  /** Like weight. */
  dweight?: Tensor | undefined;
  /** Like bias. */
  dbias?: Tensor | undefined;
}

/** Which gradients of parameters there are, or are added to. */
export interface DynamicTanhChoice {
  dalpha?: boolean | undefined;
  dweight?: boolean | undefined;
  dbias?: boolean | undefined;
}

/** Options of {@link dynamicTanhBackward}. */
export interface DynamicTanhBackwardOptions extends DynamicTanhParameters, RecordOptions {
  /** Which gradients of the parameters are wanted. Default: dalpha, and those of the others that are there. */
  wants?: DynamicTanhChoice | undefined;
  /** Adds the gradients of the parameters to what the tensors of `out` hold. Default false. */
  accumulate?: boolean | DynamicTanhChoice | undefined;
  out?: DynamicTanhGradients | undefined;
}

/** @internal */
export const dynamicTanhBackwardNames = {
  ...dynamicTanhNames,
  wants: 'other',
  accumulate: 'other',
} as const satisfies OptionNames<DynamicTanhBackwardOptions>;
const choiceNames = { dalpha: 'boolean', dweight: 'boolean', dbias: 'boolean' } as const;
const gradientNames = { dx: 'tensor', dalpha: 'tensor', dweight: 'tensor', dbias: 'tensor' } as const;

/** What {@link dynamicTanhBackward} returns. */
export interface DynamicTanhBackwardResult {
  /** Shape and dtype of x. */
  dx: Tensor;
  /** [1], of the dtype of alpha; null if not wanted. */
  dalpha: Tensor | null;
  /** Like weight; null if not wanted. */
  dweight: Tensor | null;
  /** Like bias; null if not wanted. */
  dbias: Tensor | null;
}

/**
 * DyT, which takes the place of a norm in a transformer: y = tanh(alpha·x)·weight + bias, with one number alpha
 * (Zhu, Chen, He, LeCun and Liu 2025, "Transformers without Normalization", arXiv 2503.10622). No statistics, one pass over x.
 *
 * @param x - f32, f16 or bf16, [...rows, ...sizes of weight and bias]; without these any shape of one dimension or more.
 * Arithmetic is f32.
 * @returns an object with y like x; empty if x is.
 * @throws NormError `shape`, `dtype`, `value`, `aliasing`, `limit`, `destroyed`, `wrong-device`, `device-lost`.
 * @example
 * ```ts
 * const alpha = gpu.tensor([0.5], [1]);
 * const { y } = dynamicTanh(gpu, x, { alpha, weight, bias });
 * const { dx, dalpha, dweight, dbias } = dynamicTanhBackward(gpu, dy, x, { alpha, weight, bias });
 * ```
 */
export function dynamicTanh(gpu: Gpu, x: Tensor, options: DynamicTanhOptions): { y: Tensor } {
  checkTensor(gpu, x, 'x');
  checkOptions('dynamicTanh', options, dynamicTanhNames);
  checkTensor(gpu, options.alpha, 'alpha');
  const { alpha, weight, bias, out = {}, encoder, pass } = options;
  checkTarget({ encoder, pass });
  checkOptions("dynamicTanh's out", out, { y: 'tensor' });
  const inputs = { x, alpha, weight: weight ?? undefined, bias: bias ?? undefined };
  const shared = checkRanges(gpu, inputs, { 'out.y': out.y });
  const program = tanhForwardProgram(gpu, tanhCall(x, options), options, shared);
  checkLike({ 'out.y': out.y }, x);
  return gpu.orNothing(() => {
    const y = out.y ?? gpu.empty(x.shape, { dtype: x.dtype });
    execute(gpu, program, { ...inputs, y }, { encoder, pass }, 'dynamic_tanh.forward');
    return { y };
  });
}

/**
 * Gradients of {@link dynamicTanh}: with t = tanh(alpha·x) and g = dy·weight, dx = alpha·g·(1 − t²), dalpha = Σ x·g·(1 − t²) over all
 * elements, dweight = Σ dy·t and dbias = Σ dy over rows.
 *
 * @param dy - like x.
 * @param x - what forward was given.
 * @throws as {@link dynamicTanh}.
 */
export function dynamicTanhBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: DynamicTanhBackwardOptions,
): DynamicTanhBackwardResult {
  return recordTanhBackward(gpu, dy, x, options, () => ({}));
}

/**
 * @internal
 * @param newGradients - tensors that are made once all has been found right, of a module's parameters.
 */
export function recordTanhBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: DynamicTanhBackwardOptions,
  newGradients: () => Omit<DynamicTanhGradients, 'dx'>,
): DynamicTanhBackwardResult {
  checkTensor(gpu, x, 'x');
  checkTensor(gpu, dy, 'dy');
  checkOptions('dynamicTanhBackward', options, dynamicTanhBackwardNames);
  checkTensor(gpu, options.alpha, 'alpha');
  const { alpha, weight, bias, out = {}, wants = {}, accumulate = false, encoder, pass } = options;
  checkTarget({ encoder, pass });
  checkOptions("dynamicTanhBackward's out", out, gradientNames);
  checkChoices('dynamicTanhBackward', wants, accumulate);
  const inputs = { dy, x, alpha, weight: weight ?? undefined };
  const outs = named(out);
  const shared = checkRanges(gpu, { ...inputs, bias: bias ?? undefined }, outs);
  const call = tanhCall(x, options);
  const d = tanhBackwardDescriptor(call, options, shared);
  checkLike({ dy }, x);
  const outputs = tanhGradients(call, d, x.shape);
  const unwanted = 'it is not among what is wanted';
  checkOutputs(out, outputs, { dalpha: unwanted, dweight: unwanted, dbias: unwanted });
  const program = tanhBackwardProgram(gpu, d);
  return gpu.orNothing(() => {
    const made = withOutputs(gpu, { ...out, ...newGradients() }, outputs);
    execute(gpu, program, { ...inputs, ...made }, { encoder, pass }, 'dynamic_tanh.backward');
    const { dx, dalpha = null, dweight = null, dbias = null } = made;
    return { dx: dx as Tensor, dalpha, dweight, dbias };
  });
}

/** @internal Throws `value` unless both say what is wanted of the gradients. */
export function checkChoices(
  name: string,
  wants: DynamicTanhBackwardOptions['wants'] = {},
  accumulate: DynamicTanhBackwardOptions['accumulate'] = false,
): void {
  checkOptions(`${name}'s wants`, wants, choiceNames);
  if (typeof accumulate !== 'boolean') checkOptions(`${name}'s accumulate`, accumulate, choiceNames);
}

interface TanhLike {
  alpha: Like;
  weight?: Like | null | undefined;
  bias?: Like | null | undefined;
}

/** @internal Throws `shape` or `dtype` unless the parameters are those of an x like that. */
export function tanhCall(x: Like, { alpha, weight, bias }: TanhLike): TanhCall {
  const sizes = (weight ?? bias)?.shape ?? x.shape.slice(-1);
  const parts = normalizedParts(x.shape, { normalizedShape: sizes });
  const dtype = floatDType(x, 'x');
  const paramDtype = parameterDType(dtype, weight ?? alpha, bias ?? undefined);
  checkTensorDType(alpha, paramDtype, 'alpha');
  checkLike({ alpha }, { shape: [1], dtype: paramDtype });
  checkLike({ weight, bias }, { shape: parts.parameterShape, dtype: paramDtype });
  return { name: 'dynamic_tanh', kind: 'tanh', ...parts, eps: 0, dtypes: { dtype, paramDtype } };
}

interface TanhCall extends NormCall {
  dtypes: { dtype: FloatDType; paramDtype: FloatDType };
}

/** @internal What a backward pass writes. */
export function tanhGradients(call: TanhCall, d: BackwardDescriptor, shape: readonly number[]) {
  const parameter: Like = { shape: call.parameterShape, dtype: d.paramDtype };
  return {
    dx: { shape, dtype: d.dtype },
    dalpha: d.dalpha && { shape: [1], dtype: d.paramDtype },
    dweight: d.dweight ? parameter : undefined,
    dbias: d.dbias ? parameter : undefined,
  };
}

/** @internal What a forward pass is described as. */
export const tanhForwardDescriptor = (
  call: TanhCall,
  { weight, bias }: TanhLike,
  shared?: readonly string[],
): ForwardDescriptor =>
  forwardDescriptor(call, { ...call.dtypes, weight: !!weight, bias: !!bias, shared, statistics: false });

/** @internal Its dispatches. */
export function tanhForwardProgram(
  gpu: Gpu,
  call: TanhCall,
  parameters: TanhLike,
  shared?: readonly string[],
): Program {
  const d = tanhForwardDescriptor(call, parameters, shared);
  return remember(gpu, 'dynamic_tanh.forward', d, () => tanhForward.forward(d, gpu.facts));
}

/** @internal Likewise of a backward pass. */
export const tanhBackwardProgram = (gpu: Gpu, d: BackwardDescriptor): Program =>
  remember(gpu, 'dynamic_tanh.backward', d, () => tanhBackward.backward(d, gpu.facts));

/** @internal */
export function tanhBackwardDescriptor(
  call: TanhCall,
  {
    weight,
    bias,
    wants = {},
    accumulate = false,
  }: TanhLike & Pick<DynamicTanhBackwardOptions, 'wants' | 'accumulate'>,
  shared?: readonly string[],
): BackwardDescriptor {
  const { dalpha = true, dweight = !!weight, dbias = !!bias } = wants;
  const adds = (name: keyof DynamicTanhChoice) =>
    typeof accumulate === 'boolean' ? accumulate : accumulate[name] === true;
  const d = backwardDescriptor(call, {
    ...call.dtypes,
    weight: !!weight,
    wants: { dweight, dbias },
    shared,
    accumulate: { dweight: adds('dweight'), dbias: adds('dbias') },
  });
  return { ...d, ...(dalpha && { dalpha: { accumulate: adds('dalpha') } }) };
}
