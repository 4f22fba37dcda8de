import { NormError } from '../gpu/errors.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { decodeSafetensors } from '../io/safetensors.ts';
import { saveStateDict } from '../nn/save-state.ts';
import { Optimizer } from './optimizer.ts';
import type { OptimizerStateDict } from './state-dict.ts';

type AnyOptimizer = Optimizer<{ lr: number }>;

const groupsKey = 'param_groups';

/**
 * A safetensors file of an optimizer: its state as `state.<parameter>.<name>`, such as `state.0.exp_avg`, counts in i64, and its groups with
 * their settings as JSON in the metadata `param_groups`. An optimizer that has loaded it goes on with the same bits, if the
 * parameters have the values that they had then: save those with {@link saveStateDict}.
 *
 * @throws NormError `value` for what is no optimizer, `destroyed`; rejects as {@link Tensor.data}.
 *
 * @example
 * await writeFile('model.safetensors', await saveStateDict(model));
 * await writeFile('optimizer.safetensors', await saveOptimizer(optimizer));
 */
export async function saveOptimizer(optimizer: AnyOptimizer): Promise<Uint8Array<ArrayBuffer>> {
  checkOptimizer(optimizer);
  const { state, param_groups } = optimizer.stateDict();
  const tensors = new Map<string, Tensor>();
  for (const [index, entry] of Object.entries(state)) {
    for (const [name, tensor] of Object.entries(entry)) tensors.set(`state.${index}.${name}`, tensor);
  }
  return saveStateDict(tensors, { format: 'pt', [groupsKey]: JSON.stringify(param_groups) });
}

/**
 * Loads what {@link saveOptimizer} wrote into an optimizer of the same kind, over parameters of the same shapes in the same groups.
 *
 * @throws NormError `value` for what is no optimizer, `format` for a damaged file or one of something else, as
 * {@link Optimizer.loadStateDict}. Nothing has changed then.
 *
 * @example
 * model.loadStateDict(decodeSafetensors(await readFile('model.safetensors')));
 * loadOptimizer(optimizer, await readFile('optimizer.safetensors'));
 */
export function loadOptimizer(optimizer: AnyOptimizer, bytes: ArrayBuffer | Uint8Array): void {
  checkOptimizer(optimizer);
  optimizer.loadStateDict(decodeOptimizer(bytes));
}

/** @internal The dictionary of an optimizer that {@link saveOptimizer} wrote. */
export function decodeOptimizer(bytes: ArrayBuffer | Uint8Array): OptimizerStateDict<HostTensor> {
  const dict = decodeSafetensors(bytes);
  const state: Record<number, Record<string, HostTensor>> = {};
  for (const [path, tensor] of dict) {
    const [, index, name] = /^state\.(\d+)\.(\w+)$/.exec(path) ?? [];
    if (index === undefined || name === undefined) throw noOptimizer(`it has a tensor "${path}"`);
    const entry = state[Number(index)] ?? {};
    state[Number(index)] = entry;
    entry[name] = tensor;
  }
  return { state, param_groups: groupsOf(dict.metadata[groupsKey]) };
}

function groupsOf(text: string | undefined): OptimizerStateDict['param_groups'] {
  if (text === undefined) throw noOptimizer(`its metadata have no ${groupsKey}`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw noOptimizer(`its ${groupsKey} are no JSON`, cause);
  }
}

const noOptimizer = (reason: string, cause?: unknown): NormError =>
  new NormError(
    'format',
    `This is no file of an optimizer: ${reason}.`,
    'Load what saveOptimizer() wrote.',
    cause,
  );

function checkOptimizer(optimizer: AnyOptimizer): void {
  if (optimizer instanceof Optimizer) return;
  throw new NormError('value', `${shown(optimizer)} is no Optimizer.`, 'Pass an optimizer of this library.');
}
