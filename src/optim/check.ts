import { NormError } from '../gpu/errors.ts';
import { shown } from '../gpu/shown.ts';

/** Throws `value` unless the setting is a finite number ≥ 0. */
export function checkNotNegative(name: string, value: number): void {
  if (!(Number.isFinite(value) && value >= 0)) {
    throw new NormError('value', `${name} is ${shown(value)}.`, 'Use a finite number ≥ 0.');
  }
}
