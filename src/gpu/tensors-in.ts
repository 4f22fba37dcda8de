import { Tensor } from './tensor.ts';

/** The tensors in a value: itself, or in arrays and plain objects. */
export function tensorsIn(value: unknown, found = new Set<Tensor>(), seen = new Set<unknown>()): Set<Tensor> {
  if (seen.has(value)) return found;
  seen.add(value);
  if (value instanceof Tensor) found.add(value);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found, seen);
  else if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found, seen);
  }
  return found;
}
