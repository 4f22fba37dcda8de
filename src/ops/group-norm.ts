import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { channelBackward, channelForward } from '../kernels/channel-kernels.ts';
import { groupNormGeometry, type Layout, setSize } from '../plan/geometry.ts';
import { checkCount, checkDivides, checkLayout } from './check.ts';
import {
  type EpilogueBackwardOptions,
  type EpilogueOptions,
  epilogueBackwardNames,
  epilogueNames,
  type GateOptions,
  gateNames,
} from './epilogue.ts';
import { modulatedChannels, parameterShapeOf } from './modulated.ts';
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

/** Options of {@link groupNorm}. */
export interface GroupNormOptions extends NormOptions, EpilogueOptions, GateOptions {
  /** Groups that the channels fall into; each has a mean and variance of its own per sample. */
  numGroups: number;
  /** β, [C], or [N, C] beside such a weight. Absent or null: 0. */
  bias?: Tensor | null | undefined;
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /** Where x's channels are: [N, C, ...] or [N, ..., C]. Neither is transposed. Default 'channels-first'. */
  layout?: Layout | undefined;
  out?: ForwardOutputs | undefined;
}

/** @internal */
export const groupNormNames = {
  ...normNames,
  ...epilogueNames,
  ...gateNames,
  ...statisticsNames,
  numGroups: 'number',
  bias: 'tensor?',
  eps: 'number',
  layout: 'string',
  out: 'other',
} as const satisfies OptionNames<GroupNormOptions & StatisticsOption>;

/** Options of {@link groupNormBackward}. */
export interface GroupNormBackwardOptions extends BackwardOptions, EpilogueBackwardOptions, GateOptions {
  numGroups: number;
  /** What forward returned. */
  mean: Tensor;
  layout?: Layout | undefined;
}

/** @internal */
export const groupNormBackwardNames = {
  ...backwardNames,
  ...epilogueBackwardNames,
  ...gateNames,
  numGroups: 'number',
  mean: 'tensor',
  layout: 'string',
} as const satisfies OptionNames<GroupNormBackwardOptions>;

/**
 * Normalizes each group of channels of each sample:
 * y = (x − mean) / sqrt(variance + eps) · weight + bias, with the biased variance
 * (Wu and He 2018, arXiv 1803.08494; torch.nn.functional.group_norm), or the activation of that and a
 * residual: see {@link EpilogueOptions}.
 *
 * With channels first, weight and bias may have values of their own for each sample, [N, C]: AdaGN (Dhariwal and Nichol 2021, arXiv
 * 2105.05233). x then has to fit one binding of the device.
 *
 * @param x - f32, f16 or bf16, [N, C, ...spatial] or, channels-last, [N, ...spatial, C], 0 or more spatial dimensions.
 * @returns y like x; mean f32 [N, numGroups, 2]; rstd f32 [N, numGroups]; both null with
 * `statistics: false`.
 * @throws NormError `shape` (also for a single value in all, as PyTorch), `dtype`, `value`, `aliasing`, `limit`,
 * `destroyed`, `wrong-device`, `device-lost`.
 */
export function groupNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  options: GroupNormOptions & StatisticsOption<Kept>,
): ForwardResult<Kept> {
  checkOptions('groupNorm', options, groupNormNames);
  checkTensor(gpu, x, 'x');
  const call = groupNormCall(x.shape, options, parameterShapeOf(options));
  const made = normForward(gpu, { ...call, ...channelForward }, x, undefined, options.bias, {
    ...options,
    epilogue: options,
  });
  return forwardResult(made);
}

/**
 * Gradients of {@link groupNorm}: with g = dy·weight and x̂ = (x − mean)·rstd,
 * dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) with means over each group; dweight = Σ dy·x̂ and dbias = Σ dy per channel.
 * With an activation, dy is first multiplied by its derivative.
 *
 * @param dy - like x.
 * @param x - what forward normalized.
 * @returns dx like x; dweight and dbias of the shape of weight, or null where not wanted; dresidual; dgate.
 * @throws as {@link groupNorm}.
 */
export function groupNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: GroupNormBackwardOptions,
): BackwardResult {
  checkOptions('groupNormBackward', options, groupNormBackwardNames);
  checkTensor(gpu, x, 'x');
  const call = groupNormCall(x.shape, { ...options, eps: 0 }, parameterShapeOf(options));
  return normBackward(gpu, { ...call, ...channelBackward }, dy, x, options.mean, undefined, true, {
    ...options,
    epilogue: options,
  });
}

type GroupNormSettings = GammaOption & Pick<GroupNormOptions, 'numGroups' | 'layout' | 'eps'>;

/** @internal @param given - the shape of weight and bias. Default: one value per channel. */
export function groupNormCall(
  shape: readonly number[],
  settings: GroupNormSettings,
  given?: readonly number[],
): NormCall {
  const { numGroups, layout = 'channels-first', eps = 1e-5 } = settings;
  if (shape.length < 2) {
    throw new NormError(
      'shape',
      `x has shape [${shape}]; GroupNorm needs [N, C, ...].`,
      'Add the missing dimensions.',
    );
  }
  checkLayout(layout);
  const samples = shape[0] as number;
  const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] as number;
  checkGroups(channels, numGroups);
  const geometry = groupNormGeometry(shape, numGroups, layout);
  if (samples * setSize(geometry) === 1) {
    throw new NormError(
      'shape',
      `x of shape [${shape}] has one value per group: its variance is no estimate of anything.`,
      'Normalize more than one value per group.',
    );
  }
  const call = {
    name: 'group_norm',
    kind: 'moments',
    geometry,
    parameterShape: [channels],
    setShape: [samples, numGroups],
    eps,
    weightOffset: weightOffsetOf(settings),
  } as const;
  return modulatedChannels(call, given);
}

/** Throws `value` unless the channels fall into the groups. */
export function checkGroups(channels: number, numGroups: number): void {
  checkCount('numGroups', numGroups);
  if (!Number.isInteger(channels) || channels < 1) {
    throw new NormError('shape', `There are ${shown(channels)} channels.`, 'Use at least one.');
  }
  checkDivides(channels, numGroups, 'channels');
}
