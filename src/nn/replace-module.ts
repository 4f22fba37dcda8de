import type { Module } from './module.ts';

/**
 * Puts a module in the place of another in `parent`: under its name, and in every public field that holds it, as setting
 * an attribute does in PyTorch.
 */
export function replaceModule(parent: Module, name: string, replacement: Module): void {
  const replaced = parent.registry.modules.get(name);
  parent.registerModule(name, replacement);
  const fields = parent as unknown as Record<string, unknown>;
  for (const key of Object.keys(fields)) if (fields[key] === replaced) fields[key] = replacement;
}
