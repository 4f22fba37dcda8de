import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { elementCount, type Geometry, setCount } from './geometry.ts';

/** Consecutive samples that one binding can hold. */
export interface Chunk {
  firstSample: number;
  samples: number;
}

/**
 * Cuts the samples so that each part of x, and of the scratch that goes with it, fits a binding.
 *
 * @param elementBytes - of x.
 * @param scratchBytes - of scratch, per sample: what each binding of it takes.
 * @param whole - bytes of what is bound whole, by name.
 * @throws NormError `limit` if a single sample is larger than a binding may be, or what is bound whole is.
 */
export function chunksOf(
  geometry: Geometry,
  elementBytes: number,
  scratchBytes: readonly number[],
  whole: Readonly<Record<string, number>>,
  facts: DeviceFacts,
): Chunk[] {
  const { samples } = geometry;
  const most = Math.min(facts.maxBindingBytes, 4 * (2 ** 32 - 1));
  const perSample = Math.max(elementCount({ ...geometry, samples: 1 }) * elementBytes, ...scratchBytes);
  const refuse = (what: string, bytes: number) => {
    throw new NormError(
      'limit',
      `${what} takes ${bytes} bytes; the device binds at most ${facts.maxBindingBytes} at once ` +
        '(maxStorageBufferBindingSize).',
      'Request a larger limit when making the device, or split the tensor along its batch.',
    );
  };
  for (const [what, bytes] of Object.entries({ 'The mean of all sets': 8 * setCount(geometry), ...whole })) {
    if (bytes > most) refuse(what, bytes);
  }
  if (samples * perSample <= most) return [{ firstSample: 0, samples }];
  // A part begins at an aligned offset before its first sample.
  const size = Math.floor((most - facts.offsetAlignment) / perSample);
  if (size < 1) refuse('A single sample', perSample);
  const chunks: Chunk[] = [];
  for (let first = 0; first < samples; first += size) {
    chunks.push({ firstSample: first, samples: Math.min(size, samples - first) });
  }
  return chunks;
}
