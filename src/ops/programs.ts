import type { DeviceFacts } from '../gpu/facts.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Program } from '../gpu/program.ts';
import type { BackwardDescriptor, ForwardDescriptor } from '../kernels/descriptor.ts';
import { checkGrid } from '../plan/grid.ts';
import { checkSchedule } from '../plan/strategy.ts';
import type { BackwardCall, ForwardCall } from './norm.ts';

const programs = new WeakMap<Gpu, Map<string, Program>>();
const mostPrograms = 512;

/** The program of a description, made once per context: `direction` tells programs of one description apart. */
export function remember(gpu: Gpu, direction: string, d: object, make: () => Program): Program {
  let ofContext = programs.get(gpu);
  if (!ofContext) {
    ofContext = new Map();
    programs.set(gpu, ofContext);
  }
  const key = direction + JSON.stringify(d);
  const program = ofContext.get(key) ?? checkGrid(make(), gpu.facts);
  ofContext.delete(key); // to the end: the least recently used goes first
  ofContext.set(key, program);
  if (ofContext.size > mostPrograms) ofContext.delete(ofContext.keys().next().value as string);
  return program;
}

/** Programs that differ from what is chosen by facts alone; undefined for those that do not. */
export interface Choices {
  forward(call: ForwardCall, d: ForwardDescriptor): Program | undefined;
  backward(call: BackwardCall, d: BackwardDescriptor): Program | undefined;
}

const choices = new WeakMap<Gpu, Choices>();

/** @internal From now on calls that say nothing of a schedule have these; what was remembered is made anew. */
export function chooseBy(gpu: Gpu, chosen: Choices): void {
  choices.set(gpu, chosen);
  programs.delete(gpu);
  gpu.faults.raiseEpoch();
}

/** @internal Passes whose merge, or whose two passes over x, only a split has. */
export const splitOnly = {
  forward: (d: ForwardDescriptor): boolean => d.running !== undefined || d.variance === true,
  backward: (d: BackwardDescriptor): boolean => d.frozen || d.residual === 'after',
};

/** @internal The dispatches of a forward pass. Throws `value` for a schedule that it cannot have. */
export function makeForward(
  call: ForwardCall,
  d: ForwardDescriptor,
  facts: DeviceFacts,
  chosen?: Choices,
): Program {
  checkSchedule(d.geometry, 'forward', facts, d.schedule, splitOnly.forward(d));
  return chosen?.forward(call, d) ?? call.forward(d, facts);
}

/** @internal Likewise of a backward pass. */
export function makeBackward(
  call: BackwardCall,
  d: BackwardDescriptor,
  facts: DeviceFacts,
  chosen?: Choices,
): Program {
  checkSchedule(d.geometry, 'backward', facts, d.schedule, splitOnly.backward(d));
  return chosen?.backward(call, d) ?? call.backward(d, facts);
}

/** @internal */
export const forwardOf = (gpu: Gpu, call: ForwardCall, d: ForwardDescriptor): Program =>
  remember(gpu, 'forward', d, () => makeForward(call, d, gpu.facts, choices.get(gpu)));
/** @internal */
export const backwardOf = (gpu: Gpu, call: BackwardCall, d: BackwardDescriptor): Program =>
  remember(gpu, 'backward', d, () => makeBackward(call, d, gpu.facts, choices.get(gpu)));
