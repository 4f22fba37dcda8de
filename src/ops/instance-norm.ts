import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { channelBackward, channelForward } from '../kernels/channel-kernels.ts';
import { instanceNormGeometry, type Layout, setSize } from '../plan/geometry.ts';
import { checkLayout } from './check.ts';
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
  type Running,
  type StatisticsOption,
  statisticsNames,
  weightOffsetOf,
} from './norm.ts';
import { normBackward } from './norm-backward.ts';
import { forwardResult, normForward } from './norm-forward.ts';
import {
  checkMomentum,
  frozenUnless,
  isBiased,
  modeOf,
  type RunningOptions,
  rememberMode,
  runningNames,
  runningTensors,
  type With,
  wantsVariance,
} from './running.ts';

/** Options of {@link instanceNorm}. */
export interface InstanceNormOptions extends NormOptions, EpilogueOptions, GateOptions, RunningOptions {
  /** β, [C], or [N, C] beside such a weight. Absent or null: 0. */
  bias?: Tensor | null | undefined;
  /**
   * Normalizes with the statistics of x, and updates the running ones where they are given; else with the running ones.
   * PyTorch's use_input_stats. Default true.
   */
  training?: boolean | undefined;
  /** Factor of the statistics of x in the update. Default 0.1. */
  momentum?: number | undefined;
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /** Where x's channels are: [N, C, ...] or [N, ..., C]. Neither is transposed. Default 'channels-first'. */
  layout?: Layout | undefined;
  out?: ForwardOutputs | undefined;
}

/** @internal */
export const instanceNormNames = {
  ...normNames,
  ...epilogueNames,
  ...gateNames,
  ...runningNames,
  ...statisticsNames,
  bias: 'tensor?',
  training: 'boolean',
  momentum: 'number',
  eps: 'number',
  layout: 'string',
  out: 'other',
} as const satisfies OptionNames<InstanceNormOptions & StatisticsOption>;

/** Options of {@link instanceNormBackward}. */
export interface InstanceNormBackwardOptions extends BackwardOptions, EpilogueBackwardOptions, GateOptions {
  /** What forward returned. */
  mean: Tensor;
  /**
   * What forward was given: whether the statistics depended on x. Default: as in the call that made `rstd`; true where
   * no call here did.
   */
  training?: boolean | undefined;
  layout?: Layout | undefined;
}

/** @internal */
export const instanceNormBackwardNames = {
  ...backwardNames,
  ...epilogueBackwardNames,
  ...gateNames,
  mean: 'tensor',
  training: 'boolean',
  layout: 'string',
} as const satisfies OptionNames<InstanceNormBackwardOptions>;

/**
 * Normalizes each channel of each sample over its spatial elements:
 * y = (x − mean) / sqrt(variance + eps) · weight + bias, with the biased variance
 * (Ulyanov, Vedaldi and Lempitsky 2016, arXiv 1607.08022; torch.nn.functional.instance_norm), or the activation of that and a
 * residual: see {@link EpilogueOptions}.
 *
 * The running statistics become (1 − momentum) · running + momentum · (the mean over the batch of each sample's
 * statistic), with unbiased variances or, by `runningVariance`, biased ones; without training every sample is normalized with them.
 *
 * With channels first and without running statistics, weight and bias may have values of their own for each sample, [N, C]: AdaIN (Huang
 * and Belongie 2017, arXiv 1703.06868) and conditional instance normalization. x then has to fit one binding of the device.
 *
 * @param x - f32, f16 or bf16, [N, C, ...spatial] or, channels-last, [N, ...spatial, C], 1 or more spatial dimensions.
 * @returns y like x; mean f32 [N, C, 2]; rstd f32 [N, C], both null with `statistics: false`; variance f32 [N, C], if wanted.
 * @throws NormError `shape` (also for a single spatial element, as PyTorch), `dtype`, `value`, `aliasing`, `limit`,
 * `destroyed`, `wrong-device`, `device-lost`.
 */
export function instanceNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  options: InstanceNormOptions & StatisticsOption<Kept> = {},
): ForwardResult<Kept> {
  checkOptions('instanceNorm', options, instanceNormNames);
  checkTensor(gpu, x, 'x');
  const { call, running } = instanceNormParts(x.shape, options, parameterShapeOf(options));
  const made = normForward(gpu, { ...call, ...channelForward }, x, undefined, options.bias, {
    ...options,
    epilogue: options,
    running,
  });
  if (made.rstd) rememberMode(made.rstd, call.running?.mode !== 'frozen');
  return forwardResult(made);
}

/** @internal What instanceNorm makes of its options. */
export function instanceNormParts<T = Tensor>(
  shape: readonly number[],
  options: With<InstanceNormOptions, T>,
  given?: readonly number[],
): { call: NormCall; running: { runningMean: T; runningVar: T } | undefined } {
  const { training = true, momentum = 0.1, layout, eps } = options;
  const running = runningTensors(options);
  if (!training && !running) {
    throw new NormError(
      'value',
      'runningMean and runningVar are needed where training is false.',
      'Pass them, or leave training out to use the statistics of x.',
    );
  }
  const mode = training ? 'update' : 'frozen';
  const biased = isBiased(options.runningVariance);
  const call = instanceNormCall(shape, layout, eps, {
    running: running && { mode, momentum, counted: false, biased },
    weightOffset: weightOffsetOf(options),
    given,
  });
  return { call: { ...call, variance: wantsVariance(options, training) }, running };
}

/**
 * Gradients of {@link instanceNorm}; the formulas of {@link groupNormBackward} with one group per channel, or, where
 * the statistics did not depend on x, dx = rstd·dy·weight.
 *
 * @param dy - like x.
 * @param x - what forward normalized.
 * @returns dx like x; dweight and dbias of the shape of weight, or null where not wanted; dresidual.
 * @throws as {@link instanceNorm}.
 */
export function instanceNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: InstanceNormBackwardOptions,
): BackwardResult {
  checkOptions('instanceNormBackward', options, instanceNormBackwardNames);
  checkTensor(gpu, x, 'x');
  const training = modeOf(options.rstd, options.training, true);
  const call = instanceNormBackwardCall(x.shape, options, training, parameterShapeOf(options));
  return normBackward(gpu, { ...call, ...channelBackward }, dy, x, options.mean, undefined, true, {
    ...options,
    epilogue: options,
  });
}

/** @internal */
export const instanceNormBackwardCall = (
  shape: readonly number[],
  settings: GammaOption & Pick<InstanceNormOptions, 'layout'>,
  training: boolean,
  given?: readonly number[],
): NormCall =>
  instanceNormCall(shape, settings.layout, 0, {
    running: frozenUnless(training),
    weightOffset: weightOffsetOf(settings),
    given,
  });

/** @internal What {@link instanceNormCall} may be told beside. */
interface InstanceNormSettings {
  /** Whether shape lacks the batch dimension. */
  unbatched?: boolean;
  /** Absent: the statistics are those of x. */
  running?: Running | undefined;
  weightOffset?: number;
  /** The shape of weight and bias. Default: one value per channel. */
  given?: readonly number[] | undefined;
}

/** @internal */
export function instanceNormCall(
  shape: readonly number[],
  layout: Layout = 'channels-first',
  eps = 1e-5,
  { unbatched = false, running, weightOffset = 0, given }: InstanceNormSettings = {},
): NormCall {
  checkLayout(layout);
  const batched = unbatched ? [1, ...shape] : shape;
  if (batched.length < 3) {
    throw new NormError(
      'shape',
      `x has shape [${shape}]; InstanceNorm needs [N, C, ...spatial].`,
      'Add the missing dimensions.',
    );
  }
  if (batched[layout === 'channels-first' ? 1 : batched.length - 1] === 0) {
    throw new NormError('shape', `x has shape [${shape}]: no channels.`, 'Pass at least one channel.');
  }
  const geometry = instanceNormGeometry(batched, layout);
  const { samples, channels } = geometry;
  if (running?.mode === 'update') checkMomentum(running);
  if (running?.mode !== 'frozen' && setSize(geometry) === 1) {
    throw new NormError(
      'shape',
      `x of shape [${shape}] has one spatial element per channel: its variance is no estimate of anything.`,
      'Normalize more than one spatial element.',
    );
  }
  const call = {
    name: 'instance_norm',
    kind: 'moments',
    geometry,
    parameterShape: [channels],
    setShape: unbatched ? [channels] : [samples, channels],
    eps,
    weightOffset,
    ...(running ? { running } : {}),
  } as const;
  return modulatedChannels(call, given);
}
