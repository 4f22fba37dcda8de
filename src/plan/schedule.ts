import type { DeviceFacts } from '../gpu/facts.ts';
import { longestSplitOf } from './columns.ts';
import { type Geometry, setCount, setSize } from './geometry.ts';
import { mergesRows, mergingOf } from './merging.ts';
import {
  type BackwardSchedule,
  clamp,
  type ForwardSchedule,
  familyOf,
  fitsRegisters,
  powerOfTwoUp,
  quadsOf,
  registerItems,
  type ScheduleOptions,
  type Strategy,
  type Team,
  widestRow,
} from './strategy.ts';
import {
  mergeTeam,
  segmentLanes,
  setLanes,
  shortThreads,
  splitLanes,
  team,
  workgroupLanes,
} from './teams.ts';
import { workspaceBudget } from './workspace.ts';

/**
 * Lanes of a row, and quads in the registers of each.
 *
 * A lane has four quads: enough loads under way, and few partial sums to merge. Where rows are too few to fill the device so, they
 * get more lanes, up to one quad each. Where rows are many times as many as fill it, a row is left to one subgroup, which needs no
 * barrier, as long as no lane has more than eight quads, or four in a backward pass.
 */
function registerShape(
  facts: DeviceFacts,
  rows: number,
  quads: number,
  direction: 'forward' | 'backward',
  options: ScheduleOptions,
): [number, number] {
  const most = registerItems(facts, direction);
  const widest = options.workgroup ?? widestRow(facts, direction, quads);
  const lanesFor = (items: number) => clamp(powerOfTwoUp(Math.ceil(quads / items)), 1, widest);
  // Eight lanes load 128 bytes that lie side by side.
  let lanes = options.lanes ?? Math.max(lanesFor(Math.min(4, most)), Math.min(lanesFor(1), 8));
  if (options.lanes === undefined && !options.batchInvariant && !facts.software) {
    while (lanes < lanesFor(1) && rows * lanes < facts.threads) lanes *= 2;
    const { subgroup } = facts;
    const fits = quads <= subgroup * Math.min(direction === 'forward' ? 8 : 4, most);
    if (fits && lanes > subgroup && rows * subgroup >= 2 * facts.threads) lanes = subgroup;
  }
  return [lanes, Math.ceil(quads / lanes)];
}

/** What holds where a schedule does not say otherwise. */
export const plain = {
  items: 0,
  fourRows: false,
  twoQuads: false,
  splits: 1,
  columns: false,
  positionsPerRow: 1,
  planesPerPartial: 1,
  mergesInApply: false,
  span: 0,
  gradientSplits: 1,
  merge: { workgroup: 64, lanes: 1, reduction: 'serial' } as Team,
  gradients: { workgroup: 64, lanes: 1, reduction: 'serial' } as Team,
  columnsWorkgroup: 64,
  columnSteps: 1,
};

/**
 * Chooses how a forward pass runs. A pure function of the geometry, the device's facts, the overrides and the size of x's
 * elements, which limits scratch (`workspaceCap`).
 */
export function scheduleForward(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions = {},
  elementBytes = 4,
): ForwardSchedule {
  const family = familyOf(geometry, facts, elementBytes);
  if (family === 'channels') return channelSchedule(geometry, facts, options, elementBytes);
  const strategy = options.strategy ?? forwardStrategy(setCount(geometry), setSize(geometry), facts, options);
  const byChannel = family === 'planes' || (strategy === 'split' && geometry.inner > 1);
  return byChannel
    ? splitByChannel(geometry, facts, options, elementBytes)
    : scheduleRowForward(geometry, facts, options, elementBytes);
}

/** The same where sets are contiguous and, if they are split, have a weight per column. */
export function scheduleRowForward(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions = {},
  elementBytes = 4,
): ForwardSchedule {
  const rows = setCount(geometry);
  const cols = setSize(geometry);
  const quads = quadsOf(cols);
  const vec4 = cols % 4 === 0 && options.vec4 !== false;
  const strategy = options.strategy ?? forwardStrategy(rows, cols, facts, options);
  if (strategy === 'registers') {
    const [lanes, items] = registerShape(facts, rows, quads, 'forward', options);
    return { ...plain, strategy, team: team(facts, lanes, options), items, vec4 };
  }
  if (strategy === 'split') {
    const lanes = splitLanes(quads, facts, options);
    const splits = options.splits ?? rowSplits(rows, quads, lanes, facts, options);
    const merge = mergeTeam(facts, rows, splits, options);
    const workers = {
      segments: rows,
      splits,
      lanes,
      positions: 1,
      width: 1,
      bytes: elementBytes * rows * cols,
    };
    const { mergesInApply } = mergingOf(workers, 1, facts);
    return { ...plain, strategy, team: team(facts, lanes, options), merge, splits, mergesInApply, vec4 };
  }
  const lanes = strategy === 'thread' ? 1 : workgroupLanes(quads, facts, options);
  const fourRows = strategy === 'thread' && fourRowsOf(geometry, lanes, facts, options);
  return { ...plain, strategy, team: laneTeam(facts, lanes, fourRows, options), fourRows, vec4 };
}

function forwardStrategy(
  rows: number,
  cols: number,
  facts: DeviceFacts,
  { batchInvariant }: ScheduleOptions,
): Strategy {
  if (batchInvariant) return invariantStrategy(cols, facts, 'forward');
  // A CPU has a few cores and no use for barriers: rows as long as there are some for every core, else parts of rows.
  if (facts.software)
    return (rows >= 32 || cols <= 1024) && runsInTime(2 * quadsOf(cols), facts) ? 'thread' : 'split';
  // One workgroup per row leaves most of a GPU idle when there are few of them.
  if (rows < 64 && cols > 16384) return 'split';
  if (fitsRegisters(cols, facts, 'forward')) return 'registers';
  return rows >= 512 ? 'workgroup' : 'split';
}

/** By the length of a row alone. */
function invariantStrategy(cols: number, facts: DeviceFacts, direction: 'forward' | 'backward'): Strategy {
  if (facts.software) return runsInTime(2 * quadsOf(cols), facts) ? 'thread' : 'split';
  return fitsRegisters(cols, facts, direction) ? 'registers' : 'workgroup';
}

/** Whether a thread can run so many iterations, and a tenth more for chunks and blocks. */
function runsInTime(iterations: number, facts: DeviceFacts): boolean {
  return 1.1 * iterations <= facts.iterations;
}

/** Parts of each row: enough to fill the device, none so short that its own start and merge weigh more than it. */
function splitCount(rows: number, quads: number, lanes: number, facts: DeviceFacts): number {
  const shortest = facts.software ? 256 : 4 * lanes;
  const target = clamp(Math.ceil(facts.threads / (rows * lanes)), 1, Math.ceil(quads / shortest));
  return Math.max(target, Math.ceil((1.25 * quads) / (lanes * facts.iterations)));
}

/** Parts of a row of a row norm. Those of a batch of one row suit any batch. */
const rowSplits = (
  rows: number,
  quads: number,
  lanes: number,
  facts: DeviceFacts,
  { batchInvariant }: ScheduleOptions,
): number => splitCount(batchInvariant ? 1 : rows, quads, lanes, facts);

/**
 * Whether a single lane has four rows. A software adapter gathers a load that all lanes share like any other, so four
 * rows share those of weight and bias; a GPU broadcasts it. Where weight belongs to channels there is nothing to share.
 */
function fourRowsOf(
  geometry: Geometry,
  lanes: number,
  facts: DeviceFacts,
  options: ScheduleOptions,
): boolean {
  if (lanes > 1 || geometry.inner > 1 || geometry.groups > 1) return false;
  const short = runsInTime(5 * quadsOf(setSize(geometry)), facts);
  return options.fourRows ?? (facts.software && setCount(geometry) >= 64 && short);
}

/** A team whose lanes have four rows each comes in smaller workgroups, so that there are as many of those. */
function laneTeam(facts: DeviceFacts, lanes: number, fourRows: boolean, options: ScheduleOptions): Team {
  return team(facts, lanes, fourRows ? { workgroup: 4, ...options } : options);
}

/**
 * Partial results of 16 bytes that scratch has room for beside the sums of all sets; at least half of it, since what is too
 * much for all samples is done part by part.
 */
function mostPartials(geometry: Geometry, facts: DeviceFacts, elementBytes: number): number {
  const budget = workspaceBudget(geometry, elementBytes, facts);
  return Math.floor(Math.max(budget / 2, budget - 32 * setCount(geometry)) / 16);
}

function channelSchedule(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions,
  elementBytes: number,
): BackwardSchedule {
  const { samples, positions, channels, inner, groups } = geometry;
  // Of each split and element of a position.
  const partials = mostPartials(geometry, facts, elementBytes) / (samples * channels * inner);
  const positionsPerRow = positionsPerRowOf(geometry, partials, facts, options);
  const cols = positionsPerRow * channels * inner;
  const rows = positions / positionsPerRow;
  const fill = clamp(Math.ceil(facts.threads / (samples * quadsOf(cols))), 1, Math.ceil(rows / 32));
  const target = facts.software ? fill : Math.max(fill, Math.ceil(rows / longestSplitOf(facts)));
  const most = Math.max(1, Math.floor(partials / positionsPerRow));
  const splits =
    options.splits ?? Math.max(Math.min(target, most), Math.ceil((1.25 * rows) / facts.iterations));
  const gradientSplits = samples * splits * positionsPerRow;
  return {
    ...plain,
    strategy: 'split',
    team: team(facts, 1, options),
    merge: mergeTeam(facts, samples * groups, (splits * cols) / groups, options),
    gradients: mergeTeam(facts, channels, gradientSplits, options),
    splits,
    columns: true,
    positionsPerRow,
    vec4: cols % 4 === 0 && options.vec4 !== false,
    gradientSplits,
  };
}

/**
 * How many positions stand side by side as one row of columns: a power of two that divides their number. So many that a
 * quad never straddles two rows, if that can be; on a GPU, so many that neighbouring threads load 512 neighbouring bytes,
 * where few channels would send each to another split. No more than `most`.
 */
function positionsPerRowOf(
  { positions, channels, inner }: Geometry,
  most: number,
  facts: DeviceFacts,
  options: ScheduleOptions,
): number {
  const aligned = options.vec4 === false ? 1 : 4 / divisorOf(channels * inner, 4);
  const wide = facts.software ? 1 : powerOfTwoUp(128 / (channels * inner));
  return divisorOf(
    positions,
    Math.min(Math.max(aligned, wide), 2 ** Math.floor(Math.log2(Math.max(1, most)))),
  );
}

/** The largest power of two up to `most`, itself one, that divides `value`. */
function divisorOf(value: number, most: number): number {
  let divisor = most;
  while (value % divisor !== 0) divisor /= 2;
  return divisor;
}

/** Chooses how a backward pass runs. */
export function scheduleBackward(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions = {},
  elementBytes = 4,
): BackwardSchedule {
  const family = familyOf(geometry, facts, elementBytes);
  if (family === 'channels') return channelSchedule(geometry, facts, options, elementBytes);
  if (family === 'planes') return splitByChannel(geometry, facts, options, elementBytes);
  const make = geometry.inner > 1 ? backwardPerChannel : scheduleRowBackward;
  return make(geometry, facts, options, elementBytes);
}

/** LayerNorm and RMSNorm: every column has a weight of its own. */
export function scheduleRowBackward(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions,
  elementBytes: number,
): BackwardSchedule {
  const rows = setCount(geometry);
  const cols = setSize(geometry);
  // The rows of a group of columns, which share weights: all of them, but for GroupNorm of [N, C].
  const { samples, groups, channels } = geometry;
  const quads = quadsOf(cols);
  const vec4 = cols % 4 === 0 && options.vec4 !== false;
  const strategy = options.strategy ?? backwardStrategy(rows, cols, facts, options);
  // dweight and dbias take 8 bytes of scratch per split and column.
  const budget = Math.min(facts.maxBindingBytes, workspaceBudget(geometry, elementBytes, facts));
  if (strategy === 'registers') {
    const [lanes, items] = registerShape(facts, rows, quads, 'backward', options);
    // The row-groups of a workgroup add their sums up in workgroup memory, of which WebGPU's floor has 16 KiB.
    const { workgroup, reduction } = team(facts, lanes, options);
    const widest = 2 ** Math.floor(Math.log2(1024 / items));
    const rowTeam = { workgroup: Math.max(lanes, Math.min(workgroup, widest)), lanes, reduction };
    const rowGroups = rowGroupsOf(rowTeam);
    // Half as many threads as fill the device have enough loads on the way. Eight rows of a split, 16 in f16, keep the partials, which
    // are written and read, to a sixth of all bytes. Where that leaves an eighth of the threads, they are worth more.
    const fill = facts.threads / rowTeam.workgroup / groups;
    const heavy = (samples * elementBytes) / 32;
    const gradientSplits = splitsOf(
      Math.ceil(samples / rowGroups),
      options.splits ??
        clamp(
          Math.max(Math.min(fill / 2, heavy), fill / 8, samples / rowGroups / longestRegisterSplit),
          1,
          Math.floor(budget / (8 * channels)),
        ),
    );
    const gradients = mergeTeam(facts, channels, gradientSplits, options);
    return { ...plain, strategy, team: rowTeam, gradients, items, vec4, gradientSplits };
  }
  const lanes =
    strategy === 'thread'
      ? 1
      : strategy === 'workgroup'
        ? workgroupLanes(quads, facts, options)
        : splitLanes(quads, facts, options);
  const splits = strategy === 'split' ? (options.splits ?? rowSplits(rows, quads, lanes, facts, options)) : 1;
  // Beside the sums of the rows, which are done part by part where they would take more than half: at most 16 bytes of sums and 16 of
  // packed statistics a row, and in f16, where a second pass may read the residual again, 16 of the mean; and 16 of statistics behind
  // partial sums.
  const fourRows = splits === 1 && fourRowsOf(geometry, lanes, facts, options);
  const mergesInApply = strategy === 'split' && !fourRows && mergesRows(splits, facts);
  const perRow = 8 * splits + (elementBytes === 2 ? 48 : 32) + (mergesInApply ? 16 : 0);
  const room = Math.max(budget / 2, budget - rows * perRow);
  const mostSplits = Math.max(1, Math.floor(room / (8 * channels)));
  // Where one split of a long row is too much, its columns come in ranges of whole pairs of quads.
  const ranges = groups > 1 ? 1 : Math.ceil((8 * cols) / (room - 64));
  const twoQuads = facts.software && samples > 1 && quads * Math.ceil(samples / longestSplit) >= 64;
  // On a GPU half of its threads, each with loads of x and of dy under way, so that partials stay few.
  const share = facts.software ? (twoQuads ? 2 : 1) : 0.5;
  const target = Math.max(
    Math.ceil((share * facts.threads) / (quads * groups)),
    Math.ceil(samples / longestSplit),
  );
  const most = Math.min(mostSplits, Math.ceil(samples / 4));
  const gradientSplits = splitsOf(samples, options.splits ?? clamp(target, 1, most));
  const columnSteps = facts.software
    ? columnStepsOf(twoQuads ? quads / 2 : quads, samples, gradientSplits)
    : 1;
  return {
    ...plain,
    strategy,
    team: laneTeam(facts, lanes, fourRows, options),
    merge: mergeTeam(facts, rows, splits, options),
    gradients: mergeTeam(facts, channels, gradientSplits, options),
    columnsWorkgroup:
      options.workgroup ??
      (facts.software ? shortThreads((quads * gradientSplits * groups) / columnSteps, facts) : 128),
    splits,
    fourRows,
    twoQuads,
    columnSteps,
    mergesInApply,
    vec4,
    gradientSplits,
    span: ranges === 1 ? cols : 8 * Math.ceil(cols / ranges / 8),
  };
}

/** Columns one after the other where there are few rows of them: so many that a thread has some work, and 256 have. */
function columnStepsOf(columns: number, rows: number, splits: number): number {
  return clamp(Math.ceil((256 * splits) / rows), 1, Math.max(1, Math.floor((columns * splits) / 256)));
}

// Rows that one thread sums for dweight and dbias: long chains of f32 sums round as often as they are long. Columns sums
// in blocks. The kernel of rows in registers does so where scratch has no room for so many splits or fewer are asked for, in blocks
// of this length.
export const longestSplit = 256;
export const longestRegisterSplit = 64;

/** Splits of the rows, none empty: about as many as are wanted. */
export function splitsOf(rows: number, wanted: number): number {
  return Math.ceil(rows / Math.ceil(rows / Math.min(rows, Math.max(1, Math.ceil(wanted)))));
}

/** Rows that a workgroup has at a time. */
export const rowGroupsOf = ({ workgroup, lanes }: Team): number => workgroup / lanes;

function backwardStrategy(
  rows: number,
  cols: number,
  facts: DeviceFacts,
  { batchInvariant }: ScheduleOptions,
): Strategy {
  if (batchInvariant) return invariantStrategy(cols, facts, 'backward');
  if (facts.software)
    return (rows >= 32 || cols <= 1024) && runsInTime(quadsOf(cols), facts) ? 'thread' : 'split';
  return fitsRegisters(cols, facts, 'backward') && (rows >= 64 || cols <= 1024) ? 'registers' : 'split';
}

/** Sets of contiguous channels, split by channel: a segment is `inner` elements with one weight. */
function splitByChannel(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions,
  elementBytes: number,
): BackwardSchedule {
  const { samples, positions, channels, groups, inner } = geometry;
  const quads = quadsOf(inner);
  const segments = samples * positions * channels;
  const widest = splitLanes(quads, facts, options);
  const most = mostPartials(geometry, facts, elementBytes);
  const splits =
    options.splits ??
    clamp(splitCount(segments, quads, widest, facts), 1, Math.max(1, Math.floor(most / segments)));
  const bytes = elementBytes * segments * inner;
  const workers = { segments, splits, lanes: widest, positions, width: channels / groups, bytes };
  // Where one partial result per plane is too much, planes of a channel share one.
  const fewest = Math.min(positions, Math.ceil((segments * splits) / most));
  const { planesPerPartial, mergesInApply } = mergingOf(workers, fewest, facts);
  const lanes = segmentLanes(segments / planesPerPartial, quads, facts, options);
  const parts = Math.ceil(positions / planesPerPartial) * splits;
  return {
    ...plain,
    strategy: 'split',
    team: team(facts, lanes, options),
    merge: mergeTeam(facts, setCount(geometry), parts * (channels / groups), options),
    gradients: mergeTeam(facts, channels, samples * parts, options),
    splits,
    planesPerPartial,
    mergesInApply,
    vec4: inner % 4 === 0 && options.vec4 !== false,
    gradientSplits: samples * parts,
  };
}

/** GroupNorm and InstanceNorm with contiguous channels: a weight per segment of `inner` elements. */
function backwardPerChannel(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions,
  elementBytes: number,
): BackwardSchedule {
  const { samples, channels, inner } = geometry;
  const strategy = options.strategy ?? perChannelStrategy(setCount(geometry), setSize(geometry), facts);
  if (strategy === 'split') return splitByChannel(geometry, facts, options, elementBytes);
  const lanes = strategy === 'thread' ? 1 : setLanes(setCount(geometry), quadsOf(inner), facts, options);
  return {
    ...plain,
    strategy,
    team: team(facts, lanes, options),
    gradients: mergeTeam(facts, channels, samples, options),
    vec4: inner % 4 === 0 && options.vec4 !== false,
    gradientSplits: samples,
  };
}

function perChannelStrategy(sets: number, size: number, facts: DeviceFacts): Strategy {
  if (facts.software)
    return (sets >= 32 || size <= 1024) && runsInTime(2 * quadsOf(size), facts) ? 'thread' : 'split';
  // Two reads of a set by one workgroup pay while the second finds it in a cache.
  return sets >= 256 && size <= 65536 ? 'workgroup' : 'split';
}
