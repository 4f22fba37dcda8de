import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { rmsNormForward } from '../kernels/row-kernels.ts';
import type { RmsNormCast } from './conventions.ts';
import {
  type EpilogueOptions,
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
  type NormCall,
  type NormOptions,
  normNames,
  type Statistic,
  type StatisticsOption,
  statisticsNames,
  weightOffsetOf,
} from './norm.ts';
import { normForward } from './norm-forward.ts';
import { type NormalizedOptions, normalizedNames, normalizedParts } from './normalized.ts';
import { backwardWithoutMean, forwardWithoutMean } from './without-mean.ts';

/** The default eps of torch.nn.RMSNorm: the machine epsilon of the type it computes in, f32. */
export const rmsNormEps = 2 ** -23;

/** Options of {@link rmsNorm}. */
export interface RmsNormOptions extends NormOptions, NormalizedOptions, EpilogueOptions, GateOptions {
  /** Added to the mean square. Default 2^-23 ({@link rmsNormEps}). */
  eps?: number | undefined;
  /** Default 'torch'. */
  cast?: RmsNormCast | undefined;
  out?: Omit<ForwardOutputs, 'mean'> | undefined;
}

/** @internal */
export const addRmsNormNames = {
  ...normNames,
  ...statisticsNames,
  ...normalizedNames,
  eps: 'number',
  cast: 'string',
  out: 'other',
} as const satisfies OptionNames<AddRmsNormOptions & StatisticsOption>;
/** @internal */
export const rmsNormNames = {
  ...addRmsNormNames,
  ...epilogueNames,
  ...gateNames,
} as const satisfies OptionNames<RmsNormOptions & StatisticsOption>;
/** @internal */
export const rmsNormReasons = { bias: 'RMSNorm has no bias: add one to the result, or use layerNorm.' };

/** Options of {@link addRmsNorm}. */
export type AddRmsNormOptions = Omit<RmsNormOptions, keyof EpilogueOptions | keyof GateOptions>;

/** Options of {@link rmsNormBackward}. */
export interface RmsNormBackwardOptions
  extends BackwardOptions,
    NormalizedOptions,
    EpilogueOptions,
    GateOptions {
  /** What forward had. Default 'torch'. */
  cast?: RmsNormCast | undefined;
  /** Gradient of the residual sum, added to dx: for {@link addRmsNorm}, whose `sum` is this function's x. */
  dsum?: Tensor | null | undefined;
}

/** @internal */
export const rmsNormBackwardNames = {
  ...backwardNames,
  ...epilogueNames,
  ...gateNames,
  ...normalizedNames,
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
 * Divides by the root mean square over the trailing dimensions, or over any axes: y = x / sqrt(mean(x²) + eps) · weight
 * (Zhang and Sennrich 2019, arXiv 1910.07467; torch.nn.functional.rms_norm), or the activation of that and a residual, or that times
 * the activation of a gate: see {@link EpilogueOptions} and {@link GateOptions}.
 *
 * With axes [1] and no weight it is the PixelNorm of images [N, C, H, W] (Karras et al. 2018, arXiv 1710.10196), whose eps is 1e-8.
 *
 * @param x - f32, f16 or bf16, [...rows, ...normalizedShape], at least two dimensions, as PyTorch demands; with axes, `rows` are the sizes of the
 * others.
 * @returns y like x; rstd f32 [...rows], or [...rows, numGroups] with several groups; null with `statistics: false`.
 * @throws NormError `shape`, `dtype`, `value`, `aliasing`, `limit`, `destroyed`, `wrong-device`, `device-lost`.
 */
export function rmsNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  options: RmsNormOptions & StatisticsOption<Kept>,
): RmsNormResult<Kept> {
  checkTensor(gpu, x, 'x', true);
  checkOptions('rmsNorm', options, rmsNormNames, rmsNormReasons);
  const call = rmsNormCall(x.shape, options, parameterShapeOf(options));
  return forwardWithoutMean(gpu, call, x, options) as RmsNormResult<Kept>;
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
  options: AddRmsNormOptions & StatisticsOption<Kept>,
): RmsNormResult<Kept> & { sum: Tensor } {
  checkTensor(gpu, x, 'x', true);
  checkTensor(gpu, residual, 'residual', true);
  refuseEpilogue('addRmsNorm', options);
  checkOptions('addRmsNorm', options, addRmsNormNames, rmsNormReasons);
  const call = rmsNormCall(x.shape, options, parameterShapeOf(options));
  const { y, sum, rstd } = normForward(gpu, { ...call, ...rmsNormForward }, x, residual, undefined, options);
  return { y, sum: sum as Tensor, rstd: rstd ?? null } as RmsNormResult<Kept> & { sum: Tensor };
}

/**
 * Gradients of {@link rmsNorm}: with g = dy·weight and x̂ = x·rstd, dx = rstd·(g − x̂·mean(g·x̂)) + dsum,
 * dweight = Σ dy·x̂ over rows.
 *
 * @param dy - like x.
 * @param x - what forward normalized.
 * @returns dx like x; dweight of the shape of weight, or null where not wanted; dresidual; dgate.
 * @throws as {@link rmsNorm}.
 */
export function rmsNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: RmsNormBackwardOptions,
): Omit<BackwardResult, 'dbias'> {
  checkTensor(gpu, x, 'x', true);
  checkOptions('rmsNormBackward', options, rmsNormBackwardNames, rmsNormReasons);
  const call = rmsNormCall(x.shape, { ...options, eps: 0 }, parameterShapeOf(options));
  return backwardWithoutMean(gpu, call, dy, x, options);
}

type RmsSettings = NormalizedOptions & Pick<RmsNormOptions, 'eps' | 'cast' | 'zeroCenteredGamma'>;

/** @internal */
export function rmsNormCall(
  shape: readonly number[],
  settings: RmsSettings,
  parameterShape?: readonly number[],
): NormCall {
  const { eps = rmsNormEps, cast = 'torch', ...normalized } = settings;
  const parts = normalizedParts(shape, normalized, parameterShape);
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
    strided: true,
    ...parts,
    eps,
    weightOffset: cast === 'gemma' ? 1 : weightOffsetOf(normalized),
    castFirst: cast === 'llama',
  };
}
