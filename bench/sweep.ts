/** Schedules side by side: what src/plan should choose on a device. */
import type { Gpu, ScheduleOptions } from '../src/index.ts';
import { isContiguous } from '../src/plan/strategy.ts';
import type { Clock, Sampler } from './clock.ts';
import type { Row } from './rows.ts';
import { geometryOf, makeSubject } from './subject.ts';
import { race, type TimingOptions } from './timing.ts';

export interface SweepResult {
  /** What the library chooses by itself. */
  chosen: string;
  /** Milliseconds by schedule, fastest first; a string says why there are none. */
  ms: [schedule: string, ms: number | string][];
}

const workgroups = [1, 4, 8, 16, 32, 64];
const slotCounts = [2, 4, 8, 16, 32, 64, 256];

/** `thread` and `split` for adapters that run on the CPU, `tile`, `workgroup` and `split` for others. */
export function candidates(row: Row, software: boolean): ScheduleOptions[] {
  const geometry = geometryOf(row);
  const rowFamily = isContiguous(geometry);
  if (software) {
    return workgroups.flatMap((workgroup): ScheduleOptions[] => [
      ...(rowFamily ? [{ strategy: 'thread' as const, workgroup }] : []),
      ...slotCounts.map((slots) => ({ strategy: 'split' as const, workgroup, slots })),
    ]);
  }
  const wide = [64, 128, 256];
  return [
    ...(rowFamily ? [{ strategy: 'thread' as const, workgroup: 64 }] : []),
    ...wide.flatMap((workgroup): ScheduleOptions[] => [
      ...(rowFamily ? [{ strategy: 'workgroup' as const, workgroup }] : []),
      { strategy: 'split' as const, workgroup },
      ...[8, 32, 128].map((slots) => ({ strategy: 'split' as const, workgroup, slots })),
    ]),
    ...(rowFamily
      ? [1, 2, 4, 8, 16, 32, 64, 128, 256].map((lanes) => ({ strategy: 'tile' as const, lanes }))
      : []),
  ];
}

export async function sweep(
  gpu: Gpu,
  clock: Clock,
  row: Row,
  schedules: readonly ScheduleOptions[],
  options: TimingOptions,
): Promise<SweepResult> {
  const subject = makeSubject(gpu, row);
  const samplers: Record<string, Sampler> = { default: clock.sampler((pass) => subject.record({ pass })) };
  await samplers.default?.(1);
  const failed: [string, string][] = [];
  for (const schedule of schedules) {
    const name = Object.values(schedule).join(' ');
    const sample = clock.sampler((pass) => subject.record({ pass }, schedule));
    try {
      await sample(1);
      const { error, bound } = await subject.check();
      if (error <= bound) samplers[name] = sample;
      else failed.push([name, `relative error ${error.toExponential(1)}`]);
    } catch (error) {
      // The geometry or the device may not allow a schedule.
      failed.push([name, error instanceof Error ? error.message : String(error)]);
    }
  }
  const timings = await race(samplers, options);
  subject.destroy();
  const ms = Object.entries(timings).flatMap(([name, timing]): [string, number][] =>
    timing instanceof Error ? [] : [[name, timing.ms]],
  );
  return { chosen: subject.strategy(), ms: [...ms.sort((a, b) => a[1] - b[1]), ...failed] };
}
