// What replicas of BatchNorm say to each other. Forward, per layer of C channels, 3C + 1 floats: how many elements a
// channel has (the bits of a u32, so that no count is rounded), the means as hi and lo, the biased standard deviations: unlike
// their squares, f32 has room for these whatever x is.
import type { Merge } from './merge.ts';

/** Statistics of a layer's channels: mean and Σ(x − mean)², in float64. */
export interface Moments {
  count: number;
  mean: Float64Array<ArrayBuffer>;
  squaredDeviations: Float64Array<ArrayBuffer>;
}

/** Writes what a replica says of a layer; `means` is [C, 2], and nothing where the replica is empty. */
export function packMoments(
  target: Float32Array,
  count: number,
  means: Float32Array | undefined,
  deviations: Float32Array | undefined,
): void {
  new Uint32Array(target.buffer, target.byteOffset, 1)[0] = count;
  if (!means || !deviations) return;
  target.set(means, 1);
  target.set(deviations, 1 + means.length);
}

/** Where each layer begins among numbers of which `per(channels)` belong to one. */
function offsets(layers: readonly number[], per: (channels: number) => number): number[] {
  let at = 0;
  return layers.map((channels) => {
    const start = at;
    at += per(channels);
    return start;
  });
}

/** Floats that a replica says of all layers, and where those of each begin. */
export function momentsLayout(layers: readonly number[]): { length: number; starts: number[] } {
  const floats = (channels: number) => 3 * channels + 1;
  return {
    length: layers.reduce((total, channels) => total + floats(channels), 0),
    starts: offsets(layers, floats),
  };
}

const doubles = (channels: number) => 2 * channels + 1;

/** The merge of Chan, Golub and LeVeque (1979) in float64, channel by channel: as if each channel were one sequence. */
export function mergeMoments(layers: readonly number[]): Merge {
  const { starts: from } = momentsLayout(layers);
  const to = offsets(layers, doubles);
  return {
    lift(values) {
      const lifted = new Float64Array(layers.reduce((total, channels) => total + doubles(channels), 0));
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      layers.forEach((channels, layer) => {
        const [source, target] = [from[layer] as number, to[layer] as number];
        lifted[target] = bits[source] as number;
        for (let c = 0; c < channels; c++) {
          const [hi, lo] = [values[source + 1 + 2 * c] as number, values[source + 2 + 2 * c] as number];
          lifted[target + 1 + c] = hi + lo;
          const deviation = values[source + 1 + 2 * channels + c] as number;
          lifted[target + 1 + channels + c] = (lifted[target] as number) * deviation * deviation;
        }
      });
      return lifted;
    },
    join(a, b) {
      layers.forEach((channels, layer) => {
        const at = to[layer] as number;
        const [n, m] = [a[at] as number, b[at] as number];
        if (m === 0) return;
        if (n === 0) {
          a.set(b.subarray(at, at + doubles(channels)), at);
          return;
        }
        a[at] = n + m;
        for (let mean = at + 1; mean <= at + channels; mean++) {
          const squaredDeviations = mean + channels;
          const delta = (b[mean] as number) - (a[mean] as number);
          a[mean] = (a[mean] as number) + (delta * m) / (n + m);
          a[squaredDeviations] =
            (a[squaredDeviations] as number) +
            (b[squaredDeviations] as number) +
            delta * delta * ((n * m) / (n + m));
        }
      });
      return a;
    },
  };
}

/** The layers of a merge's result. */
export function unpackMoments(joined: Float64Array<ArrayBuffer>, layers: readonly number[]): Moments[] {
  const starts = offsets(layers, doubles);
  return layers.map((channels, layer) => {
    const at = starts[layer] as number;
    return {
      count: joined[at] as number,
      mean: joined.subarray(at + 1, at + 1 + channels),
      squaredDeviations: joined.subarray(at + 1 + channels, at + 1 + 2 * channels),
    };
  });
}

/**
 * What the GPU gets of a layer: [C, 4], the mean as hi + lo, 1 / sqrt(variance + eps), Σ(x − mean)² or, where f32 has no room
 * for it, its negative times 2^-168. As on the GPU, all is NaN beyond a reciprocal of 2^104 (shaders/shared/set_statistics.wgsl).
 */
export function statisticsOf(
  { count, mean, squaredDeviations }: Moments,
  eps: number,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(4 * mean.length);
  mean.forEach((value, c) => {
    const hi = Math.fround(value);
    const squares = squaredDeviations[c] as number;
    const rstd = 1 / Math.sqrt(squares / count + eps);
    if (!(rstd <= 2 ** 104) || !Number.isFinite(value)) values.fill(Number.NaN, 4 * c, 4 * c + 4);
    else values.set([hi, value - hi, rstd, squares < 2 ** 127 ? squares : -squares / 2 ** 168], 4 * c);
  });
  return values;
}
