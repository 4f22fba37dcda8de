import type { DeviceFacts } from '../gpu/facts.ts';
import { type Geometry, setCount, setSize } from '../plan/geometry.ts';
import { scheduleKept } from '../plan/kept.ts';
import { scheduleBackward, scheduleForward } from '../plan/schedule.ts';
import {
  checkSchedule,
  isContiguous,
  type ScheduleOptions,
  type Strategy,
  strategiesOf,
} from '../plan/strategy.ts';

/** A way to lay a pass out, with its overrides in words. */
export interface Candidate {
  name: string;
  schedule: ScheduleOptions;
}

/**
 * The schedules that are worth a try beside the one that is chosen: legal ones, no two of them alike.
 *
 * @param splitOnly - whether the pass does more than one dispatch can.
 * @param elementBytes - of x.
 */
export function candidatesOf(
  geometry: Geometry,
  direction: 'forward' | 'backward',
  facts: DeviceFacts,
  splitOnly = false,
  elementBytes = 4,
): Candidate[] {
  const ofDirection = direction === 'forward' ? scheduleForward : scheduleBackward;
  const schedule = geometry.runs ? scheduleKept : ofDirection;
  const splits = splitOnly && !geometry.runs;
  const concrete = (options: ScheduleOptions) =>
    JSON.stringify(
      schedule(geometry, facts, splits ? { ...options, strategy: 'split' } : options, elementBytes),
    );
  const seen = new Set([concrete({})]);
  const strategies = splits ? (['split'] as const) : strategiesOf(geometry, direction);
  return strategies
    .flatMap((strategy) => variantsOf(strategy, geometry, direction, facts))
    .filter((options) => {
      if (!isLegal(geometry, direction, facts, options, splitOnly)) return false;
      const made = concrete(options);
      if (seen.has(made)) return false;
      seen.add(made);
      return true;
    })
    .map((options) => ({ name: nameOf(options), schedule: options }));
}

/** `split workgroup=64 splits=16`. */
export function nameOf({ strategy, ...rest }: ScheduleOptions): string {
  const words = Object.entries(rest).map(([key, value]) => `${key}=${value}`);
  return [...(strategy ? [strategy] : []), ...words].join(' ');
}

function isLegal(...given: Parameters<typeof checkSchedule>): boolean {
  try {
    checkSchedule(...given);
    return true;
  } catch {
    return false;
  }
}

function variantsOf(
  strategy: Strategy,
  geometry: Geometry,
  direction: 'forward' | 'backward',
  facts: DeviceFacts,
): ScheduleOptions[] {
  const { software } = facts;
  const splitCounts = software ? [1, 2, 4, 8, 16, 32, 64] : [1, 4, 16, 64, 256];
  switch (strategy) {
    case 'thread': {
      // A thread walks a whole row: with too few of them a device idles for long.
      if (setCount(geometry) < 8 && setSize(geometry) > 65_536) return [];
      const fourRows = geometry.inner === 1 && (isContiguous(geometry) || geometry.runs !== undefined);
      return (software ? [4, 16, 64] : [64, 256]).flatMap((workgroup) =>
        (fourRows ? [false, true] : [false]).map((four) => ({
          strategy,
          workgroup,
          ...(fourRows ? { fourRows: four } : {}),
        })),
      );
    }
    case 'registers': {
      // A software adapter pays hundreds of loads for a barrier.
      if (software) return [];
      const lanes = [4, 8, 16, 32, 64, 128, 256, 512, 1024];
      // Groups of rows whose partial dweight and dbias are kept apart: as many workgroups run.
      const splits = direction === 'backward' ? [32, 64, 128, 256, 512, 1024] : [];
      return [
        ...lanes.map((count) => ({ strategy, lanes: count })),
        ...splits.map((count) => ({ strategy, splits: count })),
      ];
    }
    case 'workgroup':
      if (geometry.runs && !software) return [1, 2, 4, 8, 16, 32, 64].map((lanes) => ({ strategy, lanes }));
      return software ? [] : [64, 128, 256].map((workgroup) => ({ strategy, workgroup }));
    case 'split': {
      // Backward, the splits of rows are also those of dweight: these have a number of their own.
      const counts = direction === 'backward' && geometry.inner === 1 ? splitCounts.slice(2) : splitCounts;
      const workgroups = software ? [4, 16, 64] : [64, 256];
      return [
        { strategy },
        ...workgroups.map((workgroup) => ({ strategy, workgroup })),
        ...counts.map((splits) => ({ strategy, splits })),
      ];
    }
  }
}
