import { checkOptions, type OptionNames } from '../../gpu/options.ts';
import { checkNumber, checkOneOf, checkOptimizer, perGroup, type Scheduled } from './check.ts';
import { LRScheduler, type LRSchedulerOptions, lastEpochName, type Moment } from './lr-scheduler.ts';

/** Options of {@link SWALR}. */
export interface SWALROptions extends LRSchedulerOptions {
  /** Steps from the rate of each group to swaLr, an integer ≥ 0. Default 10. */
  annealEpochs?: number | undefined;
  /** Along a cosine or a line. Default 'cos'. */
  annealStrategy?: 'cos' | 'linear' | undefined;
}

const names = {
  annealEpochs: 'number',
  annealStrategy: 'string',
  ...lastEpochName,
} as const satisfies OptionNames<SWALROptions>;

interface Fields {
  swaLrs: number[];
  annealEpochs: number;
  annealStrategy: string;
}

/**
 * From the rate that each group has to a constant one, for averaging: torch.optim.swa_utils.SWALR. With a(t) from 0 to 1 in
 * annealEpochs steps, lr = a(t)·swaLr + (1 − a(t))·(the rate in the beginning), computed from the rate of the step before.
 * The groups get `swaLr`.
 *
 * @example
 * const schedule = new SWALR(optimizer, 0.05, { annealEpochs: 5 });
 */
export class SWALR extends LRScheduler<Fields> {
  /**
   * @param swaLr - the constant rate, or one for each parameter group.
   * @throws NormError `value`.
   */
  constructor(optimizer: Scheduled, swaLr: number | readonly number[], options: SWALROptions = {}) {
    checkOptions('SWALR', options, names);
    checkOptimizer('SWALR', optimizer);
    const { annealEpochs = 10, annealStrategy = 'cos', lastEpoch } = options;
    super(
      optimizer,
      { swaLrs: perGroup('swaLr', swaLr, optimizer), annealEpochs, annealStrategy },
      lastEpoch,
    );
  }

  protected override check({ annealEpochs, annealStrategy }: Fields): void {
    checkNumber('annealEpochs', annealEpochs, 'an integer ≥ 0', (one) => Number.isInteger(one) && one >= 0);
    checkOneOf('annealStrategy', annealStrategy, ['cos', 'linear']);
  }

  protected override prepareGroups(): void {
    this.optimizer.paramGroups.forEach((group, i) => {
      group.swaLr = this.fields.swaLrs[i];
    });
  }

  protected override next({ lr, count, group }: Moment): number {
    const { annealEpochs } = this.fields;
    const { swaLr = lr } = group;
    const step = annealEpochs === 0 ? Math.max(1, count - 1) : count - 1;
    const before = shareOf(this.fields, step - 1);
    // The rate in the beginning, as the rate of the step before tells it.
    const first = before === 1 ? swaLr : (lr - before * swaLr) / (1 - before);
    const share = shareOf(this.fields, step);
    return swaLr * share + first * (1 - share);
  }
}

/** How far a step is on the way, from 0 to 1. */
function shareOf({ annealEpochs, annealStrategy }: Fields, step: number): number {
  const t = Math.max(0, Math.min(1, step / Math.max(1, annealEpochs)));
  return annealStrategy === 'linear' ? t : (1 - Math.cos(Math.PI * t)) / 2;
}
