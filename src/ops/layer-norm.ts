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
  type GateOptions,
  gateNames,
  refuseEpilogue,
} from './epilogue.ts';
import {
  type BackwardOptions,
  type BackwardOutputs,
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
export interface LayerNormOptions extends NormOptions, EpilogueOptions, GateOptions {
  /** The trailing sizes that are normalized together; a number stands for one size. */
  normalizedShape: number | ArrayLike<number>;
  /**
   * Consecutive groups that the elements of normalizedShape fall into, each with statistics of its own, as in Mamba-2's grouped norm;
   * weight and bias still have a value per element. Default 1: all are normalized together.
   */
  numGroups?: number | undefined;
  /** β, of the shape of weight or, without one, of a shape that a weight may have. Absent or null: 0. */
  bias?: Tensor | null | undefined;
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /** Whether weight holds γ − 1, as in TransformerEngine and in AdaLN's scale. Default false. */
  zeroCenteredGamma?: boolean | undefined;
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
  zeroCenteredGamma: 'boolean',
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
export interface LayerNormBackwardOptions extends BackwardOptions, EpilogueBackwardOptions, GateOptions {
  normalizedShape: number | ArrayLike<number>;
  /** What forward had. Default 1. */
  numGroups?: number | undefined;
  /** What forward had. Default false. */
  zeroCenteredGamma?: boolean | undefined;
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
  normalizedShape: 'other',
  numGroups: 'number',
  zeroCenteredGamma: 'boolean',
  mean: 'tensor',
  dsum: 'tensor?',
} as const satisfies OptionNames<LayerNormBackwardOptions>;

/**
 * Normalizes over the trailing dimensions:
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
 * @param x - f32 or f16, [...rows, ...normalizedShape].
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
  checkTensor(gpu, x, 'x');
  checkTensor(gpu, residual, 'residual');
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
  checkTensor(gpu, x, 'x');
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

/** @internal What a norm of rows is made from, beside the shape of x. */
export interface RowSettings {
  normalizedShape: number | ArrayLike<number>;
  numGroups?: number | undefined;
  eps?: number | undefined;
  zeroCenteredGamma?: boolean | undefined;
}

/** @internal @param parameterShape - of weight and bias. Default: normalizedShape. */
export function layerNormCall(
  shape: readonly number[],
  settings: RowSettings,
  parameterShape?: readonly number[],
): NormCall {
  const { eps = 1e-5, zeroCenteredGamma } = settings;
  const normalized = trailingSizes(shape, settings.normalizedShape);
  return {
    name: 'layer_norm',
    kind: 'moments',
    ...rowsOf(shape, normalized, settings.numGroups, parameterShape),
    eps,
    ...(zeroCenteredGamma && { weightOffset: 1 }),
  };
}

/** @internal The shape of weight and bias, if any is given that tells. */
export const parameterShapeOf = ({
  weight,
  bias,
  out,
}: {
  weight?: Tensor | null | undefined;
  bias?: Tensor | null | undefined;
  out?: object | undefined;
}): readonly number[] | undefined => {
  const { dweight, dbias } = (out ?? {}) as BackwardOutputs;
  return (weight ?? bias ?? dweight ?? dbias)?.shape;
};

/**
 * @internal What row norms of all kinds have: the rows of x, each in so many groups, and what weight and bias belong to.
 *
 * @param given - the shape of weight and bias: that of the normalized sizes, or more sizes before these.
 * @throws NormError `value` or `shape` for groups or a shape that cannot be.
 */
export function rowsOf(
  shape: readonly number[],
  normalized: readonly number[],
  numGroups = 1,
  given: readonly number[] = normalized,
) {
  const geometry = layerNormGeometry(shape, normalized, numGroups);
  checkCount('numGroups', numGroups);
  checkDivides(geometry.channels, numGroups, 'elements of normalizedShape');
  const rows = shape.slice(0, shape.length - normalized.length);
  const setShape = numGroups === 1 ? rows : [...rows, numGroups];
  const leading = given.slice(0, Math.max(0, given.length - normalized.length));
  const apart = sizesWithout(rows, leading);
  // A shape that cannot be is refused where weight and bias are checked, by the shape that they may have.
  if (leading.length === 0 || !apart || !sameShape(given.slice(leading.length), normalized)) {
    return { geometry, parameterShape: normalized, setShape };
  }
  if (numGroups > 1) {
    throw new NormError(
      'shape',
      `weight and bias have shape [${given}] with numGroups ${numGroups}.`,
      `With several groups they have one shape for all rows, [${normalized}].`,
    );
  }
  const { channels } = geometry;
  const groups = apart.of;
  if (groups <= 1) return { geometry, parameterShape: given, setShape };
  return {
    geometry: { ...geometry, samples: apart.each, channels: groups * channels, groups },
    blocked: true as const,
    parameterShape: given,
    setShape,
  };
}

/**
 * How many blocks of rows, and of how many rows each, the leading sizes of weight tell apart: they are the first sizes of the rows, then
 * ones. Undefined where they are not.
 */
function sizesWithout(
  rows: readonly number[],
  leading: readonly number[],
): { of: number; each: number } | undefined {
  if (leading.length !== rows.length) return undefined;
  let first = leading.length;
  while (first > 0 && leading[first - 1] === 1) first--;
  let [of, each] = [1, 1];
  for (const [axis, size] of rows.entries()) {
    if (axis >= first) each *= size;
    else if (size === leading[axis]) of *= size;
    else return undefined;
  }
  return { of, each };
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
