/**
 * IEEE 754 binary16 ("half", f16): 11 significant bits, normal from 2^-14, subnormal steps of 2^-24, largest 65504.
 */
const LARGEST_HALF = 65504;
const SMALLEST_NORMAL_EXPONENT = -14;
const FRACTION_BITS = 10;

// Adding and subtracting 2^52 leaves a float64 between 0 and 2^52 rounded to an integer, ties to even.
const ROUND_TO_INTEGER = 2 ** 52;

const bits = new DataView(new ArrayBuffer(8));

/** floor(log2(value)) of a positive normal float64, read from its exponent field: Math.log2 may round up to the next. */
function exponentOf(value: number): number {
  bits.setFloat64(0, value);
  return (bits.getUint16(0) >> 4) - 1023;
}

/**
 * The f16 value nearest to `value`, ties to even, beyond 65504 infinite from 65520 on.
 *
 * It rounds once, from float64. Going through f32 would round twice: 1 + 2^-11 + 2^-30 becomes the tie 1 + 2^-11 in
 * f32 and then 1 instead of 1 + 2^-10.
 */
export function roundToHalf(value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const magnitude = Math.abs(value);
  const step = 2 ** (Math.max(exponentOf(magnitude), SMALLEST_NORMAL_EXPONENT) - FRACTION_BITS);
  // Below 2048 steps, and the division is exact because step is a power of two.
  const rounded = (magnitude / step + ROUND_TO_INTEGER - ROUND_TO_INTEGER) * step;
  const result = rounded > LARGEST_HALF ? Number.POSITIVE_INFINITY : rounded;
  return value < 0 ? -result : result;
}

/** Every value rounded to the nearest f16. */
export function roundAllToHalf(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values, roundToHalf);
}
