/**
 * ||actual - expected|| / ||scale||, Euclidean norms; scale is `expected` unless given.
 *
 * A NaN or an infinity is right only where the expected value is the same one: such elements are left out of both
 * norms, and any other non-finite value makes the result Infinity. 0 / 0 is 0: nothing was expected and nothing came.
 */
export function relativeError(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  scale: ArrayLike<number> = expected,
): number {
  if (actual.length !== expected.length || scale.length !== expected.length) {
    throw new RangeError(
      `lengths differ: ${actual.length} actual, ${expected.length} expected, ${scale.length} scale`,
    );
  }
  let errorSquares = 0;
  let scaleSquares = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number;
    const e = expected[i] as number;
    if (!Number.isFinite(e)) {
      if (!Object.is(a, e)) return Number.POSITIVE_INFINITY;
      continue;
    }
    if (!Number.isFinite(a)) return Number.POSITIVE_INFINITY;
    errorSquares += (a - e) ** 2;
    scaleSquares += (scale[i] as number) ** 2;
  }
  return errorSquares === 0 ? 0 : Math.sqrt(errorSquares / scaleSquares);
}
