// What forward and backward programs share: choices, numbers, workgroup counts, ranges of a chunk.
import affineChannel from '../../shaders/interfaces/affine/channel.wgsl';
import affineColumnScalar from '../../shaders/interfaces/affine/column_scalar.wgsl';
import affineColumnVec4 from '../../shaders/interfaces/affine/column_vec4.wgsl';
import affineSegment from '../../shaders/interfaces/affine/segment.wgsl';
import reducePortable from '../../shaders/interfaces/reduce/portable.wgsl';
import reduceSerial from '../../shaders/interfaces/reduce/serial.wgsl';
import reduceSubgroups from '../../shaders/interfaces/reduce/subgroups.wgsl';
import segmentsChannel from '../../shaders/interfaces/segments/channel.wgsl';
import segmentsRow from '../../shaders/interfaces/segments/row.wgsl';
import tensorsScalar from '../../shaders/interfaces/tensors/scalar.wgsl';
import tensorsVec4 from '../../shaders/interfaces/tensors/vec4.wgsl';
import { byteSize, type FloatDType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Range, Step } from '../gpu/program.ts';
import type { Chunk } from '../plan/chunks.ts';
import { elementCount, type Geometry, setCount, setSize } from '../plan/geometry.ts';
import type { ForwardSchedule, Team } from '../plan/strategy.ts';
import type { Choices } from '../shaders/link.ts';
import type { ShaderModule } from '../shaders/module.ts';
import { activations } from './activation.ts';
import type { NormDescriptor } from './descriptor.ts';
import { kernelOf, stepOf, storageChoices } from './step.ts';

/** How a kernel loads and stores x and its likes: four elements at once, or one by one. */
export const tensorsChoices = (vec4: boolean): Choices => ({
  tensors: vec4 ? tensorsVec4 : tensorsScalar,
  VEC4: vec4,
});

const reductions = { serial: reduceSerial, portable: reducePortable, subgroups: reduceSubgroups };

/** How many threads share a piece of work, and how they join what they have. */
const teamChoices = ({ workgroup, lanes, reduction }: Team, { subgroup }: DeviceFacts): Choices => ({
  reduce: reductions[reduction],
  WORKGROUP: workgroup,
  LANES: lanes,
  SUBGROUP: subgroup,
});

/** What every kernel of a norm may ask for: types, the affine map, what follows it. */
export const normChoices = (d: NormDescriptor): Choices => ({
  ...storageChoices(d.dtype, d.paramDtype),
  HAS_MEAN: d.kind === 'moments',
  HAS_WEIGHT: d.weight,
  HAS_BIAS: d.bias,
  WEIGHT_OFFSET: d.weightOffset,
  CAST_FIRST: d.castFirst,
  activation: activations[d.activation],
  HAS_ACTIVATION: d.activation !== 'none',
  NEGATIVE_SLOPE: d.negativeSlope,
  RESIDUAL_AFTER: d.residual === 'after',
  ADDS_RESIDUAL: d.residual === 'before',
});

/** Chunks or rows that are merged before they meet the total: about the root of `count`. */
export const blockOf = (count: number): number => Math.max(1, Math.ceil(Math.sqrt(count)));

/** Some samples of a tensor: their geometry, the numbers that every dispatch over them gets, what to bind. */
export interface Part {
  g: Geometry;
  numbers: Readonly<Record<string, number>>;
  /** By operand or scratch. */
  ranges: Readonly<Record<string, Range>>;
}

const likeX = ['x', 'residual', 'y', 'sum', 'dy', 'dsum', 'dx', 'dresidual'];

/** x and its likes are bound from an aligned offset at or before the chunk; mean and rstd are bound whole. */
export function partOf(d: NormDescriptor, chunk: Chunk, facts: DeviceFacts): Part {
  const each = elementCount({ ...d.geometry, samples: 1 });
  const g = { ...d.geometry, samples: chunk.samples };
  const part = partFrom(d, g, chunk.firstSample * each, chunk.samples * each, facts);
  return { ...part, numbers: { ...part.numbers, first_set: chunk.firstSample * g.groups } };
}

/** What to bind of a tensor like x for a chunk, and the place of the chunk's first element in that. */
export function rangeOf(
  geometry: Geometry,
  dtype: FloatDType,
  { firstSample, samples }: Chunk,
  facts: DeviceFacts,
): { first: number; like: Range } {
  const sampleBytes = elementCount({ ...geometry, samples: 1 }) * byteSize(dtype);
  return boundFrom(firstSample * sampleBytes, samples * sampleBytes, dtype, facts);
}

/** The same for some bytes from `start` on. */
export function boundFrom(
  start: number,
  bytes: number,
  dtype: FloatDType,
  facts: DeviceFacts,
): { first: number; like: Range } {
  const offset = start - (start % facts.offsetAlignment);
  const like = { offset, size: start - offset + bytes };
  return { first: (start - offset) / byteSize(dtype), like };
}

/** Some elements of a tensor: {@link partOf}, with the geometry of those, from `start` on. */
export function partFrom(
  d: NormDescriptor,
  g: Geometry,
  start: number,
  elements: number,
  facts: DeviceFacts,
): Part {
  const bytes = byteSize(d.dtype);
  const { first, like } = boundFrom(start * bytes, elements * bytes, d.dtype, facts);
  return {
    g,
    numbers: { ...g, count: setSize(g), eps: d.eps, first_element: first, first_set: 0 },
    ranges: Object.fromEntries(likeX.map((role) => [role, like])),
  };
}

/** A geometry as contiguous segments of elements, and what stands for that in shaders. */
export interface Segments {
  count: number;
  /** Elements of a segment. */
  cols: number;
  choices: Choices;
  /** The same where a kernel walks whole sets. */
  setChoices: Choices;
}

/** A segment is a set, with a weight per column. */
export function setSegments(g: Geometry, vec4: boolean): Segments {
  const choices = {
    segments: segmentsRow,
    PER_CHANNEL: false,
    affine: vec4 ? affineColumnVec4 : affineColumnScalar,
  };
  return { count: setCount(g), cols: setSize(g), choices, setChoices: choices };
}

/** A segment is one channel at one position, with one weight. */
export function channelSegments({ samples, positions, channels, inner }: Geometry): Segments {
  return {
    count: samples * positions * channels,
    cols: inner,
    choices: { segments: segmentsChannel, PER_CHANNEL: true, affine: affineSegment },
    setChoices: { affine: affineChannel, QUAD_IN_CHANNEL: inner % 4 === 0 },
  };
}

/** How many segments sums have: `planesPerPartial` positions share one. */
export const sumSegments = ({ count }: Segments, { positions }: Geometry, planesPerPartial: number): number =>
  (count / positions) * Math.ceil(positions / planesPerPartial);

/** Everything that the dispatches over a part are made from. */
export interface Pass<Descriptor extends NormDescriptor, Schedule extends ForwardSchedule> extends Part {
  d: Descriptor;
  schedule: Schedule;
  segments: Segments;
  facts: DeviceFacts;
  /** What all kernels of the pass are linked with. */
  choices: Choices;
}

/** What a dispatch has of its own. */
interface DispatchParts {
  /** Beside those of the pass. */
  choices?: Choices;
  numbers?: Part['numbers'];
  /** By the name of a buffer in WGSL the operand that stands for it, where that has another name. */
  sources?: Readonly<Record<string, string>>;
  team?: Team;
  /** Teams of lanes that there is work for. */
  workers: number;
}

/** Threads that share nothing. */
export const alone: Team = { workgroup: 64, lanes: 1, reduction: 'serial' };

/** A dispatch over a part. */
export function dispatch(
  at: Part & { facts: DeviceFacts; choices: Choices },
  module: ShaderModule,
  { team = alone, choices, numbers, sources, workers }: DispatchParts,
): Step {
  const kernel = kernelOf(module, { ...at.choices, ...teamChoices(team, at.facts), ...choices }, sources);
  return stepOf(kernel, {
    numbers: { ...at.numbers, ...numbers },
    ranges: at.ranges,
    workgroups: Math.ceil(workers / (team.workgroup / team.lanes)),
  });
}

/** The rows and columns that a geometry is walked by where threads own columns (shaders/shared/columns.wgsl). */
export function columnsOf(g: Geometry, { splits, positionsPerRow }: Split) {
  const rows = g.positions / positionsPerRow;
  return {
    rows,
    cols: positionsPerRow * g.channels * g.inner,
    splits,
    split_length: Math.ceil(rows / splits),
  };
}

type Split = Pick<ForwardSchedule, 'splits' | 'columns' | 'positionsPerRow' | 'planesPerPartial'>;

/** The partials of a split, as the merges see them: [samples, splits, width], and how many neighbours share a weight. */
export function partialsOf(
  g: Geometry,
  { splits, columns, positionsPerRow, planesPerPartial }: Split,
): { width: number; splits: number; inner: number } {
  if (columns) return { width: g.channels * g.inner, splits: splits * positionsPerRow, inner: g.inner };
  // A row counts as one channel; a position of a channel, or several, have splits of their own.
  return g.inner > 1
    ? { width: g.channels, splits: Math.ceil(g.positions / planesPerPartial) * splits, inner: 1 }
    : { width: g.groups, splits, inner: 1 };
}

/** Bytes of the parameters, which are bound whole. */
export function parameterBytes(d: NormDescriptor): Record<string, number> {
  return { 'A parameter': d.geometry.channels * byteSize(d.paramDtype) };
}
