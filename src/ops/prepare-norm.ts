import { NormError } from '../gpu/errors.ts';
import { bytesOf } from '../gpu/filled.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Program, scratchBytes } from '../gpu/program.ts';
import { shown } from '../gpu/shown.ts';
import type { FloatDType } from '../gpu/tensor.ts';
import type { Activation } from '../kernels/activation.ts';
import type { BackwardDescriptor, ForwardDescriptor } from '../kernels/descriptor.ts';
import { elementCount } from '../plan/geometry.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import { floatDType } from './check.ts';
import { epilogueOf, refuseEpilogue } from './epilogue.ts';
import { type BackwardOptions, descriptor, type NormCall, runningOf, type StatisticsOption } from './norm.ts';
import { backwardOf, forwardOf } from './programs.ts';

/** What {@link prepareNorm} needs to know of a call to come. */
export interface PrepareOptions {
  dtype?: FloatDType | undefined;
  paramDtype?: FloatDType | undefined;
  weight?: boolean | undefined;
  bias?: boolean | undefined;
  /** x + residual is normalized (`before`), or residual is added after (`after`). Default 'none'. */
  residual?: 'none' | 'before' | 'after' | undefined;
  activation?: Activation | undefined;
  negativeSlope?: number | undefined;
  accumulate?: boolean | undefined;
  /** As in {@link BackwardOptions}. Default: those that are there. */
  wants?: BackwardOptions['wants'];
  /** A step of a pass over replicas, as in {@link ForwardDescriptor}. */
  stage?: 'local' | 'joined' | undefined;
  schedule?: ScheduleOptions | undefined;
  /** Of forward: as in {@link StatisticsOption}. */
  statistics?: boolean | undefined;
}

/** @internal What forward and backward are described as. */
export function descriptorsOf(
  call: NormCall,
  options: PrepareOptions,
): { forward: ForwardDescriptor; backward: BackwardDescriptor } {
  const {
    dtype = 'f32',
    weight = false,
    bias = false,
    residual = 'none',
    accumulate = false,
    schedule,
    stage,
    statistics = true,
  } = options;
  if (residual !== 'none' && residual !== 'before' && residual !== 'after') {
    throw new NormError(
      'value',
      `residual is ${shown(residual)}.`,
      "Use 'none', 'before' or 'after' (the norm).",
    );
  }
  const { activation, negativeSlope } = epilogueOf({
    activation: options.activation,
    negativeSlope: options.negativeSlope,
  });
  if (call.kind === 'rms' || residual === 'before') {
    refuseEpilogue(call.name, { residual: residual === 'after', activation });
  }
  const epilogue = { activation, negativeSlope, residual };
  const d = descriptor(call, dtype, options.paramDtype ?? dtype, weight, bias, epilogue, schedule);
  return {
    forward: {
      ...d,
      ...(stage === 'local' ? {} : runningOf(call)),
      statistics: statistics ? undefined : false,
      stage,
    },
    backward: {
      ...d,
      bias: bias && activation !== 'none',
      residual: residual === 'after' && activation !== 'none' ? 'after' : 'none',
      frozen: call.running?.mode === 'frozen',
      dweight: options.wants?.dweight ?? weight,
      dbias: options.wants?.dbias ?? bias,
      dsum: residual === 'before',
      accumulate: { dweight: accumulate, dbias: accumulate },
      stage,
    },
  };
}

/** @internal Throws `dtype` unless norms compute with the dtypes, and the device does; `limit` if it has no room for x. */
export function checkInput(gpu: Gpu, { geometry }: NormCall, options: PrepareOptions): void {
  const { dtype = 'f32', paramDtype = dtype } = options;
  bytesOf(gpu, [elementCount(geometry)], floatDType({ dtype }, 'dtype'));
  gpu.checkDType(floatDType({ dtype: paramDtype }, 'paramDtype'));
}

/** @internal */
export function programOf(
  gpu: Gpu,
  call: NormCall,
  options: PrepareOptions,
  pass: 'forward' | 'backward',
): Program {
  checkInput(gpu, call, options);
  const { forward, backward } = descriptorsOf(call, options);
  return pass === 'forward' ? forwardOf(gpu, call, forward) : backwardOf(gpu, call, backward);
}

/** @internal Forward's and backward's. */
export const programsOf = (gpu: Gpu, call: NormCall, options: PrepareOptions): [Program, Program] => [
  programOf(gpu, call, options, 'forward'),
  programOf(gpu, call, options, 'backward'),
];

/** Compiles the pipelines of a module's forward and backward, without blocking. */
export async function prepareNorm(gpu: Gpu, call: NormCall, options: PrepareOptions): Promise<void> {
  const programs = programsOf(gpu, call, { ...options, accumulate: true });
  await Promise.all(programs.map((program) => gpu.prepare(program)));
}

/** Bytes of scratch that forward or backward needs, whichever needs more. */
export function scratchBytesOf(gpu: Gpu, call: NormCall, options: PrepareOptions): number {
  return Math.max(...programsOf(gpu, call, options).map(scratchBytes));
}
