import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import { type Chunk, chunksOf } from '../plan/chunks.ts';
import { elementCount, type Geometry, setCount, setSize } from '../plan/geometry.ts';
import { type ForwardSchedule, familyOf, quadsOf, scheduleForward } from '../plan/schedule.ts';
import { assemble } from './assemble.ts';
import type { ForwardDescriptor } from './descriptor.ts';
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

/** The dispatches of a forward pass. Roles: x, residual, weight, bias in; y, sum, mean, rstd out. */
export function forwardProgram(d: ForwardDescriptor, facts: DeviceFacts): Program {
  if (elementCount(d.geometry) === 0) return { steps: [], scratch: {} };
  const schedule = scheduleForward(d.geometry, facts, d.schedule);
  const { groups } = d.geometry;
  const chunks = chunksOf(d.geometry, byteSize(d.dtype), [8 * groups, 4 * groups], facts);
  const steps: Step[] = [];
  let partialBytes = 0;
  for (const chunk of chunks) {
    const g = { ...d.geometry, samples: chunk.samples };
    if (schedule.strategy !== 'split') {
      steps.push(onePass(d, g, chunk, schedule, facts));
      continue;
    }
    const rows = familyOf(g) === 'rows';
    const width = rows ? g.groups : g.channels;
    partialBytes = Math.max(partialBytes, 16 * g.samples * schedule.slots * width);
    steps.push(
      rows ? rowStatistics(d, g, chunk, schedule, facts) : channelStatistics(d, g, chunk, schedule, facts),
      mergeStatistics(d, g, chunk, schedule, facts),
      rows ? rowApply(d, g, chunk, schedule, facts) : channelApply(d, g, chunk, schedule, facts),
    );
  }
  return { steps, scratch: partialBytes > 0 ? { partials: partialBytes } : {} };
}

type Maker = (
  d: ForwardDescriptor,
  g: Geometry,
  chunk: Chunk,
  schedule: ForwardSchedule,
  facts: DeviceFacts,
) => Step;

const inputs = (d: ForwardDescriptor): Role[] => (d.residual ? ['x', 'residual'] : ['x']);
const outputs = (d: ForwardDescriptor): Role[] => (d.residual ? ['y', 'sum'] : ['y']);
const statistics = (d: ForwardDescriptor): Role[] => (d.kind === 'moments' ? ['mean', 'rstd'] : ['rstd']);
const inputFragment = (d: ForwardDescriptor) => (d.residual ? shaders.inputResidual : shaders.inputX);
const momentsFragment = (d: ForwardDescriptor) =>
  d.kind === 'moments' ? shaders.moments : shaders.meanSquare;
const savedFragment = (d: ForwardDescriptor) =>
  d.kind === 'moments' ? shaders.savedMoments : shaders.savedMeanSquare;

function affineSettings(d: ForwardDescriptor, g: Geometry): Record<string, number | boolean> {
  return { ...affineConstants(d), ...(g.inner > 1 ? { QUAD_IN_CHANNEL: g.inner % 4 === 0 } : {}) };
}

const onePassKernels = {
  thread: shaders.rowsForwardThread,
  tile: shaders.rowsForwardTile,
  workgroup: shaders.rowsForwardStream,
} as const;

/** Statistics and y in one dispatch. */
const onePass: Maker = (d, g, chunk, { strategy, team, items, fourRows, vec4 }, facts) => {
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
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: [...inputs(d), 'weight', 'bias'],
      writes: [...outputs(d), ...statistics(d)],
      constants: {
        ...teamConstants(team, facts),
        ...affineSettings(d, g),
        ...(thread ? { FOUR_ROWS: fourRows } : {}),
      },
      ...(tile ? { items } : {}),
      subgroups: team.reduction === 'subgroups',
    }),
    params: packParams({ ...geometryParams(g, d.eps), rows, cols, block: blockOf(perLane / 16) }),
    ranges: chunkRanges(d, chunk),
    workgroups: workgroupsFor(fourRows ? Math.ceil(rows / 4) : rows, team),
  };
};

const rowStatistics: Maker = (d, g, chunk, { team, slots, vec4 }, facts) => {
  const rows = setCount(g);
  const cols = setSize(g);
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
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: inputs(d),
      writes: ['partials'],
      constants: teamConstants(team, facts),
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
    ranges: chunkRanges(d, chunk),
    workgroups: workgroupsFor(rows * slots, team),
  };
};

const channelStatistics: Maker = (d, g, chunk, { team, slots, vec4 }, facts) => {
  const slotLength = Math.ceil(g.positions / slots);
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
      ...geometryParams(g, d.eps),
      slots,
      slot_length: slotLength,
      block: blockOf(slotLength / 64),
    }),
    ranges: chunkRanges(d, chunk),
    workgroups: workgroupsFor(g.samples * slots * quadsOf(g.channels), team),
  };
};

const mergeStatistics: Maker = (d, g, chunk, { merge, slots }, facts) => ({
  kernel: assemble({
    main: shaders.mergeStatistics,
    fragments: [
      // moments.wgsl masks what it sums, though nothing is summed here.
      tensorsFragment(true),
      momentsFragment(d),
      reduceFragment(merge),
    ],
    dtype: d.dtype,
    paramDtype: d.paramDtype,
    reads: ['partials'],
    writes: statistics(d),
    constants: teamConstants(merge, facts),
    subgroups: merge.reduction === 'subgroups',
  }),
  params: packParams({
    ...geometryParams(g, d.eps),
    // A split row counts as one channel of its group.
    channels: familyOf(g) === 'rows' ? g.groups : g.channels,
    slots,
    block: blockOf((slots * (familyOf(g) === 'rows' ? 1 : g.channels / g.groups)) / merge.lanes),
  }),
  ranges: chunkRanges(d, chunk),
  workgroups: workgroupsFor(setCount(g), merge),
});

const rowApply: Maker = (d, g, chunk, { team, slots, vec4 }, facts) => {
  const rows = setCount(g);
  const cols = setSize(g);
  return {
    kernel: assemble({
      main: shaders.rowsApply,
      fragments: [
        tensorsFragment(vec4),
        inputFragment(d),
        shaders.affine,
        affineFragment(g, vec4),
        savedFragment(d),
      ],
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      reads: [...inputs(d), 'weight', 'bias', ...statistics(d)],
      writes: outputs(d),
      constants: { ...teamConstants({ ...team, reduction: 'serial' }, facts), ...affineSettings(d, g) },
    }),
    params: packParams({
      ...geometryParams(g, d.eps),
      rows,
      cols,
      slots,
      slot_length: Math.ceil(quadsOf(cols) / slots),
    }),
    ranges: chunkRanges(d, chunk),
    workgroups: workgroupsFor(rows * slots, team),
  };
};

const channelApply: Maker = (d, g, chunk, { team, slots, vec4 }, facts) => ({
  kernel: assemble({
    main: shaders.channelsApply,
    fragments: [
      tensorsFragment(vec4),
      shaders.affine,
      shaders.savedMoments,
      shaders.columns,
      shaders.columnStatistics,
    ],
    dtype: d.dtype,
    paramDtype: d.paramDtype,
    reads: ['x', 'weight', 'bias', 'mean', 'rstd'],
    writes: ['y'],
    constants: { ...teamConstants(team, facts), ...affineConstants(d) },
  }),
  params: packParams({ ...geometryParams(g, d.eps), slots, slot_length: Math.ceil(g.positions / slots) }),
  ranges: chunkRanges(d, chunk),
  workgroups: workgroupsFor(g.samples * slots * quadsOf(g.channels), team),
});
