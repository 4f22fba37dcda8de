import meanSquare from '../../shaders/interfaces/statistics/mean_square.wgsl';
import moments from '../../shaders/interfaces/statistics/moments.wgsl';
import deviations from '../../shaders/interfaces/tracking/deviations.wgsl';
import instances from '../../shaders/interfaces/tracking/instances.wgsl';
import update from '../../shaders/interfaces/tracking/update.wgsl';
import columnsApply from '../../shaders/kernels/channels/apply.wgsl';
import columnsStatistics from '../../shaders/kernels/channels/statistics.wgsl';
import countBatch from '../../shaders/kernels/merge/count.wgsl';
import frozen from '../../shaders/kernels/merge/frozen.wgsl';
import joinInstances from '../../shaders/kernels/merge/instances.wgsl';
import joined from '../../shaders/kernels/merge/joined.wgsl';
import joinStatistics from '../../shaders/kernels/merge/statistics.wgsl';
import rowsApply from '../../shaders/kernels/rows/apply.wgsl';
import registers from '../../shaders/kernels/rows/forward_registers.wgsl';
import stream from '../../shaders/kernels/rows/forward_stream.wgsl';
import thread from '../../shaders/kernels/rows/forward_thread.wgsl';
import rowsStatistics from '../../shaders/kernels/rows/statistics.wgsl';
import { byteSize } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { bindableBytes, checkWhole, chunksOf, stretchesOf } from '../plan/chunks.ts';
import { elementCount, setCount, setSize } from '../plan/geometry.ts';
import { samplesWithin } from '../plan/grid.ts';
import { scheduleForward, scheduleRowForward } from '../plan/schedule.ts';
import { type ForwardSchedule, quadsOf } from '../plan/strategy.ts';
import { workspaceBudget } from '../plan/workspace.ts';
import type { Choices } from '../shaders/link.ts';
import type { ForwardDescriptor } from './descriptor.ts';
import {
  blockOf,
  channelSegments,
  columnsOf,
  dispatch,
  normChoices,
  type Pass,
  parameterBytes,
  partFrom,
  partialsOf,
  partOf,
  setSegments,
  sumSegments,
  tensorsChoices,
} from './parts.ts';

type At = Pass<ForwardDescriptor, ForwardSchedule>;

/**
 * The dispatches of a forward pass where every column of a row has a weight: LayerNorm, RMSNorm. Roles: x, residual,
 * weight, bias in; y, sum, mean, rstd out. Where nobody wants mean and rstd, a split
 * has them as scratch.
 */
export function rowForward(d: ForwardDescriptor, facts: DeviceFacts): Program {
  if (elementCount(d.geometry) === 0) return { steps: [], scratch: {} };
  const schedule = scheduleRowForward(d.geometry, facts, d.schedule);
  if (schedule.strategy !== 'split')
    return inParts(d, schedule, setSegments, facts, {}, (at) => [onePass(at)]);
  const { steps, scratch } = inParts(
    d,
    schedule,
    setSegments,
    facts,
    { partials: 16 * schedule.splits },
    (at) => [segmentStatistics(at), mergeStatistics(at), segmentApply(at)],
  );
  return { steps, scratch: { ...scratch, ...unrequestedStatistics(d) } };
}

/** The dispatches of any forward pass. Roles: those of {@link rowForward}, and of running statistics. */
export function forwardProgram(d: ForwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, running, stage } = d;
  const part = partOf(d, { firstSample: 0, samples: geometry.samples }, facts);
  const whole = { d, facts, ...part, choices: { ...normChoices(d), ...statisticsChoices(d) } };
  const given = running === 'frozen' || stage === 'joined';
  const before: Step[] = [];
  if (running === 'update' && d.counted) before.push(count(whole));
  if (stage === 'joined') before.push(joinedStatistics(whole));
  // Those of evaluation do not come from x: they are there where x is empty, too.
  if (running === 'frozen' && setCount(geometry) > 0) before.push(frozenStatistics(whole));
  if (elementCount(geometry) === 0) return { steps: before, scratch: given ? unrequestedStatistics(d) : {} };
  // Running statistics, those of replicas, and variances are a matter of the merge, which only a split has.
  const options = running || stage || d.variance ? { ...d.schedule, strategy: 'split' as const } : d.schedule;
  const schedule = scheduleForward(geometry, facts, options, byteSize(d.dtype));
  const segments = geometry.inner > 1 ? channelSegments : setSegments;
  if (given) {
    return {
      steps: [...before, ...applyGiven(d, schedule, segments, facts)],
      scratch: unrequestedStatistics(d),
    };
  }
  const partials = partialsOf(geometry, schedule);
  const bytes = {
    ...(schedule.strategy === 'split' ? { partials: 16 * partials.splits * partials.width } : {}),
    ...(tracksInstances(d) ? { instances: 8 * geometry.groups } : {}),
  };
  const { steps, scratch } = inParts(d, schedule, segments, facts, bytes, (at) => {
    if (schedule.strategy !== 'split') return [onePass(at)];
    const { columns } = schedule;
    return [
      (columns ? channelStatistics : segmentStatistics)(at),
      mergeStatistics(at, trackingChoices(d)),
      ...(tracksInstances(d) ? [mergeInstances(at)] : []),
      ...(stage === 'local' ? [] : [(columns ? channelApply : segmentApply)(at)]),
    ];
  });
  if (stage === 'local') scratch.rstd = 4 * setCount(geometry); // nobody's, but the merge writes it
  const more = schedule.strategy === 'split' ? unrequestedStatistics(d) : {};
  return { steps: [...before, ...steps], scratch: { ...scratch, ...more } };
}

/** Scratch for the statistics of all sets, which one dispatch leaves to another, where nobody else wants them. */
function unrequestedStatistics(d: ForwardDescriptor): Record<string, number> {
  if (d.statistics !== false) return {};
  const sets = setCount(d.geometry);
  return { ...(d.kind === 'moments' ? { mean: 8 * sets } : {}), rstd: 4 * sets };
}

/** The dispatches over each part of x that bindings and scratch can hold, with so many bytes of scratch per sample. */
function inParts(
  d: ForwardDescriptor,
  schedule: ForwardSchedule,
  segmentsOf: typeof setSegments,
  facts: DeviceFacts,
  bytes: Readonly<Record<string, number>>,
  stepsOf: (at: At) => Step[],
  mostSamples?: number,
): { steps: Step[]; scratch: Record<string, number> } {
  const elementBytes = byteSize(d.dtype);
  const budget = workspaceBudget(d.geometry, elementBytes, facts);
  const each = Object.values(bytes);
  const chunks = chunksOf(d.geometry, elementBytes, each, parameterBytes(d), facts, budget, mostSamples);
  const steps = chunks.flatMap((chunk) => {
    const part = partOf(d, chunk, facts);
    return stepsOf(passOf(d, schedule, segmentsOf, facts, part));
  });
  const most = Math.max(...chunks.map(({ samples }) => samples));
  const fewer = samplesWithin(steps, most, facts);
  if (fewer < most) return inParts(d, schedule, segmentsOf, facts, bytes, stepsOf, fewer);
  return {
    steps,
    scratch: Object.fromEntries(Object.entries(bytes).map(([role, each]) => [role, most * each])),
  };
}

/** y where the statistics are known, element by element: x is cut wherever a binding ends. */
function applyGiven(
  d: ForwardDescriptor,
  schedule: ForwardSchedule,
  segmentsOf: typeof setSegments,
  facts: DeviceFacts,
): Step[] {
  const { geometry } = d;
  checkWhole(geometry, parameterBytes(d), facts);
  const bytes = byteSize(d.dtype);
  if (!schedule.columns) {
    const segments = segmentsOf(geometry, schedule.vec4);
    return stretchesOf(segments.count, segments.cols, bytes, facts).map(({ segment, count, cols, first }) => {
      const part = partFrom(d, geometry, first, count * cols, facts);
      const at = passOf(d, schedule, segmentsOf, facts, part);
      const numbers = { ...at.numbers, first_segment: segment };
      return segmentApply({ ...at, numbers, segments: { ...segments, count, cols } });
    });
  }
  // Threads own columns of whole positions, of one sample after the other where one does not fit a binding.
  const { samples, positions, groups } = geometry;
  const all = elementCount(geometry);
  const apart = all * bytes > bindableBytes(bytes, facts);
  const each = apart ? { ...geometry, samples: 1 } : geometry;
  const length = (schedule.positionsPerRow * all) / (samples * positions);
  return Array.from({ length: samples / each.samples }, (_, sample) =>
    stretchesOf((each.samples * positions) / schedule.positionsPerRow, length, bytes, facts, true).map(
      ({ count: rows, first }) => {
        const g = apart ? { ...each, positions: rows * schedule.positionsPerRow } : each;
        const part = partFrom(d, g, (sample * all) / samples + first, rows * length, facts);
        const at = passOf(d, schedule, segmentsOf, facts, part);
        return channelApply({ ...at, numbers: { ...at.numbers, first_set: sample * groups } });
      },
    ),
  ).flat();
}

/** The statistic of a norm. */
const statisticsChoices = ({ kind }: ForwardDescriptor): Choices => ({
  statistics: kind === 'moments' ? moments : meanSquare,
});

function passOf(
  d: ForwardDescriptor,
  schedule: ForwardSchedule,
  segmentsOf: typeof setSegments,
  facts: DeviceFacts,
  part: ReturnType<typeof partOf>,
): At {
  const segments = segmentsOf(part.g, schedule.vec4);
  const choices = {
    ...normChoices(d),
    ...statisticsChoices(d),
    ...tensorsChoices(schedule.vec4),
    ...segments.choices,
    SAVES: d.statistics !== false,
  };
  return { d, schedule, facts, segments, choices, ...part };
}

/** Whether running statistics are updated with those of several instances (InstanceNorm). */
const tracksInstances = ({ running, geometry }: ForwardDescriptor): boolean =>
  running === 'update' && geometry.samples > 1;

/** What becomes of a set's statistics beside mean and rstd. */
function trackingChoices(d: ForwardDescriptor): Choices {
  const HAS_VARIANCE = d.variance === true;
  if (d.stage === 'local') return { TRACKS: true, tracking: deviations, HAS_VARIANCE };
  if (d.running !== 'update') return { HAS_VARIANCE };
  return {
    TRACKS: true,
    tracking: tracksInstances(d) ? instances : update,
    HAS_VARIANCE,
    CORRECTION: d.biased ? 0 : 1,
    CUMULATIVE: d.momentum === null,
  };
}

type Whole = Omit<At, 'schedule' | 'segments'>;

/** One batch more. */
const count = (at: Whole): Step => dispatch(at, countBatch, { workers: 1 });

/** mean and rstd from the running statistics. */
const frozenStatistics = (at: Whole): Step => dispatch(at, frozen, { workers: setCount(at.g) });

/** mean and rstd, and the running statistics, from the statistics of all replicas. */
const joinedStatistics = (at: Whole): Step =>
  dispatch(at, joined, {
    choices: trackingChoices(at.d),
    numbers: { count: at.d.total ?? 0, momentum: at.d.momentum ?? 0 },
    workers: at.g.channels,
  });

/** The running statistics from those of some instances, which stand for their share of the batch. */
const mergeInstances = (at: Whole): Step =>
  dispatch(at, joinInstances, {
    choices: { FIRST: at.numbers['first_set'] === 0 },
    numbers: {
      count: at.d.geometry.samples,
      momentum: at.d.momentum ?? 0,
      block: blockOf(at.g.samples),
    },
    workers: at.g.channels,
  });

const onePassKernels = { thread, registers, workgroup: stream } as const;

/** Statistics and y in one dispatch. */
function onePass(at: At): Step {
  const { g, segments, schedule } = at;
  const { strategy, team, items, fourRows } = schedule;
  const rows = setCount(g);
  const cols = setSize(g);
  return dispatch(at, onePassKernels[strategy as keyof typeof onePassKernels], {
    choices: { ...segments.setChoices, FOUR_ROWS: fourRows, ITEMS: items },
    numbers: { rows, cols, block: blockOf(Math.ceil(quadsOf(cols) / team.lanes) / 16) },
    team,
    workers: fourRows ? Math.ceil(rows / 4) : rows,
  });
}

/** The numbers of segments that are divided into splits. */
function splitNumbers({ segments: { count, cols }, schedule: { splits } }: At) {
  return { rows: count, cols, splits, split_length: Math.ceil(quadsOf(cols) / splits) };
}

function segmentStatistics(at: At): Step {
  const { g, segments, schedule } = at;
  const { team, splits, planesPerPartial } = schedule;
  const numbers = splitNumbers(at);
  const rows = sumSegments(segments, g, planesPerPartial);
  return dispatch(at, rowsStatistics, {
    numbers: {
      ...numbers,
      rows,
      planes_per_partial: planesPerPartial,
      block: blockOf(numbers.split_length / team.lanes / 16),
    },
    team,
    workers: rows * splits,
  });
}

function channelStatistics(at: At): Step {
  const { g, schedule } = at;
  const walk = columnsOf(g, schedule);
  return dispatch(at, columnsStatistics, {
    numbers: { ...walk, block: blockOf(walk.split_length / 64) },
    team: schedule.team,
    workers: g.samples * walk.splits * quadsOf(walk.cols),
  });
}

/** @param tracking - absent for norms without running statistics, so that what tracks stays out of their bundles. */
function mergeStatistics(at: At, tracking: Choices = {}): Step {
  const { d, g, schedule } = at;
  const { merge } = schedule;
  const { width, splits } = partialsOf(g, schedule);
  return dispatch(at, joinStatistics, {
    choices: tracking,
    numbers: {
      channels: width,
      splits,
      block: blockOf((splits * (width / g.groups)) / merge.lanes),
      momentum: d.momentum ?? 0,
    },
    team: merge,
    workers: setCount(g),
  });
}

function segmentApply(at: At): Step {
  const { d, segments, schedule } = at;
  return dispatch(at, rowsApply, {
    // The residual was added, and the sum stored, with the statistics.
    choices: { ADDS_RESIDUAL: false },
    ...(d.residual === 'before' ? { sources: { x: 'sum' } } : {}),
    numbers: splitNumbers(at),
    team: { ...schedule.team, reduction: 'serial' },
    workers: segments.count * schedule.splits,
  });
}

function channelApply(at: At): Step {
  const { g, schedule } = at;
  const walk = columnsOf(g, schedule);
  return dispatch(at, columnsApply, {
    numbers: walk,
    team: schedule.team,
    workers: g.samples * walk.splits * quadsOf(walk.cols),
  });
}
