import { NormError } from '../../gpu/errors.ts';
import { checkOptions, type OptionNames } from '../../gpu/options.ts';
import { checkCount } from '../../ops/check.ts';
import type { ParamGroup } from '../optimizer.ts';
import { checkNumber, checkOneOf, checkOptimizer, perGroup, type Scheduled } from './check.ts';
import { LRScheduler, type LRSchedulerOptions, lastEpochName, type Moment } from './lr-scheduler.ts';

/** Options of {@link OneCycleLR}. */
export interface OneCycleLROptions extends LRSchedulerOptions {
  /** Steps of the cycle, an integer ≥ 1. Default: epochs·stepsPerEpoch, which are then needed. */
  totalSteps?: number | undefined;
  epochs?: number | undefined;
  stepsPerEpoch?: number | undefined;
  /** The part of the cycle in which the rate rises, from 0 to 1. Default 0.3. */
  pctStart?: number | undefined;
  /** Along a cosine or a line. Default 'cos'. */
  annealStrategy?: 'cos' | 'linear' | undefined;
  /** Whether the momentum goes the other way: `momentum`, or the first of `betas`. Default true. */
  cycleMomentum?: boolean | undefined;
  /** The least momentum, or one for each group. Default 0.85. */
  baseMomentum?: number | readonly number[] | undefined;
  /** The largest momentum, or one for each group. Default 0.95. */
  maxMomentum?: number | readonly number[] | undefined;
  /** The first rate is maxLr / divFactor. Default 25. */
  divFactor?: number | undefined;
  /** The last rate is the first one / finalDivFactor. Default 1e4. */
  finalDivFactor?: number | undefined;
  /** Whether the rate first falls to the first one, as long as it rose, and then on to the last one. Default false. */
  threePhase?: boolean | undefined;
}

const names = {
  totalSteps: 'number',
  epochs: 'number',
  stepsPerEpoch: 'number',
  pctStart: 'number',
  annealStrategy: 'string',
  cycleMomentum: 'boolean',
  baseMomentum: 'other',
  maxMomentum: 'other',
  divFactor: 'number',
  finalDivFactor: 'number',
  threePhase: 'boolean',
  ...lastEpochName,
} as const satisfies OptionNames<OneCycleLROptions>;

interface Fields {
  maxLrs: number[];
  totalSteps: number;
  pctStart: number;
  annealStrategy: string;
  cycleMomentum: boolean;
  baseMomentums: number[];
  maxMomentums: number[];
  divFactor: number;
  finalDivFactor: number;
  threePhase: boolean;
}

type Group = ParamGroup<{ lr: number; momentum?: number; betas?: readonly [number, number] }>;

/** Where a step lies between two rates and two momenta of a group. */
interface Phase {
  from: { lr: number; momentum: number };
  to: { lr: number; momentum: number };
  pct: number;
}

/**
 * One rise of the rate to maxLr and one fall far below where it began, with momentum the other way:
 * torch.optim.lr_scheduler.OneCycleLR (Smith and Topin 2018, arXiv 1708.07120). Step after every batch; after
 * totalSteps there are no more. The groups get `initialLr`, `maxLr`, `minLr`, `maxMomentum` and `baseMomentum`.
 *
 * @example
 * const schedule = new OneCycleLR(optimizer, 0.1, { epochs: 10, stepsPerEpoch: batches.length });
 */
export class OneCycleLR extends LRScheduler<Fields> {
  /**
   * @param maxLr - the largest rate, or one for each parameter group.
   * @throws NormError `value`: neither totalSteps nor both epochs and stepsPerEpoch, numbers out of range, cycleMomentum over
   * an optimizer without momentum and betas.
   */
  constructor(optimizer: Scheduled, maxLr: number | readonly number[], options: OneCycleLROptions = {}) {
    checkOptions('OneCycleLR', options, names);
    checkOptimizer('OneCycleLR', optimizer);
    const { pctStart = 0.3, annealStrategy = 'cos', cycleMomentum = true, lastEpoch } = options;
    const { divFactor = 25, finalDivFactor = 1e4, threePhase = false } = options;
    const { baseMomentum = 0.85, maxMomentum = 0.95 } = options;
    const [group] = optimizer.paramGroups as Group[];
    if (cycleMomentum && group?.momentum === undefined && group?.betas === undefined) {
      throw new NormError(
        'value',
        'OneCycleLR: the optimizer has neither momentum nor betas.',
        'Pass { cycleMomentum: false }.',
      );
    }
    const fields = {
      maxLrs: perGroup('maxLr', maxLr, optimizer),
      totalSteps: totalStepsOf(options),
      pctStart,
      annealStrategy,
      cycleMomentum,
      baseMomentums: perGroup('baseMomentum', baseMomentum, optimizer),
      maxMomentums: perGroup('maxMomentum', maxMomentum, optimizer),
      divFactor,
      finalDivFactor,
      threePhase,
    };
    super(optimizer, fields, lastEpoch);
  }

  protected override check({
    totalSteps,
    pctStart,
    annealStrategy,
    divFactor,
    finalDivFactor,
  }: Fields): void {
    checkCount('totalSteps', totalSteps);
    checkNumber('pctStart', pctStart, 'a number from 0 to 1', (one) => one >= 0 && one <= 1);
    checkOneOf('annealStrategy', annealStrategy, ['cos', 'linear']);
    checkNumber('divFactor', divFactor, 'a number > 0', (one) => one > 0);
    checkNumber('finalDivFactor', finalDivFactor, 'a number > 0', (one) => one > 0);
  }

  protected override prepareGroups(lastEpoch: number): void {
    if (lastEpoch !== -1) return; // they have it from the optimizer's state dictionary
    const { maxLrs, divFactor, finalDivFactor, cycleMomentum, baseMomentums, maxMomentums } = this.fields;
    (this.optimizer.paramGroups as Group[]).forEach((group, i) => {
      group.initialLr = (maxLrs[i] as number) / divFactor;
      group.maxLr = maxLrs[i];
      group.minLr = group.initialLr / finalDivFactor;
      if (!cycleMomentum) return;
      setMomentum(group, maxMomentums[i] as number);
      group.maxMomentum = maxMomentums[i];
      group.baseMomentum = baseMomentums[i];
    });
  }

  protected override next({ epoch, group, index }: Moment): number {
    const { totalSteps } = this.fields;
    if (epoch > totalSteps) {
      throw new NormError(
        'order',
        `OneCycleLR: this is step ${epoch}, and the cycle has ${totalSteps}.`,
        'End here, or make it with more totalSteps.',
      );
    }
    const { from, to, pct } = phaseOf(this.fields, group, index, epoch);
    return between(this.fields, from.lr, to.lr, pct);
  }

  protected override stepped(epoch: number): void {
    if (!this.fields.cycleMomentum) return;
    this.optimizer.paramGroups.slice(0, this.baseLrs.length).forEach((group, i) => {
      const { from, to, pct } = phaseOf(this.fields, group, i, epoch);
      setMomentum(group, between(this.fields, from.momentum, to.momentum, pct));
    });
  }
}

// Functions, not private methods: the constructor of LRScheduler, where there are none of those yet, makes the first step.

function between({ annealStrategy }: Fields, from: number, to: number, pct: number): number {
  if (annealStrategy === 'linear') return (to - from) * pct + from;
  return to + ((from - to) / 2) * (Math.cos(Math.PI * pct) + 1);
}

function phaseOf(fields: Fields, group: ParamGroup<{ lr: number }>, index: number, epoch: number): Phase {
  const { totalSteps, pctStart, threePhase, finalDivFactor } = fields;
  const { maxLr = fields.maxLrs[index] as number } = group;
  const { initialLr = maxLr / fields.divFactor } = group;
  const { minLr = initialLr / finalDivFactor } = group;
  const { maxMomentum = fields.maxMomentums[index] as number } = group;
  const { baseMomentum = fields.baseMomentums[index] as number } = group;
  const first = { lr: initialLr, momentum: maxMomentum };
  const top = { lr: maxLr, momentum: baseMomentum };
  const last = { lr: minLr, momentum: maxMomentum };
  const rise = { from: first, to: top, end: pctStart * totalSteps - 1 };
  const phases = threePhase
    ? [
        rise,
        { from: top, to: first, end: 2 * pctStart * totalSteps - 2 },
        { from: first, to: last, end: totalSteps - 1 },
      ]
    : [rise, { from: top, to: last, end: totalSteps - 1 }];
  let start = 0;
  const found = phases.findIndex(({ end }, i) => {
    if (epoch <= end || i === phases.length - 1) return true;
    start = end;
    return false;
  });
  const { from, to, end } = phases[found] as (typeof phases)[number];
  return { from, to, pct: (epoch - start) / (end - start) };
}

function totalStepsOf({ totalSteps, epochs, stepsPerEpoch }: OneCycleLROptions): number {
  if (totalSteps !== undefined) return totalSteps;
  if (epochs === undefined || stepsPerEpoch === undefined) {
    throw new NormError(
      'value',
      'OneCycleLR: the number of steps is not given.',
      'Pass totalSteps, or both epochs and stepsPerEpoch.',
    );
  }
  checkCount('epochs', epochs);
  checkCount('stepsPerEpoch', stepsPerEpoch);
  return epochs * stepsPerEpoch;
}

/** PyTorch's rule: where there are betas, the first of them. */
function setMomentum(group: Group, momentum: number): void {
  if (group.betas === undefined) group.momentum = momentum;
  else group.betas = [momentum, group.betas[1]];
}
