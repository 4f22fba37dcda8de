/** Seeded test data: the same numbers on every machine and in every run. */
import type { FloatDType } from '../../src/index.ts';
import { rounders, roundToHalf } from '../reference/half.ts';

/** Uniform numbers in [0, 1): the 32-bit generator mulberry32 (Tommy Ettinger, public domain). */
export function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface NormalOptions {
  mean?: number;
  std?: number;
  seed?: number;
}

/** Normally distributed numbers, two per Box-Muller step, rounded to f32. */
export function normal(count: number, { mean = 0, std = 1, seed = 1 }: NormalOptions = {}): Float32Array {
  const next = random(seed);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(1 - next())); // 1 - next() is never 0
    const angle = 2 * Math.PI * next();
    values[i] = mean + radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = mean + radius * Math.sin(angle);
  }
  return values;
}

/** Uniformly distributed numbers in [low, high), rounded to f32. */
export function uniform(count: number, low = 0, high = 1, seed = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => low + (high - low) * next());
}

/** A copy of x, seen as rows of rowLength, whose given row is filled with one value. */
export function withConstantRow(
  x: Float32Array,
  rowLength: number,
  row: number,
  value: number,
): Float32Array {
  return x.slice().fill(value, row * rowLength, (row + 1) * rowLength);
}

/** A copy of x whose given row starts with `value`: a pivot as far from the row's mean as the test wants it. */
export function withOutlier(x: Float32Array, rowLength: number, row: number, value: number): Float32Array {
  const copy = x.slice();
  copy[row * rowLength] = value;
  return copy;
}

/** A copy of x with one element replaced, for NaN and infinities. */
export function withElement(x: Float32Array, index: number, value: number): Float32Array {
  const copy = x.slice();
  copy[index] = value;
  return copy;
}

/** Every value rounded to f16, as a Float32Array: what an f16 tensor made from x holds. */
export function toHalf(x: ArrayLike<number>): Float32Array {
  return Float32Array.from(x, roundToHalf);
}

/** What a tensor of that dtype made from x holds. */
export function stored(dtype: FloatDType, x: Float32Array): Float32Array {
  return dtype === 'f32' ? x : Float32Array.from(x, rounders[dtype]);
}
