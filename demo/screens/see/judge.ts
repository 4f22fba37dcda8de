// What the worker computes: the float64 reference, and the variance formula that this library does not use.
import { forEachElement, type Geometry, setCount, setSize } from '../../../test/reference/index.ts';

/** f32 sums run in this many lanes, merged as a tree: what a workgroup of a GPU would do, no straw man. */
const lanes = 256;

export interface Naive {
  y: Float32Array<ArrayBuffer>;
  /** Of the first set. */
  variance: number;
}

/** The norm with variance = E[x²] − E[x]², each operation rounded to f32. */
export function naiveNorm(
  x: Float32Array,
  geometry: Geometry,
  { weight, bias, eps }: { weight: number; bias: number; eps: number },
): Naive {
  const sets = setCount(geometry);
  const size = setSize(geometry);
  const width = Math.min(lanes, size);
  const sums = new Float32Array(sets * width);
  const squares = new Float32Array(sets * width);
  const seen = new Uint32Array(sets);
  forEachElement(geometry, (element, set) => {
    const lane = set * width + ((seen[set] as number) % width);
    seen[set] = (seen[set] as number) + 1;
    const value = x[element] as number;
    sums[lane] = (sums[lane] as number) + value;
    squares[lane] = (squares[lane] as number) + Math.fround(value * value);
  });
  const f32 = Math.fround;
  const mean = new Float32Array(sets);
  const variance = new Float32Array(sets);
  const rstd = new Float32Array(sets);
  for (let set = 0; set < sets; set++) {
    const start = set * width;
    const m = f32(treeSum(sums.subarray(start, start + width)) / size);
    const square = f32(treeSum(squares.subarray(start, start + width)) / size);
    mean[set] = m;
    variance[set] = square - f32(m * m);
    rstd[set] = 1 / f32(Math.sqrt(f32((variance[set] as number) + eps)));
  }
  const y = new Float32Array(x.length);
  forEachElement(geometry, (element, set) => {
    const centred = f32((x[element] as number) - (mean[set] as number));
    y[element] = f32(f32(centred * (rstd[set] as number)) * weight) + bias;
  });
  return { y, variance: variance[0] as number };
}

/** Overwrites the values. */
function treeSum(values: Float32Array): number {
  let length = values.length;
  while (length > 1) {
    const half = (length + 1) >> 1;
    for (let i = 0; i + half < length; i++) {
      values[i] = (values[i] as number) + (values[i + half] as number);
    }
    length = half;
  }
  return values[0] as number;
}

export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number));
    if (!(difference <= largest)) largest = difference; // NaN counts
  }
  return largest;
}
