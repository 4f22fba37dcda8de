/** Schedules side by side: what src/plan should choose on a device. */

import { candidatesOf } from '../src/autotune/candidates.ts';
import type { DeviceFacts } from '../src/gpu/facts.ts';
import type { Gpu, ScheduleOptions } from '../src/index.ts';
import type { Clock, Sampler } from './clock.ts';
import type { Row } from './rows.ts';
import { geometryOf, makeSubject } from './subject.ts';
import { benchmark, type TimingOptions } from './timing.ts';

export interface SweepResult {
  /** What the library chooses by itself. */
  chosen: string;
  /** Milliseconds by schedule, fastest first; a string says why there are none. */
  ms: [schedule: string, ms: number | string][];
}

/** What autotune would try: of both passes together, what either has. */
export function candidates(row: Row, facts: DeviceFacts): ScheduleOptions[] {
  const geometry = geometryOf(row);
  const splitOnly = row.op === 'batchNorm';
  const all = (row.pass.split('+') as ('forward' | 'backward')[]).flatMap((pass) =>
    candidatesOf(geometry, pass, facts, splitOnly, row.dtype === 'f16' ? 2 : 4),
  );
  return [...new Map(all.map(({ name, schedule }) => [name, schedule])).values()];
}

export async function sweep(
  gpu: Gpu,
  clock: Clock,
  row: Row,
  schedules: readonly ScheduleOptions[],
  options: TimingOptions,
): Promise<SweepResult> {
  const subject = makeSubject(gpu, row);
  try {
    const samplers: Record<string, Sampler> = {};
    const failed: [string, string][] = [];
    const all: ScheduleOptions[] = [{}, ...schedules];
    for (const schedule of all) {
      const name = Object.values(schedule).join(' ') || 'default';
      const sample = clock.sampler((pass) => subject.record({ pass }, schedule));
      try {
        subject.clear();
        await sample(1);
        await gpu.idle(); // what was wrong with the run is this schedule's doing
        const { error, bound } = await subject.check();
        if (error <= bound) samplers[name] = sample;
        else failed.push([name, `relative error ${error.toExponential(1)}`]);
      } catch (error) {
        gpu.checkAlive();
        // The geometry or the device may not allow a schedule.
        failed.push([name, error instanceof Error ? error.message : String(error)]);
      }
    }
    const timings = await benchmark(samplers, options);
    const ms: [string, number][] = [];
    for (const [name, timing] of Object.entries(timings)) {
      if (timing instanceof Error) failed.push([name, timing.message]);
      else ms.push([name, timing.ms]);
    }
    return { chosen: subject.strategy(), ms: [...ms.sort((a, b) => a[1] - b[1]), ...failed] };
  } finally {
    subject.destroy();
  }
}
