import { NormError } from '../gpu/errors.ts';
import { noteChange } from '../gpu/replay.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Module } from './module.ts';
import type { Parameter } from './parameter.ts';

/** A buffer, and whether it is in the state dict. */
interface BufferEntry {
  readonly tensor: Tensor | null;
  readonly persistent: boolean;
}

/** What one module has, by name, in order of registration: torch's _parameters, _buffers and _modules. */
export class Registry {
  readonly modules = new Map<string, Module | null>();
  readonly #parameters = new Map<string, Parameter | null>();
  readonly #buffers = new Map<string, BufferEntry>();

  get parameters(): ReadonlyMap<string, Parameter | null> {
    return this.#parameters;
  }

  get buffers(): ReadonlyMap<string, BufferEntry> {
    return this.#buffers;
  }

  setParameter(name: string, parameter: Parameter | null): void {
    this.#parameters.set(name, parameter);
    noteChange();
  }

  setBuffer(name: string, entry: BufferEntry): void {
    this.#buffers.set(name, entry);
    noteChange();
  }

  /** All tensors of the parameters and buffers, with nulls: what a {@link Replay} compares. */
  tensors(): (Tensor | null)[] {
    const buffers = [...this.#buffers.values()].map(({ tensor }) => tensor);
    return [...[...this.#parameters.values()].map((one) => one?.data ?? null), ...buffers];
  }

  /** Throws `value` unless something of this kind can have this name. */
  checkName(name: string, kind: 'parameters' | 'buffers' | 'modules'): void {
    const taken = (['parameters', 'buffers', 'modules'] as const).some(
      (other) => other !== kind && this[other].has(name),
    );
    const wrong =
      typeof name !== 'string'
        ? 'is not a string'
        : name === ''
          ? 'is empty'
          : name.includes('.')
            ? 'has a dot'
            : taken && 'is taken';
    if (wrong) throw new NormError('value', `The name "${shown(name)}" ${wrong}.`, 'Choose another.');
  }

  names(): string[] {
    return [...this.parameters.keys(), ...this.buffers.keys(), ...this.modules.keys()];
  }

  get(name: string): Parameter | Tensor | Module | null {
    return this.parameters.get(name) ?? this.buffers.get(name)?.tensor ?? this.modules.get(name) ?? null;
  }

  /** The parameters and persistent buffers: what a state dict has of this module alone. */
  state(): [string, Tensor][] {
    const state: [string, Tensor][] = [];
    for (const [name, parameter] of this.parameters) if (parameter) state.push([name, parameter.data]);
    for (const [name, { tensor, persistent }] of this.buffers) {
      if (tensor && persistent) state.push([name, tensor]);
    }
    return state;
  }
}

export const joined = (prefix: string, name: string): string => (prefix ? `${prefix}.${name}` : name);

/** A module and all inside it with their names, outer before inner; one with two names once for each. */
export function* modulePaths(module: Module, name = ''): Generator<[string, Module]> {
  yield [name, module];
  for (const [key, child] of module.registry.modules) if (child) yield* modulePaths(child, joined(name, key));
}

/** What every module of a tree has of its own, with full names; each thing once. */
export function namedIn<T extends object>(
  root: Module,
  own: (registry: Registry) => [string, T | null][],
): [string, T][] {
  return once(
    once([...modulePaths(root)]).flatMap(([prefix, { registry }]) =>
      own(registry).map(([name, value]): [string, T | null] => [joined(prefix, name), value]),
    ),
  );
}

/** Without nulls, and of equal values the first. */
export function once<T extends object>(entries: [string, T | null][]): [string, T][] {
  const names = new Map<T, string>();
  for (const [name, value] of entries) if (value && !names.has(value)) names.set(value, name);
  return [...names].map(([value, name]) => [name, value]);
}
