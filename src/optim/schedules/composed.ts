// Schedules one after the other, and several at once.
import { NormError } from '../../gpu/errors.ts';
import { listOf } from '../../gpu/options.ts';
import { shown } from '../../gpu/shown.ts';
import { checkOptimizer, type Scheduled } from './check.ts';
import { LRScheduler, type Schedule } from './lr-scheduler.ts';
import { checkMilestones } from './multiplied.ts';
import { dictOf, loadedFields, type ScheduleStateDict } from './state.ts';

/**
 * One schedule after the other: torch.optim.lr_scheduler.SequentialLR. When it comes to a schedule, that makes its step 0, from the
 * base rates. Making it sets the rates to their first ones, whatever the schedules have set.
 *
 * @example
 * const warmup = new LinearLR(optimizer, { startFactor: 0.01, totalIters: 5 });
 * const decay = new CosineAnnealingLR(optimizer, 95);
 * const schedule = new SequentialLR(optimizer, [warmup, decay], [5]);
 */
export class SequentialLR implements Schedule {
  readonly optimizer: Scheduled;
  /** The step that was made last, from 0. */
  lastEpoch = 0;
  private readonly schedulers: readonly LRScheduler[];
  private milestones: number[];
  private lastLr: number[];

  /**
   * @param schedulers - of this optimizer, none of them a composition or a ReduceLROnPlateau: those do not begin at a step.
   * @param milestones - the steps in which the second one, the third one, … begins: ascending.
   * @throws NormError `value`. Nothing has changed then.
   */
  constructor(optimizer: Scheduled, schedulers: Iterable<LRScheduler>, milestones: Iterable<number>) {
    checkOptimizer('SequentialLR', optimizer);
    this.schedulers = schedulersOf(
      'SequentialLR',
      schedulers,
      optimizer,
      (one) => one instanceof LRScheduler,
    );
    this.milestones = listOf('milestones', milestones, 'Pass a list of steps.');
    this.check(this.milestones);
    this.optimizer = optimizer;
    for (const group of optimizer.paramGroups) if (group.initialLr !== undefined) group.lr = group.initialLr;
    for (const one of this.schedulers) one.undo();
    this.schedulers[0]?.begin();
    this.lastLr = this.schedulers[0]?.getLastLr() ?? [];
  }

  step(): void {
    const epoch = this.lastEpoch + 1;
    const passed = this.milestones.filter((one) => one <= epoch).length;
    const scheduler = this.schedulers[passed] as LRScheduler;
    if (passed > 0 && this.milestones[passed - 1] === epoch) scheduler.restart();
    else scheduler.step();
    this.lastEpoch = epoch;
    this.lastLr = scheduler.getLastLr();
  }

  getLastLr(): number[] {
    return [...this.lastLr];
  }

  /** As {@link LRScheduler.stateDict}, with the dictionaries of the schedules as `_schedulers`. */
  stateDict(): ScheduleStateDict {
    return { ...dictOf(this.fields()), _schedulers: this.schedulers.map((one) => one.stateDict()) };
  }

  /** As {@link LRScheduler.loadStateDict}. */
  loadStateDict(dict: ScheduleStateDict): void {
    const fields = loadedFields(this.fields(), dict);
    this.check(fields._milestones);
    loadAll(this.schedulers, dict);
    this.lastEpoch = fields.lastEpoch;
    this.milestones = fields._milestones;
    this.lastLr = fields._lastLr;
  }

  private check(milestones: readonly number[]): void {
    checkMilestones(milestones);
    const ascend = milestones.every((one, i) => i === 0 || one >= (milestones[i - 1] as number));
    if (ascend && milestones.length === this.schedulers.length - 1) return;
    throw new NormError(
      'value',
      `SequentialLR got ${this.schedulers.length} schedules and the milestones ${shown(milestones)}.`,
      'Pass ascending milestones, one less than schedules.',
    );
  }

  private fields() {
    return { lastEpoch: this.lastEpoch, _milestones: this.milestones, _lastLr: this.lastLr };
  }
}

/**
 * Several schedules at once: torch.optim.lr_scheduler.ChainedScheduler. A step is one of each, in their order: those that
 * multiply the rate compose.
 *
 * @example
 * const schedule = new ChainedScheduler([new ConstantLR(optimizer), new ExponentialLR(optimizer, 0.9)]);
 */
export class ChainedScheduler implements Schedule {
  readonly optimizer: Scheduled;
  private readonly schedulers: readonly Schedule[];
  private lastLr: number[];

  /**
   * @param schedulers - of one optimizer, at least one. Not ReduceLROnPlateau, whose steps take a metric.
   * @throws NormError `value`.
   */
  constructor(schedulers: Iterable<Schedule>) {
    const listed = listOf('The schedules', schedulers, passSchedules);
    const optimizer = listed[0]?.optimizer as Scheduled;
    if (listed.length === 0)
      throw new NormError('value', 'ChainedScheduler got no schedules.', passSchedules);
    this.schedulers = schedulersOf('ChainedScheduler', listed, optimizer, isSchedule);
    checkOptimizer('ChainedScheduler', optimizer);
    this.optimizer = optimizer;
    this.lastLr = optimizer.paramGroups.map(({ lr }) => lr);
  }

  step(): void {
    for (const one of this.schedulers) one.step();
    this.lastLr = this.optimizer.paramGroups.map(({ lr }) => lr);
  }

  getLastLr(): number[] {
    return [...this.lastLr];
  }

  /** As {@link LRScheduler.stateDict}, with the dictionaries of the schedules as `_schedulers`. */
  stateDict(): ScheduleStateDict {
    return {
      ...dictOf({ _lastLr: this.lastLr }),
      _schedulers: this.schedulers.map((one) => one.stateDict()),
    };
  }

  /** As {@link LRScheduler.loadStateDict}. */
  loadStateDict(dict: ScheduleStateDict): void {
    const { _lastLr } = loadedFields({ _lastLr: this.lastLr }, dict);
    loadAll(this.schedulers, dict);
    this.lastLr = _lastLr;
  }
}

const passSchedules = 'Pass a list of schedules of one optimizer.';

const isSchedule = (one: unknown): boolean =>
  one instanceof LRScheduler || one instanceof SequentialLR || one instanceof ChainedScheduler;

/** The schedules as a list. Throws `value` unless there are some, all usable here, and all of this optimizer. */
function schedulersOf<One extends Schedule>(
  what: string,
  given: Iterable<One>,
  optimizer: Scheduled,
  fits: (one: unknown) => boolean,
): One[] {
  const listed = listOf('The schedules', given, passSchedules);
  listed.forEach((one, i) => {
    if (!fits(one)) {
      const name = (one as { constructor?: { name?: string } } | null)?.constructor?.name;
      throw new NormError(
        'value',
        `${what}: schedule ${i} is ${name ?? shown(one)}, which cannot be one of it.`,
        passSchedules,
      );
    }
    if (one.optimizer !== optimizer) {
      throw new NormError('value', `${what}: schedule ${i} is of another optimizer.`, passSchedules);
    }
  });
  return listed;
}

/** Loads the dictionaries of all schedules, or of none where one does not fit. */
function loadAll(schedulers: readonly Schedule[], { _schedulers: dicts }: ScheduleStateDict): void {
  if (!Array.isArray(dicts) || dicts.length !== schedulers.length) {
    throw new NormError(
      'state',
      `The dictionary has ${Array.isArray(dicts) ? dicts.length : 'no'} schedules; ${schedulers.length} are needed.`,
      'Load what the same composition returned.',
    );
  }
  const before = schedulers.map((one) => one.stateDict());
  try {
    schedulers.forEach((one, i) => {
      one.loadStateDict(dicts[i]);
    });
  } catch (error) {
    schedulers.forEach((one, i) => {
      one.loadStateDict(before[i] as ScheduleStateDict);
    });
    throw error;
  }
}
