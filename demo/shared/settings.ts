// Settings from the URL: what it lacks, or has wrong, takes the default.

export function oneOf<T>(values: readonly T[], text: string | null, fallback: T): T {
  return values.find((value) => String(value) === text) ?? fallback;
}

/** Some of the values, separated by dots, in the order of `values`. */
export function someOf<T>(values: readonly T[], text: string | null, fallback: readonly T[]): T[] {
  const named = text?.split('.') ?? [];
  const found = values.filter((value) => named.includes(String(value)));
  return found.length > 0 ? found : [...fallback];
}

export function numberIn(
  [low, high]: readonly [number, number],
  text: string | null,
  fallback: number,
): number {
  const value = text === null || text === '' ? Number.NaN : Number(text);
  return value >= low && value <= high ? value : fallback;
}

/** The URL's fragment. Lists are separated by dots. */
export function fragmentOf(screen: string, settings: object): string {
  const fields = Object.entries(settings).map(([key, value]): [string, string] => [
    key,
    Array.isArray(value) ? value.join('.') : String(value),
  ]);
  return `#${new URLSearchParams([['screen', screen], ...fields])}`;
}
