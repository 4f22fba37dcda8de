import { NormError } from './errors.ts';

/**
 * The names of the options of a function or class. `satisfies OptionNames<…>` has the compiler hold a list to the interface that
 * documents it: neither can have a name that the other lacks.
 */
export type OptionNames<Options> = { readonly [Name in keyof Options]-?: 1 };

/** What other libraries call the options that this one has under other names. */
const otherNames: Readonly<Record<string, string>> = {
  epsilon: 'eps',
  gamma: 'weight',
  scale: 'weight',
  beta: 'bias',
  shift: 'bias',
  groups: 'numGroups',
  format: 'layout',
};

/**
 * Throws `value` unless `options` is an object that has options of these names alone; undefined ones count as absent.
 *
 * @param what - whose options they are, as a message names it.
 * @param reasons - why there is no option of some name that people look for.
 */
export function checkOptions(
  what: string,
  options: unknown,
  names: Readonly<Record<string, 1>>,
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
    if (Object.hasOwn(names, name) || (options as Record<string, unknown>)[name] === undefined) continue;
    const known = Object.keys(names);
    const near = nearest(name, known);
    throw new NormError(
      'value',
      `${what} has no option '${name}'.`,
      reasons[name] ?? (near ? `Did you mean '${near}'?` : `It has ${known.join(', ')}.`),
    );
  }
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
