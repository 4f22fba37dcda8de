// What forward and backward programs share: fragments by role, numbers, workgroup counts, ranges of a chunk.
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Range } from '../gpu/program.ts';
import { byteSize } from '../gpu/tensor.ts';
import type { Chunk } from '../plan/chunks.ts';
import { elementCount, type Geometry, setSize } from '../plan/geometry.ts';
import type { Team } from '../plan/schedule.ts';
import type { NormDescriptor } from './descriptor.ts';
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

/** Where a chunk of samples lies in each array that has samples or sets. */
export function chunkRanges(d: NormDescriptor, chunk: Chunk): Partial<Record<Role, Range>> {
  const { groups } = d.geometry;
  const sampleBytes = elementCount({ ...d.geometry, samples: 1 }) * byteSize(d.dtype);
  const at = (bytes: number): Range => ({ offset: chunk.firstSample * bytes, size: chunk.samples * bytes });
  const like = at(sampleBytes);
  return {
    x: like,
    residual: like,
    y: like,
    sum: like,
    dy: like,
    dsum: like,
    dx: like,
    mean: at(8 * groups),
    rstd: at(4 * groups),
  };
}
