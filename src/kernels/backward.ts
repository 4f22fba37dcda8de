import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Range, Step } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import { type Chunk, chunksOf } from '../plan/chunks.ts';
import { elementCount, type Geometry, setCount, setSize } from '../plan/geometry.ts';
import { type BackwardSchedule, familyOf, quadsOf, scheduleBackward } from '../plan/schedule.ts';
import { assemble } from './assemble.ts';
import type { BackwardDescriptor } from './descriptor.ts';
import { packParams } from './params.ts';
import {
  affineConstants,
  affineFragment,
  blockOf,
  chunkRanges,
  geometryParams,
  reduceFragment,
  teamConstants,
  tensorsFragment,
  workgroupsFor,
} from './parts.ts';
import type { Role } from './roles.ts';
import * as shaders from './sources.ts';

/** The dispatches of a backward pass. Roles: x, dy, dsum, weight, mean, rstd in; dx, dweight, dbias out. */
export function backwardProgram(d: BackwardDescriptor, facts: DeviceFacts): Program {
  const { geometry } = d;
  const schedule = scheduleBackward(geometry, facts, d.schedule);
  if (elementCount(geometry) === 0) {
    // The gradients of nothing are zeros: a sum over no slots.
    const zeros = d.dweight || d.dbias ? [mergeGradients(d, schedule, 0, 'gradients', facts)] : [];
    return { steps: geometry.channels > 0 ? zeros : [], scratch: { gradients: 8 } };
  }
  // Where weight belongs to a channel, the sums over a channel's elements serve dweight, dbias and dx alike.
  const perChannel = familyOf(geometry) === 'channels' || geometry.inner > 1;
  const partialBytes = 8 * schedule.slots * geometry.channels;
  const chunks = chunksOf(
    geometry,
    byteSize(d.dtype),
    [8 * geometry.groups, 4 * geometry.groups, ...(perChannel ? [partialBytes] : [])],
    facts,
  );
  const steps: Step[] = [];
  const scratch: Record<string, number> = {};
  const need = (role: string, bytes: number) => {
    scratch[role] = Math.max(scratch[role] ?? 0, bytes);
  };

  let firstSlot = 0;
  for (const chunk of chunks) {
    const g = { ...geometry, samples: chunk.samples };
    const ranges = chunkRanges(d, chunk);
    if (perChannel) {
      // All samples keep their partials: dweight and dbias are their sum.
      const partials = { offset: chunk.firstSample * partialBytes, size: chunk.samples * partialBytes };
      const at = { d, g, schedule, facts, ranges: { ...ranges, partials } };
      need('partials', geometry.samples * partialBytes);
      if (familyOf(g) === 'rows' && schedule.strategy !== 'split') {
        steps.push(onePassPerChannel(at));
      } else {
        need('sums', 16 * setCount(g));
        const sums = { offset: 0, size: 16 * setCount(g) };
        const withSums = { ...at, ranges: { ...at.ranges, sums } };
        steps.push(
          familyOf(g) === 'rows' ? rowSums(at, true) : channelSums(at),
          mergeSums(withSums, true),
          familyOf(g) === 'rows' ? rowApply(withSums) : channelApply(withSums),
        );
      }
      continue;
    }
    const slots = slotsOfChunk(schedule, chunk, geometry);
    const at = { d, g, schedule, facts, ranges };
    if (schedule.strategy === 'tile') {
      steps.push(onePassPerRow(at, firstSlot, slots));
    } else {
      need('partials', 8 * setCount(g) * schedule.slots);
      need('sums', 16 * setCount(g));
      steps.push(rowSums(at, false), mergeSums(at, false), columns(at, firstSlot, slots));
    }
    firstSlot += slots;
    need('gradients', 8 * firstSlot * geometry.channels);
  }
  if (d.dweight || d.dbias) {
    const slots = perChannel ? geometry.samples * schedule.slots : firstSlot;
    steps.push(mergeGradients(d, schedule, slots, perChannel ? 'partials' : 'gradients', facts));
  }
  return { steps, scratch };
}

/** Everything that the steps of a chunk are made from. */
interface At {
  d: BackwardDescriptor;
  g: Geometry;
  schedule: BackwardSchedule;
  facts: DeviceFacts;
  ranges: Partial<Record<Role, Range>>;
}

const statistics = (d: BackwardDescriptor): Role[] => (d.kind === 'moments' ? ['mean', 'rstd'] : ['rstd']);
const means = (d: BackwardDescriptor): Role[] => (d.kind === 'moments' ? ['mean'] : []);
const savedFragment = (d: BackwardDescriptor) =>
  d.kind === 'moments' ? shaders.savedMoments : shaders.savedMeanSquare;

/** A chunk's share of the gradient slots, in proportion to its rows. */
function slotsOfChunk(schedule: BackwardSchedule, chunk: Chunk, geometry: Geometry): number {
  const share = Math.ceil((schedule.gradientSlots * chunk.samples) / geometry.samples);
  const rounds = Math.ceil(chunk.samples / share);
  return Math.ceil(chunk.samples / rounds);
}

/** dx and the gradient partials of rows that stay in registers. */
function onePassPerRow({ d, g, schedule, facts, ranges }: At, firstSlot: number, slots: number): Step {
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
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'dsum', 'weight', ...statistics(d)],
      writes: ['dx', 'gradients'],
      constants: {
        ...teamConstants(team, facts),
        ...affineConstants(d),
        HAS_PARTIALS: d.dweight || d.dbias,
        HAS_DSUM: d.dsum,
      },
      items,
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...geometryParams(g, d.eps),
      rows: setCount(g),
      cols: setSize(g),
      slots,
      first_slot: firstSlot,
      rounds: Math.ceil(setCount(g) / slots),
    }),
    ranges,
    workgroups: workgroupsFor(slots, team),
  };
}

/** Σg and Σg·x̂ per (row, slot), or Σdy and Σdy·x̂ per (sample, channel, slot). */
function rowSums({ d, g, schedule, facts, ranges }: At, perChannel: boolean): Step {
  const { team, slots, fourRows, vec4 } = schedule;
  const rows = perChannel ? g.samples * g.channels : setCount(g);
  const cols = perChannel ? g.inner : setSize(g);
  const slotLength = Math.ceil(quadsOf(cols) / slots);
  return {
    kernel: assemble({
      main: shaders.rowsBackwardSums,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        affineFragment(g, vec4),
        savedFragment(d),
        shaders.gradientSums,
        reduceFragment(team),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'weight', ...statistics(d)],
      writes: ['partials'],
      constants: {
        ...teamConstants(team, facts),
        ...affineConstants(d),
        PER_CHANNEL: perChannel,
        FOUR_ROWS: fourRows,
      },
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...geometryParams(g, d.eps),
      rows,
      cols,
      slots,
      slot_length: slotLength,
      block: blockOf(slotLength / team.lanes / 16),
    }),
    ranges,
    workgroups: workgroupsFor((fourRows ? Math.ceil(rows / 4) : rows) * slots, team),
  };
}

function channelSums({ d, g, schedule, facts, ranges }: At): Step {
  const { team, slots, vec4 } = schedule;
  const slotLength = Math.ceil(g.positions / slots);
  return {
    kernel: assemble({
      main: shaders.channelsBackwardSums,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        shaders.savedMoments,
        shaders.columns,
        shaders.columnStatistics,
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'mean', 'rstd'],
      writes: ['partials'],
      constants: teamConstants(team, facts),
    }),
    params: packParams({
      ...geometryParams(g, d.eps),
      slots,
      slot_length: slotLength,
      block: blockOf(slotLength / 16),
    }),
    ranges,
    workgroups: workgroupsFor(g.samples * slots * quadsOf(g.channels), team),
  };
}

function mergeSums({ d, g, schedule, facts, ranges }: At, perChannel: boolean): Step {
  const { merge, slots } = schedule;
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
      },
      subgroups: merge.reduction === 'subgroups',
    }),
    // A row whose weight is already in its sums counts as one channel.
    params: packParams({ ...geometryParams(g, d.eps), channels: perChannel ? g.channels : g.groups, slots }),
    ranges,
    workgroups: workgroupsFor(setCount(g), merge),
  };
}

/** dx and the gradient partials of rows whose sums are known. */
function columns({ d, g, schedule, facts, ranges }: At, firstSlot: number, slots: number): Step {
  const team = { workgroup: schedule.columnsWorkgroup, lanes: 1, reduction: 'serial' } as const;
  const { twoQuads, vec4 } = schedule;
  const rows = setCount(g);
  return {
    kernel: assemble({
      main: shaders.rowsBackwardColumns,
      fragments: [tensorsFragment(vec4), shaders.affine, affineFragment(g, vec4), savedFragment(d)],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'dsum', 'weight', ...means(d), 'sums'],
      writes: ['dx', 'gradients'],
      constants: {
        ...teamConstants(team, facts),
        ...affineConstants(d),
        HAS_PARTIALS: d.dweight || d.dbias,
        HAS_DSUM: d.dsum,
        TWO_QUADS: twoQuads,
      },
    }),
    params: packParams({
      ...geometryParams(g, d.eps),
      rows,
      cols: setSize(g),
      slots,
      first_slot: firstSlot,
      slot_length: Math.ceil(rows / slots),
    }),
    ranges,
    workgroups: workgroupsFor(slots * Math.ceil(quadsOf(setSize(g)) / (twoQuads ? 2 : 1)), team),
  };
}

/** dx and the gradient partials of sets of contiguous channels, one team per set. */
function onePassPerChannel({ d, g, schedule, facts, ranges }: At): Step {
  const { team, vec4 } = schedule;
  return {
    kernel: assemble({
      main: shaders.rowsBackwardChannels,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        savedFragment(d),
        shaders.gradientSums,
        reduceFragment(team),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'weight', 'mean', 'rstd'],
      writes: ['dx', 'partials'],
      constants: { ...teamConstants(team, facts), ...affineConstants(d) },
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...geometryParams(g, d.eps),
      block: blockOf(quadsOf(g.inner) / team.lanes / 16),
    }),
    ranges,
    workgroups: workgroupsFor(setCount(g), team),
  };
}

function rowApply({ d, g, schedule, facts, ranges }: At): Step {
  const { team, slots, vec4 } = schedule;
  const rows = g.samples * g.channels;
  return {
    kernel: assemble({
      main: shaders.rowsBackwardApply,
      fragments: [tensorsFragment(vec4), shaders.affine, savedFragment(d)],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'weight', 'mean', 'sums'],
      writes: ['dx'],
      constants: {
        ...teamConstants({ ...team, reduction: 'serial' }, facts),
        ...affineConstants(d),
      },
    }),
    params: packParams({
      ...geometryParams(g, d.eps),
      rows,
      cols: g.inner,
      slots,
      slot_length: Math.ceil(quadsOf(g.inner) / slots),
    }),
    ranges,
    workgroups: workgroupsFor(rows * slots, team),
  };
}

function channelApply({ d, g, schedule, facts, ranges }: At): Step {
  const { team, slots, vec4 } = schedule;
  return {
    kernel: assemble({
      main: shaders.channelsBackwardApply,
      fragments: [
        tensorsFragment(vec4),
        shaders.affine,
        shaders.savedMoments,
        shaders.columns,
        shaders.columnStatistics,
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: ['x', 'dy', 'weight', 'mean', 'rstd', 'sums'],
      writes: ['dx'],
      constants: { ...teamConstants(team, facts), ...affineConstants(d) },
    }),
    params: packParams({ ...geometryParams(g, d.eps), slots, slot_length: Math.ceil(g.positions / slots) }),
    ranges,
    workgroups: workgroupsFor(g.samples * slots * quadsOf(g.channels), team),
  };
}

/** dweight and dbias: the sum of their partials. */
function mergeGradients(
  d: BackwardDescriptor,
  { gradients: team }: BackwardSchedule,
  slots: number,
  role: 'partials' | 'gradients',
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
        ACCUMULATE: d.accumulate,
      },
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({
      ...geometryParams(d.geometry, d.eps),
      slots,
      block: blockOf(slots / team.lanes),
    }),
    ranges: { [role]: { offset: 0, size: Math.max(8, 8 * slots * channels) } },
    workgroups: workgroupsFor(channels, team),
  };
}
