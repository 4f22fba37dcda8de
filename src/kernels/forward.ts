import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import { bindableBytes, checkWhole, chunksOf, stretchesOf } from '../plan/chunks.ts';
import { elementCount, setCount, setSize } from '../plan/geometry.ts';
import { samplesWithin } from '../plan/grid.ts';
import { scheduleForward, scheduleRowForward } from '../plan/schedule.ts';
import { type ForwardSchedule, quadsOf } from '../plan/strategy.ts';
import { workspaceBudget } from '../plan/workspace.ts';
import type { ForwardDescriptor } from './descriptor.ts';
import {
  activationFragments,
  blockOf,
  channelRuns,
  columnsOf,
  mapConstants,
  type Pass,
  parameterBytes,
  partFrom,
  partialsOf,
  partOf,
  reduceFragment,
  savedFragment,
  setRuns,
  statisticsOf,
  step,
  sumRuns,
  tensorsFragment,
} from './parts.ts';
import type { Role } from './roles.ts';
import type { ShaderSource } from './sources.ts';
import * as shaders from './sources.ts';

type At = Pass<ForwardDescriptor, ForwardSchedule>;

/**
 * The dispatches of a forward pass where every column of a row has a weight: LayerNorm, RMSNorm. Roles: x, residual,
 * weight, bias in; y, sum, mean, rstd out; `summed` is sum again, for what reads it. Where nobody wants mean and rstd, a split
 * has them as scratch.
 */
export function rowForward(d: ForwardDescriptor, facts: DeviceFacts): Program {
  if (elementCount(d.geometry) === 0) return { steps: [], scratch: {} };
  const schedule = scheduleRowForward(d.geometry, facts, d.schedule);
  if (schedule.strategy !== 'split') return inParts(d, schedule, setRuns, facts, {}, (at) => [onePass(at)]);
  const { steps, scratch } = inParts(d, schedule, setRuns, facts, { partials: 16 * schedule.slots }, (at) => [
    runStatistics(at),
    mergeStatistics(at),
    runApply(at),
  ]);
  return { steps, scratch: { ...scratch, ...nobodys(d) } };
}

/** The dispatches of any forward pass. Roles: those of {@link rowForward}, and of running statistics. */
export function forwardProgram(d: ForwardDescriptor, facts: DeviceFacts): Program {
  const { geometry, running, stage } = d;
  const whole = { d, facts, ...partOf(d, { firstSample: 0, samples: geometry.samples }, facts) };
  const before: Step[] = [];
  if (running === 'update' && d.counted) before.push(count(whole));
  if (stage === 'joined') before.push(joinedStatistics(whole));
  if (elementCount(geometry) === 0) return { steps: before, scratch: {} };
  // Running statistics, those of replicas, and variances are a matter of the merge, which only a split has.
  const options = running || stage || d.variance ? { ...d.schedule, strategy: 'split' as const } : d.schedule;
  const schedule = scheduleForward(geometry, facts, options, byteSize(d.dtype));
  if (running === 'frozen') before.push(frozenStatistics(whole));
  const runs = geometry.inner > 1 ? channelRuns : setRuns;
  if (running === 'frozen' || stage === 'joined') {
    return { steps: [...before, ...knownApply(d, schedule, runs, facts)], scratch: nobodys(d) };
  }
  const partials = partialsOf(geometry, schedule);
  const bytes = {
    ...(schedule.strategy === 'split' ? { partials: 16 * partials.slots * partials.width } : {}),
    ...(tracksInstances(d) ? { instances: 8 * geometry.groups } : {}),
  };
  const { steps, scratch } = inParts(d, schedule, runs, facts, bytes, (at) => {
    if (schedule.strategy !== 'split') return [onePass(at)];
    const { columns } = schedule;
    return [
      (columns ? channelStatistics : runStatistics)(at),
      mergeStatistics(at, trackingOf(d)),
      ...(tracksInstances(d) ? [mergeInstances(at)] : []),
      ...(stage === 'local' ? [] : [(columns ? channelApply : runApply)(at)]),
    ];
  });
  if (stage === 'local') scratch.rstd = 4 * setCount(geometry); // nobody's, but the merge writes it
  const unwanted = schedule.strategy === 'split' ? nobodys(d) : {};
  return { steps: [...before, ...steps], scratch: { ...scratch, ...unwanted } };
}

/** Scratch for the statistics of all sets, which one dispatch leaves to another, where nobody else wants them. */
function nobodys(d: ForwardDescriptor): Record<string, number> {
  if (d.statistics !== false) return {};
  const sets = setCount(d.geometry);
  return { ...(d.kind === 'moments' ? { mean: 8 * sets } : {}), rstd: 4 * sets };
}

/** The dispatches over each part of x that bindings and scratch can hold, with so many bytes of scratch per sample. */
function inParts(
  d: ForwardDescriptor,
  schedule: ForwardSchedule,
  runsOf: typeof setRuns,
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
    return stepsOf({ d, schedule, facts, runs: runsOf(part.g, schedule.vec4), ...part });
  });
  const most = Math.max(...chunks.map(({ samples }) => samples));
  const fewer = samplesWithin(steps, most, facts);
  if (fewer < most) return inParts(d, schedule, runsOf, facts, bytes, stepsOf, fewer);
  return {
    steps,
    scratch: Object.fromEntries(Object.entries(bytes).map(([role, each]) => [role, most * each])),
  };
}

/** y where the statistics are known, element by element: x is cut wherever a binding ends. */
function knownApply(
  d: ForwardDescriptor,
  schedule: ForwardSchedule,
  runsOf: typeof setRuns,
  facts: DeviceFacts,
): Step[] {
  const { geometry } = d;
  checkWhole(geometry, parameterBytes(d), facts);
  const bytes = byteSize(d.dtype);
  if (!schedule.columns) {
    const runs = runsOf(geometry, schedule.vec4);
    return stretchesOf(runs.runs, runs.cols, bytes, facts).map(({ run, runs: count, cols, first }) => {
      const part = partFrom(d, geometry, first, count * cols, facts);
      const params = { ...part.params, first_run: run };
      return runApply({ d, schedule, facts, ...part, params, runs: { ...runs, runs: count, cols } });
    });
  }
  // Threads own columns of whole positions, of one sample after the other where one does not fit a binding.
  const { samples, positions, groups } = geometry;
  const all = elementCount(geometry);
  const apart = all * bytes > bindableBytes(bytes, facts);
  const each = apart ? { ...geometry, samples: 1 } : geometry;
  const length = (schedule.fold * all) / (samples * positions);
  return Array.from({ length: samples / each.samples }, (_, sample) =>
    stretchesOf((each.samples * positions) / schedule.fold, length, bytes, facts, true).map(
      ({ runs: rows, first }) => {
        const g = apart ? { ...each, positions: rows * schedule.fold } : each;
        const part = partFrom(d, g, (sample * all) / samples + first, rows * length, facts);
        const params = { ...part.params, first_set: sample * groups };
        return channelApply({ d, schedule, facts, runs: runsOf(g, schedule.vec4), ...part, params });
      },
    ),
  ).flat();
}

/** What is normalized. */
const inputs = (d: ForwardDescriptor): Role[] => (d.residual === 'before' ? ['x', 'residual'] : ['x']);
/** What y is made from, beside parameters and statistics. */
const tensors = (d: ForwardDescriptor): Role[] => (d.residual === 'none' ? ['x'] : ['x', 'residual']);
/** What is stored of what is normalized. */
const sums = (d: ForwardDescriptor): Role[] => (d.residual === 'before' ? ['sum'] : []);
const inputFragment = (d: ForwardDescriptor) =>
  d.residual === 'before' ? shaders.inputResidual : shaders.inputX;
const emitFragment = (vec4: boolean) => (vec4 ? shaders.emitVec4 : shaders.emit);
const momentsFragment = (d: ForwardDescriptor) =>
  d.kind === 'moments' ? shaders.moments : shaders.meanSquare;

/** What becomes of a set's statistics beside `mean` and `rstd`. */
interface Tracking {
  fragments: ShaderSource[];
  reads?: Role[];
  writes?: Role[];
  constants?: Record<string, boolean | number>;
}

/** Whether running statistics are updated with those of several instances (InstanceNorm). */
const tracksInstances = ({ running, geometry }: ForwardDescriptor): boolean =>
  running === 'update' && geometry.samples > 1;

function trackingOf(d: ForwardDescriptor): Tracking {
  const kept = d.variance ? shaders.variance : shaders.varianceNone;
  const writes: Role[] = d.variance ? ['variance'] : [];
  const constants = d.biased ? { CORRECTION: 0 } : {};
  if (d.stage === 'local') return { fragments: [shaders.runningDeviations, kept], writes: ['deviations'] };
  if (d.running !== 'update') return { fragments: [shaders.runningNone, kept], writes };
  if (tracksInstances(d)) {
    return { fragments: [shaders.runningInstances, kept], writes: ['instances', ...writes], constants };
  }
  return {
    fragments: [shaders.runningUpdate, kept],
    reads: ['numBatchesTracked'],
    writes: ['runningMean', 'runningVar', ...writes],
    constants: { ...constants, CUMULATIVE: d.momentum === null },
  };
}

type Whole = Omit<At, 'schedule' | 'runs'>;

/** One batch more. */
const count = (at: Whole): Step =>
  step(at, { main: shaders.mergeCount, reads: [], writes: ['numBatchesTracked'], workers: 1 });

/** mean and rstd from the running statistics. */
const frozenStatistics = (at: Whole): Step =>
  step(at, {
    main: shaders.mergeFrozen,
    reads: ['runningMean', 'runningVar'],
    writes: ['mean', 'rstd'],
    workers: setCount(at.g),
  });

/** mean and rstd, and the running statistics, from the statistics of all replicas. */
function joinedStatistics(at: Whole): Step {
  const { fragments, reads = [], writes = [], constants = {} } = trackingOf(at.d);
  return step(at, {
    main: shaders.mergeJoined,
    // As in the merge of one replica's own.
    fragments: [tensorsFragment(true), momentsFragment(at.d), ...fragments],
    reads: ['joined', ...reads],
    writes: ['mean', 'rstd', ...writes],
    constants,
    numbers: { count: at.d.total ?? 0, momentum: at.d.momentum ?? 0 },
    workers: at.g.channels,
  });
}

/** The running statistics from those of some instances, which stand for their share of the batch. */
const mergeInstances = (at: Whole): Step =>
  step(at, {
    main: shaders.mergeInstances,
    reads: ['instances', 'mean'],
    writes: ['runningMean', 'runningVar'],
    constants: { FIRST: at.params.first_set === 0 },
    numbers: {
      count: at.d.geometry.samples,
      momentum: at.d.momentum ?? 0,
      block: blockOf(at.g.samples),
    },
    workers: at.g.channels,
  });

const onePassKernels = {
  thread: shaders.rowsForwardThread,
  tile: shaders.rowsForwardTile,
  workgroup: shaders.rowsForwardStream,
} as const;

/** Statistics and y in one dispatch. */
function onePass(at: At): Step {
  const { d, g, runs, schedule } = at;
  const { strategy, team, items, fourRows, vec4 } = schedule;
  const thread = strategy === 'thread';
  const wanted = d.statistics !== false;
  const rows = setCount(g);
  const cols = setSize(g);
  return step(at, {
    main: onePassKernels[strategy as keyof typeof onePassKernels],
    fragments: [
      tensorsFragment(vec4),
      inputFragment(d),
      shaders.affine,
      runs.setAffine,
      momentsFragment(d),
      wanted ? shaders.saveAll : shaders.saveNone,
      ...(thread ? [] : [reduceFragment(team)]),
      shaders.scan,
      ...activationFragments(d, 'forward'),
      ...(strategy === 'tile' ? [] : [emitFragment(vec4)]),
    ],
    reads: [...tensors(d), 'weight', 'bias'],
    writes: ['y', ...sums(d), ...(wanted ? statisticsOf(d) : [])],
    constants: { ...mapConstants(d), ...runs.constants, ...(thread ? { FOUR_ROWS: fourRows } : {}) },
    ...(strategy === 'tile' ? { items } : {}),
    numbers: { rows, cols, block: blockOf(Math.ceil(quadsOf(cols) / team.lanes) / 16) },
    team,
    workers: fourRows ? Math.ceil(rows / 4) : rows,
  });
}

/** The numbers of runs that are split into slots. */
function slotNumbers({ runs: { runs, cols }, schedule: { slots } }: At) {
  return { rows: runs, cols, slots, slot_length: Math.ceil(quadsOf(cols) / slots) };
}

function runStatistics(at: At): Step {
  const { d, g, runs, schedule } = at;
  const { team, slots, rounds, vec4 } = schedule;
  const numbers = slotNumbers(at);
  const rows = sumRuns(runs, g, rounds);
  return step(at, {
    main: shaders.rowsStatistics,
    fragments: [
      tensorsFragment(vec4),
      inputFragment(d),
      momentsFragment(d),
      reduceFragment(team),
      shaders.scan,
      runs.fragment,
    ],
    reads: inputs(d),
    writes: ['partials', ...sums(d)],
    numbers: { ...numbers, rows, rounds, block: blockOf(numbers.slot_length / team.lanes / 16) },
    team,
    workers: rows * slots,
  });
}

function channelStatistics(at: At): Step {
  const { g, schedule } = at;
  const walk = columnsOf(g, schedule);
  return step(at, {
    main: shaders.channelsStatistics,
    fragments: [tensorsFragment(schedule.vec4), shaders.affine, shaders.moments, shaders.columns],
    reads: ['x'],
    writes: ['partials'],
    numbers: { ...walk, block: blockOf(walk.slot_length / 64) },
    team: schedule.team,
    workers: g.samples * walk.slots * quadsOf(walk.cols),
  });
}

/** Without a tracking, what only some norms have stays out of the bundles of others. */
const untracked: Tracking = { fragments: [shaders.runningNone, shaders.varianceNone] };

function mergeStatistics(at: At, tracking = untracked): Step {
  const { d, g, schedule } = at;
  const { merge } = schedule;
  const { width, slots } = partialsOf(g, schedule);
  const { fragments, reads = [], writes = [], constants = {} } = tracking;
  return step(at, {
    main: shaders.mergeStatistics,
    // moments.wgsl masks what it sums, though nothing is summed here.
    fragments: [tensorsFragment(true), momentsFragment(d), reduceFragment(merge), ...fragments],
    reads: ['partials', ...reads],
    writes: [...statisticsOf(d), ...writes],
    constants,
    numbers: {
      channels: width,
      slots,
      block: blockOf((slots * (width / g.groups)) / merge.lanes),
      momentum: d.momentum ?? 0,
    },
    team: merge,
    workers: setCount(g),
  });
}

function runApply(at: At): Step {
  const { d, runs, schedule } = at;
  return step(at, {
    main: shaders.rowsApply,
    fragments: [
      tensorsFragment(schedule.vec4),
      shaders.inputX,
      shaders.affine,
      runs.affine,
      savedFragment(d),
      runs.fragment,
      ...activationFragments(d, 'forward'),
      emitFragment(schedule.vec4),
    ],
    reads: [
      ...(d.residual === 'before' ? (['summed'] as const) : tensors(d)),
      'weight',
      'bias',
      ...statisticsOf(d),
    ],
    writes: ['y'],
    constants: mapConstants(d),
    numbers: slotNumbers(at),
    team: { ...schedule.team, reduction: 'serial' },
    workers: runs.runs * schedule.slots,
  });
}

function channelApply(at: At): Step {
  const { d, g, schedule } = at;
  const walk = columnsOf(g, schedule);
  return step(at, {
    main: shaders.channelsApply,
    fragments: [
      tensorsFragment(schedule.vec4),
      shaders.affine,
      shaders.savedMoments,
      shaders.columns,
      shaders.columnStatistics,
      ...activationFragments(d, 'forward'),
    ],
    reads: [...tensors(d), 'weight', 'bias', 'mean', 'rstd'],
    writes: ['y'],
    constants: mapConstants(d),
    numbers: walk,
    team: schedule.team,
    workers: g.samples * walk.slots * quadsOf(walk.cols),
  });
}
