/** The golden file of the schedules, test/golden/schedules.json: its types, and schedules as it describes them. */
import * as optim from '../../src/optim/index.ts';
import type { GoldenTensor } from './golden.ts';
import { camel } from './golden-optim.ts';

/** A schedule under PyTorch's names. */
export interface ScheduleSpec {
  kind: string;
  args?: unknown[];
  options?: Record<string, unknown>;
  /** Of a LambdaLR: one for each group. */
  lambdas?: (keyof typeof lambdas)[];
  /** Of a composition. */
  schedulers?: ScheduleSpec[];
  milestones?: number[];
}

export interface ScheduleCase {
  name: string;
  schedule: ScheduleSpec;
  optimizer: 'SGD' | 'AdamW';
  /** Of the groups, before there is a schedule. */
  rates: number[];
  /** What each step is given. */
  epochs?: number[];
  metrics?: number[];
  /** Before the first step and after each, by group. */
  lrs: GoldenTensor;
  /** Likewise; absent where they stay as they are. */
  momenta?: GoldenTensor;
}

export interface ScheduleFile {
  cases: ScheduleCase[];
}

const lambdas = {
  decay: (epoch: number) => 0.95 ** epoch,
  root: (epoch: number) => 1 / Math.sqrt(epoch + 1),
};

export type AnySchedule = optim.Schedule | optim.ReduceLROnPlateau;

type Maker = new (...args: never[]) => AnySchedule;

export function scheduleOf(optimizer: optim.Scheduled, spec: ScheduleSpec): AnySchedule {
  const { kind, args = [], options = {}, schedulers = [], milestones } = spec;
  const parts = schedulers.map((one) => scheduleOf(optimizer, one));
  if (kind === 'SequentialLR') {
    return new optim.SequentialLR(optimizer, parts as optim.LRScheduler[], milestones as number[]);
  }
  if (kind === 'ChainedScheduler') return new optim.ChainedScheduler(parts as optim.Schedule[]);
  if (spec.lambdas)
    return new optim.LambdaLR(
      optimizer,
      spec.lambdas.map((name) => lambdas[name]),
    );
  const made = (optim as unknown as Record<string, Maker>)[kind] as Maker;
  return new made(...([optimizer, ...args, camelOf(options)] as never[]));
}

/** T_mult is tMult here. */
const camelOf = (options: Record<string, unknown>) =>
  camel(
    Object.fromEntries(Object.entries(options).map(([name, value]) => [name.replace('T_', 't_'), value])),
  );

/** The arguments of a step. */
export const stepOf = ({ epochs, metrics }: ScheduleCase, step: number): number[] =>
  [(epochs ?? metrics)?.[step]].filter((one) => one !== undefined);
