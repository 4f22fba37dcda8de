import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import { chunksOf } from '../plan/chunks.ts';
import { elementCount, type Geometry, setCount, setSize } from '../plan/geometry.ts';
import { scheduleForward } from '../plan/schedule.ts';
import { type ForwardSchedule, quadsOf } from '../plan/strategy.ts';
import { assemble } from './assemble.ts';
import type { ForwardDescriptor } from './descriptor.ts';
import { packParams } from './params.ts';
import {
  activationConstants,
  activationFragments,
  affineConstants,
  affineFragment,
  blockOf,
  columnsOf,
  geometryParams,
  type Part,
  parameterBytes,
  partialsOf,
  partOf,
  reduceFragment,
  runsOf,
  teamConstants,
  tensorsFragment,
  workgroupsFor,
} from './parts.ts';
import type { Role } from './roles.ts';
import * as shaders from './sources.ts';

/** The dispatches of a forward pass. Roles: x, residual, weight, bias in; y, sum, mean, rstd out. */
export function forwardProgram(d: ForwardDescriptor, facts: DeviceFacts): Program {
  const counting = d.running === 'update' && d.counted ? [count(d)] : [];
  const steps: Step[] = counting;
  if (d.stage === 'joined') steps.push(joinedStatistics(d));
  if (elementCount(d.geometry) === 0) return { steps, scratch: {} };
  // Running statistics, and those of replicas, are a matter of the merge, which only a split has.
  const options = d.running || d.stage ? { ...d.schedule, strategy: 'split' as const } : d.schedule;
  const schedule = scheduleForward(d.geometry, facts, options);
  const partials = partialsOf(d.geometry, schedule);
  const split = schedule.strategy === 'split' && d.running !== 'frozen' && d.stage !== 'joined';
  const partialBytes = split ? 16 * partials.slots * partials.width : 0;
  const chunks = chunksOf(d.geometry, byteSize(d.dtype), [partialBytes], parameterBytes(d), facts);
  if (d.running === 'frozen') steps.push(frozenStatistics(d));
  for (const chunk of chunks) {
    const part = partOf(d, chunk, facts);
    if (schedule.strategy !== 'split') {
      steps.push(onePass(d, part, schedule, facts));
      continue;
    }
    const { columns } = schedule;
    if (split) {
      const statistics = columns ? channelStatistics : runStatistics;
      steps.push(statistics(d, part, schedule, facts), mergeStatistics(d, part, schedule, facts));
    }
    if (d.stage !== 'local') steps.push((columns ? channelApply : runApply)(d, part, schedule, facts));
  }
  const most = Math.max(...chunks.map(({ samples }) => samples));
  const scratch: Record<string, number> = split ? { partials: most * partialBytes } : {};
  if (d.stage === 'local') scratch.rstd = 4 * setCount(d.geometry); // nobody's, but the merge writes it
  if (tracksInstances(d)) {
    steps.push(mergeInstances(d));
    scratch.instances = 8 * setCount(d.geometry);
  }
  return { steps, scratch };
}

type Maker = (d: ForwardDescriptor, part: Part, schedule: ForwardSchedule, facts: DeviceFacts) => Step;

/** What is normalized. */
const inputs = (d: ForwardDescriptor): Role[] => (d.residual === 'before' ? ['x', 'residual'] : ['x']);
/** What y is made from, beside parameters and statistics. */
const tensors = (d: ForwardDescriptor): Role[] => (d.residual === 'none' ? ['x'] : ['x', 'residual']);
const outputs = (d: ForwardDescriptor): Role[] => (d.residual === 'before' ? ['y', 'sum'] : ['y']);
const statistics = (d: ForwardDescriptor): Role[] => (d.kind === 'moments' ? ['mean', 'rstd'] : ['rstd']);
const inputFragment = (d: ForwardDescriptor) =>
  d.residual === 'before' ? shaders.inputResidual : shaders.inputX;
const momentsFragment = (d: ForwardDescriptor) =>
  d.kind === 'moments' ? shaders.moments : shaders.meanSquare;
const savedFragment = (d: ForwardDescriptor) =>
  d.kind === 'moments' ? shaders.savedMoments : shaders.savedMeanSquare;

function affineSettings(d: ForwardDescriptor, g: Geometry): Record<string, number | boolean> {
  return { ...affineConstants(d), ...(g.inner > 1 ? { QUAD_IN_CHANNEL: g.inner % 4 === 0 } : {}) };
}

/** Whether running statistics are updated with those of several instances (InstanceNorm). */
const tracksInstances = ({ running, geometry }: ForwardDescriptor): boolean =>
  running === 'update' && geometry.samples > 1;

/** What becomes of a set's statistics beside `mean` and `rstd`. */
function trackingOf(d: ForwardDescriptor) {
  if (d.stage === 'local') {
    return { fragment: shaders.runningDeviations, reads: [], writes: ['deviations' as const], constants: {} };
  }
  if (d.running !== 'update') return { fragment: shaders.runningNone, reads: [], writes: [], constants: {} };
  if (tracksInstances(d)) {
    return { fragment: shaders.runningInstances, reads: [], writes: ['instances' as const], constants: {} };
  }
  return {
    fragment: shaders.runningUpdate,
    reads: ['numBatchesTracked' as const],
    writes: ['runningMean' as const, 'runningVar' as const],
    constants: { CUMULATIVE: d.momentum === null },
  };
}

/** One batch more. */
function count(d: ForwardDescriptor): Step {
  return {
    kernel: assemble({
      main: shaders.mergeCount,
      fragments: [],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: [],
      writes: ['numBatchesTracked'],
      constants: {},
    }),
    params: packParams({}),
    ranges: {},
    workgroups: 1,
  };
}

/** mean and rstd from the running statistics. */
function frozenStatistics(d: ForwardDescriptor): Step {
  const team = { workgroup: 64, lanes: 1, reduction: 'serial' } as const;
  return {
    kernel: assemble({
      main: shaders.mergeFrozen,
      fragments: [],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['runningMean', 'runningVar'],
      writes: ['mean', 'rstd'],
      constants: { WORKGROUP: team.workgroup },
    }),
    params: packParams(geometryParams(d.geometry, d.eps)),
    ranges: {},
    workgroups: workgroupsFor(setCount(d.geometry), team),
  };
}

/** mean and rstd, and the running statistics, from the statistics of all replicas. */
function joinedStatistics(d: ForwardDescriptor): Step {
  const team = { workgroup: 64, lanes: 1, reduction: 'serial' } as const;
  const tracking = trackingOf(d);
  return {
    kernel: assemble({
      main: shaders.mergeJoined,
      fragments: [tracking.fragment],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['joined', ...tracking.reads],
      writes: ['mean', 'rstd', ...tracking.writes],
      constants: { WORKGROUP: team.workgroup, ...tracking.constants },
    }),
    params: packParams({
      ...geometryParams(d.geometry, d.eps),
      count: d.total ?? 0,
      momentum: d.momentum ?? 0,
    }),
    ranges: {},
    workgroups: workgroupsFor(d.geometry.channels, team),
  };
}

/** The running statistics from those of all instances. */
function mergeInstances(d: ForwardDescriptor): Step {
  const { samples, channels } = d.geometry;
  const team = { workgroup: 64, lanes: 1, reduction: 'serial' } as const;
  return {
    kernel: assemble({
      main: shaders.mergeInstances,
      fragments: [],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['instances'],
      writes: ['runningMean', 'runningVar'],
      constants: { WORKGROUP: team.workgroup },
    }),
    params: packParams({
      ...geometryParams(d.geometry, d.eps),
      momentum: d.momentum ?? 0,
      block: blockOf(samples),
    }),
    ranges: {},
    workgroups: workgroupsFor(channels, team),
  };
}

const onePassKernels = {
  thread: shaders.rowsForwardThread,
  tile: shaders.rowsForwardTile,
  workgroup: shaders.rowsForwardStream,
} as const;

/** Statistics and y in one dispatch. */
const onePass: Maker = (d, { g, params, ranges }, { strategy, team, items, fourRows, vec4 }, facts) => {
  const tile = strategy === 'tile';
  const thread = strategy === 'thread';
  const rows = setCount(g);
  const cols = setSize(g);
  const perLane = Math.ceil(quadsOf(cols) / team.lanes);
  return {
    kernel: assemble({
      main: onePassKernels[strategy as keyof typeof onePassKernels],
      fragments: [
        tensorsFragment(vec4),
        inputFragment(d),
        shaders.affine,
        affineFragment(g, vec4),
        momentsFragment(d),
        ...(thread ? [] : [reduceFragment(team)]),
        shaders.scan,
        ...activationFragments(d, 'forward'),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: [...tensors(d), 'weight', 'bias'],
      writes: [...outputs(d), ...statistics(d)],
      constants: {
        ...teamConstants(team, facts),
        ...affineSettings(d, g),
        ...activationConstants(d),
        ...(thread ? { FOUR_ROWS: fourRows } : {}),
      },
      ...(tile ? { items } : {}),
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({ ...params, rows, cols, block: blockOf(perLane / 16) }),
    ranges,
    workgroups: workgroupsFor(fourRows ? Math.ceil(rows / 4) : rows, team),
  };
};

const runStatistics: Maker = (d, { g, params, ranges }, { team, slots, vec4 }, facts) => {
  const { runs, cols, fragment } = runsOf(g);
  const slotLength = Math.ceil(quadsOf(cols) / slots);
  return {
    kernel: assemble({
      main: shaders.rowsStatistics,
      fragments: [
        tensorsFragment(vec4),
        inputFragment(d),
        momentsFragment(d),
        reduceFragment(team),
        shaders.scan,
        fragment,
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: inputs(d),
      writes: ['partials'],
      constants: teamConstants(team, facts),
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...params,
      rows: runs,
      cols,
      slots,
      slot_length: slotLength,
      block: blockOf(slotLength / team.lanes / 16),
    }),
    ranges,
    workgroups: workgroupsFor(runs * slots, team),
  };
};

const channelStatistics: Maker = (d, { g, params, ranges }, schedule, facts) => {
  const { team, slots, vec4 } = schedule;
  const walk = columnsOf(g, schedule);
  return {
    kernel: assemble({
      main: shaders.channelsStatistics,
      fragments: [tensorsFragment(vec4), inputFragment(d), shaders.affine, shaders.moments, shaders.columns],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x'],
      writes: ['partials'],
      constants: teamConstants(team, facts),
    }),
    params: packParams({
      ...params,
      ...walk,
      block: blockOf(walk.slot_length / 64),
    }),
    ranges,
    workgroups: workgroupsFor(g.samples * slots * quadsOf(walk.cols), team),
  };
};

const mergeStatistics: Maker = (d, { g, params, ranges }, schedule, facts) => {
  const { merge } = schedule;
  const partials = partialsOf(g, schedule);
  const tracking = trackingOf(d);
  return {
    kernel: assemble({
      main: shaders.mergeStatistics,
      fragments: [
        // moments.wgsl masks what it sums, though nothing is summed here.
        tensorsFragment(true),
        momentsFragment(d),
        reduceFragment(merge),
        tracking.fragment,
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['partials', ...tracking.reads],
      writes: [...statistics(d), ...tracking.writes],
      constants: { ...teamConstants(merge, facts), ...tracking.constants },
      subgroups: merge.reduction === 'subgroups',
    }),
    params: packParams({
      ...params,
      channels: partials.width,
      slots: partials.slots,
      block: blockOf((partials.slots * (partials.width / g.groups)) / merge.lanes),
      momentum: d.momentum ?? 0,
    }),
    ranges,
    workgroups: workgroupsFor(setCount(g), merge),
  };
};

const runApply: Maker = (d, { g, params, ranges }, { team, slots, vec4 }, facts) => {
  const { perChannel, runs, cols, fragment } = runsOf(g);
  return {
    kernel: assemble({
      main: shaders.rowsApply,
      fragments: [
        tensorsFragment(vec4),
        inputFragment(d),
        shaders.affine,
        perChannel ? shaders.affineRun : affineFragment(g, vec4),
        savedFragment(d),
        fragment,
        ...activationFragments(d, 'forward'),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: [...tensors(d), 'weight', 'bias', ...statistics(d)],
      writes: outputs(d),
      constants: {
        ...teamConstants({ ...team, reduction: 'serial' }, facts),
        ...affineConstants(d),
        ...activationConstants(d),
      },
    }),
    params: packParams({
      ...params,
      rows: runs,
      cols,
      slots,
      slot_length: Math.ceil(quadsOf(cols) / slots),
    }),
    ranges,
    workgroups: workgroupsFor(runs * slots, team),
  };
};

const channelApply: Maker = (d, { g, params, ranges }, schedule, facts) => {
  const { team, slots, vec4 } = schedule;
  const walk = columnsOf(g, schedule);
  return {
    kernel: assemble({
      main: shaders.channelsApply,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        shaders.savedMoments,
        shaders.columns,
        shaders.columnStatistics,
        ...activationFragments(d, 'forward'),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: [...tensors(d), 'weight', 'bias', 'mean', 'rstd'],
      writes: ['y'],
      constants: { ...teamConstants(team, facts), ...affineConstants(d), ...activationConstants(d) },
    }),
    params: packParams({ ...params, ...walk }),
    ranges,
    workgroups: workgroupsFor(g.samples * slots * quadsOf(walk.cols), team),
  };
};
