import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { type Geometry, setCount, setSize } from './geometry.ts';

/**
 * How a norm is laid out on the device.
 *
 * - `thread`: one thread per row or a few, no barrier; x is read twice.
 * - `tile`: a few lanes to a whole workgroup per row, the row kept in registers; x is read once.
 * - `workgroup`: one workgroup per row, x read twice, the second time from a cache where the row fits one.
 * - `split`: a row, or a sample's positions, split over many workgroups; partial results, a merge, a second pass.
 *
 * All give the same result but for the order in which partial sums are merged.
 */
export type Strategy = 'thread' | 'tile' | 'workgroup' | 'split';

/** How lanes merge what they summed: within a thread, in workgroup memory, or by subgroup shuffles first. */
export type Reduction = 'serial' | 'portable' | 'subgroups';

/** Overrides the choice of a schedule: for tests, benches and tuning. What is absent is chosen as usual. */
export interface ScheduleOptions {
  strategy?: Strategy | undefined;
  reduction?: 'portable' | 'subgroups' | undefined;
  /** Threads of a workgroup; a power of two. */
  workgroup?: number | undefined;
  /** Lanes of a row (`tile`); a power of two, at most `workgroup`. */
  lanes?: number | undefined;
  /** Whether a single lane handles four rows at once (`thread` where weight has a value per column). */
  fourRows?: boolean | undefined;
  /** Parts of a row or of a sample's positions (`split`), or of the rows in a backward pass. */
  slots?: number | undefined;
  /** false loads element by element even where four at a time would do. */
  vec4?: boolean | undefined;
}

/** Threads and lanes of one dispatch. */
export interface Team {
  workgroup: number;
  lanes: number;
  reduction: Reduction;
}

/** A forward pass, made concrete. */
export interface ForwardSchedule {
  strategy: Strategy;
  /** Of the dispatches over x. */
  team: Team;
  /** Of the merge that comes before the second pass over x. */
  merge: Team;
  /** Quads in a lane's registers (`tile`). */
  items: number;
  /** Whether a single lane handles four rows at once, which share loads of weight and bias. */
  fourRows: boolean;
  /** Parts of a row, or of a sample's positions (`split`). */
  slots: number;
  vec4: boolean;
}

/** A backward pass, made concrete. */
export interface BackwardSchedule extends ForwardSchedule {
  /** Whether a thread of the second pass handles two quads of columns, which share loads of a row's statistics. */
  twoQuads: boolean;
  /** Slots of the dweight and dbias partials: groups of rows. */
  gradientSlots: number;
  /** Of the merge that makes dweight and dbias of them. */
  gradients: Team;
  /** Threads of a workgroup of the second pass over rows. */
  columnsWorkgroup: number;
}

/** Quads of four that cover a run. */
export const quadsOf = (length: number): number => Math.ceil(length / 4);

const powerOfTwoUp = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, value)));
const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, value));

/**
 * Which shaders a geometry takes:
 * - `rows`: a set is contiguous, with a weight per column (LayerNorm) or per run of `inner` elements (GroupNorm NCHW);
 * - `planes`: a set is made of contiguous runs of `inner` elements at several positions (BatchNorm NCHW);
 * - `channels`: neighbouring elements belong to neighbouring channels, and a set strides over positions (NHWC).
 */
export function familyOf({ positions, inner, groups }: Geometry): 'rows' | 'planes' | 'channels' {
  if (inner > 1 && positions > 1) return 'planes';
  return positions === 1 && (inner > 1 || groups === 1) ? 'rows' : 'channels';
}

/** The strategies that a geometry has a kernel for. */
export function strategiesOf(geometry: Geometry, direction: 'forward' | 'backward'): Strategy[] {
  if (familyOf(geometry) !== 'rows') return ['split'];
  if (direction === 'backward' && geometry.inner > 1) return ['thread', 'workgroup', 'split'];
  return ['thread', 'tile', 'workgroup', 'split'];
}

/**
 * Throws `value` unless the overrides can be met.
 *
 * @throws NormError `value`.
 */
export function checkSchedule(
  geometry: Geometry,
  direction: 'forward' | 'backward',
  facts: DeviceFacts,
  options: ScheduleOptions,
): void {
  const { strategy, reduction, workgroup, lanes, slots } = options;
  const refuse = (what: string, fix: string) => {
    throw new NormError('value', `schedule: ${what}.`, fix);
  };
  const legal = strategiesOf(geometry, direction);
  if (strategy !== undefined && !legal.includes(strategy)) {
    refuse(`this ${direction} pass has no strategy '${strategy}'`, `Use one of ${legal.join(', ')}.`);
  }
  if (reduction === 'subgroups' && facts.subgroup === 0) {
    refuse('the device has no subgroups', "Use 'portable', or leave it out.");
  }
  if (reduction !== undefined && reduction !== 'portable' && reduction !== 'subgroups') {
    refuse(`there is no reduction '${reduction}'`, "Use 'portable' or 'subgroups'.");
  }
  for (const [name, value] of Object.entries({ workgroup, lanes })) {
    if (
      value !== undefined &&
      (!(value >= 1 && value <= facts.maxInvocations) || value !== powerOfTwoUp(value))
    ) {
      refuse(`${name} is ${value}`, `Use a power of two up to ${facts.maxInvocations}.`);
    }
  }
  if (lanes !== undefined && workgroup !== undefined && lanes > workgroup) {
    refuse(`${lanes} lanes do not fit a workgroup of ${workgroup}`, 'Use fewer lanes or a larger workgroup.');
  }
  if (slots !== undefined && !(Number.isInteger(slots) && slots >= 1)) {
    refuse(`slots is ${slots}`, 'Use an integer ≥ 1.');
  }
  if (strategy === 'tile') {
    const most = direction === 'forward' ? maxForwardItems : maxBackwardItems;
    const widest = lanes ?? workgroup ?? maxWorkgroup(facts);
    if (quadsOf(setSize(geometry)) > most * widest) {
      refuse(
        `a row of ${setSize(geometry)} does not fit the registers of ${widest} lanes`,
        'Use more lanes, or another strategy.',
      );
    }
  }
}

// Registers of a lane: 16 quads are 64 f32 in a forward pass. A backward pass holds four such arrays.
const maxForwardItems = 16;
const maxBackwardItems = 8;

/** Longest row that `tile` takes. */
export function maxTileLength(facts: DeviceFacts, direction: 'forward' | 'backward'): number {
  return 4 * maxWorkgroup(facts) * (direction === 'forward' ? maxForwardItems : maxBackwardItems);
}

// 256 is WebGPU's floor; a software adapter gains nothing from more, and larger groups hold fewer registers each.
function maxWorkgroup(facts: DeviceFacts): number {
  return Math.min(256, facts.maxInvocations);
}

// Enough independent threads to fill the largest GPUs a few times over; on a CPU, a few per core.
const wantedThreads = (facts: DeviceFacts): number => (facts.software ? 64 : 131072);

function team(facts: DeviceFacts, lanes: number, options: ScheduleOptions): Team {
  const workgroup = clamp(
    options.workgroup ?? Math.max(lanes, facts.software ? 16 : 128),
    lanes,
    Math.max(lanes, facts.maxInvocations),
  );
  const shuffles = facts.subgroup > 0 && options.reduction !== 'portable';
  return { workgroup, lanes, reduction: lanes === 1 ? 'serial' : shuffles ? 'subgroups' : 'portable' };
}

/** A team for `results`, each merged from `parts`. */
function mergeTeam(facts: DeviceFacts, results: number, parts: number, options: ScheduleOptions): Team {
  const lanes = facts.software && options.reduction === undefined ? 1 : Math.min(32, powerOfTwoUp(parts));
  const workgroup = facts.software ? Math.max(lanes, shortThreads(results, facts)) : 64;
  return team(facts, lanes, { ...options, workgroup });
}

/**
 * Threads of a workgroup on a software adapter where each does little: starting a workgroup is then what costs.
 * A million dweight from one partial each, SwiftShader: 26, 20, 13 ms with workgroups of 16, 64, 256.
 */
function shortThreads(threads: number, facts: DeviceFacts): number {
  return threads >= 4096 ? maxWorkgroup(facts) : 16;
}

/** Lanes and items of a tile: as few lanes as keep the registers of each within `items`. */
function tileShape(
  facts: DeviceFacts,
  quads: number,
  maxItems: number,
  options: ScheduleOptions,
): [number, number] {
  const comfortable = Math.min(4, maxItems);
  const lanes =
    options.lanes ??
    clamp(powerOfTwoUp(Math.ceil(quads / comfortable)), 1, options.workgroup ?? maxWorkgroup(facts));
  return [lanes, Math.ceil(quads / lanes)];
}

/** What holds where a schedule does not say otherwise. */
const plain = {
  items: 0,
  fourRows: false,
  twoQuads: false,
  slots: 1,
  gradientSlots: 1,
  merge: { workgroup: 64, lanes: 1, reduction: 'serial' } as Team,
  gradients: { workgroup: 64, lanes: 1, reduction: 'serial' } as Team,
  columnsWorkgroup: 64,
};

/** Chooses how a forward pass runs. A pure function of the geometry, the device's facts and the overrides. */
export function scheduleForward(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions = {},
): ForwardSchedule {
  const family = familyOf(geometry);
  if (family === 'channels') return channelSchedule(geometry, facts, options);
  if (family === 'planes') return splitByChannel(geometry, facts, options);
  const rows = setCount(geometry);
  const cols = setSize(geometry);
  const quads = quadsOf(cols);
  const vec4 = cols % 4 === 0 && options.vec4 !== false;
  const strategy = options.strategy ?? forwardStrategy(rows, cols, facts);
  if (strategy === 'tile') {
    const [lanes, items] = tileShape(facts, quads, maxForwardItems, options);
    return { ...plain, strategy, team: team(facts, lanes, options), items, vec4 };
  }
  if (strategy === 'split') {
    if (geometry.inner > 1) return splitByChannel(geometry, facts, options);
    const lanes = splitLanes(quads, facts, options);
    const slots = options.slots ?? splitSlots(rows, quads, lanes, facts);
    const merge = mergeTeam(facts, rows, slots, options);
    return { ...plain, strategy, team: team(facts, lanes, options), merge, slots, vec4 };
  }
  const lanes = strategy === 'thread' ? 1 : workgroupLanes(quads, facts, options);
  const fourRows = strategy === 'thread' && fourRowsOf(geometry, lanes, facts, options);
  return { ...plain, strategy, team: laneTeam(facts, lanes, fourRows, options), fourRows, vec4 };
}

function forwardStrategy(rows: number, cols: number, facts: DeviceFacts): Strategy {
  // A CPU has a few cores and no use for barriers: rows as long as there are some for every core, else parts of rows.
  if (facts.software) return rows >= 32 || cols <= 1024 ? 'thread' : 'split';
  // One workgroup per row leaves most of a GPU idle when there are few of them.
  if (rows < 64 && cols > 16384) return 'split';
  if (cols <= maxTileLength(facts, 'forward')) return 'tile';
  return rows >= 512 ? 'workgroup' : 'split';
}

function workgroupLanes(quads: number, facts: DeviceFacts, options: ScheduleOptions): number {
  return options.workgroup ?? clamp(powerOfTwoUp(quads), 1, maxWorkgroup(facts));
}

function splitLanes(quads: number, facts: DeviceFacts, options: ScheduleOptions): number {
  if (options.lanes !== undefined) return options.lanes;
  return facts.software && options.reduction === undefined ? 1 : workgroupLanes(quads, facts, options);
}

/** Parts of each row: enough to fill the device, none so short that its own start and merge weigh more than it. */
function splitSlots(rows: number, quads: number, lanes: number, facts: DeviceFacts): number {
  const shortest = facts.software ? 256 : 4 * lanes;
  return clamp(Math.ceil(wantedThreads(facts) / (rows * lanes)), 1, Math.ceil(quads / shortest));
}

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
  if (lanes > 1 || geometry.inner > 1) return false;
  return options.fourRows ?? (facts.software && setCount(geometry) >= 64);
}

/** A team whose lanes have four rows each comes in smaller workgroups, so that there are as many of those. */
function laneTeam(facts: DeviceFacts, lanes: number, fourRows: boolean, options: ScheduleOptions): Team {
  return team(facts, lanes, fourRows ? { workgroup: 4, ...options } : options);
}

function channelSchedule(geometry: Geometry, facts: DeviceFacts, options: ScheduleOptions): BackwardSchedule {
  const { samples, positions, channels, groups } = geometry;
  const threads = samples * quadsOf(channels);
  const slots =
    options.slots ?? clamp(Math.ceil(wantedThreads(facts) / threads), 1, Math.ceil(positions / 32));
  return {
    ...plain,
    strategy: 'split',
    team: team(facts, 1, options),
    merge: mergeTeam(facts, samples * groups, slots * (channels / groups), options),
    gradients: mergeTeam(facts, channels, samples * slots, options),
    slots,
    vec4: channels % 4 === 0 && options.vec4 !== false,
    gradientSlots: samples * slots,
  };
}

/** Chooses how a backward pass runs. */
export function scheduleBackward(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions = {},
): BackwardSchedule {
  const family = familyOf(geometry);
  if (family === 'channels') return channelSchedule(geometry, facts, options);
  if (family === 'planes') return splitByChannel(geometry, facts, options);
  return geometry.inner > 1
    ? backwardPerChannel(geometry, facts, options)
    : backwardPerRow(geometry, facts, options);
}

/** LayerNorm and RMSNorm: every column has a weight of its own. */
function backwardPerRow(geometry: Geometry, facts: DeviceFacts, options: ScheduleOptions): BackwardSchedule {
  const rows = setCount(geometry);
  const cols = setSize(geometry);
  const quads = quadsOf(cols);
  const vec4 = cols % 4 === 0 && options.vec4 !== false;
  const strategy = options.strategy ?? backwardStrategy(rows, cols, facts);
  // dweight and dbias take 8 bytes of scratch per slot and column: at most a sixteenth of x, or 1 MiB. Fewer slots than
  // that leave a GPU idle (4096×4096 would get 32 row-groups of a hundredth). To be measured.
  const mostSlots = Math.max(1, Math.floor(Math.max(2 ** 20, (4 * rows * cols) / 16) / (8 * cols)));
  if (strategy === 'tile') {
    const [lanes, items] = tileShape(facts, quads, maxBackwardItems, options);
    const gradientSlots = slotsOf(
      rows,
      Math.max(Math.ceil(wantedThreads(facts) / lanes), Math.ceil(rows / longestTileSlot)),
      mostSlots,
      options,
    );
    const gradients = mergeTeam(facts, cols, gradientSlots, options);
    return { ...plain, strategy, team: team(facts, lanes, options), gradients, items, vec4, gradientSlots };
  }
  const lanes =
    strategy === 'thread'
      ? 1
      : strategy === 'workgroup'
        ? workgroupLanes(quads, facts, options)
        : splitLanes(quads, facts, options);
  const slots = strategy === 'split' ? (options.slots ?? splitSlots(rows, quads, lanes, facts)) : 1;
  const twoQuads = facts.software && quads >= 64;
  const wanted = Math.max(
    Math.ceil(((twoQuads ? 2 : 1) * wantedThreads(facts)) / quads),
    Math.ceil(rows / longestSlot),
  );
  const gradientSlots = slotsOf(rows, wanted, Math.min(mostSlots, Math.ceil(rows / 4)), options);
  const fourRows = slots === 1 && fourRowsOf(geometry, lanes, facts, options);
  return {
    ...plain,
    strategy,
    team: laneTeam(facts, lanes, fourRows, options),
    merge: mergeTeam(facts, rows, slots, options),
    gradients: mergeTeam(facts, cols, gradientSlots, options),
    columnsWorkgroup:
      options.workgroup ?? (facts.software ? shortThreads(quads * gradientSlots, facts) : 128),
    slots,
    fourRows,
    twoQuads,
    vec4,
    gradientSlots,
  };
}

// Rows that one thread sums for dweight and dbias: long chains of f32 sums round as often as they are long. Columns sums
// in blocks, a tile does not.
const longestSlot = 256;
const longestTileSlot = 64;

/** Slots of the rows, none empty: as many as wanted, at most as many as allowed. */
function slotsOf(rows: number, wanted: number, most: number, options: ScheduleOptions): number {
  const slots = Math.min(options.slots ?? clamp(wanted, 1, most), rows);
  return Math.ceil(rows / Math.ceil(rows / slots));
}

function backwardStrategy(rows: number, cols: number, facts: DeviceFacts): Strategy {
  if (facts.software) return rows >= 32 || cols <= 1024 ? 'thread' : 'split';
  return cols <= maxTileLength(facts, 'backward') && (rows >= 64 || cols <= 1024) ? 'tile' : 'split';
}

/** Sets of contiguous channels, split by channel: a run is `inner` elements with one weight. */
function splitByChannel(geometry: Geometry, facts: DeviceFacts, options: ScheduleOptions): BackwardSchedule {
  const { samples, positions, channels, groups, inner } = geometry;
  const quads = quadsOf(inner);
  const lanes = splitLanes(quads, facts, options);
  const slots = options.slots ?? splitSlots(samples * positions * channels, quads, lanes, facts);
  const gradientSlots = samples * positions * slots;
  return {
    ...plain,
    strategy: 'split',
    team: team(facts, lanes, options),
    merge: mergeTeam(facts, setCount(geometry), positions * slots * (channels / groups), options),
    gradients: mergeTeam(facts, channels, gradientSlots, options),
    slots,
    vec4: inner % 4 === 0 && options.vec4 !== false,
    gradientSlots,
  };
}

/** GroupNorm and InstanceNorm with contiguous channels: a weight per run of `inner` elements. */
function backwardPerChannel(
  geometry: Geometry,
  facts: DeviceFacts,
  options: ScheduleOptions,
): BackwardSchedule {
  const { samples, channels, inner } = geometry;
  const strategy = options.strategy ?? perChannelStrategy(setCount(geometry), setSize(geometry), facts);
  if (strategy === 'split') return splitByChannel(geometry, facts, options);
  const lanes = strategy === 'thread' ? 1 : workgroupLanes(quadsOf(inner), facts, options);
  return {
    ...plain,
    strategy,
    team: team(facts, lanes, options),
    gradients: mergeTeam(facts, channels, samples, options),
    vec4: inner % 4 === 0 && options.vec4 !== false,
    gradientSlots: samples,
  };
}

function perChannelStrategy(sets: number, size: number, facts: DeviceFacts): Strategy {
  if (facts.software) return sets >= 32 || size <= 1024 ? 'thread' : 'split';
  // Two reads of a set by one workgroup pay while the second finds it in a cache.
  return sets >= 256 && size <= 65536 ? 'workgroup' : 'split';
}
