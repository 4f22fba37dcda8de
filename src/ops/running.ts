// Running statistics as operands: what BatchNorm and InstanceNorm take of them.

import { NormError } from '../gpu/errors.ts';
import type { OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { ForwardOutputs, Running, RunningTensors } from './norm.ts';

// Whether the statistics that forward wrote are those of x, by their rstd: backward need not be told again.
const fromInput = new WeakMap<Tensor, boolean>();

/** Running statistics among a function's options. */
export interface RunningOptions {
  /** f32 [C], in a GPUBuffer of its own. With runningVar or not at all. */
  runningMean?: Tensor | null | undefined;
  /** f32 [C], likewise. */
  runningVar?: Tensor | null | undefined;
  /** The variance that runningVar is updated with: see {@link RunningVariance}. Default 'unbiased'. */
  runningVariance?: RunningVariance | undefined;
  /**
   * Whether the biased variance of x is a result, too: M2 / n, which is exact where 1/rstd² − eps is not. Not in evaluation,
   * which measures none. Default: where `out.variance` is given.
   */
  variance?: boolean | undefined;
}

/**
 * What a running variance is an average of, with M2 = Σ(x − mean)² over the n elements of a channel: 'unbiased' is M2 / (n − 1), PyTorch's
 * (https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html); 'biased' is M2 / n, as in ONNX
 * (https://onnx.ai/onnx/operators/onnx__BatchNormalization.html), Keras (https://keras.io/api/layers/normalization_layers/batch_normalization/)
 * and Flax (https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html). Their momentum is 1 − momentum here.
 */
export type RunningVariance = 'unbiased' | 'biased';

export const runningNames = {
  runningMean: 'tensor?',
  runningVar: 'tensor?',
  runningVariance: 'string',
  variance: 'boolean',
} as const satisfies OptionNames<RunningOptions>;

/** Whether a running variance is the biased one. Throws `value` unless it is one of the two. */
export function isBiased(runningVariance: RunningVariance = 'unbiased'): boolean {
  if (runningVariance !== 'unbiased' && runningVariance !== 'biased') {
    throw new NormError(
      'value',
      `runningVariance is ${shown(runningVariance)}.`,
      "Use 'unbiased' or 'biased'.",
    );
  }
  return runningVariance === 'biased';
}

/** Whether the variance is a result. Throws `value` where none is measured. */
export function wantsVariance(
  { variance, out }: { variance?: boolean | undefined; out?: ForwardOutputs | undefined },
  ofInput: boolean,
): boolean {
  const wanted = variance ?? !!out?.variance;
  if (!wanted || ofInput) return wanted;
  throw new NormError(
    'value',
    'The variance of x is wanted, but evaluation does not measure it.',
    'Leave it out: runningVar is what y is made with.',
  );
}

/** Throws `value` unless momentum is finite, or null where batches are counted. */
export function checkMomentum({ momentum, counted }: Pick<Running, 'momentum' | 'counted'>): void {
  if (momentum === null && !counted) {
    throw new NormError(
      'value',
      'momentum is null, and there is no numBatchesTracked to average over.',
      'Pass numBatchesTracked, or a number as momentum.',
    );
  }
  if (momentum !== null && !Number.isFinite(momentum)) {
    throw new NormError(
      'value',
      `momentum is ${shown(momentum)}.`,
      'Use a finite number such as 0.1, or null.',
    );
  }
}

/** @throws NormError `value` if only one of them is there. */
export function runningTensors({ runningMean, runningVar }: RunningOptions): RunningTensors | undefined {
  if (!runningMean !== !runningVar) {
    throw new NormError(
      'value',
      `${runningMean ? 'runningVar' : 'runningMean'} is missing beside the other running statistics.`,
      'Pass runningMean and runningVar, or neither of them.',
    );
  }
  return runningMean && runningVar ? { runningMean, runningVar } : undefined;
}

/** Remembers whether the statistics that forward wrote are those of x. */
export function rememberMode(rstd: Tensor, ofInput: boolean): void {
  fromInput.set(rstd, ofInput);
}

/**
 * Whether statistics are those of x: as forward left them, else as the option says, else `otherwise`.
 *
 * @throws NormError `value` if the option contradicts forward.
 */
export function modeOf(rstd: Tensor, option: boolean | undefined, otherwise: boolean): boolean {
  const known = fromInput.get(rstd);
  if (known !== undefined && option !== undefined && known !== option) {
    throw new NormError(
      'value',
      `training is ${option}, but the statistics are those of a forward pass with training: ${known}.`,
      'Leave training out, or pass what forward was given.',
    );
  }
  return known ?? option ?? otherwise;
}
