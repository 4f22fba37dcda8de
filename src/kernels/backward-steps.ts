// The dispatches that backward passes are made of.
import type { Step } from '../gpu/program.ts';
import type { Chunk } from '../plan/chunks.ts';
import { setCount, setSize } from '../plan/geometry.ts';
import { longestTileSlot } from '../plan/schedule.ts';
import { type BackwardSchedule, quadsOf } from '../plan/strategy.ts';
import type { BackwardDescriptor } from './descriptor.ts';
import {
  activationFragments,
  affineConstants,
  blockOf,
  columnsOf,
  mapConstants,
  type Pass,
  partialsOf,
  reduceFragment,
  savedFragment,
  statisticsOf,
  step,
  sumRuns,
  tensorsFragment,
} from './parts.ts';
import type { Role } from './roles.ts';
import * as shaders from './sources.ts';

/** Everything that the steps of a chunk are made from. */
export interface At extends Pass<BackwardDescriptor, BackwardSchedule> {
  /**
   * Where the gradient of z comes from: from dy (`dy`; an earlier pass has stored it rounded: `again`), or from what an
   * earlier pass stored (`dz`).
   */
  upstream: 'dy' | 'again' | 'dz';
  /** Whether dweight and dbias are added to what their tensors hold. */
  accumulate: BackwardDescriptor['accumulate'];
  /** Says that scratch of a role takes so many bytes. */
  need(role: string, bytes: number): void;
}

/**
 * The same after a pass that stored the gradient of z in dresidual. In f32 neither residual nor activation is left; in f16
 * what is stored is rounded, so it is computed again.
 */
export function afterFirstPass<T extends Pick<At, 'd' | 'upstream'>>(at: T): T {
  if (at.d.residual !== 'after') return at;
  if (at.d.dtype === 'f16') return { ...at, upstream: 'again' };
  return { ...at, d: { ...at.d, residual: 'none', activation: 'none' }, upstream: 'dz' };
}

/** What a pass reads the gradient of z from. */
const upstreams = ({ upstream }: Pick<At, 'upstream'>): Role[] =>
  upstream === 'again' ? ['dy', 'residual'] : [upstream];
const secondFragments = ({ d, upstream }: At) =>
  activationFragments(d, upstream === 'again' ? 'again' : 'backward');

/** What a pass gets statistics from: one binding where residual, or dresidual too, takes another. */
const packedStatistics = (d: BackwardDescriptor): Role[] =>
  d.residual === 'after' ? ['statistics'] : statisticsOf(d);
const biases = (d: BackwardDescriptor): Role[] => (d.activation === 'none' ? [] : ['bias']);
const residuals = (d: BackwardDescriptor): Role[] => (d.residual === 'after' ? ['residual'] : []);
const dresiduals = (d: BackwardDescriptor): Role[] => (d.residual === 'after' ? ['dresidual'] : []);
const dsums = (d: BackwardDescriptor): Role[] => (d.dsum ? ['dsum'] : []);
const shiftFragment = (d: BackwardDescriptor) =>
  d.activation === 'none' ? shaders.shiftNone : shaders.shift;
const dsumFragment = (d: BackwardDescriptor) => (d.dsum ? shaders.dsum : shaders.dsumNone);
const means = (d: BackwardDescriptor): Role[] => (d.kind === 'moments' ? ['mean'] : []);
const packedFragment = (d: BackwardDescriptor) =>
  d.residual === 'after' ? shaders.savedPacked : savedFragment(d);

/** mean and rstd in one array. */
export const packStatistics = (at: At): Step =>
  step(at, {
    main: shaders.mergePack,
    reads: ['mean', 'rstd'],
    writes: ['statistics'],
    workers: setCount(at.g),
  });

/** Slots of a chunk's rows, none empty: at most as many as the first chunk's, to which the others add. */
export function slotsOfChunk({ samples }: Chunk, most: number): number {
  const rounds = Math.ceil(samples / Math.min(most, samples));
  return Math.ceil(samples / rounds);
}

/** dx and the gradient partials of rows that stay in registers. */
export function onePassPerRow(at: At, slots: number, add: boolean): Step {
  const { d, runs, schedule } = at;
  const { team, items, vec4 } = schedule;
  const rounds = Math.ceil(runs.runs / slots);
  // Equal blocks, none longer than a slot is where scratch has room, but for very many rows.
  const blocks = Math.ceil(rounds / Math.max(longestTileSlot, blockOf(rounds)));
  return step(at, {
    main: shaders.rowsBackwardTile,
    fragments: [
      tensorsFragment(vec4),
      shaders.affine,
      runs.affine,
      savedFragment(d),
      shaders.gradientSums,
      reduceFragment(team),
      ...activationFragments(d, 'backward'),
      shiftFragment(d),
      dsumFragment(d),
    ],
    reads: ['x', 'dy', ...dsums(d), 'weight', ...biases(d), ...statisticsOf(d)],
    writes: ['dx', 'gradients'],
    constants: { ...mapConstants(d), HAS_PARTIALS: d.dweight || d.dbias, ADD_PARTIALS: add },
    items,
    numbers: { rows: runs.runs, cols: runs.cols, slots, rounds, block: Math.ceil(rounds / blocks) },
    team,
    workers: slots,
  });
}

/** Σg and Σg·x̂ per (row, slot), or Σdy and Σdy·x̂ per (sample, position, channel, slot). */
export function runSums(at: At): Step {
  const { d, g, runs, schedule } = at;
  const { team, slots, rounds, fourRows, vec4 } = schedule;
  const rows = sumRuns(runs, g, rounds);
  const slotLength = Math.ceil(quadsOf(runs.cols) / slots);
  return step(at, {
    main: shaders.rowsBackwardSums,
    fragments: [
      tensorsFragment(vec4),
      shaders.affine,
      runs.affine,
      packedFragment(d),
      shaders.gradientSums,
      reduceFragment(team),
      runs.fragment,
      ...activationFragments(d, 'backward'),
      shiftFragment(d),
    ],
    reads: ['x', 'dy', ...residuals(d), 'weight', ...biases(d), ...packedStatistics(d)],
    writes: ['partials', ...dresiduals(d)],
    constants: { ...mapConstants(d), FOUR_ROWS: fourRows },
    numbers: {
      rows,
      cols: runs.cols,
      slots,
      slot_length: slotLength,
      rounds,
      block: blockOf((rounds * slotLength) / team.lanes / 64),
    },
    team,
    workers: (fourRows ? Math.ceil(rows / 4) : rows) * slots,
  });
}

export function channelSums(at: At): Step {
  const { d, g, schedule } = at;
  const walk = columnsOf(g, schedule);
  return step(at, {
    main: shaders.channelsBackwardSums,
    fragments: [
      tensorsFragment(schedule.vec4),
      shaders.affine,
      packedFragment(d),
      shaders.columns,
      shaders.columnStatistics,
      ...activationFragments(d, 'backward'),
    ],
    reads: ['x', 'dy', ...residuals(d), 'weight', 'bias', ...packedStatistics(d)],
    writes: ['partials', ...dresiduals(d)],
    constants: mapConstants(d),
    numbers: { ...walk, block: blockOf(walk.slot_length / 16) },
    team: schedule.team,
    workers: g.samples * walk.slots * quadsOf(walk.cols),
  });
}

/** @param joint - whether `sums` holds the means of x, too: two quads per set. */
export function mergeSums(
  at: At,
  perChannel: boolean,
  { width, slots, inner } = partialsOf(at.g, at.schedule),
  joint = false,
): Step {
  const { d, g } = at;
  const { merge } = at.schedule;
  return step(at, {
    main: shaders.mergeSums,
    fragments: [shaders.affine, shaders.gradientSums, reduceFragment(merge)],
    reads: ['partials', 'weight', 'mean', 'rstd'],
    writes: ['sums'],
    constants: { ...affineConstants(d), PER_CHANNEL: perChannel, FROZEN: d.frozen === true, JOINT: joint },
    numbers: { channels: width, inner, slots, block: blockOf((slots * (width / g.groups)) / merge.lanes) },
    team: merge,
    workers: setCount(g),
  });
}

/** Neighbouring columns of a row norm. */
export interface Columns {
  first: number;
  span: number;
}

const columnReads = ({ d, upstream }: Pick<At, 'd' | 'upstream'>, joint: boolean): Role[] => [
  'x',
  ...upstreams({ upstream }),
  ...dsums(d),
  'weight',
  ...biases(d),
  ...(joint ? [] : means(d)),
  'sums',
];

/** Whether `columns` can make dweight and dbias itself: there is but one slot to sum, and a binding left for each. */
export const makesGradients = (at: Pick<At, 'd' | 'upstream'>, slots: number): boolean =>
  slots === 1 && columnReads(at, true).length <= 5;

/**
 * dx of some columns of rows whose sums are known, and dweight and dbias themselves (`whole`) or their partials. With
 * them, or with residual, no binding is left for the means of x: `sums` is joint.
 *
 * @param add - whether partials are added to those of the rows before.
 */
export function columns(at: At, slots: number, whole: boolean, add: boolean, { first, span }: Columns): Step {
  const { d, g, runs, schedule, upstream } = at;
  const { columnsWorkgroup, columnRounds, vec4 } = schedule;
  const rows = setCount(g);
  const oneRow = rows === slots;
  const joint = whole || upstream === 'again';
  const twoQuads = schedule.twoQuads && !oneRow;
  const gradients = vec4 ? shaders.gradientsVec4 : shaders.gradientsScalar;
  return step(at, {
    main: shaders.rowsBackwardColumns,
    fragments: [
      tensorsFragment(vec4),
      shaders.affine,
      runs.affine,
      savedFragment(d),
      joint ? shaders.sumsJoint : shaders.sumsApart,
      ...(whole ? [shaders.wantedGradients, gradients] : [shaders.gradientsPartials]),
      vec4 && !d.dsum && d.activation === 'none' ? shaders.visitVec4 : shaders.visit,
      ...secondFragments(at),
      shiftFragment(d),
      dsumFragment(d),
    ],
    reads: columnReads(at, joint),
    writes: ['dx', ...(whole ? (['dweight', 'dbias'] as const) : (['gradients'] as const))],
    constants: {
      ...mapConstants(d),
      HAS_GRADIENTS: d.dweight || d.dbias,
      TWO_QUADS: twoQuads,
      ONE_ROW: oneRow,
      ...(whole ? gradientConstants(at) : { ADD_PARTIALS: add }),
    },
    numbers: {
      rows,
      cols: setSize(g),
      slots,
      slot_length: Math.ceil(rows / slots),
      block: blockOf(rows / slots),
      rounds: columnRounds,
      first_col: first,
      span,
    },
    team: { workgroup: columnsWorkgroup, lanes: 1, reduction: 'serial' },
    workers: slots * Math.ceil(Math.ceil(quadsOf(span) / (twoQuads ? 2 : 1)) / columnRounds),
  });
}

/** dx and the gradient partials of sets of contiguous channels, one team per set. */
export function onePassPerChannel(at: At): Step {
  const { d, g, runs, schedule } = at;
  const { team, vec4 } = schedule;
  return step(at, {
    main: shaders.rowsBackwardChannels,
    fragments: [
      tensorsFragment(vec4),
      shaders.affine,
      runs.affine,
      savedFragment(d),
      shaders.gradientSums,
      reduceFragment(team),
      ...activationFragments(d, 'backward'),
      shiftFragment(d),
    ],
    reads: ['x', 'dy', 'weight', ...biases(d), 'mean', 'rstd'],
    writes: ['dx', 'partials'],
    constants: mapConstants(d),
    numbers: { block: blockOf(quadsOf(g.inner) / team.lanes / 16) },
    team,
    workers: setCount(g),
  });
}

export function runApply(at: At): Step {
  const { d, runs, schedule } = at;
  const { team, slots, vec4 } = schedule;
  return step(at, {
    main: shaders.rowsBackwardApply,
    fragments: [
      tensorsFragment(vec4),
      shaders.affine,
      runs.affine,
      savedFragment(d),
      runs.fragment,
      ...secondFragments(at),
      shiftFragment(d),
    ],
    reads: ['x', ...upstreams(at), 'weight', ...biases(d), 'mean', 'sums'],
    writes: ['dx'],
    constants: { ...mapConstants(d), FROZEN: d.frozen === true },
    numbers: { rows: runs.runs, cols: runs.cols, slots, slot_length: Math.ceil(quadsOf(runs.cols) / slots) },
    team: { ...team, reduction: 'serial' },
    workers: runs.runs * slots,
  });
}

export function channelApply(at: At): Step {
  const { d, g, schedule } = at;
  const walk = columnsOf(g, schedule);
  return step(at, {
    main: shaders.channelsBackwardApply,
    fragments: [
      tensorsFragment(schedule.vec4),
      shaders.affine,
      packedFragment(d),
      shaders.columns,
      shaders.columnStatistics,
      ...secondFragments(at),
    ],
    reads: ['x', ...upstreams(at), 'weight', 'bias', ...packedStatistics(d), 'sums'],
    writes: ['dx'],
    constants: { ...mapConstants(d), FROZEN: d.frozen === true },
    numbers: walk,
    team: schedule.team,
    workers: g.samples * walk.slots * quadsOf(walk.cols),
  });
}

/** Overrides of what writes dweight and dbias. */
const gradientConstants = ({ d, accumulate }: Pick<At, 'd' | 'accumulate'>) => ({
  WANTS_WEIGHT: d.dweight,
  WANTS_BIAS: d.dbias,
  ACCUMULATE_WEIGHT: accumulate.dweight,
  ACCUMULATE_BIAS: accumulate.dbias,
});

type Merged = Pick<At, 'd' | 'params' | 'facts' | 'accumulate'> & {
  schedule: Pick<BackwardSchedule, 'gradients'>;
};

/** Where partials of dweight and dbias lie. */
interface Partials {
  role: 'partials' | 'gradients';
  /** Bytes into the role's scratch. */
  offset?: number | undefined;
  slots: number;
  /** Neighbours of each slot that belong together. */
  inner?: number | undefined;
  /** Default: all. */
  columns?: Columns | undefined;
}

/** dweight and dbias, or some columns of them: the sum of their partials. */
export function mergeGradients(at: Merged, { role, offset = 0, slots, inner = 1, columns }: Partials): Step {
  const { first, span } = columns ?? { first: 0, span: at.d.geometry.channels };
  const { gradients: team } = at.schedule;
  const ranges = { [role]: { offset, size: Math.max(8, 8 * slots * span * inner) } };
  return step(
    { ...at, ranges },
    {
      main: shaders.mergeGradients,
      fragments: [shaders.wantedGradients, shaders.gradientSums, shaders.sumOfSlots, reduceFragment(team)],
      reads: [role],
      writes: ['dweight', 'dbias'],
      constants: gradientConstants(at),
      numbers: { channels: span, first_col: first, inner, slots, block: blockOf(slots / team.lanes) },
      team,
      workers: span,
    },
  );
}

/** The sum of a part's partials, added to that of the parts before, `behind` so many bytes of the same scratch. */
export function collectGradients(
  at: At,
  { slots, inner }: { slots: number; inner: number },
  behind: number,
  add: boolean,
): Step {
  const { gradients: team } = at.schedule;
  return step(at, {
    main: shaders.mergeCollect,
    fragments: [shaders.gradientSums, shaders.sumOfSlots, reduceFragment(team)],
    reads: [],
    writes: ['partials'],
    constants: { ADD_PARTIALS: add },
    numbers: { first_col: behind / 8, inner, slots, block: blockOf(slots / team.lanes) },
    team,
    workers: at.g.channels,
  });
}
