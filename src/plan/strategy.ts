import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { type Geometry, setSize } from './geometry.ts';
import { workspaceBudget } from './workspace.ts';

/**
 * How a norm is laid out on the device.
 *
 * - `thread`: one thread per row or a few, no barrier; x is read twice.
 * - `registers`: a few lanes to a whole workgroup per row, the row kept in registers; x is read once.
 * - `workgroup`: one workgroup per row, x read twice, the second time from a cache where the row fits one.
 * - `split`: a row, or a sample's positions, split over many workgroups; partial results, a merge, a second pass.
 *
 * All give the same result but for the order in which partial sums are merged.
 */
export type Strategy = 'thread' | 'registers' | 'workgroup' | 'split';

/** How lanes merge what they summed: within a thread, in workgroup memory, or by subgroup shuffles first. */
export type Reduction = 'serial' | 'portable' | 'subgroups';

/** Overrides the choice of a schedule: for tests, benches and tuning. What is absent is chosen as usual. */
export interface ScheduleOptions {
  strategy?: Strategy | undefined;
  reduction?: 'portable' | 'subgroups' | undefined;
  /** Threads of a workgroup; a power of two. */
  workgroup?: number | undefined;
  /** Lanes of a row (`registers`); a power of two, at most `workgroup`. */
  lanes?: number | undefined;
  /**
   * Whether a single lane handles four rows at once (`thread` where weight has a value per column), or sixteen columns (where those are the
   * sets).
   */
  fourRows?: boolean | undefined;
  /** Parts of a row or of a sample's positions (`split`), or of the rows in a backward pass. */
  splits?: number | undefined;
  /** false loads element by element even where four at a time would do. */
  vec4?: boolean | undefined;
  /**
   * LayerNorm, RMSNorm and their residual forms: whether y and dx of a row have the same bits however many rows there are, since
   * the number of its lanes follows from its length alone. Costs speed where rows are few. Norms over channels refuse it. Default
   * false.
   */
  batchInvariant?: boolean | undefined;
}

/** @internal */
export const scheduleNames = {
  strategy: 'string',
  reduction: 'string',
  workgroup: 'number',
  lanes: 'number',
  fourRows: 'boolean',
  splits: 'number',
  vec4: 'boolean',
  batchInvariant: 'boolean',
} as const satisfies OptionNames<ScheduleOptions>;

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
  /** Quads in a lane's registers (`registers`). */
  items: number;
  /** Whether a single lane handles four rows, or fours of columns, at once, which share loads of weight and bias. */
  fourRows: boolean;
  /** Parts of a row, or of a sample's positions (`split`). */
  splits: number;
  /** Whether threads own columns and walk over positions: the family `channels`. */
  columns: boolean;
  /** Positions that stand side by side in a row of columns. */
  positionsPerRow: number;
  /** Positions whose planes share a partial result: the family `planes`. */
  planesPerPartial: number;
  /** Whether the second pass over x merges the partial results itself (`split`), which saves a dispatch. */
  mergesInApply: boolean;
  vec4: boolean;
}

/** A backward pass, made concrete. */
export interface BackwardSchedule extends ForwardSchedule {
  /** Whether a thread of the second pass handles two quads of columns, which share loads of a row's statistics. */
  twoQuads: boolean;
  /** How many columns, or pairs of quads of them, such a thread does one after the other. */
  columnSteps: number;
  /** Splits of the dweight and dbias partials: groups of rows. */
  gradientSplits: number;
  /** Columns whose partials are made and merged at a time (rows in two passes). */
  span: number;
  /** Of the merge that makes dweight and dbias of them. */
  gradients: Team;
  /** Threads of a workgroup of the second pass over rows. */
  columnsWorkgroup: number;
}

/** Quads of four that cover a segment. */
export const quadsOf = (length: number): number => Math.ceil(length / 4);

export const powerOfTwoUp = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, value)));
export const clamp = (value: number, low: number, high: number): number =>
  Math.max(low, Math.min(high, value));

/**
 * Which shaders a geometry takes:
 * - `rows`: a set is contiguous, with a weight per column (LayerNorm) or per segment of `inner` elements (GroupNorm NCHW);
 * - `planes`: a set is made of contiguous segments of `inner` elements at several positions (BatchNorm NCHW);
 * - `channels`: threads own columns and walk over positions, since neighbouring elements belong to neighbouring channels
 *   (NHWC), or since segments are so short that partial results of each would weigh too much (BatchNorm of small images);
 * - `kept`: every column that threads own is a set, with a weight per position (LayerNorm over the channels of NCHW).
 */
export function familyOf(
  geometry: Geometry,
  facts: DeviceFacts,
  elementBytes = 4,
): 'rows' | 'planes' | 'channels' | 'kept' {
  if (geometry.runs) return 'kept';
  if (isContiguous(geometry)) return 'rows';
  const { positions, channels, inner } = geometry;
  // A plane's partial result stands for `inner` elements, a column's for `positions`.
  const long = inner > positions || inner >= (facts.software ? shortestPlane : shortestGpuPlane);
  // Planes can share one, columns of several channels cannot.
  const dear = inner > 1 && 16 * channels * inner > workspaceBudget(geometry, elementBytes, facts) / 2;
  return long || dear ? 'planes' : 'channels';
}

/** Whether each set is one segment of memory, and more than a single element wherever any is. */
export function isContiguous({ positions, channels, inner, groups }: Geometry): boolean {
  return positions === 1 && (inner > 1 || groups === 1 || groups < channels);
}

// BatchNorm training on SwiftShader, share of a copy, by planes and by columns: 2×2 11 and 69 %, 7×7 38 and 54 %, 10×10 alike,
// 14×14 65 and 40 %.
const shortestPlane = 64;
// By reasoning: a partial result of 16 bytes is then a quarter of its plane, and columns make fewer threads. Not measured.
const shortestGpuPlane = 16;

/** Threads of a workgroup where kept axes lie behind reduced ones: what these leave in workgroup memory takes 12 KiB then. */
export const mostKeptThreads = 256;

/** The strategies that a geometry has a kernel for. */
export function strategiesOf(geometry: Geometry, direction: 'forward' | 'backward'): Strategy[] {
  if (geometry.runs) return ['thread', 'workgroup'];
  if (!isContiguous(geometry)) return ['split'];
  if (direction === 'backward' && geometry.inner > 1) return ['thread', 'workgroup', 'split'];
  return ['thread', 'registers', 'workgroup', 'split'];
}

/**
 * Throws `value` unless the overrides can be met.
 *
 * @param splitOnly - whether the pass does more than one dispatch can.
 * @throws NormError `value`.
 */
export function checkSchedule(
  geometry: Geometry,
  direction: 'forward' | 'backward',
  facts: DeviceFacts,
  options: ScheduleOptions,
  splitOnly = false,
): void {
  const { strategy, reduction, workgroup, lanes, splits } = options;
  const refuse = (what: string, fix: string) => {
    throw new NormError('value', `schedule: ${what}.`, fix);
  };
  checkOptions('schedule', options, scheduleNames);
  const legal = splitOnly && !geometry.runs ? ['split'] : strategiesOf(geometry, direction);
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
  if (geometry.runs && reduction === 'subgroups') {
    refuse('kept axes are merged in workgroup memory', "Use 'portable', or leave it out.");
  }
  if (geometry.runs && (workgroup ?? lanes ?? 0) > mostKeptThreads) {
    refuse(`kept axes have no workgroup of ${workgroup ?? lanes}`, `Use at most ${mostKeptThreads} threads.`);
  }
  if (lanes !== undefined && workgroup !== undefined && lanes > workgroup) {
    refuse(`${lanes} lanes do not fit a workgroup of ${workgroup}`, 'Use fewer lanes or a larger workgroup.');
  }
  if (options.batchInvariant && !(isContiguous(geometry) && geometry.inner === 1)) {
    refuse('batchInvariant is of norms over rows', 'Leave it out: LayerNorm and RMSNorm have it.');
  }
  if (splits !== undefined && !(Number.isInteger(splits) && splits >= 1)) {
    refuse(`splits is ${splits}`, 'Use an integer ≥ 1.');
  }
  if (strategy === 'registers') {
    const widest = lanes ?? workgroup ?? widestRow(facts, direction, quadsOf(setSize(geometry)));
    if (quadsOf(setSize(geometry)) > mostItems[direction] * widest) {
      refuse(
        `a row of ${setSize(geometry)} does not fit the registers of ${widest} lanes`,
        'Use more lanes, or another strategy.',
      );
    }
  }
}

type Direction = 'forward' | 'backward';

// What kernels are made for: 16 quads are 64 f32 in a forward pass. A backward pass holds four such arrays.
const mostItems = { forward: 16, backward: 8 } as const;

/** Quads that a lane keeps in registers at most on this device. */
export const registerItems = (facts: DeviceFacts, direction: Direction): number =>
  Math.min(direction === 'forward' ? facts.forwardItems : facts.backwardItems, mostItems[direction]);

/**
 * Lanes that a row of so many quads may have: on a GPU as many as a workgroup has threads. But its cores have 65,536 registers, of which
 * 1024 threads get 64 each, which is enough for two quads forward and one backward.
 */
export function widestRow(facts: DeviceFacts, direction: Direction, quads: number): number {
  if (facts.software) return maxWorkgroup(facts);
  const fits = quads <= (direction === 'forward' ? 2048 : 1024);
  return Math.min(fits ? 1024 : 512, facts.maxInvocations);
}

// Quads that a whole workgroup keeps.
const workgroupQuads = { forward: 4096, backward: 2048 } as const;

/** Whether a row of so many columns stays in registers. */
export function fitsRegisters(cols: number, facts: DeviceFacts, direction: Direction): boolean {
  const quads = quadsOf(cols);
  const most = widestRow(facts, direction, quads) * registerItems(facts, direction);
  return quads <= Math.min(most, workgroupQuads[direction]);
}

/** Columns of the longest row that stays in registers, however low its speed. */
export const mostColumns = (facts: DeviceFacts, direction: Direction): number =>
  4 * mostItems[direction] * widestRow(facts, direction, Number.POSITIVE_INFINITY);

// 256 is WebGPU's floor; a software adapter gains nothing from more, and larger groups hold fewer registers each.
export function maxWorkgroup(facts: DeviceFacts): number {
  return Math.min(256, facts.maxInvocations);
}
