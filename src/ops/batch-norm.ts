import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { channelBackward, channelForward } from '../kernels/channel-kernels.ts';
import { batchNormGeometry, type Layout, setSize } from '../plan/geometry.ts';
import { checkLayout } from './check.ts';
import {
  type EpilogueBackwardOptions,
  type EpilogueOptions,
  epilogueBackwardNames,
  epilogueNames,
  type GateOptions,
  gateNames,
} from './epilogue.ts';
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

/** Options of {@link batchNorm}. */
export interface BatchNormOptions extends NormOptions, EpilogueOptions, GateOptions, RunningOptions {
  /** β, [C]. Absent or null: 0. */
  bias?: Tensor | null | undefined;
  /** u32 []: how many batches the running statistics have seen. Counted up in training where it is given. */
  numBatchesTracked?: Tensor | null | undefined;
  /** Normalizes with the statistics of x and updates the running ones; else with the running ones. Default false. */
  training?: boolean | undefined;
  /**
   * Factor of the batch's statistics in the update; null for the average of all batches, which needs
   * numBatchesTracked. Default 0.1.
   */
  momentum?: number | null | undefined;
  /** Added to the variance; in training more than 0. Default 1e-5. */
  eps?: number | undefined;
  /** Where x's channels are: [N, C, ...] or [N, ..., C]. Neither is transposed. Default 'channels-first'. */
  layout?: Layout | undefined;
  out?: ForwardOutputs | undefined;
}

/** @internal */
export const batchNormNames = {
  ...normNames,
  ...epilogueNames,
  ...gateNames,
  ...runningNames,
  bias: 'tensor?',
  numBatchesTracked: 'tensor?',
  training: 'boolean',
  momentum: 'number?',
  eps: 'number',
  layout: 'string',
  out: 'other',
} as const satisfies OptionNames<BatchNormOptions>;

/** @internal */
export const batchNormForwardNames = { ...batchNormNames, ...statisticsNames };

/** Options of {@link batchNormBackward}. */
export interface BatchNormBackwardOptions extends BackwardOptions, EpilogueBackwardOptions, GateOptions {
  /** What forward returned. */
  mean: Tensor;
  /**
   * What forward was given: whether the statistics depended on x. Default: as in the call that made `rstd`; false where
   * no call here did.
   */
  training?: boolean | undefined;
  layout?: Layout | undefined;
}

/** @internal */
export const batchNormBackwardNames = {
  ...backwardNames,
  ...epilogueBackwardNames,
  ...gateNames,
  mean: 'tensor',
  training: 'boolean',
  layout: 'string',
} as const satisfies OptionNames<BatchNormBackwardOptions>;

/**
 * Normalizes each channel over the batch and all positions:
 * y = (x − mean) / sqrt(variance + eps) · weight + bias
 * (Ioffe and Szegedy 2015, arXiv 1502.03167; torch.nn.functional.batch_norm), or the activation of that and a
 * residual: see {@link EpilogueOptions}.
 *
 * In training, with the mean and the biased variance of x; numBatchesTracked becomes one more, and then
 * running = (1 − momentum) · running + momentum · statistic, with the unbiased variance or, by `runningVariance`, the biased one. In evaluation, with
 * the running statistics. An empty x is counted and changes nothing else.
 *
 * @param x - f32, f16 or bf16, [N, C, ...spatial] or, channels-last, [N, ...spatial, C], 0 or more spatial dimensions. It is
 * reduced as a whole, so it must fit one binding (maxStorageBufferBindingSize).
 * @returns y like x; mean f32 [C, 2]; rstd f32 [C]: the statistics that y was made with; both null with
 * `statistics: false`; variance f32 [C], if wanted.
 * @throws NormError `shape` (also for a single value per channel in training), `dtype`, `value`, `aliasing`, `limit`,
 * `destroyed`, `wrong-device`, `device-lost`. The running statistics are then as they were.
 */
export function batchNorm<Kept extends boolean | undefined = true>(
  gpu: Gpu,
  x: Tensor,
  options: BatchNormOptions & StatisticsOption<Kept> = {},
): ForwardResult<Kept> {
  checkOptions('batchNorm', options, batchNormForwardNames);
  checkTensor(gpu, x, 'x');
  const { call, running } = batchNormParts(x.shape, options);
  const norm = { ...options, epilogue: options, running };
  const made = normForward(gpu, { ...call, ...channelForward }, x, undefined, options.bias, norm);
  if (made.rstd) rememberMode(made.rstd, call.running?.mode !== 'frozen');
  return forwardResult(made);
}

/**
 * @internal What batchNorm makes of its options.
 *
 * @param replicas - how many tensors like x are normalized together.
 */
export function batchNormParts<T = Tensor>(
  shape: readonly number[],
  options: With<BatchNormOptions, T>,
  replicas = 1,
): {
  call: NormCall;
  running: { runningMean: T; runningVar: T; numBatchesTracked: T | undefined } | undefined;
} {
  const { training = false, momentum = 0.1, eps, layout, numBatchesTracked } = options;
  const tensors = runningTensors(options);
  if (numBatchesTracked && !tensors) {
    throw new NormError(
      'value',
      'numBatchesTracked was given without runningMean and runningVar.',
      'Pass all three, or neither of them.',
    );
  }
  if (!training && !tensors) {
    throw new NormError(
      'value',
      'Evaluation needs runningMean and runningVar.',
      'Pass them, or training: true to use the statistics of x.',
    );
  }
  // Evaluation counts nothing.
  const counted = training && !!numBatchesTracked;
  const biased = isBiased(options.runningVariance);
  const running = tensors && ({ mode: training ? 'update' : 'frozen', momentum, counted, biased } as const);
  const call = batchNormCall(shape, layout, eps, running, replicas);
  return {
    call: { ...call, weightOffset: weightOffsetOf(options), variance: wantsVariance(options, training) },
    running: tensors && {
      ...tensors,
      numBatchesTracked: counted ? (numBatchesTracked ?? undefined) : undefined,
    },
  };
}

/**
 * Gradients of {@link batchNorm}: with g = dy·weight and x̂ = (x − mean)·rstd,
 * dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) in training, with means over each channel, and dx = rstd·g in evaluation;
 * dweight = Σ dy·x̂ and dbias = Σ dy per channel. With an activation, dy is first multiplied by its derivative.
 *
 * @param dy - like x.
 * @param x - what forward normalized.
 * @returns dx like x; dweight and dbias [C], or null where not wanted; dresidual.
 * @throws as {@link batchNorm}.
 */
export function batchNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: BatchNormBackwardOptions,
): BackwardResult {
  checkOptions('batchNormBackward', options, batchNormBackwardNames);
  checkTensor(gpu, x, 'x');
  const training = modeOf(options.rstd, options.training, false);
  const call = batchNormBackwardCall(x.shape, options, training);
  return normBackward(gpu, { ...call, ...channelBackward }, dy, x, options.mean, undefined, true, {
    ...options,
    epilogue: options,
  });
}

/** @internal @param replicas - as of {@link batchNormCall}. */
export const batchNormBackwardCall = (
  shape: readonly number[],
  settings: GammaOption & Pick<BatchNormOptions, 'layout'>,
  training: boolean,
  replicas = 1,
): NormCall => ({
  ...batchNormCall(shape, settings.layout, 1, frozenUnless(training), replicas),
  weightOffset: weightOffsetOf(settings),
});

/**
 * @internal Without `running`, the statistics are those of x and leave no trace.
 *
 * @param replicas - how many tensors like x are normalized together.
 */
export function batchNormCall(
  shape: readonly number[],
  layout: Layout = 'channels-first',
  eps = 1e-5,
  running?: Running,
  replicas = 1,
): NormCall {
  if (shape.length < 2) {
    throw new NormError(
      'shape',
      `x has shape [${shape}]; BatchNorm needs [N, C, ...].`,
      'Add the missing dimensions.',
    );
  }
  checkLayout(layout);
  const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] as number;
  if (channels === 0) {
    throw new NormError('shape', `x of shape [${shape}] has no channels.`, 'Pass at least one channel.');
  }
  if (running?.mode === 'update') checkMomentum(running);
  const geometry = batchNormGeometry(shape, layout);
  if (running?.mode !== 'frozen') {
    if (!(eps > 0)) {
      throw new NormError(
        'value',
        `eps is ${eps}; with the statistics of a batch it must be positive.`,
        'Use 1e-5.',
      );
    }
    if (setSize(geometry) === 1 && replicas === 1) throw oneValue(shape);
  }
  return {
    name: 'batch_norm',
    kind: 'moments',
    geometry,
    parameterShape: [channels],
    setShape: [channels],
    eps,
    ...(running ? { running } : {}),
  };
}

/** @internal The error of a batch that has no variance. */
export const oneValue = (shape: readonly number[]): NormError =>
  new NormError(
    'shape',
    `x of shape [${shape}] has one value per channel: its variance is no estimate of anything.`,
    'Train with more than one value per channel, or normalize with running statistics.',
  );
