import { NormError } from '../gpu/errors.ts';
import { Module } from './module.ts';
import { joined } from './registry.ts';

/**
 * Puts a module in the place of another in `parent`: under its name, and in every public field (or list, object or Map in
 * one) that holds it, as setting an attribute does in PyTorch.
 */
export function replaceModule(parent: Module, name: string, replacement: Module): void {
  const replaced = parent.registry.modules.get(name);
  parent.registerModule(name, replacement);
  for (const { held, put } of heldIn(parent)) if (held === replaced) put(replacement);
}

/**
 * Replaces modules of a tree under all their names and in the fields that hold them. Each replacement gets the hooks of what
 * it replaces.
 *
 * @param applies - whether a module is to be replaced.
 * @param make - what takes its place. Called once for each.
 * @param undo - what to do with one that was made where another cannot be.
 * @returns the model, or what replaces it.
 * @throws NormError `value` where a field holds what is to be replaced and is not registered: forward would go on with the
 * old one. What make throws. Nothing is changed then.
 */
export function replaceModules<T extends Module>(
  model: Module,
  applies: (module: Module) => module is T,
  make: (module: T) => Module,
  undo: (made: Module) => void = () => {},
): Module {
  checkFields(model, applies);
  const replacements = new Map<Module, Module>();
  try {
    for (const module of model.modules()) if (applies(module)) replacements.set(module, make(module));
  } catch (error) {
    for (const made of replacements.values()) undo(made);
    throw error;
  }
  for (const parent of model.modules()) {
    for (const [name, child] of [...parent.registry.modules]) {
      const replacement = child && replacements.get(child);
      if (replacement) replaceModule(parent, name, replacement);
    }
    // A module that another one registered may lie in a field of this one too.
    for (const { held, put } of heldIn(parent)) {
      const replacement = replacements.get(held);
      if (replacement) put(replacement);
    }
  }
  for (const [replaced, made] of replacements) made.takeHooks(replaced);
  return replacements.get(model) ?? model;
}

/** Throws where the tree holds a module to be replaced that no name leads to. */
function checkFields(model: Module, applies: (module: Module) => boolean): void {
  const known = new Set(model.modules());
  for (const [path, parent] of model.namedModules()) {
    for (const { held, field } of heldIn(parent)) {
      if (known.has(held) || !held.modules().some(applies)) continue;
      throw new NormError(
        'value',
        `The field "${joined(path, field)}" of ${parent.constructor.name} holds a ${held.constructor.name} that is not registered.`,
        'Register it, with registerModule or in a ModuleList or ModuleDict, so that the model knows of it.',
      );
    }
  }
}

interface Held {
  field: string;
  held: Module;
  put(module: Module): void;
}

/** The modules that lie in public fields of a module, or in lists, objects and Maps there. */
function heldIn(parent: Module): Held[] {
  const found: Held[] = [];
  const look = (field: string, value: unknown, put: (module: Module) => void, deep: boolean) => {
    if (value instanceof Module) found.push({ field, held: value, put });
    else if (!deep || typeof value !== 'object' || value === null) return;
    else if (value instanceof Map) {
      for (const [key, one] of value) look(`${field}.${key}`, one, (module) => value.set(key, module), false);
    } else if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype) {
      const entries = value as Record<string, unknown>;
      for (const key of Object.keys(entries)) {
        look(`${field}.${key}`, entries[key], (module) => Object.assign(entries, { [key]: module }), false);
      }
    }
  };
  const fields = parent as unknown as Record<string, unknown>;
  for (const field of Object.keys(fields)) {
    look(field, fields[field], (module) => Object.assign(fields, { [field]: module }), true);
  }
  return found;
}
