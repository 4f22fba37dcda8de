// The dispatches that backward passes are made of.
import gradientsPartials from '../../shaders/interfaces/gradients/partials.wgsl';
import gradientsScalar from '../../shaders/interfaces/gradients/scalar.wgsl';
import gradientsVec4 from '../../shaders/interfaces/gradients/vec4.wgsl';
import meansMerged from '../../shaders/interfaces/means/merged.wgsl';
import meansWithGradients from '../../shaders/interfaces/means/merged_with_gradients.wgsl';
import meansStored from '../../shaders/interfaces/means/stored.wgsl';
import rowMeansMerged from '../../shaders/interfaces/row_means/merged.wgsl';
import rowMeansStored from '../../shaders/interfaces/row_means/stored.wgsl';
import gradientSums from '../../shaders/interfaces/statistics/gradient_sums.wgsl';
import columnsApply from '../../shaders/kernels/channels/backward_apply.wgsl';
import columnsSums from '../../shaders/kernels/channels/backward_sums.wgsl';
import collect from '../../shaders/kernels/merge/collect.wgsl';
import joinGradients from '../../shaders/kernels/merge/gradients.wgsl';
import pack from '../../shaders/kernels/merge/pack.wgsl';
import joinSums from '../../shaders/kernels/merge/sums.wgsl';
import rowsApply from '../../shaders/kernels/rows/backward_apply.wgsl';
import rowsChannels from '../../shaders/kernels/rows/backward_channels.wgsl';
import rowsColumns from '../../shaders/kernels/rows/backward_columns.wgsl';
import rowsRegisters from '../../shaders/kernels/rows/backward_registers.wgsl';
import rowsSums from '../../shaders/kernels/rows/backward_sums.wgsl';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Step } from '../gpu/program.ts';
import type { Chunk } from '../plan/chunks.ts';
import { shortColumn } from '../plan/columns.ts';
import { parameterCount, setCount, setSize } from '../plan/geometry.ts';
import { longestRegisterSplit, rowGroupsOf, splitsOf } from '../plan/schedule.ts';
import { type BackwardSchedule, powerOfTwoUp, quadsOf } from '../plan/strategy.ts';
import type { Choices } from '../shaders/link.ts';
import type { BackwardDescriptor } from './descriptor.ts';
import {
  applyColumns,
  applyMerging,
  applySegments,
  blockOf,
  dispatch,
  holdsWhole,
  mergeNumbers,
  type Need,
  normChoices,
  oneByOne,
  type Pass,
  partialsOf,
  sumColumns,
  sumSegments,
} from './pass.ts';
import { storedAs } from './step.ts';

/** Everything that the steps of a chunk are made from. */
export interface At extends Pass<BackwardDescriptor, BackwardSchedule> {
  /**
   * Where the gradient of z comes from: from dy (`dy`; an earlier pass has stored it rounded: `again`), or from what an
   * earlier pass stored (`dresidual`).
   */
  upstream: Upstream;
  /** Whether dweight and dbias are added to what their tensors hold. */
  accumulate: BackwardDescriptor['accumulate'];
  need: Need;
}

type Upstream = 'dy' | 'again' | 'dresidual';

/** What every kernel of a backward pass may ask for. */
export const backwardChoices = (d: BackwardDescriptor, facts: DeviceFacts): Choices => ({
  ...normChoices(d, facts),
  statistics: gradientSums,
  HAS_DSUM: d.dsum,
  FROZEN: d.frozen === true,
  NEEDS_X: !d.frozen || activates(d),
  NEEDS_Z: activates(d),
  WANTS_WEIGHT: d.dweight,
  WANTS_BIAS: d.dbias,
});

/** Whether the gradient of z depends on z. */
const activates = ({ activation, gated }: BackwardDescriptor): boolean => activation !== 'none' && !gated;

/** Where a pass gets the gradient of z from after one that may have stored it in dresidual. */
export function secondUpstream({ residual, gated, dtype }: BackwardDescriptor): Upstream {
  if (residual !== 'after') return 'dy';
  // What is stored in less than f32 is rounded, and the gradient of a gate is another than that of z, so it is computed again.
  return dtype === 'f32' && !gated ? 'dresidual' : 'again';
}

/** The same pass after the first one. Where it reads the gradient of z, neither residual nor activation is left. */
export function afterFirstPass(at: At): At {
  const upstream = secondUpstream(at.d);
  if (upstream !== 'dresidual') return { ...at, upstream };
  // What was stored is read as dy, wherever that itself lies.
  const { dy: _, ...others } = at.d.aliases ?? {};
  const aliases = at.d.aliases && others;
  const d = { ...at.d, residual: 'none', activation: 'none', aliases } as const;
  return { ...at, d, upstream, choices: { ...at.choices, ...backwardChoices(d, at.facts) } };
}

/** The buffer dy of a second pass. */
export const sourcesOf = ({ upstream }: At) =>
  upstream === 'dresidual' ? { sources: { dy: upstream } } : {};

/** Statistics come in one binding where residual, or dresidual too, takes another. */
export const packedChoices = ({ d }: At): Choices => ({ PACKED: d.residual === 'after' });

/** The first pass over a residual stores its gradient. */
export const firstChoices = (at: At): Choices => ({
  ...packedChoices(at),
  STORES_DRESIDUAL: at.d.residual === 'after',
  NEEDS_Z: at.d.residual === 'after' || activates(at.d),
});

/** mean and rstd in one array. */
export const packStatistics = (at: At): Step => dispatch(at, pack, { workers: setCount(at.g) });

/**
 * Splits of a chunk's rows, none empty: at most as many as the first chunk's, to which the others add.
 *
 * @param together - rows that a split walks at a time.
 */
export function splitsOfChunk({ samples }: Chunk, most: number, together = 1): number {
  return splitsOf(Math.ceil(samples / together), most);
}

/** dx and the gradient partials of rows that stay in registers. */
export function onePassPerRow(at: At, splits: number, add: boolean): Step {
  const { d, segments, schedule } = at;
  const { team, items } = schedule;
  const rowGroups = rowGroupsOf(team);
  const rowsPerSplit = Math.ceil(segments.count / (splits * rowGroups));
  // Equal blocks, none longer than a split is where scratch has room, but for very many rows.
  const blocks = Math.ceil(rowsPerSplit / Math.max(longestRegisterSplit, blockOf(rowsPerSplit)));
  return dispatch(at, rowsRegisters, {
    choices: {
      HAS_PARTIALS: d.dweight || d.dbias,
      ADD_PARTIALS: add,
      ITEMS: items,
      WHOLE: holdsWhole(segments.cols, schedule),
      SHARES_SPLIT: rowGroups > 1,
      IN_BLOCKS: blocks > 1,
    },
    sources: { gradient_pairs: 'gradients' },
    numbers: {
      splits,
      rows_per_split: rowsPerSplit,
      block: Math.ceil(rowsPerSplit / blocks),
    },
    team,
    workers: splits * rowGroups,
  });
}

/** Σg and Σg·x̂ per (row, split), or Σdy and Σdy·x̂ per (sample, position, channel, split). */
export function sumRows(at: At, carried?: number): Step {
  const { fourRows, planesPerPartial } = at.schedule;
  const choices = { ...firstChoices(at), FOUR_ROWS: fourRows, CARRIES: carried !== undefined };
  const numbers = { carried: carried ?? 0 };
  return sumSegments(at, rowsSums, 64, planesPerPartial, fourRows ? 4 : 1, choices, numbers);
}

/**
 * Σdy and Σdy·x̂, of columns per (sample, split, column). Apart from {@link sumRows}, so that row norms come without its kernel.
 *
 * @param carried - where mean and rstd are to be put behind the partials.
 */
export const sumChannels = (at: At, carried?: number): Step =>
  at.schedule.columns ? sumColumns(at, columnsSums, 16, firstChoices(at)) : sumRows(at, carried);

/**
 * The means that dx needs.
 *
 * @param joint - whether `sums` holds the means of x, too: two quads per set.
 * @param gradients - whether dweight and dbias come of the same sums: a set is a channel, and all there is of it.
 */
export function mergeSums(
  at: At,
  perChannel: boolean,
  partials: { width: number; splits: number } = partialsOf(at.g, at.schedule),
  joint = false,
  gradients = false,
): Step {
  const { g } = at;
  const { merge } = at.schedule;
  return dispatch(at, joinSums, {
    choices: {
      PER_CHANNEL: perChannel,
      ONE_CHANNEL: g.groups === g.channels,
      JOINT: joint,
      MAKES_GRADIENTS: gradients,
      ...accumulateChoices(at),
    },
    numbers: mergeNumbers(at, merge.lanes, partials),
    team: merge,
    workers: setCount(g),
  });
}

/** Neighbouring columns of a row norm. */
export interface Columns {
  first: number;
  span: number;
}

/**
 * Whether `columns` can make dweight and dbias itself: there is but one split to sum, and a binding left for each beside x, the
 * gradients of the outputs, weight, bias, the sums and dx.
 */
export function makesGradients(d: BackwardDescriptor, splits: number): boolean {
  const upstream = secondUpstream(d);
  const activation = upstream !== 'dresidual' && activates(d);
  const reads = 4 + Number(upstream === 'again') + Number(d.dsum) + Number(activation);
  return splits === 1 && reads <= 5;
}

/**
 * dx of some columns of rows whose sums are known, and dweight and dbias themselves (`whole`) or their partials. With
 * them, or with residual, no binding is left for the means of x: `sums` is joint.
 *
 * @param add - whether partials are added to those of the rows before.
 * @param carried - where mean and rstd are behind the partial sums of the rows, if those are merged here.
 */
export function columns(
  at: At,
  splits: number,
  whole: boolean,
  add: boolean,
  { first, span }: Columns,
  carried?: number,
): Step {
  const { d, g, schedule, upstream } = at;
  const { columnsWorkgroup, columnSteps, vec4 } = schedule;
  const rows = setCount(g);
  const oneRow = rows === splits;
  // A thread without a second quad does its first one again, which must not read what it has written in place.
  const twoQuads = schedule.twoQuads && !oneRow && !d.aliases;
  const threads = Math.ceil(Math.ceil(quadsOf(span) / (twoQuads ? 2 : 1)) / columnSteps);
  const splitLength = Math.ceil(rows / splits);
  const merges = carried !== undefined;
  const gradients = vec4 ? gradientsVec4 : gradientsScalar;
  return dispatch(at, rowsColumns, {
    choices: {
      JOINT: whole || upstream === 'again',
      row_means: merges ? rowMeansMerged : rowMeansStored,
      ONE_SPLIT: merges,
      CARRIED: merges,
      ROWS: powerOfTwoUp(splitLength),
      ONE_CHUNK: splitLength <= shortColumn,
      gradients: whole ? gradients : gradientsPartials,
      DIRECT: vec4 && !d.layouts && !d.aliases && !d.dsum && d.activation === 'none' && !d.gated,
      HAS_GRADIENTS: d.dweight || d.dbias,
      TWO_QUADS: twoQuads,
      ONE_ROW: oneRow,
      ADD_PARTIALS: add,
      ...accumulateChoices(at),
    },
    sources: { ...sourcesOf(at).sources, gradient_pairs: 'gradients' },
    numbers: {
      ...mergeNumbers(at, 1),
      carried: carried ?? 0,
      rows,
      cols: setSize(g),
      splits,
      split_length: splitLength,
      block: blockOf(rows / splits),
      column_steps: columnSteps,
      first_col: first,
      span,
    },
    team: { workgroup: columnsWorkgroup, lanes: 1, reduction: 'serial' },
    workers: splits * (merges ? columnsWorkgroup * Math.ceil(threads / columnsWorkgroup) : threads),
  });
}

/** dx and the gradient partials of sets of contiguous channels, one team per set. */
export function onePassPerChannel(at: At): Step {
  const { g, schedule } = at;
  const { team } = schedule;
  const chunks = quadsOf(g.inner) / team.lanes / 16;
  return dispatch(at, rowsChannels, {
    choices: { BLOCKS: chunks > 4 },
    numbers: { block: blockOf(chunks) },
    team,
    workers: setCount(g),
  });
}

/** dx where the means of g and g·x̂ are known and weight belongs to channels. */
export function applyChannels(at: At): Step {
  if (!at.schedule.columns) {
    return applySegments(at, rowsApply, { choices: { means: meansStored }, ...sourcesOf(at) });
  }
  const choices = { ...oneByOne(at, at.d.activation !== 'none'), ...packedChoices(at) };
  return applyColumns(at, columnsApply, { choices, ...sourcesOf(at) });
}

/**
 * The means of sets whose channels are segments, and dx, in one dispatch, if that may be.
 *
 * @param gradients - as in {@link mergeSums}.
 * @param carried - where mean and rstd are behind the partials.
 */
export function mergeAndApplyChannels(at: At, gradients: boolean, carried?: number): Step | undefined {
  const { g } = at;
  if (at.schedule.columns) return undefined;
  return applyMerging(at, rowsApply, {
    choices: {
      means: gradients ? meansWithGradients : meansMerged,
      ONE_CHANNEL: g.groups === g.channels,
      MAKES_GRADIENTS: gradients,
      ...packedChoices(at),
      CARRIED: carried !== undefined,
      ...accumulateChoices(at),
    },
    numbers: { carried: carried ?? 0 },
    ...sourcesOf(at),
  });
}

const accumulateChoices = ({ accumulate }: Pick<At, 'accumulate'>): Choices => ({
  ACCUMULATE_WEIGHT: accumulate.dweight,
  ACCUMULATE_BIAS: accumulate.dbias,
});

type Merged = Pick<At, 'd' | 'g' | 'numbers' | 'facts' | 'choices' | 'accumulate'> & {
  schedule: Pick<BackwardSchedule, 'gradients'>;
};

/** Where partials of dweight and dbias lie. */
interface Partials {
  role: 'partials' | 'gradients';
  /** Bytes into the role's scratch. */
  offset?: number | undefined;
  splits: number;
  /** Neighbours of each split that belong together. */
  inner?: number | undefined;
  /** Default: all. */
  columns?: Columns | undefined;
}

/** dweight and dbias, or some columns of them: the sum of their partials. */
export function mergeGradients(at: Merged, { role, offset = 0, splits, inner = 1, columns }: Partials): Step {
  const { first, span } = columns ?? { first: 0, span: parameterCount(at.d.geometry) };
  const { gradients: team } = at.schedule;
  const ranges = { [role]: { offset, size: Math.max(8, 8 * splits * span * inner) } };
  return dispatch({ ...at, ranges }, joinGradients, {
    choices: { ...storageOf(at), ...accumulateChoices(at) },
    sources: { partials: role },
    numbers: { channels: span, first_col: first, inner, splits, block: blockOf(splits / team.lanes) },
    team,
    workers: span,
  });
}

/** The gradient of alpha from so many sums of rows, if it is wanted. */
export function mergeAlpha(at: Merged, splits: number, add: boolean): Step[] {
  const { dalpha } = at.d;
  if (!dalpha) return [];
  const { gradients: team } = at.schedule;
  const ACCUMULATE_WEIGHT = add || dalpha.accumulate;
  const choices = { ...storageOf(at), WANTS_WEIGHT: true, WANTS_BIAS: false, ACCUMULATE_WEIGHT };
  const numbers = { channels: 1, first_col: 0, inner: 1, splits, block: blockOf(splits / team.lanes) };
  return [
    dispatch({ ...at, ranges: {} }, joinGradients, {
      choices,
      numbers,
      sources: { dweight: 'dalpha' },
      team,
      workers: 1,
    }),
  ];
}

/** What dweight and dbias are stored in, and which are wanted: a replica's own are others than those of the pass. */
const storageOf = ({ d, facts }: Pick<At, 'd' | 'facts'>): Choices => ({
  ...storedAs('W', d.paramDtype, facts),
  WANTS_WEIGHT: d.dweight,
  WANTS_BIAS: d.dbias,
});

/** The sum of a part's partials, added to that of the parts before, `behind` so many bytes of the same scratch. */
export function collectGradients(
  at: At,
  { splits, inner }: { splits: number; inner: number },
  behind: number,
  add: boolean,
): Step {
  const { gradients: team } = at.schedule;
  return dispatch(at, collect, {
    choices: { ADD_PARTIALS: add },
    numbers: { first_col: behind / 8, inner, splits, block: blockOf(splits / team.lanes) },
    team,
    workers: at.g.channels,
  });
}
