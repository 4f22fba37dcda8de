import { NormError } from '../gpu/errors.ts';
import { shown } from '../gpu/shown.ts';

/** Throws `value` unless the setting is a finite number ≥ 0. */
export function checkNotNegative(name: string, value: number): void {
  if (!(Number.isFinite(value) && value >= 0)) {
    throw new NormError('value', `${name} is ${shown(value)}.`, 'Use a finite number ≥ 0.');
  }
}

/** Throws `value` unless these settings, if they are there, are finite numbers ≥ 0. */
export function checkAllNotNegative(
  settings: Readonly<Record<string, unknown>>,
  names: readonly string[],
): void {
  for (const name of names) checkNotNegative(name, settings[name] as number);
}

/** Throws `value` unless they are two rates of decay. */
export function checkBetas(betas: unknown): void {
  const decay = (beta: unknown) => typeof beta === 'number' && beta >= 0 && beta < 1;
  if (Array.isArray(betas) && betas.length === 2 && betas.every(decay)) return;
  throw new NormError(
    'value',
    `betas are ${shown(betas)}.`,
    'Use two numbers in [0, 1), such as [0.9, 0.999].',
  );
}

/** ln β, finite: e^-100 is no less than 0 beside 1. */
export const logOf = (beta: number): number => Math.max(Math.log(beta), -100);
