import { checkTensor } from '../gpu/check-context.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { layerNormForward, rowBackwardKernels } from '../kernels/row-kernels.ts';
import {
  type EpilogueBackwardOptions,
  type EpilogueOptions,
  epilogueBackwardNames,
  epilogueNames,
  type GateOptions,
  gateNames,
  refuseEpilogue,
} from './epilogue.ts';
import { parameterShapeOf } from './modulated.ts';
import {
  type BackwardOptions,
  type BackwardResult,
  backwardNames,
  type ForwardOutputs,
  type ForwardResult,
  type GammaOption,
  type NormCall,
  type NormOptions,
  normNames,
  type StatisticsOption,
  statisticsNames,
  weightOffsetOf,
} from './norm.ts';
import { normBackward } from './norm-backward.ts';
import { forwardResult, normForward } from './norm-forward.ts';
import { type NormalizedOptions, normalizedNames, normalizedParts } from './normalized.ts';

/** Options of {@link layerNorm}. */
export interface LayerNormOptions extends NormOptions, NormalizedOptions, EpilogueOptions, GateOptions {
  /** β, of the shape of weight or, without one, of a shape that a weight may have. Absent or null: 0. */
  bias?: Tensor | null | undefined;
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  out?: ForwardOutputs | undefined;
}

/** @internal */
export const addLayerNormNames = {
  ...normNames,
  ...statisticsNames,
  ...normalizedNames,
  bias: 'tensor?',
  eps: 'number',
  out: 'other',
} as const satisfies OptionNames<AddLayerNormOptions & StatisticsOption>;
/** @internal */
export const layerNormNames = {
  ...addLayerNormNames,
  ...epilogueNames,
  ...gateNames,
} as const satisfies OptionNames<LayerNormOptions & StatisticsOption>;

/** Options of {@link addLayerNorm}. */
export type AddLayerNormOptions = Omit<LayerNormOptions, keyof EpilogueOptions | keyof GateOptions>;

/** Options of {@link layerNormBackward}. */
export interface LayerNormBackwardOptions
  extends BackwardOptions,
    NormalizedOptions,
    EpilogueBackwardOptions,
    GateOptions {
  /** What forward returned. */
  mean: Tensor;
  /** Gradient of the residual sum, added to dx: for {@link addLayerNorm}, whose `sum` is this function's x. */
  dsum?: Tensor | null | undefined;
}

/** @internal */
export const layerNormBackwardNames = {
  ...backwardNames,
  ...epilogueBackwardNames,
  ...gateNames,
  ...normalizedNames,
  mean: 'tensor',
  dsum: 'tensor?',
} as const satisfies OptionNames<LayerNormBackwardOptions>;

/**
 * Normalizes over the trailing dimensions, or over any axes:
 * y = (x − mean) / sqrt(variance + eps) · weight + bias, with the biased variance
 * (Ba, Kiros and Hinton 2016, arXiv 1607.06450; torch.nn.functional.layer_norm), or the activation of that and a
 * residual: see {@link EpilogueOptions}.
 *
 * weight and bias may differ between the samples of a batch, as in AdaLN (Peebles and Xie 2023, arXiv 2212.09748):
 *
 * ```ts
 * // x is [N, T, D], scale and shift are [N, 1, D]: y = x̂·(1 + scale) + shift
 * const { y } = layerNorm(gpu, x, { normalizedShape: D, weight: scale, bias: shift, zeroCenteredGamma: true });
 * ```
 *
 * @param x - f32, f16 or bf16, [...rows, ...normalizedShape]; of any shape with axes, and `rows` are then the sizes of the others.
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
  checkTensor(gpu, x, 'x', true);
  const call = layerNormCall(x.shape, options, parameterShapeOf(options));
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
  checkTensor(gpu, x, 'x', true);
  checkTensor(gpu, residual, 'residual', true);
  refuseEpilogue('addLayerNorm', options);
  checkOptions('addLayerNorm', options, addLayerNormNames);
  const call = layerNormCall(x.shape, options, parameterShapeOf(options));
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
 * @returns dx like x; dweight and dbias of the shape of weight and bias, or null where not wanted; dresidual; dgate.
 * @throws as {@link layerNorm}.
 */
export function layerNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: LayerNormBackwardOptions,
): BackwardResult {
  checkOptions('layerNormBackward', options, layerNormBackwardNames);
  checkTensor(gpu, x, 'x', true);
  const call = layerNormCall(x.shape, { ...options, eps: 0 }, parameterShapeOf(options));
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

/** @internal @param parameterShape - of weight and bias. Default: the normalized sizes. */
export function layerNormCall(
  shape: readonly number[],
  { eps = 1e-5, ...normalized }: NormalizedOptions & GammaOption & { eps?: number | undefined },
  parameterShape?: readonly number[],
): NormCall {
  const parts = normalizedParts(shape, normalized, parameterShape);
  const weightOffset = weightOffsetOf(normalized);
  return { name: 'layer_norm', kind: 'moments', strided: true, ...parts, eps, weightOffset };
}
