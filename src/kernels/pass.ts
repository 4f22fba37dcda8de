// What forward and backward passes share: choices, numbers, workgroup counts, the parts of a tensor that is too large for one pass.
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
import { type Chunk, checkWhole, chunksOf, onePart } from '../plan/chunks.ts';
import {
  applySplits,
  fewRegisters,
  longestColumn,
  rowSplits,
  rowsAtOnce,
  shortColumn,
} from '../plan/columns.ts';
import { elementCount, type Geometry, parameterCount, setCount, setSize } from '../plan/geometry.ts';
import { samplesWithin } from '../plan/grid.ts';
import { type ForwardSchedule, quadsOf, type Team } from '../plan/strategy.ts';
import { workspaceBudget } from '../plan/workspace.ts';
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
  SEVERAL_SUBGROUPS: lanes > subgroup,
});

/** How many loads a thread has under way. */
const loadChoices = (facts: DeviceFacts): Choices => ({
  ABREAST: !facts.software,
  AT_ONCE: rowsAtOnce(facts),
});

/**
 * Row by row where a kernel holds much else and registers are few. Spills of Mesa's compiler for an Arc A770 with two rows abreast and
 * with one: statistics 88 and 62, backward sums with relu 103 and 53, backward apply with relu 19 and none.
 */
export const oneByOne = ({ facts }: { facts: DeviceFacts }, holdsMuch: boolean): Choices =>
  holdsMuch && fewRegisters(facts) ? { ABREAST: false } : {};

/** What every kernel of a norm may ask for: types, the affine map, what follows it. */
export const normChoices = (d: NormDescriptor, facts: DeviceFacts): Choices => ({
  ...storageChoices(d.dtype, d.paramDtype, facts, d.yDtype),
  HAS_MEAN: d.kind === 'moments',
  UNIT_LENGTH: d.kind === 'l2',
  LIMITED: d.mostRstd !== undefined,
  SATURATES: d.kind === 'tanh',
  HAS_WEIGHT: d.weight,
  HAS_BIAS: d.bias,
  BLOCKED: d.blocked === true,
  WEIGHT_OFFSET: d.weightOffset,
  CAST_FIRST: d.castFirst,
  activation: activations[d.activation],
  HAS_ACTIVATION: d.activation !== 'none',
  NEGATIVE_SLOPE: d.negativeSlope,
  RESIDUAL_AFTER: d.residual === 'after',
  GATED: d.gated === true,
  ADDS_RESIDUAL: d.residual === 'before',
  X_IS_Y: d.aliases?.x === 'y',
  X_IS_SUM: d.aliases?.x === 'sum',
  RESIDUAL_IS_Y: d.aliases?.residual === 'y',
  RESIDUAL_IS_SUM: d.aliases?.residual === 'sum',
  X_IS_DX: d.aliases?.x === 'dx',
  DY_IS_DX: d.aliases?.dy === 'dx',
  DSUM_IS_DX: d.aliases?.dsum === 'dx',
  SHARED: d.shared?.join(' '),
});

/**
 * Where operands lie that are not dense: numbers of shaders/shared/strides.wgsl, in quads where these are loaded.
 *
 * @param sources - by the name of a buffer in WGSL the operand that stands for it, where that has another name.
 */
function layoutChoices(
  layouts: NormDescriptor['layouts'],
  vec4: boolean,
  sources: Readonly<Record<string, string>> = {},
): Choices {
  const choices: Record<string, string | boolean> = {};
  const unit = vec4 ? 4 : 1;
  for (const [role, { runs, steps, first }] of Object.entries(layouts ?? {})) {
    const [run, ...others] = runs;
    const renamed = Object.keys(sources).filter((name) => sources[name] === role);
    for (const buffer of role in sources ? renamed : [...renamed, role]) {
      const name = buffer.toUpperCase();
      choices[`${name}_STRIDED`] = true;
      const [places, distances] = [[run / unit, ...others, first / unit], steps.map((step) => step / unit)];
      choices[`${name}_LAYOUT`] = `Layout(${vector(places)}, ${vector([...distances, 0])})`;
    }
  }
  return choices;
}

const vector = (numbers: readonly number[]): string =>
  `vec4<u32>(${numbers.map((one) => `${one}u`).join(', ')})`;

/** Chunks or rows that are merged before they meet the total: about the root of `count`. */
export const blockOf = (count: number): number => Math.max(1, Math.ceil(Math.sqrt(count)));

/** Some samples of a tensor: their geometry, the numbers that every dispatch over them gets, what to bind. */
export interface Part {
  g: Geometry;
  numbers: Readonly<Record<string, number>>;
  /** By operand or scratch. */
  ranges: Readonly<Record<string, Range>>;
  /** As of the descriptor. */
  layouts?: NormDescriptor['layouts'];
}

const likeX = ['x', 'residual', 'gate', 'y', 'sum', 'dy', 'dsum', 'dx', 'dresidual', 'dgate'];

/** Bytes of an element of such a tensor. */
const elementBytesOf = ({ dtype, yDtype = dtype }: NormDescriptor, role: string): number =>
  byteSize(role === 'y' || role === 'dy' ? yDtype : dtype);

/**
 * What limits the parts of tensors of x's shape: bytes of the widest element, and how far apart parts may begin, in bytes of that. All begin
 * with the same element, which must be at an aligned offset in the narrowest, too.
 */
export function widestOf(
  d: NormDescriptor,
  facts: DeviceFacts,
): { elementBytes: number; facts: DeviceFacts } {
  const [x, y] = [elementBytesOf(d, 'x'), elementBytesOf(d, 'y')];
  const elementBytes = Math.max(x, y);
  const offsetAlignment = (facts.offsetAlignment * elementBytes) / Math.min(x, y);
  return { elementBytes, facts: { ...facts, offsetAlignment } };
}

/** What the operand of an epilogue stands for where it is a gate. */
const gates = { residual: 'gate', dresidual: 'dgate' };

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
  const elements = elementCount({ ...geometry, samples: 1 });
  const bytes = byteSize(dtype);
  const { begin, first } = boundFrom(firstSample * elements, bytes, facts);
  return { first, like: { offset: begin * bytes, size: (first + samples * elements) * bytes } };
}

/** The element that a binding begins with, at or before `start`, and the place of that in it. */
function boundFrom(
  start: number,
  elementBytes: number,
  { offsetAlignment }: DeviceFacts,
): { begin: number; first: number } {
  const first = start % (offsetAlignment / elementBytes);
  return { begin: start - first, first };
}

/** Some elements of a tensor: {@link partOf}, with the geometry of those, from `start` on. */
export function partFrom(
  d: NormDescriptor,
  g: Geometry,
  start: number,
  elements: number,
  facts: DeviceFacts,
): Part {
  const widest = widestOf(d, facts);
  const { begin, first } = boundFrom(start, widest.elementBytes, widest.facts);
  const ranges: Record<string, Range> = {};
  for (const role of likeX) {
    const bytes = elementBytesOf(d, role);
    ranges[role] = { offset: begin * bytes, size: (first + elements) * bytes };
  }
  // Such a pass is not cut into parts, so that these begin with the tensor.
  for (const [role, { first, span }] of Object.entries(d.layouts ?? {})) {
    ranges[role] = { offset: 0, size: (first + span) * elementBytesOf(d, role) };
  }
  const { runs: _, ...sizes } = g;
  return {
    g,
    numbers: {
      ...sizes,
      count: setSize(g),
      shrink: 1 / Math.sqrt(setSize(g)),
      eps: d.eps,
      most_rstd: d.mostRstd ?? 0,
      first_element: first,
      first_set: 0,
    },
    ranges,
    layouts: d.layouts,
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
    GROUPED: g.groups > 1,
  };
  return { count: setCount(g), cols: setSize(g), choices, setChoices: choices };
}

/** A segment is one channel at one position, with one weight. */
export function channelSegments(g: Geometry): Segments {
  const { samples, positions, channels, inner } = g;
  const few = setSize(g) <= 2 ** 20;
  return {
    count: samples * positions * channels,
    cols: inner,
    choices: { segments: segmentsChannel, PER_CHANNEL: true, affine: affineSegment },
    setChoices: { affine: affineChannel, QUAD_IN_CHANNEL: inner % 4 === 0, FEW_COLUMNS: few },
  };
}

/** A pass over a tensor, before it is cut into parts. */
export interface Plan<Descriptor extends NormDescriptor, Schedule extends ForwardSchedule> {
  d: Descriptor;
  schedule: Schedule;
  segmentsOf: typeof setSegments;
  facts: DeviceFacts;
  /** What all kernels of the pass are linked with, beside what follows from the schedule. */
  choices: Choices;
}

/** Everything that the dispatches over a part are made from. */
export interface Pass<Descriptor extends NormDescriptor, Schedule extends ForwardSchedule> extends Part {
  d: Descriptor;
  schedule: Schedule;
  segments: Segments;
  facts: DeviceFacts;
  choices: Choices;
}

/** What the dispatches over one part of the tensor are made from: the plan, the part, and how its rows and columns are split. */
export function passOf<D extends NormDescriptor, S extends ForwardSchedule>(
  { d, schedule, segmentsOf, facts, choices }: Plan<D, S>,
  part: Part,
  segments = segmentsOf(part.g, schedule.vec4),
): Pass<D, S> {
  const numbers = { ...part.numbers, ...splitNumbers(part.g, segments, schedule, facts) };
  const { vec4 } = schedule;
  const POINTS_AT_Y = vec4 && !d.layouts?.y;
  const loads = { ...tensorsChoices(vec4), POINTS_AT_Y };
  const all = { ...choices, ...loads, ...segments.choices };
  return { d, schedule, facts, segments, ...part, numbers, choices: all };
}

/** Makes the scratch buffer of that name at least so large. */
export type Need = (role: string, bytes: number) => void;

/**
 * The dispatches over each part of x that bindings and scratch can hold.
 *
 * @param sampleBytes - of scratch per sample: what each binding of it takes.
 * @param fixedBytes - of scratch for all parts, by name.
 */
export function inParts<D extends NormDescriptor, S extends ForwardSchedule>(
  plan: Plan<D, S>,
  sampleBytes: readonly number[],
  fixedBytes: Readonly<Record<string, number>>,
  stepsOf: (at: Pass<D, S>, need: Need, index: number, chunks: readonly Chunk[]) => Step[],
  mostSamples?: number,
): { steps: Step[]; scratch: Record<string, number> } {
  const { d, facts } = plan;
  const { geometry } = d;
  const budget = workspaceBudget(geometry, byteSize(d.dtype), facts);
  const taken = Object.values(fixedBytes).reduce((sum, size) => sum + size, 0);
  // Splits that are asked for may take more than there is: parts of single samples would not make up for it.
  const rest = Math.max(budget / 2, budget - taken);
  const whole = { ...parameterBytes(d), ...fixedBytes, ...stridedBytes(d) };
  const widest = widestOf(d, facts);
  const undivided = d.layouts ? 'x with strides' : d.blocked && 'x beside a weight per sample';
  const chunks = undivided
    ? onePart(geometry, widest.elementBytes, undivided, whole, facts)
    : chunksOf(geometry, widest.elementBytes, sampleBytes, whole, widest.facts, rest, mostSamples);
  const scratch: Record<string, number> = {};
  const need: Need = (role, size) => {
    scratch[role] = Math.max(scratch[role] ?? 0, size);
  };
  const steps = chunks.flatMap((chunk, index) =>
    stepsOf(passOf(plan, partOf(d, chunk, facts)), need, index, chunks),
  );
  const most = Math.max(...chunks.map(({ samples }) => samples));
  const fewer = undivided ? most : samplesWithin(steps, most, facts);
  return fewer < most ? inParts(plan, sampleBytes, fixedBytes, stepsOf, fewer) : { steps, scratch };
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
  const common = { ...at.choices, ...teamChoices(team, at.facts), ...loadChoices(at.facts) };
  const operands = common.GATED ? { ...gates, ...sources } : sources;
  const layouts = layoutChoices(at.layouts, common.VEC4 === true, operands);
  const kernel = kernelOf(module, { ...common, ...layouts, ...choices }, operands);
  return stepOf(kernel, {
    numbers: { ...at.numbers, ...numbers },
    ranges: at.ranges,
    workgroups: Math.ceil(workers / (team.workgroup / team.lanes)),
  });
}

/** Whether the lanes of a row that stays in registers hold nothing but the row. */
export const holdsWhole = (cols: number, { team, items }: Pick<ForwardSchedule, 'team' | 'items'>): boolean =>
  cols === 4 * team.lanes * items;

type AnyPass = Pass<NormDescriptor, ForwardSchedule>;

/**
 * A dispatch in which threads own columns (shaders/shared/columns.wgsl) and sum splits of the rows.
 *
 * @param chunk - rows that are summed before they meet a block.
 */
export function sumColumns(at: AnyPass, module: ShaderModule, chunk: number, choices: Choices = {}): Step {
  const { cols, splits, split_length } = splitNumbers(at.g, at.segments, at.schedule, at.facts);
  return dispatch(at, module, {
    choices: {
      ...oneByOne(at, true),
      BLOCKS: split_length > longestColumn,
      ONE_CHUNK: split_length <= shortColumn,
      ...choices,
    },
    numbers: { block: blockOf(split_length / chunk) },
    team: at.schedule.team,
    workers: at.g.samples * splits * quadsOf(cols),
  });
}

/** The same for a kernel that writes to each element, and shares the rows out anew. */
export function applyColumns(at: AnyPass, module: ShaderModule, own: Partial<DispatchParts> = {}): Step {
  const { g, segments, schedule, facts } = at;
  const { rows, cols, splits, split_length } = splitNumbers(g, segments, schedule, facts);
  const columns = g.samples * quadsOf(cols);
  const { team } = schedule;
  const numbers = applySplits(rows, columns, { splits, split_length }, team.workgroup, facts);
  return dispatch(at, module, { ...own, numbers, team, workers: columns * numbers.splits });
}

/**
 * A dispatch that sums segments which are divided into splits (shaders/interfaces/segments).
 *
 * @param chunk - quads that a lane sums before they meet a block.
 * @param planes - planes that a lane walks before its blocks meet.
 * @param each - rows of a worker.
 */
export function sumSegments(
  at: AnyPass,
  module: ShaderModule,
  chunk: number,
  planes = 1,
  each = 1,
  choices: Choices = {},
  numbers: Part['numbers'] = {},
): Step {
  const { g, segments, schedule } = at;
  const { team, splits, planesPerPartial } = schedule;
  const { split_length } = splitNumbers(g, segments, schedule, at.facts);
  const rows = summedSegments(at);
  const few = split_length / team.lanes <= 4 * chunk;
  return dispatch(at, module, {
    choices: { SEVERAL_PLANES: planesPerPartial > 1, BLOCKS: !few, ...choices },
    numbers: { ...numbers, rows, block: blockOf((planes * split_length) / team.lanes / chunk) },
    team,
    workers: Math.ceil(rows / each) * splits,
  });
}

/** Segments in sums, where `planesPerPartial` positions are one. */
const summedSegments = ({ g, segments, schedule: { planesPerPartial } }: AnyPass): number =>
  (segments.count / g.positions) * Math.ceil(g.positions / planesPerPartial);

/** A dispatch that writes to each quad of segments which are divided into splits. */
export function applySegments(at: AnyPass, module: ShaderModule, own: Partial<DispatchParts>): Step {
  const { segments, schedule } = at;
  const team: Team = { ...schedule.team, reduction: 'serial' };
  return dispatch(at, module, { ...own, team, workers: segments.count * schedule.splits });
}

/**
 * The same, merging the partial results of its sets itself: every worker those of its own. Nothing where the schedule does not want
 * that, or where the kernel would have more bindings than WebGPU's floor allows.
 */
export function applyMerging(
  at: AnyPass,
  module: ShaderModule,
  own: Partial<DispatchParts>,
): Step | undefined {
  const { schedule } = at;
  const { team, splits, planesPerPartial, mergesInApply } = schedule;
  if (!mergesInApply) return undefined;
  const rows = summedSegments(at);
  const { width, splits: setSplits } = partialsOf(at.g, schedule);
  const parts = (setSplits * width) / at.g.groups;
  const step = dispatch(at, module, {
    ...own,
    choices: { SEVERAL_PLANES: planesPerPartial > 1, ONE_PART_EACH: parts <= team.lanes, ...own.choices },
    numbers: { ...mergeNumbers(at, team.lanes), ...own.numbers, rows },
    team,
    workers: rows * splits,
  });
  return withinFloor(step);
}

/** A dispatch, unless its kernel has more storage buffers than WebGPU's floor allows. */
export const withinFloor = (step: Step): Step | undefined =>
  step.kernel.bindings.length <= 8 ? step : undefined;

/** What a merge of the partial results of sets is told, be it a dispatch of its own or not. */
export function mergeNumbers(
  { g, schedule }: AnyPass,
  lanes: number,
  { width, splits }: { width: number; splits: number } = partialsOf(g, schedule),
): Record<string, number> {
  const block = blockOf((splits * (width / g.groups)) / lanes);
  return { channels: width, set_splits: splits, block };
}

type Split = Pick<ForwardSchedule, 'splits' | 'columns' | 'positionsPerRow' | 'planesPerPartial'>;

/** The rows and columns that a pass walks: segments, or what threads own columns of. */
function splitNumbers(g: Geometry, { count, cols }: Segments, schedule: Split, facts: DeviceFacts) {
  const { splits, columns, positionsPerRow, planesPerPartial } = schedule;
  if (columns) {
    const rows = g.positions / positionsPerRow;
    const width = positionsPerRow * g.channels * g.inner;
    return { rows, cols: width, ...rowSplits(rows, splits, facts) };
  }
  const split_length = Math.ceil(quadsOf(cols) / splits);
  return { rows: count, cols, splits, split_length, planes_per_partial: planesPerPartial };
}

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
const parameterBytes = (d: NormDescriptor): Record<string, number> => ({
  'A parameter': parameterCount(d.geometry) * byteSize(d.paramDtype),
});

/** Bytes of what has strides, which is bound whole, with what lies between. */
const stridedBytes = (d: NormDescriptor): Record<string, number> =>
  Object.fromEntries(
    Object.entries(d.layouts ?? {}).map(([role, { first, span }]) => [
      `${role} with its strides`,
      (first + span) * elementBytesOf(d, role),
    ]),
  );

/** Throws `limit` unless the parameters can be bound. */
export const checkParameterBytes = (d: NormDescriptor, facts: DeviceFacts): void =>
  checkWhole(d.geometry, parameterBytes(d), facts);
