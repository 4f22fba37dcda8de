/** Rounding to the narrow storage types, in float64 arithmetic of its own. */
import type { FloatDType } from '../../src/index.ts';

interface Format {
  /** Behind the leading bit. */
  fractionBits: number;
  /** Of the smallest normal number; below it steps stay as they are. */
  smallestExponent: number;
  largest: number;
}

/** IEEE 754 binary16 ("half", f16): 11 significant bits, normal from 2^-14, subnormal steps of 2^-24, largest 65504. */
const binary16: Format = { fractionBits: 10, smallestExponent: -14, largest: 65504 };
/** bfloat16: 8 significant bits and the exponents of f32. */
const bfloat16: Format = { fractionBits: 7, smallestExponent: -126, largest: (2 - 2 ** -7) * 2 ** 127 };

// Adding and subtracting 2^52 leaves a float64 between 0 and 2^52 rounded to an integer, ties to even.
const ROUND_TO_INTEGER = 2 ** 52;

const bits = new DataView(new ArrayBuffer(8));

/** floor(log2(value)) of a positive normal float64, read from its exponent field: Math.log2 may round up to the next. */
function exponentOf(value: number): number {
  bits.setFloat64(0, value);
  return (bits.getUint16(0) >> 4) - 1023;
}

/**
 * The number of the format nearest to `value`, ties to even; from half a step beyond the largest on infinite.
 *
 * It rounds once, from float64. Going through f32 would round twice: 1 + 2^-11 + 2^-30 becomes the tie 1 + 2^-11 in
 * f32 and then, in f16, 1 instead of 1 + 2^-10.
 */
function rounded(value: number, { fractionBits, smallestExponent, largest }: Format): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const magnitude = Math.abs(value);
  const step = 2 ** (Math.max(exponentOf(magnitude), smallestExponent) - fractionBits);
  // Below 2048 steps, and the division is exact because step is a power of two.
  const nearest = (magnitude / step + ROUND_TO_INTEGER - ROUND_TO_INTEGER) * step;
  const result = nearest > largest ? Number.POSITIVE_INFINITY : nearest;
  return value < 0 ? -result : result;
}

/** The nearest f16. */
export const roundToHalf = (value: number): number => rounded(value, binary16);

/** The nearest bf16. */
export const roundToBfloat16 = (value: number): number => rounded(value, bfloat16);

/** How a storage type rounds; f32 is what numbers of tests are to begin with. */
export const rounders: Readonly<Record<FloatDType, (value: number) => number>> = {
  f32: (value) => value,
  f16: roundToHalf,
  bf16: roundToBfloat16,
};

/** Every value rounded to the nearest f16. */
export function roundAllToHalf(values: ArrayLike<number>): Float64Array {
  return roundAllTo('f16', values);
}

/** Every value rounded to the nearest of a storage type. */
export function roundAllTo(dtype: FloatDType, values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values, rounders[dtype]);
}
