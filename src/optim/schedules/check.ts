import { NormError } from '../../gpu/errors.ts';
import { shown } from '../../gpu/shown.ts';
import { Optimizer } from '../optimizer.ts';

/** What a schedule changes: any optimizer of this library. */
export type Scheduled = Optimizer<{ lr: number }>;

/** Throws `value` unless it is an optimizer that can be used. */
export function checkOptimizer(what: string, optimizer: Scheduled): void {
  if (optimizer instanceof Optimizer) {
    optimizer.checkUsable();
    return;
  }
  throw new NormError(
    'value',
    `${what}: ${shown(optimizer)} is no Optimizer.`,
    'Pass an optimizer of this library.',
  );
}

/** Throws `value` unless it is a finite number within bounds, which `range` puts into words. */
export function checkNumber(
  name: string,
  value: unknown,
  range = 'a finite number',
  fits: (value: number) => boolean = () => true,
): void {
  if (typeof value === 'number' && Number.isFinite(value) && fits(value)) return;
  throw new NormError('value', `${name} is ${shown(value)}.`, `Use ${range}.`);
}

/** Throws `value` unless it is one of the texts. */
export function checkOneOf(name: string, value: unknown, texts: readonly string[]): void {
  if (texts.includes(value as string)) return;
  throw new NormError(
    'value',
    `${name} is ${shown(value)}.`,
    `Use ${texts.map((text) => `'${text}'`).join(' or ')}.`,
  );
}

/** A number for each group: the list, or the number as often as there are groups. Throws `value` for other lengths. */
export function perGroup(
  name: string,
  value: number | readonly number[],
  { paramGroups }: Scheduled,
): number[] {
  const { length } = paramGroups;
  const values: readonly unknown[] = Array.isArray(value) ? value : Array(length).fill(value);
  if (values.length !== length) {
    throw new NormError(
      'value',
      `${name} has ${values.length} values; the optimizer has ${length} groups.`,
      'Pass a number, or one for each group.',
    );
  }
  for (const one of values) checkNumber(name, one);
  return [...values] as number[];
}
