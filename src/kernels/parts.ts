// What forward and backward programs share: fragments by role, numbers, workgroup counts, ranges of a chunk.
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Range } from '../gpu/program.ts';
import { byteSize, type FloatDType } from '../gpu/tensor.ts';
import type { Chunk } from '../plan/chunks.ts';
import { elementCount, type Geometry, setCount, setSize } from '../plan/geometry.ts';
import type { ForwardSchedule, Team } from '../plan/strategy.ts';
import { activationShaders } from './activation.ts';
import type { NormDescriptor } from './descriptor.ts';
import type { ParamField } from './params.ts';
import type { Role } from './roles.ts';
import type { ShaderSource } from './sources.ts';
import * as shaders from './sources.ts';

export const tensorsFragment = (vec4: boolean): ShaderSource =>
  vec4 ? shaders.tensorsVec4 : shaders.tensorsScalar;

/** weight and bias: a value per column where inner is 1, else a value per `inner` columns. */
export function affineFragment({ inner }: Geometry, vec4: boolean): ShaderSource {
  if (inner > 1) return shaders.affineChannel;
  return vec4 ? shaders.affineColumnVec4 : shaders.affineColumnScalar;
}

export function reduceFragment({ reduction }: Team): ShaderSource {
  if (reduction === 'serial') return shaders.reduceSerial;
  return reduction === 'portable' ? shaders.reducePortable : shaders.reduceSubgroups;
}

/** Overrides of a team; SUBGROUP only where it is declared. */
export function teamConstants(team: Team, facts: DeviceFacts): Record<string, number> {
  const { workgroup, lanes, reduction } = team;
  return {
    WORKGROUP: workgroup,
    LANES: lanes,
    ...(reduction === 'subgroups' ? { SUBGROUP: facts.subgroup } : {}),
  };
}

/** Overrides of the affine map. */
export function affineConstants(d: NormDescriptor): Record<string, number | boolean> {
  return { HAS_WEIGHT: d.weight, HAS_BIAS: d.bias, WEIGHT_OFFSET: d.weightOffset, CAST_FIRST: d.castFirst };
}

/** The activation, and what calls it: `epilogue` in a forward pass, `upstream` in a backward pass. */
export function activationFragments(
  { activation, residual }: NormDescriptor,
  direction: 'forward' | 'backward',
): ShaderSource[] {
  const after = residual === 'after';
  if (direction === 'forward') {
    return [activationShaders[activation], after ? shaders.epilogueResidual : shaders.epilogue];
  }
  if (after) return [activationShaders[activation], shaders.upstreamResidual];
  return activation === 'none'
    ? [shaders.upstream]
    : [activationShaders[activation], shaders.upstreamActivation];
}

/** Overrides of the activation. */
export function activationConstants({ activation, negativeSlope }: NormDescriptor): Record<string, number> {
  return activation === 'leakyRelu' ? { NEGATIVE_SLOPE: negativeSlope } : {};
}

/** Workgroups that hold `workers` teams of lanes. */
export function workgroupsFor(workers: number, { workgroup, lanes }: Team): number {
  return Math.ceil(workers / (workgroup / lanes));
}

/** Chunks or rows that are merged before they meet the total: about the root of `count`. */
export const blockOf = (count: number): number => Math.max(1, Math.ceil(Math.sqrt(count)));

/** The numbers that every dispatch over a geometry gets. */
export function geometryParams(g: Geometry, eps: number) {
  return {
    samples: g.samples,
    positions: g.positions,
    channels: g.channels,
    inner: g.inner,
    groups: g.groups,
    count: setSize(g),
    eps,
  };
}

/** Some samples of a tensor: their geometry, the numbers that every dispatch over them gets, what to bind. */
export interface Part {
  g: Geometry;
  params: Partial<Record<ParamField, number>>;
  ranges: Partial<Record<Role, Range>>;
}

const likeX: Role[] = ['x', 'residual', 'y', 'sum', 'dy', 'dsum', 'dx', 'dresidual', 'dz'];

/** x and its likes are bound from an aligned offset at or before the chunk; mean and rstd are bound whole. */
export function partOf(d: NormDescriptor, chunk: Chunk, facts: DeviceFacts): Part {
  const g = { ...d.geometry, samples: chunk.samples };
  const { first, like } = rangeOf(d.geometry, d.dtype, chunk, facts);
  return {
    g,
    params: {
      ...geometryParams(g, d.eps),
      first_element: first,
      first_set: chunk.firstSample * g.groups,
    },
    ranges: Object.fromEntries(likeX.map((role) => [role, like])),
  };
}

/** What to bind of a tensor like x for a chunk, and the place of the chunk's first element in that. */
export function rangeOf(
  geometry: Geometry,
  dtype: FloatDType,
  { firstSample, samples }: Chunk,
  facts: DeviceFacts,
): { first: number; like: Range } {
  const sampleBytes = elementCount({ ...geometry, samples: 1 }) * byteSize(dtype);
  const start = firstSample * sampleBytes;
  const offset = start - (start % facts.offsetAlignment);
  const like = { offset, size: start - offset + samples * sampleBytes };
  return { first: (start - offset) / byteSize(dtype), like };
}

/** How many runs a geometry is split into by rows or by channels, how long one is, and what stands for it in shaders. */
export function runsOf(g: Geometry): {
  perChannel: boolean;
  runs: number;
  cols: number;
  fragment: ShaderSource;
} {
  return g.inner > 1
    ? {
        perChannel: true,
        runs: g.samples * g.positions * g.channels,
        cols: g.inner,
        fragment: shaders.runsChannel,
      }
    : { perChannel: false, runs: setCount(g), cols: setSize(g), fragment: shaders.runsRow };
}

/** The rows and columns that a geometry is walked by where threads own columns (shaders/lib/columns.wgsl). */
export function columnsOf(g: Geometry, { slots, fold }: Split) {
  const rows = g.positions / fold;
  return { rows, cols: fold * g.channels * g.inner, slots, slot_length: Math.ceil(rows / slots) };
}

type Split = Pick<ForwardSchedule, 'slots' | 'columns' | 'fold'>;

/** The partials of a split, as the merges see them: [samples, slots, width], and how many neighbours share a weight. */
export function partialsOf(
  g: Geometry,
  { slots, columns, fold }: Split,
): { width: number; slots: number; inner: number } {
  if (columns) return { width: g.channels * g.inner, slots: slots * fold, inner: g.inner };
  // A row counts as one channel; a position of a channel has slots of its own.
  return runsOf(g).perChannel
    ? { width: g.channels, slots: g.positions * slots, inner: 1 }
    : { width: g.groups, slots, inner: 1 };
}

/** Bytes of the parameters, which are bound whole. */
export function parameterBytes(d: NormDescriptor): Record<string, number> {
  return { 'A parameter': d.geometry.channels * byteSize(d.paramDtype) };
}
