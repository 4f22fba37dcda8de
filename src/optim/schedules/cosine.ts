// Cosine annealing (Loshchilov and Hutter 2017, arXiv 1608.03983).
import { checkOptions, type OptionNames } from '../../gpu/options.ts';
import { checkCount } from '../../ops/check.ts';
import { checkNumber, type Scheduled } from './check.ts';
import { LRScheduler, type LRSchedulerOptions, lastEpochName, type Moment } from './lr-scheduler.ts';

/** Options of {@link CosineAnnealingLR}. */
export interface CosineAnnealingLROptions extends LRSchedulerOptions {
  /** The least rate. Default 0. */
  etaMin?: number | undefined;
}

const cosineNames = {
  etaMin: 'number',
  ...lastEpochName,
} as const satisfies OptionNames<CosineAnnealingLROptions>;

/** From 1 in step 0 along a cosine to 0 in step `half`. */
const cosine = (step: number, half: number): number => (1 + Math.cos((Math.PI * step) / half)) / 2;

/**
 * Along a cosine from the base rate to etaMin and back: torch.optim.lr_scheduler.CosineAnnealingLR,
 * lr = etaMin + (base − etaMin)·(1 + cos(π·t / tMax)) / 2, computed from the rate of the step before as PyTorch does, so that other
 * schedules can change it, too.
 *
 * @example
 * const schedule = new CosineAnnealingLR(optimizer, 100, { etaMin: 1e-5 });
 */
export class CosineAnnealingLR extends LRScheduler<{ tMax: number; etaMin: number }> {
  /**
   * @param tMax - steps from the base rate to etaMin, an integer ≥ 1.
   * @throws NormError `value`.
   */
  constructor(optimizer: Scheduled, tMax: number, options: CosineAnnealingLROptions = {}) {
    checkOptions('CosineAnnealingLR', options, cosineNames);
    const { etaMin = 0, lastEpoch } = options;
    super(optimizer, { tMax, etaMin }, lastEpoch);
  }

  protected override check({ tMax, etaMin }: { tMax: number; etaMin: number }): void {
    checkCount('tMax', tMax);
    checkNumber('etaMin', etaMin);
  }

  protected override next(moment: Moment): number {
    const { lr, base, epoch, count } = moment;
    const { tMax, etaMin } = this.fields;
    if (epoch === 0) return lr;
    if (count === 1) return this.at(moment);
    // From the least rate, where there is nothing to multiply, the first step up.
    if ((epoch - 1 - tMax) % (2 * tMax) === 0) return lr + (base - etaMin) * (1 - cosine(1, tMax));
    return (cosine(epoch, tMax) / cosine(epoch - 1, tMax)) * (lr - etaMin) + etaMin;
  }

  protected override at({ base, epoch }: Moment): number {
    const { tMax, etaMin } = this.fields;
    return etaMin + (base - etaMin) * cosine(epoch, tMax);
  }
}

/** Options of {@link CosineAnnealingWarmRestarts}. */
export interface CosineAnnealingWarmRestartsOptions extends LRSchedulerOptions {
  /** How many times as long each cycle is as the one before it, an integer ≥ 1. Default 1. */
  tMult?: number | undefined;
  /** The least rate. Default 0. */
  etaMin?: number | undefined;
}

const restartNames = {
  tMult: 'number',
  etaMin: 'number',
  ...lastEpochName,
} as const satisfies OptionNames<CosineAnnealingWarmRestartsOptions>;

interface RestartFields {
  t0: number;
  tMult: number;
  etaMin: number;
  /** Steps of the cycle that is under way. */
  tI: number;
  /** Steps since it began. */
  tCur: number;
}

/**
 * Along a cosine from the base rate to etaMin, again and again: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts (SGDR),
 * lr = etaMin + (base − etaMin)·(1 + cos(π·tCur / tI)) / 2, where tCur counts from the last restart and cycles have t0, t0·tMult,
 * t0·tMult², … steps.
 *
 * @example
 * const schedule = new CosineAnnealingWarmRestarts(optimizer, 10, { tMult: 2 });
 * schedule.step(epoch + batch / batches); // after each batch, if you like
 */
export class CosineAnnealingWarmRestarts extends LRScheduler<RestartFields> {
  /**
   * @param t0 - steps of the first cycle, an integer ≥ 1.
   * @throws NormError `value`.
   */
  constructor(optimizer: Scheduled, t0: number, options: CosineAnnealingWarmRestartsOptions = {}) {
    checkOptions('CosineAnnealingWarmRestarts', options, restartNames);
    const { tMult = 1, etaMin = 0, lastEpoch = -1 } = options;
    super(optimizer, { t0, tMult, etaMin, tI: t0, tCur: lastEpoch }, lastEpoch);
  }

  protected override check({ t0, tMult, etaMin }: RestartFields): void {
    checkCount('t0', t0);
    checkCount('tMult', tMult);
    checkNumber('etaMin', etaMin);
  }

  protected override next({ base }: Moment): number {
    const { etaMin, tI, tCur } = this.fields;
    return etaMin + (base - etaMin) * cosine(tCur, tI);
  }

  /**
   * Goes to the next step, or to any.
   *
   * @param epoch - ≥ 0, whole or not, such as 3.5 in the middle of the fourth epoch.
   * @throws NormError `value`.
   */
  override step(epoch?: number): void {
    if (epoch !== undefined) checkNumber('epoch', epoch, 'a number ≥ 0', (one) => one >= 0);
    const before = this.fields;
    const given = epoch ?? (this.lastEpoch < 0 ? 0 : undefined);
    this.fields = given === undefined ? following(before) : placed(before, given);
    try {
      this.advance(Math.floor(given ?? this.lastEpoch + 1), (moment) => this.next(moment));
    } catch (error) {
      this.fields = before;
      throw error;
    }
  }

  override restart(): void {
    this.step(0);
  }
}

/** A step later. */
function following(fields: RestartFields): RestartFields {
  const { tMult, tI } = fields;
  const tCur = fields.tCur + 1;
  return tCur >= tI ? { ...fields, tCur: tCur - tI, tI: tI * tMult } : { ...fields, tCur };
}

/** In a step of one's choice. PyTorch finds the cycle by a logarithm, which may miss its first step by a rounding. */
function placed(fields: RestartFields, epoch: number): RestartFields {
  const { t0, tMult } = fields;
  if (tMult === 1) return { ...fields, tI: t0, tCur: epoch % t0 };
  let [tCur, tI] = [epoch, t0];
  while (tCur >= tI) [tCur, tI] = [tCur - tI, tI * tMult];
  return { ...fields, tI, tCur };
}
