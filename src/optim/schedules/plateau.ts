import { NormError } from '../../gpu/errors.ts';
import { checkOptions, type OptionNames } from '../../gpu/options.ts';
import { shown } from '../../gpu/shown.ts';
import { checkNumber, checkOneOf, checkOptimizer, perGroup, type Scheduled } from './check.ts';
import { dictOf, loadedFields, type ScheduleStateDict } from './state.ts';

/** Options of {@link ReduceLROnPlateau}. */
export interface ReduceLROnPlateauOptions {
  /** Whether the metric is to fall, as a loss, or to rise, as an accuracy. Default 'min'. */
  mode?: 'min' | 'max' | undefined;
  /** What a rate is multiplied by, less than 1. Default 0.1. */
  factor?: number | undefined;
  /** How many steps without improvement are borne: the one after them reduces the rates. Default 10. */
  patience?: number | undefined;
  /** By how much a metric must be better than the best to count as better. Default 1e-4. */
  threshold?: number | undefined;
  /** Whether that is a part of the best metric or a difference to it. Default 'rel'. */
  thresholdMode?: 'rel' | 'abs' | undefined;
  /** Steps after a reduction in which nothing counts as bad. Default 0. */
  cooldown?: number | undefined;
  /** The least rate, or one for each group. Default 0. */
  minLr?: number | readonly number[] | undefined;
  /** A rate that would change by no more than this stays. Default 1e-8. */
  eps?: number | undefined;
}

const names = {
  mode: 'string',
  factor: 'number',
  patience: 'number',
  threshold: 'number',
  thresholdMode: 'string',
  cooldown: 'number',
  minLr: 'other',
  eps: 'number',
} as const satisfies OptionNames<ReduceLROnPlateauOptions>;

interface Fields {
  mode: string;
  factor: number;
  patience: number;
  threshold: number;
  thresholdMode: string;
  cooldown: number;
  minLrs: number[];
  eps: number;
  best: number;
  numBadEpochs: number;
  cooldownCounter: number;
  lastEpoch: number;
  _lastLr: number[];
}

/**
 * Reduces the rates when a metric has stopped getting better: torch.optim.lr_scheduler.ReduceLROnPlateau. The metric is a
 * number of the host, such as the loss of an epoch that you have read back anyway. NaN counts as not better.
 *
 * @example
 * const schedule = new ReduceLROnPlateau(optimizer, { patience: 5 });
 * schedule.step(validationLoss); // after each epoch
 */
export class ReduceLROnPlateau {
  readonly optimizer: Scheduled;
  private fields: Fields;

  /** @throws NormError `value`. */
  constructor(optimizer: Scheduled, options: ReduceLROnPlateauOptions = {}) {
    checkOptions('ReduceLROnPlateau', options, names);
    checkOptimizer('ReduceLROnPlateau', optimizer);
    const { mode = 'min', factor = 0.1, patience = 10, threshold = 1e-4, thresholdMode = 'rel' } = options;
    const { cooldown = 0, minLr = 0, eps = 1e-8 } = options;
    const fields = {
      ...{ mode, factor, patience, threshold, thresholdMode, cooldown, eps },
      minLrs: perGroup('minLr', minLr, optimizer),
      best: mode === 'min' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY,
      ...{ numBadEpochs: 0, cooldownCounter: 0, lastEpoch: 0 },
      _lastLr: optimizer.paramGroups.map(({ lr }) => lr),
    };
    check(fields);
    this.optimizer = optimizer;
    this.fields = fields;
  }

  /** How many metrics it has got. */
  get lastEpoch(): number {
    return this.fields.lastEpoch;
  }

  /**
   * Takes the metric of an epoch, and reduces the rates if it is time.
   *
   * @throws NormError `value` unless it is a number.
   */
  step(metric: number): void {
    if (typeof metric !== 'number') {
      throw new NormError(
        'value',
        `The metric is ${shown(metric)}, which is no number.`,
        'Read the tensor back first.',
      );
    }
    this.optimizer.checkUsable();
    const fields = this.fields;
    const { patience, cooldown } = fields;
    fields.lastEpoch += 1;
    if (this.better(metric)) [fields.best, fields.numBadEpochs] = [metric, 0];
    else fields.numBadEpochs += 1;
    if (fields.cooldownCounter > 0) {
      fields.cooldownCounter -= 1;
      fields.numBadEpochs = 0;
    }
    if (fields.numBadEpochs > patience) {
      this.reduce();
      fields.cooldownCounter = cooldown;
      fields.numBadEpochs = 0;
    }
    fields._lastLr = this.optimizer.paramGroups.map(({ lr }) => lr);
  }

  /** The learning rates after the last step, by group. */
  getLastLr(): number[] {
    return [...this.fields._lastLr];
  }

  /** As {@link LRScheduler.stateDict}. `best` is an infinity before the first metric, which JSON makes null of: that can be loaded. */
  stateDict(): ScheduleStateDict {
    return dictOf(this.fields);
  }

  /** As {@link LRScheduler.loadStateDict}. */
  loadStateDict(dict: ScheduleStateDict): void {
    const fields = loadedFields(this.fields, dict);
    check(fields);
    this.fields = fields;
  }

  private better(metric: number): boolean {
    const { mode, thresholdMode, threshold, best } = this.fields;
    if (thresholdMode === 'rel') {
      return mode === 'min' ? metric < best * (1 - threshold) : metric > best * (1 + threshold);
    }
    return mode === 'min' ? metric < best - threshold : metric > best + threshold;
  }

  private reduce(): void {
    const { factor, minLrs, eps } = this.fields;
    this.optimizer.paramGroups.forEach((group, i) => {
      const lr = Math.max(group.lr * factor, minLrs[i] ?? 0);
      if (group.lr - lr > eps) group.lr = lr;
    });
  }
}

function check({ mode, factor, patience, threshold, thresholdMode, cooldown, eps }: Fields): void {
  checkOneOf('mode', mode, ['min', 'max']);
  checkNumber('factor', factor, 'a number ≥ 0 and < 1', (one) => one >= 0 && one < 1);
  checkNumber('patience', patience, 'an integer ≥ 0', (one) => Number.isInteger(one) && one >= 0);
  checkNumber('threshold', threshold);
  checkOneOf('thresholdMode', thresholdMode, ['rel', 'abs']);
  checkNumber('cooldown', cooldown, 'an integer ≥ 0', (one) => Number.isInteger(one) && one >= 0);
  checkNumber('eps', eps);
}
