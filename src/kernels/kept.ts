// What both passes share where kept axes lie behind reduced ones.
import affineSegment from '../../shaders/interfaces/affine/segment.wgsl';
import { type Geometry, setCount } from '../plan/geometry.ts';
import { keptChunk, keptColumns } from '../plan/kept.ts';
import type { BackwardSchedule } from '../plan/strategy.ts';
import type { Choices } from '../shaders/link.ts';
import type { NormDescriptor } from './descriptor.ts';
import type { Pass, Segments } from './pass.ts';

type AnyPass = Pass<NormDescriptor, BackwardSchedule>;

/** A segment is a run of neighbouring columns at all positions. weight and bias of a position are one value. */
export function keptSegments(g: Geometry): Segments {
  const cols = keptColumns(g);
  const choices = { affine: affineSegment, INTERLEAVED: cols < g.channels };
  return { count: setCount(g) / cols, cols, choices, setChoices: choices };
}

/** What kernels of this family are linked with beside what all are. */
export const keptChoices = ({ schedule }: AnyPass, fourQuads = schedule.fourRows): Choices => ({
  FOUR_QUADS: fourQuads,
  SEVERAL_LANES: schedule.team.lanes > 1,
  ...(schedule.strategy === 'thread' ? { ABREAST: false } : {}),
});

/** And the numbers. */
export const keptNumbers = ({ g, segments, schedule }: AnyPass): Record<string, number> => ({
  segments: segments.count,
  rows: g.positions,
  cols: segments.cols,
  ...interleaved(g),
  block: keptChunk(g.positions, schedule.team.lanes),
});

/** The last sizes of what lies interleaved, as if there were three runs of reduced axes. */
function interleaved({ runs }: Geometry): Record<string, number> {
  const { reduced = [], kept = [] } = runs ?? {};
  return { run: reduced.at(-1) ?? 1, run_before: reduced.at(-2) ?? 1, between: kept.at(-2) ?? 1 };
}
