// Running statistics as operands: what BatchNorm and InstanceNorm take of them.

import { NormError } from '../gpu/errors.ts';
import type { OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Running, RunningTensors } from './norm.ts';

// Whether the statistics that forward wrote are those of x, by their rstd: backward need not be told again.
const fromInput = new WeakMap<Tensor, boolean>();

/** Running statistics among a function's options. */
export interface RunningOptions {
  /** f32 [C], in a GPUBuffer of its own. With runningVar or not at all. */
  runningMean?: Tensor | null | undefined;
  /** f32 [C], likewise. */
  runningVar?: Tensor | null | undefined;
}

export const runningNames = {
  runningMean: 'tensor?',
  runningVar: 'tensor?',
} as const satisfies OptionNames<RunningOptions>;

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
export function modeOf(rstd: Tensor, name: string, option: boolean | undefined, otherwise: boolean): boolean {
  const known = fromInput.get(rstd);
  if (known !== undefined && option !== undefined && known !== option) {
    throw new NormError(
      'value',
      `${name} is ${option}, but the statistics are those of a forward pass with ${name}: ${known}.`,
      `Leave ${name} out, or pass what forward was given.`,
    );
  }
  return known ?? option ?? otherwise;
}
