// The dictionaries of optimizers: PyTorch's layout and names, checked as a whole before anything is changed.

import { BufferUsage } from '../gpu/constants.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { isKeyOf } from '../gpu/keys.ts';
import { shown } from '../gpu/shown.ts';
import { elementCount, Tensor } from '../gpu/tensor.ts';
import { type HostTensor, holders, numbersOf } from '../io/host-tensor.ts';
import { copyInto, copyProblem } from '../ops/cast.ts';
import { sameShape } from '../ops/check.ts';

/** What a dictionary may hold of one state: a tensor, here or in host memory, or nothing. */
export type StateValue = Tensor | HostTensor | null;

/** The dictionary of an optimizer, in PyTorch's layout: `weightDecay` is its `weight_decay`. */
export interface OptimizerStateDict<Value extends StateValue = StateValue> {
  /** By the parameter's index over all groups, then by name: `momentum_buffer`, `exp_avg`, … */
  state: Record<number, Record<string, Value>>;
  /** Settings of each group, and the indices of its parameters. */
  param_groups: (Record<string, unknown> & { params: number[] })[];
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Settings under PyTorch's names. */
export function settingsDict(settings: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      snakeCase(name),
      Array.isArray(value) ? [...value] : value,
    ]),
  );
}

/** Those of the named settings that the dictionary's group has; the others stay. */
export function settingsFrom(
  group: Readonly<Record<string, unknown>>,
  settings: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Record<string, unknown> {
  const loaded = names.map((name) => [name, group[snakeCase(name)]] as const);
  return { ...settings, ...Object.fromEntries(loaded.filter(([, value]) => value !== undefined)) };
}

const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is wrong with the dictionary as such and its groups, if something is. */
export function groupProblem(dict: OptimizerStateDict, lengths: readonly number[]): string | undefined {
  const { state, param_groups } = (dict ?? {}) as Partial<OptimizerStateDict>;
  if (!isObject(state) || !Array.isArray(param_groups)) return 'it is no { state, param_groups }';
  if (!param_groups.every((group) => isObject(group) && Array.isArray(group.params))) {
    return 'a group of it has no list of params';
  }
  const given = param_groups.map(({ params }) => params.length);
  if (sameShape(given, lengths)) return undefined;
  return `it has groups of [${given}] parameters; [${lengths}] are needed`;
}

/**
 * The values of one parameter's entry, as far as they are there.
 *
 * @param allowed - names that there may be, and those that must be there if one is.
 * @param targets - the tensors that are there to be overwritten.
 * @param problems - gets what does not fit.
 */
export function stateValues(
  gpu: Gpu,
  entry: Readonly<Record<string, StateValue>>,
  index: number,
  allowed: { known: readonly string[]; required: readonly string[] },
  shapeOf: (name: string) => readonly number[],
  targets: ReadonlyMap<string, Tensor>,
  problems: string[],
): Map<string, Tensor | HostTensor> {
  const found = new Map<string, Tensor | HostTensor>();
  if (!isObject(entry)) problems.push(`the state of parameter ${shown(index)} is ${shown(entry)}`);
  for (const [name, value] of Object.entries(entry ?? {})) {
    if (!allowed.known.includes(name)) {
      problems.push(`${name} of parameter ${shown(index)} is no state of this optimizer`);
    } else if (value !== null && value !== undefined) {
      const problem = valueProblem(gpu, name, value, shapeOf(name), targets.get(name));
      if (problem) problems.push(`${name} of parameter ${shown(index)}: ${problem}`);
      found.set(name, value);
    }
  }
  const missing = allowed.required.filter((name) => !found.has(name));
  if (found.size > 0 && missing.length > 0) {
    problems.push(`parameter ${shown(index)} lacks ${missing.join(', ')}`);
  }
  return found;
}

function valueProblem(
  gpu: Gpu,
  name: string,
  value: Tensor | HostTensor,
  shape: readonly number[],
  target: Tensor | undefined,
): string | undefined {
  const counts = name === 'step';
  if (!isObject(value) || !Array.isArray(value.shape)) return `it is ${shown(value)}, no tensor`;
  // As PyTorch, which wrote counts in lists before its version 0.4.
  if (!sameShape(value.shape, shape) && !(counts && sameShape(value.shape, [1]))) {
    return `it has shape ${shown(value.shape)}; [${shape}] is needed`;
  }
  if (value instanceof Tensor) {
    gpu.checkUsable(value, name);
    if ((value.dtype === 'u32') !== counts) return `it is ${value.dtype}`;
    // What floats lack to be copied they are converted without.
    if (counts && !(value.buffer.usage & BufferUsage.COPY_SRC)) return 'its buffer lacks COPY_SRC';
    return target && copyProblem(value, target);
  }
  const { dtype, data } = value;
  if (!isKeyOf(holders, dtype) || !(data instanceof holders[dtype])) return `its data are no ${shown(dtype)}`;
  if (data.length !== elementCount(shape)) return `it has ${data.length} elements`;
  // PyTorch keeps the count in f32.
  const [count] = counts ? Array.from(numbersOf(value)) : [0];
  return Number.isInteger(count) && (count as number) >= 0 && (count as number) < 2 ** 32
    ? undefined
    : `${count} is no count`;
}

/** Overwrites a tensor, at once. */
export function overwrite(target: Tensor, source: Tensor | HostTensor): void {
  if (source instanceof Tensor) copyInto(target.gpu, source, target);
  else target.write(numbersOf(source));
}
