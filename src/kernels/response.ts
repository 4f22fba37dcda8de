import type { DeviceFacts } from '../gpu/facts.ts';
import type { Kernel, Program, Step } from '../gpu/program.ts';
import { byteSize, type FloatDType } from '../gpu/tensor.ts';
import { type Chunk, chunksOf } from '../plan/chunks.ts';
import { elementCount, type Geometry } from '../plan/geometry.ts';
import { assemble } from './assemble.ts';
import { packFields } from './params.ts';
import { rangeOf, tensorsFragment } from './parts.ts';
import type { Role } from './roles.ts';
import type { ShaderSource } from './sources.ts';
import * as shaders from './sources.ts';

/** Local response normalization as the kernels see it. */
export interface ResponseDescriptor {
  /** Without groups: nothing is reduced but windows of channels. */
  geometry: Geometry;
  dtype: FloatDType;
  /** Channels in a window. */
  size: number;
  alpha: number;
  beta: number;
  k: number;
}

/** The fields of `struct Params` in shaders/response/params.wgsl, in order. */
export const responseFields = [
  'runs',
  'channels',
  'inner',
  'before',
  'after',
  'mask',
  'first_element',
  'scale',
  'k',
  'beta',
  'beta_head',
  'beta_tail',
  'slope',
] as const;

type ResponseField = (typeof responseFields)[number];

export const responseFloats: ReadonlySet<ResponseField> = new Set([
  'scale',
  'k',
  'beta',
  'beta_head',
  'beta_tail',
  'slope',
]);

/** The dispatches of a forward pass. Roles: x in; y out. */
export function responseForward(d: ResponseDescriptor, facts: DeviceFacts): Program {
  const chunks = partsOf(d, [], facts);
  return {
    steps: chunks.map((chunk) => stepOf(d, chunk, facts, shaders.responseForward, ['x'], ['y'])),
    scratch: {},
  };
}

/** The dispatches of a backward pass. Roles: x, dy in; dx out. */
export function responseBackward(d: ResponseDescriptor, facts: DeviceFacts): Program {
  const sampleBytes = 4 * elementCount({ ...d.geometry, samples: 1 });
  const chunks = partsOf(d, [sampleBytes], facts);
  const steps = chunks.flatMap((chunk) => [
    stepOf(d, chunk, facts, shaders.responseRatios, ['x', 'dy'], ['ratios']),
    stepOf(d, chunk, facts, shaders.responseBackward, ['x', 'dy', 'ratios'], ['dx']),
  ]);
  const most = Math.max(0, ...chunks.map(({ samples }) => samples));
  return { steps, scratch: { ratios: most * sampleBytes } };
}

function partsOf({ geometry, dtype }: ResponseDescriptor, scratch: number[], facts: DeviceFacts): Chunk[] {
  if (elementCount(geometry) === 0) return [];
  return chunksOf(geometry, byteSize(dtype), scratch, {}, facts);
}

const workgroup = 64;

const powers: Record<number, number> = { 1: 1, 0.5: 2, 0.75: 3 };

/** The leading eleven bits of a number. */
function headOf(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  return new Float32Array(bits.map((word) => word & 0xffffe000).buffer)[0] as number;
}

function stepOf(
  d: ResponseDescriptor,
  chunk: Chunk,
  facts: DeviceFacts,
  main: ShaderSource,
  reads: readonly Role[],
  writes: readonly Role[],
): Step {
  const { geometry, dtype, size, alpha, beta, k } = d;
  const { positions, channels, inner } = geometry;
  const runs = chunk.samples * positions;
  const quads = inner % 4 === 0;
  const threads = (runs * channels * inner) / (quads ? 4 : 1);
  const kernel: Kernel = assemble({
    main,
    params: shaders.responseParams,
    fragments: [
      tensorsFragment(quads),
      quads ? shaders.responseQuads : shaders.responseElements,
      shaders.responsePower,
      shaders.responseWindow,
    ],
    dtype,
    paramDtype: dtype,
    reads,
    writes,
    constants: { WORKGROUP: workgroup, POWER: powers[beta] ?? 0 },
  });
  const { first, like } = rangeOf(geometry, dtype, chunk, facts);
  const head = headOf(beta);
  return {
    kernel,
    params: packFields(responseFields, responseFloats, {
      runs,
      channels,
      inner,
      // A window reaches no further than there are channels, whatever its size.
      before: Math.min(Math.floor(size / 2), channels),
      after: Math.min(Math.floor((size - 1) / 2), channels),
      first_element: first,
      scale: alpha / size,
      k,
      beta,
      beta_head: head,
      beta_tail: beta - head,
      slope: (2 * alpha * beta) / size,
    }),
    ranges: { x: like, dy: like, y: like, dx: like },
    workgroups: Math.ceil(threads / workgroup),
  };
}
