import { NormError } from '../gpu/errors.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Module } from './module.ts';
import type { Parameter } from './parameter.ts';

/** What one module has, by name, in order of registration: torch's _parameters, _buffers and _modules. */
export class Registry {
  readonly parameters = new Map<string, Parameter | null>();
  readonly buffers = new Map<string, { tensor: Tensor | null; persistent: boolean }>();
  readonly modules = new Map<string, Module | null>();

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
