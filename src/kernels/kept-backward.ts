import backwardKept from '../../shaders/kernels/kept/backward.wgsl';
import { byteSize } from '../gpu/dtype.ts';
import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { elementCount } from '../plan/geometry.ts';
import { keptQuads, keptTiles, scheduleKept } from '../plan/kept.ts';
import type { BackwardSchedule } from '../plan/strategy.ts';
import type { Choices } from '../shaders/link.ts';
import { mergeRequested, ofNothing, packed, partsOf } from './backward.ts';
import {
  type At,
  afterFirstPass,
  type Columns,
  firstChoices,
  packedChoices,
  secondUpstream,
  sourcesOf,
} from './backward-steps.ts';
import type { BackwardDescriptor } from './descriptor.ts';
import { keptChoices, keptNumbers, keptSegments } from './kept.ts';
import { dispatch } from './pass.ts';

/** The dispatches of a backward pass over axes that others follow: dx and partials, then dweight and dbias. Roles: those of rowBackward. */
export function keptBackward(d: BackwardDescriptor, facts: DeviceFacts): Program {
  const { geometry } = d;
  if (elementCount(geometry) === 0) return ofNothing(d, facts);
  const { positions, groups } = geometry;
  // A thread with sixteen columns does its last quad again where there are fewer, which must not read what it has written in place.
  if (d.aliases && d.schedule.fourRows) {
    throw new NormError(
      'aliasing',
      'out.dx is an input, which a thread with sixteen columns may read again after it was written.',
      'Leave fourRows out of the schedule, or give out.dx a tensor of its own.',
    );
  }
  const options = d.aliases ? { ...d.schedule, fourRows: false } : d.schedule;
  const schedule = scheduleKept(geometry, facts, options, byteSize(d.dtype));
  const any = d.dweight || d.dbias;
  const span = any ? schedule.span : positions;
  const ranges = Array.from({ length: Math.ceil(positions / span) }, (_, i) => ({
    first: i * span,
    span: Math.min(span, positions - i * span),
  }));
  if (d.aliases && ranges.length > 1) {
    throw new NormError(
      'aliasing',
      `out.dx is written in ${ranges.length} ranges of rows, each of which needs all of the inputs.`,
      'Give out.dx a tensor of its own.',
    );
  }
  const again = secondUpstream(d) === 'again';
  const own = ownPartials(schedule);
  const fixed = { 'The partials of dweight and dbias': any ? 8 * schedule.splits * own * span : 0 };
  const passes: At[] = [];
  return partsOf(d, schedule, keptSegments, facts, [again ? 16 * groups : 0], fixed, (at, index, chunks) => {
    // All parts add to the partials of a range of rows before the next one has them.
    passes.push(at);
    if (index < chunks.length - 1) return [];
    const all = passes.splice(0);
    // The first part has most tiles. A thread that has none has no partial either.
    const { g } = all[0] as At;
    const workgroups = Math.min(schedule.splits, tilesOf(all[0] as At));
    const splits = Math.min(
      workgroups * own,
      own > 1 ? Math.ceil(keptQuads(g) / (schedule.fourRows ? 4 : 1)) : workgroups,
    );
    if (any) at.need('gradients', 8 * splits * span);
    return ranges.flatMap((columns, i) => [
      ...all.flatMap((part, j) => [
        ...(d.residual === 'after' && i === 0 ? [storeDresidual(part)] : []),
        ...(again ? packed(part) : []),
        storeDx(afterFirstPass(part), columns, workgroups, j > 0),
      ]),
      ...mergeRequested({ ...at, accumulate: d.accumulate }, { role: 'gradients', splits, columns }),
    ]);
  });
}

/** Partials of a workgroup: those of its threads, or one. */
const ownPartials = ({ strategy, team }: BackwardSchedule): number =>
  strategy === 'thread' ? team.workgroup : 1;

const tilesOf = ({ g, schedule }: At): number => keptTiles(g, schedule.team, schedule.fourRows);

/** The gradient of what an activation is given, which is that of the residual. */
const storeDresidual = (at: At): Step =>
  keptStep(at, { first: 0, span: at.g.positions }, tilesOf(at), { ...firstChoices(at), PACKED: false });

/** dx, and the partials of dweight and dbias of some rows. */
function storeDx(at: At, columns: Columns, workgroups: number, add: boolean): Step {
  const HAS_PARTIALS = at.d.dweight || at.d.dbias;
  const tiles = tilesOf(at);
  return keptStep(at, columns, HAS_PARTIALS ? Math.min(workgroups, tiles) : tiles, {
    ...packedChoices(at),
    HAS_PARTIALS,
    ADD_PARTIALS: add,
  });
}

/** A persistent dispatch of so many workgroups. */
function keptStep(at: At, { first, span }: Columns, workgroups: number, choices: Choices): Step {
  const { team, strategy } = at.schedule;
  return dispatch(at, backwardKept, {
    choices: { ...keptChoices(at), SHARES_SPLIT: strategy !== 'thread', ...choices },
    numbers: {
      ...keptNumbers(at),
      splits: workgroups,
      column_steps: Math.ceil(tilesOf(at) / workgroups),
      first_col: first,
      span,
    },
    ...sourcesOf(at),
    team,
    workers: (workgroups * team.workgroup) / team.lanes,
  });
}
