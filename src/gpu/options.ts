import { NormError } from './errors.ts';
import { shown } from './shown.ts';
import { Tensor } from './tensor.ts';

/** What an option has to be; with a question mark, or null. Of `other` ones what uses them says what is wrong with them. */
export type OptionKind = `${'number' | 'boolean' | 'string' | 'function' | 'tensor' | 'other'}${'' | '?'}`;

type KindOf<T> = [T] extends [boolean]
  ? 'boolean'
  : [T] extends [number]
    ? 'number'
    : [T] extends [string]
      ? 'string'
      : [T] extends [Tensor]
        ? 'tensor'
        : [T] extends [(...args: never[]) => unknown]
          ? 'function'
          : 'other';

/**
 * The options of a function or class, and what each has to be. `satisfies OptionNames<…>` has the compiler hold a table to the
 * interface that documents it: neither can have a name or a kind that the other lacks.
 */
export type OptionNames<Options> = {
  readonly [Name in keyof Options]-?: null extends Options[Name]
    ? `${KindOf<NonNullable<Options[Name]>>}?`
    : KindOf<NonNullable<Options[Name]>>;
};

/** What other libraries call the options that this one has under other names. */
const otherNames: Readonly<Record<string, string>> = {
  epsilon: 'eps',
  gamma: 'weight',
  scale: 'weight',
  beta: 'bias',
  shift: 'bias',
  groups: 'numGroups',
  format: 'layout',
  useinputstats: 'training',
};

/** What to pass for an option of a kind. */
const fixes: Readonly<Record<string, string>> = {
  number: 'Pass a number.',
  boolean: 'Pass true or false.',
  string: 'Pass one of the texts that its documentation names.',
  function: 'Pass a function.',
  tensor: 'Pass a tensor of this library, such as gpu.tensor() makes.',
};

/**
 * Throws `value` unless `options` is an object that has options of these names and kinds alone; undefined ones count as absent.
 *
 * @param what - whose options they are, as a message names it.
 * @param reasons - why there is no option of some name that people look for.
 */
export function checkOptions(
  what: string,
  options: unknown,
  names: Readonly<Record<string, OptionKind>>,
  reasons: Readonly<Record<string, string>> = {},
): void {
  if (options === null || typeof options !== 'object') {
    const given = options === null ? 'null' : typeof options;
    throw new NormError(
      'value',
      `${what} takes its options as an object, not ${given}.`,
      'Pass { name: value }.',
    );
  }
  for (const name in options) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined) continue;
    if (Object.hasOwn(names, name)) checkKind(what, name, value, names[name] as OptionKind);
    else throw unknown(what, name, Object.keys(names), reasons[name]);
  }
}

/** Throws `value` unless an option or argument is of a kind. */
export function checkKind(what: string, name: string, value: unknown, kind: OptionKind): void {
  const nullable = kind.endsWith('?');
  const plain = nullable ? kind.slice(0, -1) : kind;
  const fits =
    plain === 'other' ||
    (value === null ? nullable : plain === 'tensor' ? value instanceof Tensor : typeof value === plain);
  if (fits) return;
  throw new NormError(
    'value',
    `${what}: ${name} is ${shown(value)}, which is no ${plain}.`,
    `${fixes[plain]}${nullable ? ' Or null.' : ''}`,
  );
}

/** What can be walked through, as a list. Throws `value` for what cannot. */
export function listOf<One>(name: string, given: Iterable<One>, fix = 'Pass a list.'): One[] {
  if (typeof given === 'object' && typeof given?.[Symbol.iterator] === 'function') return [...given];
  throw new NormError('value', `${name} are ${shown(given)}, which is no list.`, fix);
}

/** Throws `value` unless a signal, if there is one, is such. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined || typeof signal?.throwIfAborted === 'function') return;
  throw new NormError('value', `signal is ${shown(signal)}.`, 'Pass the signal of an AbortController.');
}

function unknown(what: string, name: string, known: readonly string[], reason?: string): NormError {
  const near = nearest(name, known);
  return new NormError(
    'value',
    `${what} has no option '${name}'.`,
    reason ?? (near ? `Did you mean '${near}'?` : `It has ${known.join(', ')}.`),
  );
}

/** The name that was probably meant. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.replaceAll('_', '').toLowerCase();
  const other = otherNames[plain(name)];
  if (other && known.includes(other)) return other;
  let best: string | undefined;
  // Two letters off, and more than half of them right.
  let least = Math.min(3, Math.ceil(name.length / 2));
  for (const one of known) {
    const distance = editDistance(plain(name), plain(one));
    if (distance < least) [best, least] = [one, distance];
  }
  return best;
}

/** How many letters have to be changed, added or left out (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
