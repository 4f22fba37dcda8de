// Fields of a module by the names that it has registered.
import { NormError } from '../gpu/errors.ts';
import { shown } from '../gpu/shown.ts';

/**
 * Makes a field of a registered name read and write the registry, as torch's attributes do; a getter that a class has of that
 * name is left.
 *
 * @returns what the field had.
 */
export function bindField(
  module: object,
  name: string,
  get: () => unknown,
  set: (value: unknown) => void,
): unknown {
  const own = Object.getOwnPropertyDescriptor(module, name);
  if (own ? !('value' in own) : name in module) return undefined;
  Object.defineProperty(module, name, { configurable: true, get, set });
  return own?.value;
}

/** Throws `value` unless a value is of the class that it is to be registered as, or null, and no other field has the name. */
export function checkField(
  module: object,
  name: string,
  needed: { name: string; [Symbol.hasInstance](value: unknown): boolean },
  value: unknown,
): void {
  if (value !== null && !(value instanceof needed)) {
    throw new NormError(
      'value',
      `${name} is ${shown(value)}, which is no ${needed.name}.`,
      `Assign a ${needed.name}, or null.`,
    );
  }
  const own = Object.getOwnPropertyDescriptor(module, name)?.value ?? null;
  if (own !== null && own !== value && !(own instanceof needed)) {
    throw new NormError('value', `The name "${name}" is that of a field.`, 'Choose another.');
  }
}
