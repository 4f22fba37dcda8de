/** Assertions for code that runs inside a browser, Deno or Node alike: functions that throw Error. */

type Numbers = ArrayLike<number>;

const listed = 5;

export function assert(condition: unknown, message = 'assertion failed'): asserts condition {
  if (!condition) throw new Error(message);
}

/** Equality by value: Object.is for primitives, element by element for arrays and typed arrays. */
export function assertEqual(actual: unknown, expected: unknown, what = 'value'): void {
  if (isList(actual) && isList(expected)) {
    if (actual.length !== expected.length) {
      throw new Error(`${what}: length ${actual.length}, expected ${expected.length}`);
    }
    const wrong: number[] = [];
    for (let i = 0; i < expected.length; i++) if (!same(actual[i], expected[i])) wrong.push(i);
    if (wrong.length === 0) return;
    const lines = wrong
      .slice(0, listed)
      .map((i) => `  [${i}] ${show(actual[i])}, expected ${show(expected[i])}`);
    throw new Error(`${what}: ${wrong.length} of ${expected.length} elements differ\n${lines.join('\n')}`);
  }
  if (!same(actual, expected)) throw new Error(`${what}: ${show(actual)}, expected ${show(expected)}`);
}

/** Whether plain objects and nested lists say the same: as JSON. */
export function assertSame(actual: unknown, expected: unknown, what = 'value'): void {
  assertEqual(JSON.stringify(actual), JSON.stringify(expected), what);
}

/**
 * How the distance between an actual value a and an expected value e is measured.
 *
 * - `absolute`: |a − e|
 * - `relative`: |a − e| / |e|
 * - `mixed`: |a − e| / (1 + |e|), that is atol = rtol
 * - `scaled`: |a − e| / max |e| over the whole array, for values that cancel
 */
export type Metric = 'absolute' | 'relative' | 'mixed' | 'scaled';

/**
 * Asserts that no element is further than `bound` from what is expected. NaN matches NaN and an infinity
 * matches itself; nothing else that is not finite matches.
 *
 * @returns the largest error found, for notes.
 */
export function assertClose(
  actual: Numbers,
  expected: Numbers,
  bound: number,
  metric: Metric = 'absolute',
  what = 'value',
): number {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: length ${actual.length}, expected ${expected.length}`);
  }
  const scale = metric === 'scaled' ? largest(expected) : 0;
  let worst = 0;
  let worstAt = -1;
  const wrong: string[] = [];
  let wrongs = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number;
    const e = expected[i] as number;
    const error = distance(a, e, metric, scale);
    if (error > worst) {
      worst = error;
      worstAt = i;
    }
    if (!(error <= bound)) {
      wrongs++;
      if (wrong.length < listed) wrong.push(`  [${i}] ${a}, expected ${e}: ${metric} error ${brief(error)}`);
    }
  }
  if (wrongs > 0) {
    throw new Error(
      `${what}: ${wrongs} of ${expected.length} elements are further than ${brief(bound)} (${metric})\n` +
        `${wrong.join('\n')}\n  worst: [${worstAt}] ${brief(worst)}`,
    );
  }
  return worst;
}

/**
 * Asserts that `run` throws or rejects, and that every field given in `expected` matches the error's: a
 * RegExp by `test`, anything else by equality.
 *
 * @returns the error.
 */
export async function assertThrows(
  run: () => unknown,
  expected: Record<string, unknown> = {},
  what = 'call',
): Promise<Error> {
  let error: unknown;
  try {
    await run();
  } catch (caught) {
    error = caught;
  }
  if (!(error instanceof Error)) {
    throw new Error(
      error === undefined ? `${what}: did not throw` : `${what}: threw ${show(error)}, not an Error`,
    );
  }
  for (const [key, want] of Object.entries(expected)) {
    const got = (error as unknown as Record<string, unknown>)[key];
    const matches = want instanceof RegExp ? want.test(String(got)) : same(got, want);
    if (!matches)
      throw new Error(`${what}: error.${key} is ${show(got)}, expected ${String(want)}`, { cause: error });
  }
  return error;
}

function distance(a: number, e: number, metric: Metric, scale: number): number {
  if (Object.is(a, e) || a === e) return 0;
  if (!Number.isFinite(a) || !Number.isFinite(e)) return Number.POSITIVE_INFINITY;
  const difference = Math.abs(a - e);
  switch (metric) {
    case 'absolute':
      return difference;
    case 'relative':
      return difference / Math.abs(e);
    case 'mixed':
      return difference / (1 + Math.abs(e));
    case 'scaled':
      return difference / scale;
  }
}

function largest(values: Numbers): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) {
    const v = Math.abs(values[i] as number);
    if (v > max && v < Number.POSITIVE_INFINITY) max = v;
  }
  return max;
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function same(a: unknown, b: unknown): boolean {
  if (isList(a) && isList(b)) {
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!same(a[i], b[i])) return false;
    return true;
  }
  return Object.is(a, b) || a === b;
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (isList(value)) {
    return `[${Array.from(value).slice(0, 8).join(', ')}${value.length > 8 ? ', …' : ''}]`;
  }
  return Object.is(value, -0) ? '-0' : String(value);
}

function brief(value: number): string {
  return Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : String(value);
}
