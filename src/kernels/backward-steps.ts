// The dispatches that backward passes are made of.
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Step } from '../gpu/program.ts';
import type { Chunk } from '../plan/chunks.ts';
import { type Geometry, setCount, setSize } from '../plan/geometry.ts';
import { type BackwardSchedule, quadsOf, type Team } from '../plan/strategy.ts';
import { assemble } from './assemble.ts';
import type { BackwardDescriptor } from './descriptor.ts';
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
  partialsOf,
  reduceFragment,
  runsOf,
  teamConstants,
  tensorsFragment,
  workgroupsFor,
} from './parts.ts';
import type { Role } from './roles.ts';
import * as shaders from './sources.ts';

/** Everything that the steps of a chunk are made from. */
export interface At extends Part {
  d: BackwardDescriptor;
  schedule: BackwardSchedule;
  facts: DeviceFacts;
  /** Where the gradient of y, or of z, is read. */
  upstream: 'dy' | 'dz';
}

/** The same with the gradient that an earlier pass stored in dresidual: neither residual nor activation is left. */
export const withStoredUpstream = (at: At): At =>
  at.d.residual === 'after'
    ? { ...at, d: { ...at.d, residual: 'none', activation: 'none' }, upstream: 'dz' }
    : at;

const statistics = (d: BackwardDescriptor): Role[] => (d.kind === 'moments' ? ['mean', 'rstd'] : ['rstd']);
/** What the first pass of a split gets statistics from: one binding where residual and dresidual take two. */
const sumsStatistics = (d: BackwardDescriptor): Role[] =>
  d.residual === 'after' ? ['statistics'] : statistics(d);
const biases = (d: BackwardDescriptor): Role[] => (d.activation === 'none' ? [] : ['bias']);
const residuals = (d: BackwardDescriptor): Role[] => (d.residual === 'after' ? ['residual'] : []);
const dresiduals = (d: BackwardDescriptor): Role[] => (d.residual === 'after' ? ['dresidual'] : []);
const dsums = (d: BackwardDescriptor): Role[] => (d.dsum ? ['dsum'] : []);
const shiftFragment = (d: BackwardDescriptor) =>
  d.activation === 'none' ? shaders.shiftNone : shaders.shift;
const dsumFragment = (d: BackwardDescriptor) => (d.dsum ? shaders.dsum : shaders.dsumNone);
const means = (d: BackwardDescriptor): Role[] => (d.kind === 'moments' ? ['mean'] : []);
const savedFragment = (d: BackwardDescriptor) =>
  d.kind === 'moments' ? shaders.savedMoments : shaders.savedMeanSquare;
const sumsSavedFragment = (d: BackwardDescriptor) =>
  d.residual === 'after' ? shaders.savedPacked : savedFragment(d);

/** mean and rstd in one array. */
export function packStatistics({ d, g, params }: At): Step {
  const team = { workgroup: 64, lanes: 1, reduction: 'serial' } as const;
  return {
    kernel: assemble({
      main: shaders.mergePack,
      fragments: [],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['mean', 'rstd'],
      writes: ['statistics'],
      constants: { WORKGROUP: team.workgroup },
    }),
    params: packParams(params),
    ranges: {},
    workgroups: workgroupsFor(setCount(g), team),
  };
}

/** A chunk's share of the gradient slots, in proportion to its rows. */
export function slotsOfChunk(schedule: BackwardSchedule, chunk: Chunk, geometry: Geometry): number {
  const share = Math.ceil((schedule.gradientSlots * chunk.samples) / geometry.samples);
  const rounds = Math.ceil(chunk.samples / share);
  return Math.ceil(chunk.samples / rounds);
}

/** dx and the gradient partials of rows that stay in registers. */
export function onePassPerRow({ d, g, params, schedule, facts, ranges }: At, slots: number): Step {
  const { team, items, vec4 } = schedule;
  return {
    kernel: assemble({
      main: shaders.rowsBackwardTile,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        affineFragment(g, vec4),
        savedFragment(d),
        shaders.gradientSums,
        reduceFragment(team),
        ...activationFragments(d, 'backward'),
        shiftFragment(d),
        dsumFragment(d),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', ...dsums(d), 'weight', ...biases(d), ...statistics(d)],
      writes: ['dx', 'gradients'],
      constants: {
        ...teamConstants(team, facts),
        ...affineConstants(d),
        ...activationConstants(d),
        HAS_PARTIALS: d.dweight || d.dbias,
      },
      items,
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...params,
      rows: setCount(g),
      cols: setSize(g),
      slots,
      rounds: Math.ceil(setCount(g) / slots),
    }),
    ranges,
    workgroups: workgroupsFor(slots, team),
  };
}

/** Σg and Σg·x̂ per (row, slot), or Σdy and Σdy·x̂ per (sample, position, channel, slot). */
export function runSums({ d, g, params, schedule, facts, ranges }: At): Step {
  const { team, slots, fourRows, vec4 } = schedule;
  const { perChannel, runs, cols, fragment } = runsOf(g);
  const slotLength = Math.ceil(quadsOf(cols) / slots);
  return {
    kernel: assemble({
      main: shaders.rowsBackwardSums,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        perChannel ? shaders.affineRun : affineFragment(g, vec4),
        sumsSavedFragment(d),
        shaders.gradientSums,
        reduceFragment(team),
        fragment,
        ...activationFragments(d, 'backward'),
        shiftFragment(d),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', ...residuals(d), 'weight', ...biases(d), ...sumsStatistics(d)],
      writes: ['partials', ...dresiduals(d)],
      constants: {
        ...teamConstants(team, facts),
        ...affineConstants(d),
        ...activationConstants(d),
        FOUR_ROWS: fourRows,
      },
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
    workgroups: workgroupsFor((fourRows ? Math.ceil(runs / 4) : runs) * slots, team),
  };
}

export function channelSums({ d, g, params, schedule, facts, ranges }: At): Step {
  const { team, slots, vec4 } = schedule;
  const walk = columnsOf(g, schedule);
  return {
    kernel: assemble({
      main: shaders.channelsBackwardSums,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        sumsSavedFragment(d),
        shaders.columns,
        shaders.columnStatistics,
        ...activationFragments(d, 'backward'),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', ...residuals(d), 'weight', 'bias', ...sumsStatistics(d)],
      writes: ['partials', ...dresiduals(d)],
      constants: { ...teamConstants(team, facts), ...affineConstants(d), ...activationConstants(d) },
    }),
    params: packParams({
      ...params,
      ...walk,
      block: blockOf(walk.slot_length / 16),
    }),
    ranges,
    workgroups: workgroupsFor(g.samples * slots * quadsOf(walk.cols), team),
  };
}

export function mergeSums(
  { d, g, params, schedule, facts, ranges }: At,
  perChannel: boolean,
  { width, slots, inner } = partialsOf(g, schedule),
): Step {
  const { merge } = schedule;
  return {
    kernel: assemble({
      main: shaders.mergeSums,
      fragments: [shaders.affine, shaders.gradientSums, reduceFragment(merge)],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['partials', 'weight', 'rstd'],
      writes: ['sums'],
      constants: {
        ...teamConstants(merge, facts),
        ...affineConstants(d),
        PER_CHANNEL: perChannel,
        FROZEN: d.frozen === true,
      },
      subgroups: merge.reduction === 'subgroups',
    }),
    params: packParams({
      ...params,
      channels: width,
      inner,
      slots,
      block: blockOf((slots * (width / g.groups)) / merge.lanes),
    }),
    ranges,
    workgroups: workgroupsFor(setCount(g), merge),
  };
}

/** dx and the gradient partials of rows whose sums are known. */
export function columns({ d, g, params, schedule, facts, ranges, upstream }: At, slots: number): Step {
  const team = { workgroup: schedule.columnsWorkgroup, lanes: 1, reduction: 'serial' } as const;
  const { twoQuads, vec4 } = schedule;
  const rows = setCount(g);
  return {
    kernel: assemble({
      main: shaders.rowsBackwardColumns,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        affineFragment(g, vec4),
        savedFragment(d),
        ...activationFragments(d, 'backward'),
        shiftFragment(d),
        dsumFragment(d),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', upstream, ...dsums(d), 'weight', ...biases(d), ...means(d), 'sums'],
      writes: ['dx', 'gradients'],
      constants: {
        ...teamConstants(team, facts),
        ...affineConstants(d),
        ...activationConstants(d),
        HAS_PARTIALS: d.dweight || d.dbias,
        TWO_QUADS: twoQuads,
      },
    }),
    params: packParams({
      ...params,
      rows,
      cols: setSize(g),
      slots,
      slot_length: Math.ceil(rows / slots),
      block: blockOf(rows / slots),
    }),
    ranges,
    workgroups: workgroupsFor(slots * Math.ceil(quadsOf(setSize(g)) / (twoQuads ? 2 : 1)), team),
  };
}

/** dx and the gradient partials of sets of contiguous channels, one team per set. */
export function onePassPerChannel({ d, g, params, schedule, facts, ranges }: At): Step {
  const { team, vec4 } = schedule;
  return {
    kernel: assemble({
      main: shaders.rowsBackwardChannels,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        shaders.affineRun,
        savedFragment(d),
        shaders.gradientSums,
        reduceFragment(team),
        ...activationFragments(d, 'backward'),
        shiftFragment(d),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'weight', ...biases(d), 'mean', 'rstd'],
      writes: ['dx', 'partials'],
      constants: { ...teamConstants(team, facts), ...affineConstants(d), ...activationConstants(d) },
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...params,
      block: blockOf(quadsOf(g.inner) / team.lanes / 16),
    }),
    ranges,
    workgroups: workgroupsFor(setCount(g), team),
  };
}

export function runApply({ d, g, params, schedule, facts, ranges, upstream }: At): Step {
  const { team, slots, vec4 } = schedule;
  const { runs, cols, fragment } = runsOf(g);
  return {
    kernel: assemble({
      main: shaders.rowsBackwardApply,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        shaders.affineRun,
        savedFragment(d),
        fragment,
        ...activationFragments(d, 'backward'),
        shiftFragment(d),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', upstream, 'weight', ...biases(d), 'mean', 'sums'],
      writes: ['dx'],
      constants: {
        ...teamConstants({ ...team, reduction: 'serial' }, facts),
        ...affineConstants(d),
        ...activationConstants(d),
        FROZEN: d.frozen === true,
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
}

export function channelApply({ d, g, params, schedule, facts, ranges, upstream }: At): Step {
  const { team, slots, vec4 } = schedule;
  const walk = columnsOf(g, schedule);
  return {
    kernel: assemble({
      main: shaders.channelsBackwardApply,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        shaders.savedMoments,
        shaders.columns,
        shaders.columnStatistics,
        ...activationFragments(d, 'backward'),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', upstream, 'weight', 'bias', 'mean', 'rstd', 'sums'],
      writes: ['dx'],
      constants: {
        ...teamConstants(team, facts),
        ...affineConstants(d),
        ...activationConstants(d),
        FROZEN: d.frozen === true,
      },
    }),
    params: packParams({ ...params, ...walk }),
    ranges,
    workgroups: workgroupsFor(g.samples * slots * quadsOf(walk.cols), team),
  };
}

/** dweight and dbias: the sum of their partials. */
export function mergeGradients(
  d: BackwardDescriptor,
  team: Team,
  slots: number,
  inner: number,
  role: 'partials' | 'gradients',
  accumulate: BackwardDescriptor['accumulate'],
  facts: DeviceFacts,
): Step {
  const { channels } = d.geometry;
  return {
    kernel: assemble({
      main: shaders.mergeGradients,
      fragments: [shaders.affine, shaders.gradientSums, reduceFragment(team)],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: [role],
      writes: ['dweight', 'dbias'],
      constants: {
        ...teamConstants(team, facts),
        HAS_WEIGHT: d.dweight,
        HAS_BIAS: d.dbias,
        ACCUMULATE_WEIGHT: accumulate.dweight,
        ACCUMULATE_BIAS: accumulate.dbias,
      },
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...geometryParams(d.geometry, d.eps),
      inner,
      slots,
      block: blockOf(slots / team.lanes),
    }),
    ranges: { [role]: { offset: 0, size: Math.max(8, 8 * slots * channels * inner) } },
    workgroups: workgroupsFor(channels, team),
  };
}
