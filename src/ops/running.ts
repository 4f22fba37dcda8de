// Running statistics as operands: what BatchNorm and InstanceNorm take of them.

import { NormError } from '../gpu/errors.ts';
import type { OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { RunningVariance } from './conventions.ts';
import type { ForwardOutputs, Running } from './norm.ts';

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
  const requested = variance ?? !!out?.variance;
  if (!requested || ofInput) return requested;
  throw new NormError(
    'value',
    'The variance of x is requested, but evaluation does not measure it.',
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
export function runningTensors<T = Tensor>({
  runningMean,
  runningVar,
}: {
  runningMean?: T | null | undefined;
  runningVar?: T | null | undefined;
}): { runningMean: T; runningVar: T } | undefined {
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

/**
 * Of a backward pass, what became of the statistics: nothing where they are those of x, and else they did not depend on it.
 */
export const frozenUnless = (ofInput: boolean): Running | undefined =>
  ofInput ? undefined : { mode: 'frozen', momentum: null, counted: false };

/** A function's options, with whatever stands for its tensors. */
export type With<Options, T> = {
  [Name in keyof Options]: Tensor extends NonNullable<Options[Name]> ? T | null | undefined : Options[Name];
};
