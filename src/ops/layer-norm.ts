import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { sizesOf, type Tensor } from '../gpu/tensor.ts';
import { layerNormForward, rowBackwardKernels } from '../kernels/row-kernels.ts';
import { layerNormGeometry } from '../plan/geometry.ts';
import { checkCount, checkDivides, sameShape } from './check.ts';
import {
  type EpilogueBackwardOptions,
  type EpilogueOptions,
  epilogueBackwardNames,
  epilogueNames,
  refuseEpilogue,
} from './epilogue.ts';
import {
  type BackwardOptions,
  type BackwardResult,
  backwardNames,
  type ForwardOutputs,
  type ForwardResult,
  type NormCall,
  type NormOptions,
  normNames,
  type StatisticsOption,
  statisticsNames,
} from './norm.ts';
import { normBackward } from './norm-backward.ts';
import { forwardResult, normForward } from './norm-forward.ts';

/** Options of {@link layerNorm}. */
export interface LayerNormOptions extends NormOptions, EpilogueOptions {
  /** The trailing sizes that are normalized together; a number stands for one size. */
  normalizedShape: number | ArrayLike<number>;
  /**
   * Consecutive groups that the elements of normalizedShape fall into, each with statistics of its own, as in Mamba-2's grouped norm;
   * weight and bias still have a value per element. Default 1: all are normalized together.
   */
  numGroups?: number | undefined;
  /** β, of shape normalizedShape. Absent or null: 0. */
  bias?: Tensor | null | undefined;
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  out?: ForwardOutputs | undefined;
}

/** @internal */
export const addLayerNormNames = {
  ...normNames,
  ...statisticsNames,
  normalizedShape: 'other',
  numGroups: 'number',
  bias: 'tensor?',
  eps: 'number',
  out: 'other',
} as const satisfies OptionNames<AddLayerNormOptions & StatisticsOption>;
/** @internal */
export const layerNormNames = { ...addLayerNormNames, ...epilogueNames } as const satisfies OptionNames<
  LayerNormOptions & StatisticsOption
>;

/** Options of {@link addLayerNorm}. */
export type AddLayerNormOptions = Omit<LayerNormOptions, keyof EpilogueOptions>;

/** Options of {@link layerNormBackward}. */
export interface LayerNormBackwardOptions extends BackwardOptions, EpilogueBackwardOptions {
  normalizedShape: number | ArrayLike<number>;
  /** What forward had. Default 1. */
  numGroups?: number | undefined;
  /** What forward returned. */
  mean: Tensor;
  /** Gradient of the residual sum, added to dx: for {@link addLayerNorm}, whose `sum` is this function's x. */
  dsum?: Tensor | null | undefined;
}

/** @internal */
export const layerNormBackwardNames = {
  ...backwardNames,
  ...epilogueBackwardNames,
  normalizedShape: 'other',
  numGroups: 'number',
  mean: 'tensor',
  dsum: 'tensor?',
} as const satisfies OptionNames<LayerNormBackwardOptions>;

/**
 * Normalizes over the trailing dimensions:
 * y = (x − mean) / sqrt(variance + eps) · weight + bias, with the biased variance
 * (Ba, Kiros and Hinton 2016, arXiv 1607.06450; torch.nn.functional.layer_norm), or the activation of that and a
 * residual: see {@link EpilogueOptions}.
 *
 * @param x - f32, f16 or bf16, [...rows, ...normalizedShape].
 * @returns y like x; mean f32 [...rows, 2]; rstd f32 [...rows]; both null with `statistics: false`. With several groups, mean is
 * f32 [...rows, numGroups, 2] and rstd f32 [...rows, numGroups].
 * @throws NormError `shape`, `dtype`, `value`, `aliasing`, `limit`, `destroyed`, `wrong-device`, `device-lost`.
 */
export function layerNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  options: LayerNormOptions & StatisticsOption<Kept>,
): ForwardResult<Kept> {
  checkOptions('layerNorm', options, layerNormNames);
  checkTensor(gpu, x, 'x');
  const call = layerNormCall(x.shape, options.normalizedShape, options.eps, options.numGroups);
  const made = normForward(gpu, { ...call, ...layerNormForward }, x, undefined, options.bias, {
    ...options,
    epilogue: options,
  });
  return forwardResult(made);
}

/**
 * LayerNorm of a residual stream: sum = x + residual, y = layerNorm(sum), in one pass. The sum is rounded to the dtype
 * of x before it is normalized, as PyTorch's `layer_norm(x + residual)` does.
 *
 * For the backward pass, give `sum` to {@link layerNormBackward} as x and the sum's own gradient as dsum; its dx is
 * the gradient of both x and residual.
 *
 * @param residual - like x.
 * @returns as {@link layerNorm}, and sum like x.
 * @throws as {@link layerNorm}.
 */
export function addLayerNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  residual: Tensor,
  options: AddLayerNormOptions & StatisticsOption<Kept>,
): ForwardResult<Kept> & { sum: Tensor } {
  checkTensor(gpu, x, 'x');
  checkTensor(gpu, residual, 'residual');
  refuseEpilogue('addLayerNorm', options);
  checkOptions('addLayerNorm', options, addLayerNormNames);
  const call = layerNormCall(x.shape, options.normalizedShape, options.eps, options.numGroups);
  return forwardResult(
    normForward(gpu, { ...call, ...layerNormForward }, x, residual, options.bias, options),
  );
}

/**
 * Gradients of {@link layerNorm}: with g = dy·weight and x̂ = (x − mean)·rstd,
 * dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) + dsum, dweight = Σ dy·x̂, dbias = Σ dy, sums over rows. With an activation,
 * dy is first multiplied by its derivative.
 *
 * @param dy - like x.
 * @param x - what forward normalized.
 * @returns dx like x; dweight and dbias of shape normalizedShape, or null where not wanted; dresidual.
 * @throws as {@link layerNorm}.
 */
export function layerNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: LayerNormBackwardOptions,
): BackwardResult {
  checkOptions('layerNormBackward', options, layerNormBackwardNames);
  checkTensor(gpu, x, 'x');
  const call = layerNormCall(x.shape, options.normalizedShape, 0, options.numGroups);
  return normBackward(
    gpu,
    { ...call, ...rowBackwardKernels },
    dy,
    x,
    options.mean,
    options.dsum ?? undefined,
    true,
    {
      ...options,
      epilogue: options,
    },
  );
}

/** @internal */
export function layerNormCall(
  shape: readonly number[],
  normalizedShape: number | ArrayLike<number>,
  eps = 1e-5,
  numGroups = 1,
): NormCall {
  const normalized = trailingSizes(shape, normalizedShape);
  return { name: 'layer_norm', kind: 'moments', ...rowsOf(shape, normalized, numGroups), eps };
}

/** @internal What row norms of all kinds have: the rows of x, each in so many groups. Throws `value` or `shape` for groups that cannot be. */
export function rowsOf(shape: readonly number[], normalized: readonly number[], numGroups: number) {
  const geometry = layerNormGeometry(shape, normalized, numGroups);
  checkCount('numGroups', numGroups);
  checkDivides(geometry.channels, numGroups, 'elements of normalizedShape');
  const rows = shape.slice(0, shape.length - normalized.length);
  return {
    geometry,
    parameterShape: normalized,
    setShape: numGroups === 1 ? rows : [...rows, numGroups],
  };
}

/** @internal The sizes of normalizedShape. Throws `shape` unless there are some. */
export function normalizedSizes(normalizedShape: number | ArrayLike<number>): readonly number[] {
  const given = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
  const sizes = sizesOf(given, 'normalizedShape');
  if (sizes.length > 0) return sizes;
  throw new NormError(
    'shape',
    'normalizedShape is empty; it must have at least one dimension.',
    'Pass the trailing sizes of x, such as [768].',
  );
}

/** @internal Likewise; throws `shape` unless they are the end of shape (PyTorch's condition). */
export function trailingSizes(
  shape: readonly number[],
  normalizedShape: number | ArrayLike<number>,
): readonly number[] {
  const normalized = normalizedSizes(normalizedShape);
  const leading = shape.length - normalized.length;
  if (leading < 0 || !sameShape(shape.slice(leading), normalized)) {
    throw new NormError(
      'shape',
      `Given normalizedShape [${normalized}], x must have shape [*, ${normalized.join(', ')}], not [${shape}].`,
      'Make normalizedShape the trailing sizes of x.',
    );
  }
  return normalized;
}
