// The dictionaries of optimizers: PyTorch's layout and names, checked as a whole before anything is changed.
import { BufferUsage } from '../gpu/constants.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { alignUp } from '../gpu/program.ts';
import { Tensor } from '../gpu/tensor.ts';
import { checkTensorDType, checkTensorShape } from '../ops/check.ts';

/** What a dictionary may hold of one state: a tensor, numbers, or nothing. */
export type StateValue = Tensor | ArrayLike<number> | null;

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

/** Those of the settings that the dictionary's group has; the others stay. */
export function settingsFrom<Settings extends object>(
  group: Readonly<Record<string, unknown>>,
  settings: Settings,
): Settings {
  const entries = Object.entries(settings).map(([name, value]) => {
    const loaded = group[snakeCase(name)];
    return [name, loaded === undefined ? value : loaded];
  });
  return Object.fromEntries(entries) as Settings;
}

/** Throws `value` unless the dictionary has groups of these lengths. */
export function checkGroups({ param_groups }: OptimizerStateDict, lengths: readonly number[]): void {
  const given = param_groups.map(({ params }) => params.length);
  if (given.length !== lengths.length || given.some((length, i) => length !== lengths[i])) {
    throw new NormError(
      'value',
      `The state dictionary has groups of [${given}] parameters; this optimizer has [${lengths}].`,
      'Make the optimizer with the groups that the dictionary was saved with.',
    );
  }
}

/**
 * Throws unless the values can be loaded into tensors of this shape: all that are `required`, or none, and no others than
 * `known`.
 *
 * @returns those that are there.
 */
export function checkState(
  gpu: Gpu,
  values: Readonly<Record<string, StateValue>>,
  index: number,
  { known, required }: { known: readonly string[]; required: readonly string[] },
  shapeOf: (name: string) => readonly number[],
): Map<string, Tensor | ArrayLike<number>> {
  const found = new Map<string, Tensor | ArrayLike<number>>();
  for (const [name, value] of Object.entries(values)) {
    const what = `${name} of parameter ${index}`;
    if (!known.includes(name)) {
      throw new NormError(
        'value',
        `There is no state ${what}.`,
        `An optimizer of this kind has ${known.join(', ')}.`,
      );
    }
    if (value === null || value === undefined) continue;
    const shape = shapeOf(name);
    if (value instanceof Tensor) {
      gpu.checkUsable(value, what);
      checkTensorShape(value, shape, what);
      checkTensorDType(value, name === 'step' ? 'u32' : 'f32', what);
      if (!(value.buffer.usage & BufferUsage.COPY_SRC)) {
        throw new NormError(
          'buffer',
          `The buffer of ${what} lacks the usage COPY_SRC.`,
          'Create it with COPY_SRC.',
        );
      }
    } else {
      const size = shape.reduce((product, n) => product * n, 1);
      if (value.length !== size) {
        throw new NormError(
          'shape',
          `${what} has ${value.length} values; shape [${shape}] has ${size}.`,
          'Load what was saved from a parameter of that shape.',
        );
      }
      if (name === 'step' && !(Number.isInteger(value[0]) && (value[0] as number) >= 0)) {
        throw new NormError('value', `${what} is ${value[0]}.`, 'It counts steps.');
      }
    }
    found.set(name, value);
  }
  const missing = required.filter((name) => !found.has(name));
  if (found.size > 0 && missing.length > 0) {
    throw new NormError(
      'value',
      `The state of parameter ${index} lacks ${missing.join(', ')}.`,
      'Load a whole state dictionary, saved with these settings.',
    );
  }
  return found;
}

/** Overwrites tensors with others or with numbers: copies are submitted, and nothing is read back. */
export function overwrite(gpu: Gpu, pairs: readonly (readonly [Tensor, Tensor | ArrayLike<number>])[]): void {
  const copies: [Tensor, Tensor][] = [];
  for (const [target, source] of pairs) {
    if (!(source instanceof Tensor)) target.write(source);
    else if (source.buffer !== target.buffer) copies.push([target, source]);
  }
  if (copies.length === 0) return;
  const targets = copies.map(([target]) => target);
  gpu.submitting('load_state_dict', targets, () => {
    const encoder = gpu.device.createCommandEncoder({ label: 'load_state_dict' });
    for (const [target, source] of copies) {
      const size = alignUp(target.byteLength, 4);
      if (size > 0) {
        encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, size);
      }
    }
    gpu.device.queue.submit([encoder.finish()]);
  });
}
