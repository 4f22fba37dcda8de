import { NormError } from '../../gpu/errors.ts';
import { shown } from '../../gpu/shown.ts';
import type { ParamGroup } from '../optimizer.ts';
import { checkOptimizer, type Scheduled } from './check.ts';
import { dictOf, loadedFields, type ScheduleStateDict } from './state.ts';

/** Options that all schedules of a number of steps have. */
export interface LRSchedulerOptions {
  /**
   * The step that was the last one, to go on from there: the groups then need an `initialLr`, which an optimizer's state
   * dictionary brings. Default -1: from the beginning.
   */
  lastEpoch?: number | undefined;
}

/** @internal */
export const lastEpochName = { lastEpoch: 'number' } as const;

/** What steps schedules: one of the classes here, or a composition of them. */
export interface Schedule {
  readonly optimizer: Scheduled;
  /** Goes to the next step: sets `lr` of every parameter group. */
  step(): void;
  /** The learning rates that the last step set, by group. */
  getLastLr(): number[];
  stateDict(): ScheduleStateDict;
  loadStateDict(dict: ScheduleStateDict): void;
}

/** What the learning rate of a group follows from. */
export interface Moment {
  /** The group's rate now. */
  readonly lr: number;
  /** Its rate in the beginning. */
  readonly base: number;
  /** The step that is being made, from 0. */
  readonly epoch: number;
  /** How many steps this schedule has made, this one included. */
  readonly count: number;
  readonly group: ParamGroup<{ lr: number }>;
  readonly index: number;
}

/**
 * What the schedules share: torch.optim.lr_scheduler.LRScheduler. Constructing one makes its step 0, which may already change
 * the rates; call `step()` after each epoch, or after each of the optimizer's steps, whichever the schedule counts.
 *
 * Rates are numbers of the host: a step of a schedule changes no program, no bind group, and asks the GPU nothing. As in PyTorch most
 * schedules multiply the rate that a group has, so several of them over one optimizer compose. Groups that are added
 * later are left alone.
 */
export abstract class LRScheduler<Fields extends object = object> implements Schedule {
  readonly optimizer: Scheduled;
  /** The rates of the groups in the beginning: their `initialLr`. */
  baseLrs: number[];
  /** The step that was made last, from 0. */
  lastEpoch: number;
  /** @internal What the schedule was made with, and what it keeps. */
  protected fields: Fields;
  private stepCount = 0;
  private lastLr: number[] = [];

  /** @internal */
  constructor(optimizer: Scheduled, fields: Fields, lastEpoch = -1) {
    const { name } = new.target;
    checkOptimizer(name, optimizer);
    if (!(Number.isInteger(lastEpoch) && lastEpoch >= -1)) {
      throw new NormError('value', `${name}: lastEpoch is ${shown(lastEpoch)}.`, 'Use an integer ≥ -1.');
    }
    this.check(fields);
    const { paramGroups } = optimizer;
    const without = paramGroups.findIndex(({ initialLr }) => initialLr === undefined);
    if (lastEpoch !== -1 && without >= 0) {
      throw new NormError(
        'value',
        `${name}: lastEpoch is ${lastEpoch}, but group ${without} of the optimizer has no initialLr.`,
        "Load the optimizer's state dictionary first, or give its groups an initialLr.",
      );
    }
    this.optimizer = optimizer;
    this.fields = fields;
    this.lastEpoch = lastEpoch;
    this.prepareGroups(lastEpoch);
    for (const group of paramGroups) group.initialLr ??= group.lr;
    this.baseLrs = paramGroups.map(({ initialLr }) => initialLr as number);
    this.begin();
  }

  /** @internal Throws `value` unless the fields are usable. */
  protected abstract check(fields: Fields): void;

  /** @internal The rate of a group in the next step. */
  protected abstract next(moment: Moment): number;

  /** @internal The rate of a group in a step, from its base alone, if there is such a formula. */
  protected at(moment: Moment): number {
    return this.next(moment);
  }

  /** @internal Sets what the groups need beside a rate, before the first step. */
  protected prepareGroups(_: number): void {}

  /** @internal The step was made: sets what changes beside the rate. */
  protected stepped(_: number): void {}

  step(): void {
    this.advance(this.lastEpoch + 1, (moment) => this.next(moment));
  }

  getLastLr(): number[] {
    return [...this.lastLr];
  }

  /** What {@link loadStateDict} needs to go on: numbers, texts and lists, under PyTorch's names. */
  stateDict(): ScheduleStateDict {
    return dictOf({ ...this.fields, ...this.progress() });
  }

  /**
   * Takes over a dictionary. What it lacks stays, and so do functions. The rates of the groups come with the optimizer's
   * dictionary.
   *
   * @throws NormError `state` for what is of another kind, `value` for what is out of range. Nothing has changed then.
   */
  loadStateDict(dict: ScheduleStateDict): void {
    const fields = loadedFields(this.fields, dict);
    const progress = loadedFields(this.progress(), dict);
    this.check(fields);
    if (progress.baseLrs.length !== this.baseLrs.length) {
      throw new NormError(
        'state',
        `The dictionary is of ${progress.baseLrs.length} parameter groups, not ${this.baseLrs.length}.`,
        'Load what a schedule over as many groups returned.',
      );
    }
    this.fields = fields;
    this.baseLrs = progress.baseLrs;
    this.lastEpoch = progress.lastEpoch;
    this.stepCount = progress._stepCount;
    this.lastLr = progress._lastLr;
  }

  /** @internal The first step, again for a schedule that SequentialLR has undone. */
  begin(): void {
    this.stepCount = 0;
    this.step();
  }

  /** @internal Undoes the count of a step, not what it has set: for SequentialLR, which sets the rates itself. */
  undo(): void {
    this.lastEpoch -= 1;
  }

  /** @internal Step 0, from the base rates where there is a formula: for SequentialLR, when it comes to this schedule. */
  restart(): void {
    this.advance(0, (moment) => this.at(moment));
  }

  /** @internal Makes a step, if its rates are numbers. */
  protected advance(epoch: number, rate: (moment: Moment) => number): void {
    this.optimizer.checkUsable();
    const count = this.stepCount + 1;
    const groups = this.optimizer.paramGroups.slice(0, this.baseLrs.length);
    const rates = groups.map((group, index) =>
      rate({ lr: group.lr, base: this.baseLrs[index] as number, epoch, count, group, index }),
    );
    for (const lr of rates) {
      if (typeof lr === 'number' && Number.isFinite(lr)) continue;
      throw new NormError(
        'value',
        `${this.constructor.name}: the learning rate of step ${epoch} is ${shown(lr)}.`,
        'Have it be a finite number.',
      );
    }
    groups.forEach((group, i) => {
      group.lr = rates[i] as number;
    });
    this.lastEpoch = epoch;
    this.stepCount = count;
    this.stepped(epoch);
    this.lastLr = this.optimizer.paramGroups.map(({ lr }) => lr);
  }

  private progress() {
    const { baseLrs, lastEpoch } = this;
    return { baseLrs, lastEpoch, _stepCount: this.stepCount, _lastLr: this.lastLr };
  }
}
