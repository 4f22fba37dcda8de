// What optimizers do to tensors, as programs: one dispatch per tensor, or per part of one that is larger than a binding may be; of small
// ones that are packed in one tensor (src/optim/packing.ts), one dispatch for all.
import average from '../../shaders/kernels/optim/average.wgsl';
import countOne from '../../shaders/kernels/optim/count.wgsl';
import countSteps from '../../shaders/kernels/optim/count_steps.wgsl';
import { byteSize, type DType, type FloatDType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Kernel, Program, Step } from '../gpu/program.ts';
import { bindableBytes } from '../plan/chunks.ts';
import { mostWorkgroups } from '../plan/grid.ts';
import type { Choices } from '../shaders/link.ts';
import type { ShaderModule } from '../shaders/module.ts';
import { kernelOf, stepOf, storageChoices } from './step.ts';

const workgroup = 64;
const items = 4;

const element = { WORKGROUP: workgroup, ITEMS: items };

/** Elements that a workgroup takes: the most that a place in a packed tensor has. */
export const share = workgroup * items;

/** A tensor that an optimizer changes, or many that are packed in one. */
export interface ParameterDescriptor {
  /** Elements. */
  size: number;
  /** Of the values that are changed. What an optimizer keeps beside them is f32. */
  dtype: FloatDType;
  gradDtype: FloatDType;
  /** How many places are taken of a packed tensor; 0 for a tensor by itself. */
  places: number;
}

/** An optimizer's kernel and what it has been made of. */
export interface UpdateKernel {
  module: ShaderModule;
  flags: Choices;
  /** The state that it changes, by PyTorch's names; all f32. */
  state: readonly string[];
  /** By the name of a state its role, where that is another: `sum` is what norms call x + residual. */
  roles?: Readonly<Record<string, string>>;
}

/** One step of an optimizer. Roles: param, grad, the state, and where the kernel has them steps, settings, places. */
export function updateProgram(
  { module, flags, state, roles }: UpdateKernel,
  d: ParameterDescriptor,
  facts: DeviceFacts,
): Program {
  const types = storageChoices(d.gradDtype, d.dtype, facts);
  const choices = { ...types, ...element, ...flags, PACKED: d.places > 0 };
  const dtypes = {
    param: d.dtype,
    grad: d.gradDtype,
    ...Object.fromEntries(state.map((name) => [roles?.[name] ?? name, 'f32'])),
  };
  const kernel = kernelOf(module, choices);
  return d.places > 0
    ? placewise(d.places, kernel, facts)
    : elementwise(d.size, kernel, dtypes as Record<string, FloatDType>, facts);
}

/** One dispatch over places of packed tensors, which are bound whole. */
export function placewise(
  places: number,
  kernel: Kernel,
  facts: DeviceFacts,
  numbers: Readonly<Record<string, number>> = {},
): Program {
  const stride = countStride(facts);
  const step = stepOf(kernel, { numbers: { ...numbers, places, stride }, ranges: {}, workgroups: places });
  return { steps: [step], scratch: {} };
}

/** Words from one count of steps to the next: each can be bound on its own. */
export const countStride = ({ offsetAlignment }: DeviceFacts): number => offsetAlignment / 4;

/** Adds one to the counts of so many parameters. Roles: slots, steps, settings. */
export function countStepsProgram(count: number, facts: DeviceFacts): Program {
  const kernel = kernelOf(countSteps, { WORKGROUP: workgroup });
  const numbers = { count, stride: countStride(facts) };
  return {
    steps: [stepOf(kernel, { numbers, ranges: {}, workgroups: Math.ceil(count / workgroup) })],
    scratch: {},
  };
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
  const numbers = (): Record<string, number> => (decay === null ? {} : { keep: decay, take: 1 - decay });
  const dtypes = { param: d.dtype, average: d.averageDtype };
  return elementwise(d.size, kernelOf(average, choices), dtypes, facts, numbers);
}

/** Adds one to a count. Role: steps. */
export function countProgram(): Program {
  const kernel = kernelOf(countOne, { WORKGROUP: workgroup });
  return { steps: [stepOf(kernel, { numbers: {}, ranges: {}, workgroups: 1 })], scratch: {} };
}

/**
 * The kernel over all elements of its tensors, `dtypes` by role, in parts that fit a binding.
 *
 * @param numbers - of a part of so many workgroups.
 * @param each - elements of a workgroup.
 */
export function elementwise(
  size: number,
  kernel: Kernel,
  dtypes: Readonly<Record<string, DType>>,
  facts: DeviceFacts,
  numbers: (workgroups: number) => Readonly<Record<string, number>> = () => ({}),
  each = share,
): Program {
  // Parts begin at aligned offsets in all tensors: an element takes two bytes or four.
  const bindable = Math.min(bindableBytes(4, facts), 4 * mostWorkgroups(facts) * each);
  const most = Math.max(1, Math.floor(bindable / (4 * facts.offsetAlignment))) * facts.offsetAlignment;
  const steps: Step[] = [];
  for (let first = 0; first < size; first += most) {
    const elements = Math.min(most, size - first);
    const workgroups = Math.ceil(elements / each);
    const ranges = Object.entries(dtypes).map(([role, dtype]) => {
      const bytes = byteSize(dtype);
      return [role, { offset: first * bytes, size: elements * bytes }];
    });
    steps.push(
      stepOf(kernel, {
        numbers: { ...numbers(workgroups), share: each, elements, count: elements },
        ranges: Object.fromEntries(ranges),
        workgroups,
      }),
    );
  }
  return { steps, scratch: {} };
}
