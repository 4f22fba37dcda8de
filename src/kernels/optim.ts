// Optimizer steps as programs: one dispatch per parameter, or per part of one that is larger than a binding may be.
import adamw from '../../shaders/kernels/optim/adamw.wgsl';
import average from '../../shaders/kernels/optim/average.wgsl';
import countSteps from '../../shaders/kernels/optim/count.wgsl';
import sgd from '../../shaders/kernels/optim/sgd.wgsl';
import { byteSize, type FloatDType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Kernel, Program, Step } from '../gpu/program.ts';
import { bindableBytes } from '../plan/chunks.ts';
import { mostWorkgroups } from '../plan/grid.ts';
import { kernelOf, stepOf, storageChoices } from './step.ts';

/** A parameter as the kernels see it. */
export interface ParameterDescriptor {
  size: number;
  /** Of the parameter and its gradient; what an optimizer keeps of them is f32. */
  dtype: FloatDType;
}

const workgroup = 64;
const items = 4;

const element = { WORKGROUP: workgroup, ITEMS: items };

/** The numbers of the role `settings`, in the order of struct Settings in shaders/kernels/optim/sgd.wgsl. */
export const sgdSettings = ['lr', 'momentum', 'take', 'weight_decay', 'sign'] as const;

/** Likewise of shaders/kernels/optim/adamw.wgsl. */
export const adamwSettings = [
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

/** One step of SGD. Roles: param, grad, momentum_buffer, settings. `undamped`: as if there were no dampening. */
export function sgdProgram(
  d: ParameterDescriptor & { momentum: boolean; nesterov: boolean; undamped: boolean },
  facts: DeviceFacts,
): Program {
  const choices = { ...element, HAS_MOMENTUM: d.momentum, NESTEROV: d.nesterov };
  const kernel = kernelOf(sgd, { ...storageChoices(d.dtype, d.dtype, facts), ...choices });
  const dtypes = { param: d.dtype, grad: d.dtype, momentum_buffer: 'f32' } as const;
  return elementwise(d.size, kernel, dtypes, facts, { undamped: Number(d.undamped) });
}

/**
 * One step of AdamW. Roles: param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, settings, and steps, the number of this step.
 */
export function adamwProgram(d: ParameterDescriptor & { amsgrad: boolean }, facts: DeviceFacts): Program {
  const kernel = kernelOf(adamw, {
    ...storageChoices(d.dtype, d.dtype, facts),
    ...element,
    AMSGRAD: d.amsgrad,
  });
  const state = { exp_avg: 'f32', exp_avg_sq: 'f32', max_exp_avg_sq: 'f32' } as const;
  return elementwise(d.size, kernel, { param: d.dtype, grad: d.dtype, ...state }, facts, {});
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
  const choices = { ...storageChoices(d.dtype, d.averageDtype, facts), ...element, EQUAL: decay === null };
  const numbers: Record<string, number> = decay === null ? {} : { keep: decay, take: 1 - decay };
  const dtypes = { param: d.dtype, average: d.averageDtype };
  return elementwise(d.size, kernelOf(average, choices), dtypes, facts, numbers);
}

/** Adds one to the counts of ranges of parameters, [first, count] each. Role: steps, a count every `stride` words. */
export function countProgram(ranges: readonly (readonly [number, number])[], stride: number): Program {
  const kernel = kernelOf(countSteps, { WORKGROUP: workgroup });
  const steps = ranges.map(([first, count]) =>
    stepOf(kernel, {
      numbers: { first, count, stride },
      ranges: {},
      workgroups: Math.ceil(count / workgroup),
    }),
  );
  return { steps, scratch: {} };
}

/** The kernel over all elements of its tensors, `dtypes` by role, in parts that fit a binding. */
function elementwise(
  size: number,
  kernel: Kernel,
  dtypes: Readonly<Record<string, FloatDType>>,
  facts: DeviceFacts,
  numbers: Readonly<Record<string, number>>,
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
    steps.push(
      stepOf(kernel, {
        numbers: { ...numbers, count },
        ranges: Object.fromEntries(ranges),
        workgroups: Math.ceil(count / (workgroup * items)),
      }),
    );
  }
  return { steps, scratch: {} };
}
