import { bytesOf } from '../gpu/filled.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Program, scratchBytes } from '../gpu/program.ts';
import { elementCount } from '../plan/geometry.ts';
import { floatDType } from './check.ts';
import { backwardDescriptor, type CallOptions, forwardDescriptor } from './descriptors.ts';
import type { BothCalls, NormCall } from './norm.ts';
import { backwardOf, forwardOf } from './programs.ts';

/** @internal Throws `dtype` unless norms compute with the dtypes, and the device does; `limit` if it has no room for x. */
export function checkInput(gpu: Gpu, { geometry }: NormCall, options: CallOptions): void {
  const { dtype = 'f32', paramDtype = dtype, yDtype = dtype } = options;
  bytesOf(gpu, [elementCount(geometry)], floatDType({ dtype }, 'dtype'));
  gpu.checkDType(floatDType({ dtype: paramDtype }, 'paramDtype'));
  bytesOf(gpu, [elementCount(geometry)], floatDType({ dtype: yDtype }, 'yDtype'));
}

/** @internal */
export function programOf(
  gpu: Gpu,
  call: BothCalls,
  options: CallOptions,
  pass: 'forward' | 'backward',
): Program {
  checkInput(gpu, call, options);
  return pass === 'forward'
    ? forwardOf(gpu, call, forwardDescriptor(call, options))
    : backwardOf(gpu, call, backwardDescriptor(call, options));
}

/** @internal Forward's and backward's. */
export const programsOf = (gpu: Gpu, call: BothCalls, options: CallOptions): [Program, Program] => [
  programOf(gpu, call, options, 'forward'),
  programOf(gpu, call, options, 'backward'),
];

/** Compiles the pipelines of a module's forward and backward, without blocking. */
export async function prepareNorm(gpu: Gpu, call: BothCalls, options: CallOptions): Promise<void> {
  const programs = programsOf(gpu, call, { ...options, accumulate: true });
  await Promise.all(programs.map((program) => gpu.prepare(program)));
}

/** Bytes of scratch that forward or backward needs, whichever needs more. */
export function scratchBytesOf(gpu: Gpu, call: BothCalls, options: CallOptions): number {
  return Math.max(...programsOf(gpu, call, options).map(scratchBytes));
}
