import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { elementCount, type Geometry } from './geometry.ts';

/** Consecutive samples that one binding can hold. */
export interface Chunk {
  firstSample: number;
  samples: number;
}

/**
 * Cuts the samples so that each part of x fits a binding and a u32 index, and so that the part of every array starts
 * at an aligned offset.
 *
 * @param elementBytes - of x.
 * @param sampleBytes - of the other arrays that are cut along with x.
 * @throws NormError `limit` if the smallest aligned part is larger than a binding may be.
 */
export function chunksOf(
  geometry: Geometry,
  elementBytes: number,
  sampleBytes: readonly number[],
  facts: DeviceFacts,
): Chunk[] {
  const { samples } = geometry;
  const xBytes = elementCount({ ...geometry, samples: 1 }) * elementBytes;
  const perSample = [xBytes, ...sampleBytes];
  const largest = Math.max(...perSample);
  const most = Math.min(facts.maxBindingBytes, 4 * (2 ** 32 - 1));
  if (samples * largest <= most) return [{ firstSample: 0, samples }];
  let unit = 1;
  while (perSample.some((bytes) => (unit * bytes) % facts.offsetAlignment !== 0)) unit *= 2;
  const size = Math.floor(most / (unit * largest)) * unit;
  if (size === 0) {
    throw new NormError(
      'limit',
      `One part of the tensor takes ${unit * largest} bytes; the device binds at most ${facts.maxBindingBytes} at once ` +
        '(maxStorageBufferBindingSize).',
      'Request a larger limit when making the device, or split the tensor along its batch.',
    );
  }
  const chunks: Chunk[] = [];
  for (let first = 0; first < samples; first += size) {
    chunks.push({ firstSample: first, samples: Math.min(size, samples - first) });
  }
  return chunks;
}
