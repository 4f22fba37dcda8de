// Optimizer steps as programs: one dispatch per parameter, or per part of one that is larger than a binding may be.
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Kernel, Program, Step } from '../gpu/program.ts';
import { byteSize, type FloatDType } from '../gpu/tensor.ts';
import { bindableBytes } from '../plan/chunks.ts';
import { mostWorkgroups } from '../plan/grid.ts';
import { assemble } from './assemble.ts';
import { packFields } from './params.ts';
import type { Role } from './roles.ts';
import * as shaders from './sources.ts';

/** The fields of `struct Sgd` in shaders/optim/sgd.wgsl, in order. */
export const sgdFields = ['count', 'lr', 'momentum', 'take', 'weight_decay', 'sign'] as const;
/** The fields of `struct Adamw` in shaders/optim/adamw.wgsl, in order. */
export const adamwFields = [
  'count',
  'lr',
  'decay',
  'keep_avg',
  'take_avg',
  'keep_avg_sq',
  'take_avg_sq',
  'log_avg',
  'log_avg_sq',
  'eps',
  'sign',
] as const;
/** The fields of `struct Average` in shaders/optim/average.wgsl, in order. */
export const averageFields = ['count', 'keep', 'take'] as const;
/** The fields of `struct Count` in shaders/optim/count.wgsl, in order. */
export const countFields = ['first', 'count', 'stride'] as const;

/** Those that are f32; the others are u32. */
const floatsOf = <Field extends string>(fields: readonly Field[]): ReadonlySet<Field> =>
  new Set(fields.filter((field) => field !== 'count'));

/** A parameter as the kernels see it. */
export interface ParameterDescriptor {
  size: number;
  /** Of the parameter and its gradient; what an optimizer keeps of them is f32. */
  dtype: FloatDType;
}

const workgroup = 64;
const items = 4;

/** One step of SGD. Roles: param, grad, momentumBuffer. */
export function sgdProgram(
  d: ParameterDescriptor & { momentum: boolean; nesterov: boolean },
  numbers: Readonly<Record<'lr' | 'momentum' | 'take' | 'weight_decay' | 'sign', number>>,
  facts: DeviceFacts,
): Program {
  const kernel = assemble({
    main: shaders.optimSgd,
    fragments: [],
    dtype: d.dtype,
    paramDtype: d.dtype,
    reads: ['grad'],
    writes: ['param', 'momentumBuffer'],
    constants: { WORKGROUP: workgroup, HAS_MOMENTUM: d.momentum, NESTEROV: d.nesterov },
    items,
    params: null,
  });
  const widths = { param: d.dtype, grad: d.dtype, momentumBuffer: 'f32' } as const;
  return elementwise(d.size, kernel, widths, facts, (count) =>
    packFields(sgdFields, floatsOf(sgdFields), { ...numbers, count }),
  );
}

/** One step of AdamW. Roles: param, grad, expAvg, expAvgSq, maxExpAvgSq, and steps, the number of this step. */
export function adamwProgram(
  d: ParameterDescriptor & { amsgrad: boolean },
  numbers: Readonly<Record<Exclude<(typeof adamwFields)[number], 'count'>, number>>,
  facts: DeviceFacts,
): Program {
  const kernel = assemble({
    main: shaders.optimAdamw,
    fragments: [shaders.moveTowards],
    dtype: d.dtype,
    paramDtype: d.dtype,
    reads: ['grad', 'steps'],
    writes: ['param', 'expAvg', 'expAvgSq', 'maxExpAvgSq'],
    constants: { WORKGROUP: workgroup, AMSGRAD: d.amsgrad },
    items,
    params: null,
  });
  const state = { expAvg: 'f32', expAvgSq: 'f32', maxExpAvgSq: 'f32' } as const;
  return elementwise(d.size, kernel, { param: d.dtype, grad: d.dtype, ...state }, facts, (count) =>
    packFields(adamwFields, floatsOf(adamwFields), { ...numbers, count }),
  );
}

/**
 * Averages a parameter. Roles: param, average, and steps, how many have been averaged.
 *
 * @param decay - what the average keeps of itself, or null for the mean of all.
 */
export function averageProgram(
  d: { size: number; dtype: FloatDType; averageDtype: FloatDType },
  decay: number | null,
  facts: DeviceFacts,
): Program {
  const kernel = assemble({
    main: shaders.optimAverage,
    fragments: [shaders.moveTowards],
    dtype: d.dtype,
    paramDtype: d.averageDtype,
    reads: ['param', 'steps'],
    writes: ['average'],
    constants: { WORKGROUP: workgroup, EQUAL: decay === null },
    items,
    params: null,
  });
  const numbers = decay === null ? {} : { keep: decay, take: 1 - decay };
  return elementwise(d.size, kernel, { param: d.dtype, average: d.averageDtype }, facts, (count) =>
    packFields(averageFields, floatsOf(averageFields), { ...numbers, count }),
  );
}

/** Adds one to the counts of runs of parameters, [first, count] each. Role: steps, a count every `stride` words. */
export function countProgram(runs: readonly (readonly [number, number])[], stride: number): Program {
  const kernel = assemble({
    main: shaders.optimCount,
    fragments: [],
    dtype: 'f32',
    paramDtype: 'f32',
    reads: [],
    writes: ['steps'],
    constants: { WORKGROUP: workgroup },
    params: null,
  });
  const steps = runs.map(([first, count]) => ({
    kernel,
    params: packFields(countFields, new Set(), { first, count, stride }),
    ranges: {},
    workgroups: Math.ceil(count / workgroup),
  }));
  return { steps, scratch: {} };
}

/** The kernel over all elements of its tensors, `dtypes` by role, in parts that fit a binding. */
function elementwise(
  size: number,
  kernel: Kernel,
  dtypes: Partial<Record<Role, FloatDType>>,
  facts: DeviceFacts,
  numbers: (count: number) => ArrayBuffer,
): Program {
  // Parts begin at aligned offsets in all tensors: an element takes two bytes or four.
  const bindable = Math.min(bindableBytes(4, facts), 4 * mostWorkgroups(facts) * workgroup * items);
  const most = Math.max(1, Math.floor(bindable / (4 * facts.offsetAlignment))) * facts.offsetAlignment;
  const steps: Step[] = [];
  for (let first = 0; first < size; first += most) {
    const count = Math.min(most, size - first);
    const ranges = Object.entries(dtypes).map(([role, dtype]) => {
      const bytes = byteSize(dtype);
      return [role, { offset: first * bytes, size: count * bytes }];
    });
    steps.push({
      kernel,
      params: numbers(count),
      ranges: Object.fromEntries(ranges),
      workgroups: Math.ceil(count / (workgroup * items)),
    });
  }
  return { steps, scratch: {} };
}
