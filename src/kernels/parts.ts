// What forward and backward programs share: fragments by role, numbers, workgroup counts, ranges of a chunk.
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Range, Step } from '../gpu/program.ts';
import { byteSize, type FloatDType } from '../gpu/tensor.ts';
import type { Chunk } from '../plan/chunks.ts';
import { elementCount, type Geometry, setCount, setSize } from '../plan/geometry.ts';
import type { ForwardSchedule, Team } from '../plan/strategy.ts';
import { activationShaders } from './activation.ts';
import { type Assembly, assemble } from './assemble.ts';
import type { NormDescriptor } from './descriptor.ts';
import { type ParamField, packParams } from './params.ts';
import type { Role } from './roles.ts';
import type { ShaderSource } from './sources.ts';
import * as shaders from './sources.ts';

export const tensorsFragment = (vec4: boolean): ShaderSource =>
  vec4 ? shaders.tensorsVec4 : shaders.tensorsScalar;

export function reduceFragment({ reduction }: Team): ShaderSource {
  if (reduction === 'serial') return shaders.reduceSerial;
  return reduction === 'portable' ? shaders.reducePortable : shaders.reduceSubgroups;
}

/** Overrides of the affine map. */
export function affineConstants(d: NormDescriptor): Record<string, number | boolean> {
  return { HAS_WEIGHT: d.weight, HAS_BIAS: d.bias, WEIGHT_OFFSET: d.weightOffset, CAST_FIRST: d.castFirst };
}

/** The same, and those of the activation. */
export function mapConstants(d: NormDescriptor): Record<string, number | boolean> {
  const slope = d.activation === 'leakyRelu' ? { NEGATIVE_SLOPE: d.negativeSlope } : {};
  return { ...affineConstants(d), ...slope };
}

/** The statistics that a norm stores. */
export const statisticsOf = ({ kind }: NormDescriptor): Role[] =>
  kind === 'moments' ? ['mean', 'rstd'] : ['rstd'];

export const savedFragment = ({ kind }: NormDescriptor): ShaderSource =>
  kind === 'moments' ? shaders.savedMoments : shaders.savedMeanSquare;

/**
 * The activation, and what calls it: `epilogue` in a forward pass, `upstream` in a backward pass, which stores dresidual, or
 * `again` computes what an earlier dispatch stored.
 */
export function activationFragments(
  { activation, residual }: NormDescriptor,
  direction: 'forward' | 'backward' | 'again',
): ShaderSource[] {
  const after = residual === 'after';
  if (direction === 'forward') {
    return [activationShaders[activation], after ? shaders.epilogueResidual : shaders.epilogue];
  }
  if (after) {
    const again = direction === 'again';
    return [activationShaders[activation], again ? shaders.upstreamAgain : shaders.upstreamResidual];
  }
  return activation === 'none'
    ? [shaders.upstream]
    : [activationShaders[activation], shaders.upstreamActivation];
}

/** Chunks or rows that are merged before they meet the total: about the root of `count`. */
export const blockOf = (count: number): number => Math.max(1, Math.ceil(Math.sqrt(count)));

/** Some samples of a tensor: their geometry, the numbers that every dispatch over them gets, what to bind. */
export interface Part {
  g: Geometry;
  params: Partial<Record<ParamField, number>>;
  ranges: Partial<Record<Role, Range>>;
}

const likeX: Role[] = ['x', 'residual', 'y', 'sum', 'dy', 'dsum', 'dx', 'dresidual', 'dz', 'summed'];

/** x and its likes are bound from an aligned offset at or before the chunk; mean and rstd are bound whole. */
export function partOf(d: NormDescriptor, chunk: Chunk, facts: DeviceFacts): Part {
  const each = elementCount({ ...d.geometry, samples: 1 });
  const g = { ...d.geometry, samples: chunk.samples };
  const part = partFrom(d, g, chunk.firstSample * each, chunk.samples * each, facts);
  return { ...part, params: { ...part.params, first_set: chunk.firstSample * g.groups } };
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
    params: { ...g, count: setSize(g), eps: d.eps, first_element: first, first_set: 0 },
    ranges: Object.fromEntries(likeX.map((role) => [role, like])),
  };
}

/** A geometry as contiguous runs of elements, and what stands for that in shaders. */
export interface Runs {
  runs: number;
  /** Elements of a run. */
  cols: number;
  fragment: ShaderSource;
  /** weight and bias of a run. */
  affine: ShaderSource;
  /** Those of a whole set, and its overrides. */
  setAffine: ShaderSource;
  constants: Readonly<Record<string, boolean>>;
}

/** A run is a set, with a weight per column. */
export function setRuns(g: Geometry, vec4: boolean): Runs {
  const affine = vec4 ? shaders.affineColumnVec4 : shaders.affineColumnScalar;
  return {
    runs: setCount(g),
    cols: setSize(g),
    fragment: shaders.runsRow,
    affine,
    setAffine: affine,
    constants: {},
  };
}

/** A run is one channel at one position, with one weight. */
export function channelRuns({ samples, positions, channels, inner }: Geometry): Runs {
  return {
    runs: samples * positions * channels,
    cols: inner,
    fragment: shaders.runsChannel,
    affine: shaders.affineRun,
    setAffine: shaders.affineChannel,
    constants: { QUAD_IN_CHANNEL: inner % 4 === 0 },
  };
}

/** How many runs sums have: `rounds` positions share one. */
export const sumRuns = ({ runs }: Runs, { positions }: Geometry, rounds: number): number =>
  (runs / positions) * Math.ceil(positions / rounds);

/** Everything that the dispatches over a part are made from. */
export interface Pass<Descriptor extends NormDescriptor, Schedule extends ForwardSchedule> extends Part {
  d: Descriptor;
  schedule: Schedule;
  runs: Runs;
  facts: DeviceFacts;
}

/** What a dispatch has of its own. */
interface StepParts extends Pick<Assembly, 'main' | 'reads' | 'writes' | 'items'> {
  fragments?: Assembly['fragments'];
  constants?: Assembly['constants'];
  /** Beside those of the part. */
  numbers?: Part['params'];
  team?: Team;
  /** Teams of lanes that there is work for. */
  workers: number;
}

/** Threads that share nothing. */
export const alone: Team = { workgroup: 64, lanes: 1, reduction: 'serial' };

/** A dispatch over a part. */
export function step(
  {
    d,
    params,
    ranges,
    facts,
  }: Pick<Pass<NormDescriptor, ForwardSchedule>, 'd' | 'params' | 'ranges' | 'facts'>,
  { team = alone, fragments = [], constants = {}, numbers, workers, ...own }: StepParts,
): Step {
  const { workgroup, lanes, reduction } = team;
  const subgroups = reduction === 'subgroups';
  return {
    kernel: assemble({
      ...own,
      fragments,
      dtype: d.dtype,
      paramDtype: d.paramDtype,
      // SUBGROUP only where it is declared.
      constants: {
        WORKGROUP: workgroup,
        LANES: lanes,
        ...(subgroups ? { SUBGROUP: facts.subgroup } : {}),
        ...constants,
      },
      subgroups,
    }),
    params: packParams({ ...params, ...numbers }),
    ranges,
    workgroups: Math.ceil(workers / (workgroup / lanes)),
  };
}

/** The rows and columns that a geometry is walked by where threads own columns (shaders/lib/columns.wgsl). */
export function columnsOf(g: Geometry, { slots, fold }: Split) {
  const rows = g.positions / fold;
  return { rows, cols: fold * g.channels * g.inner, slots, slot_length: Math.ceil(rows / slots) };
}

type Split = Pick<ForwardSchedule, 'slots' | 'columns' | 'fold' | 'rounds'>;

/** The partials of a split, as the merges see them: [samples, slots, width], and how many neighbours share a weight. */
export function partialsOf(
  g: Geometry,
  { slots, columns, fold, rounds }: Split,
): { width: number; slots: number; inner: number } {
  if (columns) return { width: g.channels * g.inner, slots: slots * fold, inner: g.inner };
  // A row counts as one channel; a position of a channel, or several, have slots of their own.
  return g.inner > 1
    ? { width: g.channels, slots: Math.ceil(g.positions / rounds) * slots, inner: 1 }
    : { width: g.groups, slots, inner: 1 };
}

/** Bytes of the parameters, which are bound whole. */
export function parameterBytes(d: NormDescriptor): Record<string, number> {
  return { 'A parameter': d.geometry.channels * byteSize(d.paramDtype) };
}
