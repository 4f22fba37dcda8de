import { elementCount, type Geometry } from './geometry.ts';

export interface ReferenceResponseOptions {
  /** Channels in a window: floor(size / 2) before a channel, itself, floor((size - 1) / 2) after it. */
  size: number;
  alpha: number;
  beta: number;
  k: number;
}

export interface ReferenceResponseBackward {
  /** Shaped like x. */
  dx: Float64Array;
  /** The sizes of the terms of dx before they cancel: |dy d^-beta| + |2 alpha beta / size x| sum |dy x d^(-beta - 1)|. */
  scale: Float64Array;
}

/** sum(element c') over the existing channels c' from c - before to c + after, for every element. */
function windowSums(
  { samples, positions, channels, inner }: Geometry,
  values: Float64Array,
  before: number,
  after: number,
): Float64Array {
  const sums = new Float64Array(values.length);
  for (let run = 0; run < samples * positions; run++) {
    for (let channel = 0; channel < channels; channel++) {
      const last = Math.min(channel + after, channels - 1);
      for (let c = Math.max(channel - before, 0); c <= last; c++) {
        const to = (run * channels + channel) * inner;
        const from = (run * channels + c) * inner;
        for (let i = 0; i < inner; i++) {
          sums[to + i] = (sums[to + i] as number) + (values[from + i] as number);
        }
      }
    }
  }
  return sums;
}

const before = ({ size }: ReferenceResponseOptions): number => Math.floor(size / 2);
const after = ({ size }: ReferenceResponseOptions): number => Math.floor((size - 1) / 2);

function denominators(x: Float64Array, geometry: Geometry, options: ReferenceResponseOptions): Float64Array {
  const { size, alpha, k } = options;
  const squares = x.map((value) => value * value);
  const sums = windowSums(geometry, squares, before(options), after(options));
  return sums.map((sum) => k + (alpha / size) * sum);
}

function asFloat64(values: ArrayLike<number>, geometry: Geometry, name: string): Float64Array {
  const count = elementCount(geometry);
  if (values.length !== count) {
    throw new RangeError(`${name} has ${values.length} values, the geometry needs ${count}`);
  }
  return Float64Array.from(values);
}

/**
 * Local response normalization in float64:
 *
 *     d = k + alpha / size * sum of x^2 over the window of channels,  y = x / d^beta
 *
 * Krizhevsky, Sutskever, Hinton 2012, section 3.3; alpha / size and the window are torch's local_response_norm.
 */
export function localResponseNormReference(
  x: ArrayLike<number>,
  geometry: Geometry,
  options: ReferenceResponseOptions,
): Float64Array {
  const values = asFloat64(x, geometry, 'x');
  const d = denominators(values, geometry, options);
  return values.map((value, i) => value / (d[i] as number) ** options.beta);
}

/**
 * Its gradient, the chain rule through every d that an element is part of:
 *
 *     dx = dy * d^-beta - 2 * alpha * beta / size * x * sum of dy * x * d^(-beta - 1) over the mirrored window
 */
export function localResponseNormBackwardReference(
  dy: ArrayLike<number>,
  x: ArrayLike<number>,
  geometry: Geometry,
  options: ReferenceResponseOptions,
): ReferenceResponseBackward {
  const { size, alpha, beta } = options;
  const values = asFloat64(x, geometry, 'x');
  const gradients = asFloat64(dy, geometry, 'dy');
  const d = denominators(values, geometry, options);
  const slope = (2 * alpha * beta) / size;
  const ratios = values.map((value, i) => (gradients[i] as number) * value * (d[i] as number) ** (-beta - 1));
  const sums = windowSums(geometry, ratios, after(options), before(options));
  const sizes = windowSums(geometry, ratios.map(Math.abs), after(options), before(options));
  const direct = gradients.map((gradient, i) => gradient * (d[i] as number) ** -beta);
  const dx = direct.map((term, i) => term - slope * (values[i] as number) * (sums[i] as number));
  const scale = direct.map(
    (term, i) => Math.abs(term) + Math.abs(slope * (values[i] as number)) * (sizes[i] as number),
  );
  return { dx, scale };
}
