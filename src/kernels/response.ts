import elementQuads from '../../shaders/interfaces/elements/quads.wgsl';
import elementScalars from '../../shaders/interfaces/elements/scalar.wgsl';
import backward from '../../shaders/kernels/response/backward.wgsl';
import forward from '../../shaders/kernels/response/forward.wgsl';
import ratios from '../../shaders/kernels/response/ratios.wgsl';
import { byteSize, type FloatDType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';
import { type Chunk, chunksOf } from '../plan/chunks.ts';
import { elementCount, type Geometry } from '../plan/geometry.ts';
import { mostWorkgroups } from '../plan/grid.ts';
import { workspaceBudget } from '../plan/workspace.ts';
import type { ShaderModule } from '../shaders/module.ts';
import { rangeOf, tensorsChoices } from './pass.ts';
import { kernelOf, stepOf, storageChoices } from './step.ts';

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
  /** As of a norm's descriptor. */
  shared?: readonly string[] | undefined;
}

/** The dispatches of a forward pass. Roles: x in; y out. */
export function responseForward(d: ResponseDescriptor, facts: DeviceFacts): Program {
  const whole = { first: 0, span: d.geometry.inner };
  const chunks = partsOf(d, [], facts, whole.span);
  return {
    steps: chunks.map((chunk) => dispatch(d, chunk, whole, forward, facts)),
    scratch: {},
  };
}

/** The dispatches of a backward pass, in parts whose ratios fit the budget. Roles: x, dy in; dx out. */
export function responseBackward(d: ResponseDescriptor, facts: DeviceFacts): Program {
  const { channels, inner } = d.geometry;
  const budget = workspaceBudget(d.geometry, byteSize(d.dtype), facts);
  // Of one segment, as many neighbouring positions as its ratios have room for.
  const span = Math.min(inner, Math.max(4, 4 * Math.floor(budget / (16 * channels))));
  const chunks = partsOf(d, [4 * channels * span], facts, span, budget);
  const steps = chunks.flatMap((chunk) =>
    Array.from({ length: Math.ceil(inner / span) }, (_, i) => {
      const range = { first: i * span, span: Math.min(span, inner - i * span) };
      return [dispatch(d, chunk, range, ratios, facts), dispatch(d, chunk, range, backward, facts)];
    }).flat(),
  );
  const most = Math.max(0, ...chunks.map(({ samples }) => samples));
  return { steps, scratch: { ratios: most * 4 * channels * span } };
}

/** Chunks of segments: of samples where channels are contiguous, else of positions. */
function partsOf(
  { geometry, dtype }: ResponseDescriptor,
  scratch: number[],
  facts: DeviceFacts,
  span: number,
  budget?: number,
): Chunk[] {
  if (elementCount(geometry) === 0) return [];
  const threads = (geometry.channels * span) / perThread(geometry);
  const most = Math.max(1, Math.floor((workgroup * mostWorkgroups(facts)) / threads));
  return chunksOf(segmentsOf(geometry), byteSize(dtype), scratch, {}, facts, budget, most);
}

/** Elements of a thread. */
const perThread = ({ inner }: Geometry): number => (inner % 4 === 0 ? 4 : 1);

const segmentsOf = (geometry: Geometry): Geometry => ({
  ...geometry,
  samples: geometry.samples * geometry.positions,
  positions: 1,
});

const workgroup = 64;

const powers: Record<number, number> = { 1: 1, 0.5: 2, 0.75: 3 };

/** The leading eleven bits of a number. */
function headOf(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  return new Float32Array(bits.map((word) => word & 0xffffe000).buffer)[0] as number;
}

function dispatch(
  d: ResponseDescriptor,
  chunk: Chunk,
  { first: firstInner, span }: { first: number; span: number },
  module: ShaderModule,
  facts: DeviceFacts,
): Step {
  const { geometry, dtype, size, alpha, beta, k } = d;
  const { channels, inner } = geometry;
  const segments = chunk.samples;
  const quads = inner % 4 === 0;
  const threads = (segments * channels * span) / perThread(geometry);
  const kernel = kernelOf(module, {
    ...storageChoices(dtype, dtype, facts),
    ...tensorsChoices(quads),
    elements: quads ? elementQuads : elementScalars,
    WORKGROUP: workgroup,
    POWER: powers[beta] ?? 0,
    SHARED: d.shared?.join(' '),
  });
  const { first, like } = rangeOf(segmentsOf(geometry), dtype, chunk, facts);
  const head = headOf(beta);
  return stepOf(kernel, {
    numbers: {
      segments,
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
      first_inner: firstInner,
      span,
    },
    ranges: { x: like, dy: like, y: like, dx: like },
    workgroups: Math.ceil(threads / workgroup),
  });
}
