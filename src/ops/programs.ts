import type { Gpu } from '../gpu/gpu.ts';
import type { Program } from '../gpu/program.ts';
import type { BackwardDescriptor, ForwardDescriptor } from '../kernels/descriptor.ts';
import { checkSchedule } from '../plan/strategy.ts';
import type { NormCall } from './norm.ts';

const programs = new WeakMap<Gpu, Map<string, Program>>();
const mostPrograms = 512;

/** The program of a description, made once per context: `direction` tells programs of one description apart. */
export function remember(gpu: Gpu, direction: string, d: object, make: () => Program): Program {
  let known = programs.get(gpu);
  if (!known) {
    known = new Map();
    programs.set(gpu, known);
  }
  const key = direction + JSON.stringify(d);
  const program = known.get(key) ?? make();
  known.delete(key); // to the end: the least recently used goes first
  known.set(key, program);
  if (known.size > mostPrograms) known.delete(known.keys().next().value as string);
  return program;
}

/** @internal */
export const forwardOf = (gpu: Gpu, { kernels }: NormCall, d: ForwardDescriptor): Program =>
  remember(gpu, 'forward', d, () => {
    checkSchedule(d.geometry, 'forward', gpu.facts, d.schedule, d.running !== undefined);
    return kernels.forward(d, gpu.facts);
  });
/** @internal */
export const backwardOf = (gpu: Gpu, { kernels }: NormCall, d: BackwardDescriptor): Program =>
  remember(gpu, 'backward', d, () => {
    checkSchedule(d.geometry, 'backward', gpu.facts, d.schedule, d.frozen || d.residual === 'after');
    return kernels.backward(d, gpu.facts);
  });
