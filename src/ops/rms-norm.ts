import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { rmsNormForward, rowBackwardKernels } from '../kernels/row-kernels.ts';
import type { RmsNormCast } from './conventions.ts';
import { refuseEpilogue } from './epilogue.ts';
import { rowsOf, trailingSizes } from './layer-norm.ts';
import {
  type BackwardOptions,
  type BackwardResult,
  backwardNames,
  type ForwardOutputs,
  type NormCall,
  type NormOptions,
  normNames,
  type Statistic,
  type StatisticsOption,
  statisticsNames,
} from './norm.ts';
import { normBackward } from './norm-backward.ts';
import { normForward } from './norm-forward.ts';

/** The default eps of torch.nn.RMSNorm: the machine epsilon of the type it computes in, f32. */
export const rmsNormEps = 2 ** -23;

/** Options of {@link rmsNorm}. */
export interface RmsNormOptions extends NormOptions {
  /** The trailing sizes that are normalized together; a number stands for one size. */
  normalizedShape: number | ArrayLike<number>;
  /**
   * Consecutive groups that the elements of normalizedShape fall into, each with statistics of its own, as in Mamba-2's grouped norm;
   * weight still has a value per element. Default 1: all are normalized together.
   */
  numGroups?: number | undefined;
  /** Added to the mean square. Default 2^-23 ({@link rmsNormEps}). */
  eps?: number | undefined;
  /** Default 'torch'. */
  cast?: RmsNormCast | undefined;
  out?: Omit<ForwardOutputs, 'mean'> | undefined;
}

/** @internal */
export const rmsNormNames = {
  ...normNames,
  ...statisticsNames,
  normalizedShape: 'other',
  numGroups: 'number',
  eps: 'number',
  cast: 'string',
  out: 'other',
} as const satisfies OptionNames<RmsNormOptions & StatisticsOption>;
/** @internal */
export const rmsNormReasons = { bias: 'RMSNorm has no bias: add one to the result, or use layerNorm.' };

/** Options of {@link rmsNormBackward}. */
export interface RmsNormBackwardOptions extends BackwardOptions {
  normalizedShape: number | ArrayLike<number>;
  /** What forward had. Default 1. */
  numGroups?: number | undefined;
  /** What forward had. Default 'torch'. */
  cast?: RmsNormCast | undefined;
  /** Gradient of the residual sum, added to dx: for {@link addRmsNorm}, whose `sum` is this function's x. */
  dsum?: Tensor | null | undefined;
}

/** @internal */
export const rmsNormBackwardNames = {
  ...backwardNames,
  normalizedShape: 'other',
  numGroups: 'number',
  cast: 'string',
  dsum: 'tensor?',
} as const satisfies OptionNames<RmsNormBackwardOptions>;

/** What {@link rmsNorm} returns. */
export interface RmsNormResult<Kept extends boolean | undefined = true> {
  /** Shape and dtype of x. */
  y: Tensor;
  /** f32 [...rows]: 1 / sqrt(mean(x²) + eps). */
  rstd: Statistic<Kept>;
}

/**
 * Divides by the root mean square over the trailing dimensions: y = x / sqrt(mean(x²) + eps) · weight
 * (Zhang and Sennrich 2019, arXiv 1910.07467; torch.nn.functional.rms_norm).
 *
 * @param x - f32, f16 or bf16, [...rows, ...normalizedShape], at least two dimensions, as PyTorch demands.
 * @returns y like x; rstd f32 [...rows], or [...rows, numGroups] with several groups; null with `statistics: false`.
 * @throws NormError `shape`, `dtype`, `value`, `aliasing`, `limit`, `destroyed`, `wrong-device`, `device-lost`.
 */
export function rmsNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  options: RmsNormOptions & StatisticsOption<Kept>,
): RmsNormResult<Kept> {
  checkTensor(gpu, x, 'x');
  refuseEpilogue('rmsNorm', options);
  checkOptions('rmsNorm', options, rmsNormNames, rmsNormReasons);
  const call = rmsNormCall(x.shape, options.normalizedShape, options.eps, options.cast, options.numGroups);
  const { y, rstd } = normForward(gpu, { ...call, ...rmsNormForward }, x, undefined, undefined, options);
  return { y, rstd: rstd ?? null } as RmsNormResult<Kept>;
}

/**
 * RMSNorm of a residual stream: sum = x + residual, y = rmsNorm(sum), in one pass. The sum is rounded to the dtype of
 * x before it is normalized. For the backward pass see {@link addLayerNorm}.
 *
 * @param residual - like x.
 * @returns as {@link rmsNorm}, and sum like x.
 * @throws as {@link rmsNorm}.
 */
export function addRmsNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  residual: Tensor,
  options: RmsNormOptions & StatisticsOption<Kept>,
): RmsNormResult<Kept> & { sum: Tensor } {
  checkTensor(gpu, x, 'x');
  checkTensor(gpu, residual, 'residual');
  refuseEpilogue('addRmsNorm', options);
  checkOptions('addRmsNorm', options, rmsNormNames, rmsNormReasons);
  const call = rmsNormCall(x.shape, options.normalizedShape, options.eps, options.cast, options.numGroups);
  const { y, sum, rstd } = normForward(gpu, { ...call, ...rmsNormForward }, x, residual, undefined, options);
  return { y, sum: sum as Tensor, rstd: rstd ?? null } as RmsNormResult<Kept> & { sum: Tensor };
}

/**
 * Gradients of {@link rmsNorm}: with g = dy·weight and x̂ = x·rstd, dx = rstd·(g − x̂·mean(g·x̂)) + dsum,
 * dweight = Σ dy·x̂ over rows.
 *
 * @param dy - like x.
 * @param x - what forward normalized.
 * @returns dx like x; dweight of shape normalizedShape, or null where not wanted.
 * @throws as {@link rmsNorm}.
 */
export function rmsNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: RmsNormBackwardOptions,
): { dx: Tensor; dweight: Tensor | null } {
  checkTensor(gpu, x, 'x');
  refuseEpilogue('rmsNormBackward', options);
  checkOptions('rmsNormBackward', options, rmsNormBackwardNames, rmsNormReasons);
  const call = rmsNormCall(x.shape, options.normalizedShape, 0, options.cast, options.numGroups);
  const result: BackwardResult = normBackward(
    gpu,
    { ...call, ...rowBackwardKernels },
    dy,
    x,
    undefined,
    options.dsum ?? undefined,
    false,
    options,
  );
  return { dx: result.dx, dweight: result.dweight };
}

/** @internal */
export function rmsNormCall(
  shape: readonly number[],
  normalizedShape: number | ArrayLike<number>,
  eps: number = rmsNormEps,
  cast: RmsNormCast = 'torch',
  numGroups = 1,
): NormCall {
  const normalized = trailingSizes(shape, normalizedShape);
  if (shape.length < 2) {
    throw new NormError(
      'shape',
      `x has shape [${shape}]; RMSNorm needs two dimensions.`,
      'Add a batch dimension.',
    );
  }
  if (cast !== 'torch' && cast !== 'llama' && cast !== 'gemma') {
    throw new NormError('value', `There is no cast '${cast}'.`, "Use 'torch', 'llama' or 'gemma'.");
  }
  return {
    name: 'rms_norm',
    kind: 'rms',
    ...rowsOf(shape, normalized, numGroups),
    eps,
    weightOffset: cast === 'gemma' ? 1 : 0,
    castFirst: cast === 'llama',
  };
}
