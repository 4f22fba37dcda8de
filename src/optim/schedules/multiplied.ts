// Schedules that multiply the rate of a group by a factor, or give it one of its base rate.
import { NormError } from '../../gpu/errors.ts';
import { checkOptions, listOf, type OptionNames } from '../../gpu/options.ts';
import { shown } from '../../gpu/shown.ts';
import { checkCount } from '../../ops/check.ts';
import { checkNumber, type Scheduled } from './check.ts';
import { LRScheduler, type LRSchedulerOptions, lastEpochName, type Moment } from './lr-scheduler.ts';

/** Options of {@link StepLR} and {@link MultiStepLR}. */
export interface StepLROptions extends LRSchedulerOptions {
  /** What the rate is multiplied by. Default 0.1. */
  gamma?: number | undefined;
}

const stepNames = { gamma: 'number', ...lastEpochName } as const satisfies OptionNames<StepLROptions>;

/**
 * Multiplies the rates by gamma every stepSize steps: torch.optim.lr_scheduler.StepLR, lr = base·gamma^⌊t / stepSize⌋.
 *
 * @example
 * const schedule = new StepLR(optimizer, 30, { gamma: 0.1 }); // after 30, 60, … epochs
 */
export class StepLR extends LRScheduler<{ stepSize: number; gamma: number }> {
  /**
   * @param stepSize - steps from one change to the next, an integer ≥ 1.
   * @throws NormError `value`.
   */
  constructor(optimizer: Scheduled, stepSize: number, options: StepLROptions = {}) {
    checkOptions('StepLR', options, stepNames);
    const { gamma = 0.1, lastEpoch } = options;
    super(optimizer, { stepSize, gamma }, lastEpoch);
  }

  protected override check({ stepSize, gamma }: { stepSize: number; gamma: number }): void {
    checkCount('stepSize', stepSize);
    checkNumber('gamma', gamma);
  }

  protected override next({ lr, epoch }: Moment): number {
    const { stepSize, gamma } = this.fields;
    return epoch === 0 || epoch % stepSize !== 0 ? lr : lr * gamma;
  }

  protected override at({ base, epoch }: Moment): number {
    return base * this.fields.gamma ** Math.floor(epoch / this.fields.stepSize);
  }
}

/**
 * Multiplies the rates by gamma at each of some steps: torch.optim.lr_scheduler.MultiStepLR, lr = base·gamma^(milestones ≤ t).
 *
 * @example
 * const schedule = new MultiStepLR(optimizer, [30, 80]);
 */
export class MultiStepLR extends LRScheduler<{ milestones: number[]; gamma: number }> {
  /**
   * @param milestones - steps, integers ≥ 0; one that is there twice counts twice.
   * @throws NormError `value`.
   */
  constructor(optimizer: Scheduled, milestones: Iterable<number>, options: StepLROptions = {}) {
    checkOptions('MultiStepLR', options, stepNames);
    const { gamma = 0.1, lastEpoch } = options;
    super(
      optimizer,
      { milestones: listOf('milestones', milestones, 'Pass a list of steps.'), gamma },
      lastEpoch,
    );
  }

  protected override check({ milestones, gamma }: { milestones: number[]; gamma: number }): void {
    checkMilestones(milestones);
    checkNumber('gamma', gamma);
  }

  protected override next({ lr, epoch }: Moment): number {
    const { milestones, gamma } = this.fields;
    return lr * gamma ** milestones.filter((one) => one === epoch).length;
  }

  protected override at({ base, epoch }: Moment): number {
    const { milestones, gamma } = this.fields;
    return base * gamma ** milestones.filter((one) => one <= epoch).length;
  }
}

/** @internal Throws `value` unless they are steps. */
export function checkMilestones(milestones: readonly number[]): void {
  if (milestones.every((one) => Number.isInteger(one) && one >= 0)) return;
  throw new NormError('value', `milestones are ${shown(milestones)}.`, 'Use integers ≥ 0.');
}

/** Options of {@link ConstantLR}. */
export interface ConstantLROptions extends LRSchedulerOptions {
  /** What the rate is multiplied by at first, more than 0 and at most 1. Default 1/3. */
  factor?: number | undefined;
  /** The step from which on the rate is the base rate, an integer ≥ 1. Default 5. */
  totalIters?: number | undefined;
}

const constantNames = {
  factor: 'number',
  totalIters: 'number',
  ...lastEpochName,
} as const satisfies OptionNames<ConstantLROptions>;

/**
 * A part of the base rate for some steps, then all of it: torch.optim.lr_scheduler.ConstantLR, lr = base·factor while t < totalIters.
 * PyTorch takes factor 0, and divides by it at the end: it is refused here.
 *
 * @example
 * const schedule = new ConstantLR(optimizer, { factor: 0.5, totalIters: 4 });
 */
export class ConstantLR extends LRScheduler<{ factor: number; totalIters: number }> {
  /** @throws NormError `value`. */
  constructor(optimizer: Scheduled, options: ConstantLROptions = {}) {
    checkOptions('ConstantLR', options, constantNames);
    const { factor = 1 / 3, totalIters = 5, lastEpoch } = options;
    super(optimizer, { factor, totalIters }, lastEpoch);
  }

  protected override check({ factor, totalIters }: { factor: number; totalIters: number }): void {
    checkFraction('factor', factor);
    checkCount('totalIters', totalIters);
  }

  protected override next({ lr, epoch }: Moment): number {
    const { factor, totalIters } = this.fields;
    if (epoch === 0) return lr * factor;
    return epoch === totalIters ? lr * (1 / factor) : lr;
  }

  protected override at({ base, epoch }: Moment): number {
    const { factor, totalIters } = this.fields;
    return epoch >= totalIters ? base : base * factor;
  }
}

const checkFraction = (name: string, value: number): void =>
  checkNumber(name, value, 'a number > 0 and ≤ 1', (one) => one > 0 && one <= 1);

/** Options of {@link LinearLR}. */
export interface LinearLROptions extends LRSchedulerOptions {
  /** What the base rate is multiplied by at first, more than 0 and at most 1. Default 1/3. */
  startFactor?: number | undefined;
  /** What it is multiplied by in the end, from 0 to 1. Default 1. */
  endFactor?: number | undefined;
  /** Steps from the one to the other, an integer ≥ 1. Default 5. */
  totalIters?: number | undefined;
}

const linearNames = {
  startFactor: 'number',
  endFactor: 'number',
  totalIters: 'number',
  ...lastEpochName,
} as const satisfies OptionNames<LinearLROptions>;

type LinearFields = { startFactor: number; endFactor: number; totalIters: number };

/**
 * From one part of the base rate to another in equal steps, such as a warm-up: torch.optim.lr_scheduler.LinearLR,
 * lr = base·(startFactor + (endFactor − startFactor)·min(t, totalIters) / totalIters).
 *
 * @example
 * const warmup = new LinearLR(optimizer, { startFactor: 0.01, totalIters: 1000 });
 */
export class LinearLR extends LRScheduler<LinearFields> {
  /** @throws NormError `value`. */
  constructor(optimizer: Scheduled, options: LinearLROptions = {}) {
    checkOptions('LinearLR', options, linearNames);
    const { startFactor = 1 / 3, endFactor = 1, totalIters = 5, lastEpoch } = options;
    super(optimizer, { startFactor, endFactor, totalIters }, lastEpoch);
  }

  protected override check({ startFactor, endFactor, totalIters }: LinearFields): void {
    checkFraction('startFactor', startFactor);
    checkNumber('endFactor', endFactor, 'a number from 0 to 1', (one) => one >= 0 && one <= 1);
    checkCount('totalIters', totalIters);
  }

  protected override next({ lr, epoch }: Moment): number {
    const { startFactor, endFactor, totalIters } = this.fields;
    if (epoch === 0) return lr * startFactor;
    if (epoch > totalIters) return lr;
    const rise = endFactor - startFactor;
    return lr * (1 + rise / (totalIters * startFactor + (epoch - 1) * rise));
  }

  protected override at({ base, epoch }: Moment): number {
    const { startFactor, endFactor, totalIters } = this.fields;
    return base * (startFactor + ((endFactor - startFactor) * Math.min(totalIters, epoch)) / totalIters);
  }
}

/** Options of {@link ExponentialLR} and {@link LambdaLR}: where to go on. */
const plainNames = lastEpochName satisfies OptionNames<LRSchedulerOptions>;

/**
 * Multiplies the rates by gamma in every step: torch.optim.lr_scheduler.ExponentialLR, lr = base·gamma^t.
 *
 * @example
 * const schedule = new ExponentialLR(optimizer, 0.95);
 */
export class ExponentialLR extends LRScheduler<{ gamma: number }> {
  /**
   * @param gamma - what the rate is multiplied by.
   * @throws NormError `value`.
   */
  constructor(optimizer: Scheduled, gamma: number, options: LRSchedulerOptions = {}) {
    checkOptions('ExponentialLR', options, plainNames);
    super(optimizer, { gamma }, options.lastEpoch);
  }

  protected override check({ gamma }: { gamma: number }): void {
    checkNumber('gamma', gamma);
  }

  protected override next({ lr, epoch }: Moment): number {
    return epoch === 0 ? lr : lr * this.fields.gamma;
  }

  protected override at({ base, epoch }: Moment): number {
    return base * this.fields.gamma ** epoch;
  }
}

/** Options of {@link PolynomialLR}. */
export interface PolynomialLROptions extends LRSchedulerOptions {
  /** The step in which the rate becomes 0, an integer ≥ 1. Default 5. */
  totalIters?: number | undefined;
  /** The exponent. Default 1. */
  power?: number | undefined;
}

const polynomialNames = {
  totalIters: 'number',
  power: 'number',
  ...lastEpochName,
} as const satisfies OptionNames<PolynomialLROptions>;

/**
 * Down to 0 along a power: torch.optim.lr_scheduler.PolynomialLR, lr = base·(1 − min(t, totalIters) / totalIters)^power.
 *
 * @example
 * const schedule = new PolynomialLR(optimizer, { totalIters: 100, power: 2 });
 */
export class PolynomialLR extends LRScheduler<{ totalIters: number; power: number }> {
  /** @throws NormError `value`. */
  constructor(optimizer: Scheduled, options: PolynomialLROptions = {}) {
    checkOptions('PolynomialLR', options, polynomialNames);
    const { totalIters = 5, power = 1, lastEpoch } = options;
    super(optimizer, { totalIters, power }, lastEpoch);
  }

  protected override check({ totalIters, power }: { totalIters: number; power: number }): void {
    checkCount('totalIters', totalIters);
    checkNumber('power', power);
  }

  protected override next({ lr, epoch }: Moment): number {
    const { totalIters, power } = this.fields;
    if (epoch === 0 || epoch > totalIters) return lr;
    return lr * ((1 - epoch / totalIters) / (1 - (epoch - 1) / totalIters)) ** power;
  }

  protected override at({ base, epoch }: Moment): number {
    const { totalIters, power } = this.fields;
    return base * (1 - Math.min(totalIters, epoch) / totalIters) ** power;
  }
}

/** The factor of the base rate in a step. */
export type LRLambda = (epoch: number) => number;

/**
 * Multiplies the base rates by what a function says: torch.optim.lr_scheduler.LambdaLR, lr = base·lambda(t). A state
 * dictionary does not hold the function.
 *
 * @example
 * const schedule = new LambdaLR(optimizer, (epoch) => 0.95 ** epoch);
 */
export class LambdaLR extends LRScheduler<{ lrLambdas: LRLambda[] }> {
  /**
   * @param lrLambda - a function of the step, or one for each parameter group.
   * @throws NormError `value` for what is no function, for other numbers of them; what the function throws.
   */
  constructor(
    optimizer: Scheduled,
    lrLambda: LRLambda | readonly LRLambda[],
    options: LRSchedulerOptions = {},
  ) {
    checkOptions('LambdaLR', options, plainNames);
    const groups = optimizer?.paramGroups?.length ?? 1; // what is no optimizer is found next
    const given = typeof lrLambda === 'function' ? Array<LRLambda>(groups).fill(lrLambda) : lrLambda;
    const lrLambdas = listOf('The functions', given, 'Pass a function, or one for each parameter group.');
    if (lrLambdas.length !== groups) {
      throw new NormError(
        'value',
        `LambdaLR got ${lrLambdas.length} functions for ${groups} parameter groups.`,
        'Pass a function, or one for each parameter group.',
      );
    }
    super(optimizer, { lrLambdas }, options.lastEpoch);
  }

  protected override check({ lrLambdas }: { lrLambdas: LRLambda[] }): void {
    for (const one of lrLambdas) {
      if (typeof one === 'function') continue;
      throw new NormError(
        'value',
        `LambdaLR got ${shown(one)} for a function.`,
        'Pass a function of the step.',
      );
    }
  }

  protected override next({ base, epoch, index }: Moment): number {
    return base * (this.fields.lrLambdas[index] as LRLambda)(epoch);
  }
}
