import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { elementCount, type Geometry, setCount } from './geometry.ts';

/** Consecutive samples that one binding can hold. */
export interface Chunk {
  firstSample: number;
  samples: number;
}

/**
 * Cuts the samples so that each part of x, and of the scratch that goes with it, fits a binding, and the scratch of a part
 * its budget. Parts share their scratch.
 *
 * @param elementBytes - of x.
 * @param scratchBytes - of scratch, per sample: what each binding of it takes.
 * @param whole - bytes of what is bound whole, by name.
 * @param budget - bytes of scratch that all bindings of a part may take together, as long as it is more than one sample.
 * @throws NormError `limit` if a single sample is larger than a binding may be, or what is bound whole is.
 */
export function chunksOf(
  geometry: Geometry,
  elementBytes: number,
  scratchBytes: readonly number[],
  whole: Readonly<Record<string, number>>,
  facts: DeviceFacts,
  budget = Number.POSITIVE_INFINITY,
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
  const each = scratchBytes.reduce((sum, bytes) => sum + bytes, 0);
  const affordable = each > 0 ? Math.max(1, Math.floor(budget / each)) : Number.POSITIVE_INFINITY;
  if (samples * perSample <= most && samples <= affordable) return [{ firstSample: 0, samples }];
  // A part begins at an aligned offset before its first sample.
  const bindable = Math.floor((most - facts.offsetAlignment) / perSample);
  if (bindable < 1) refuse('A single sample', perSample);
  // Of equal size: a last part of a few samples would leave a device idle.
  const size = Math.ceil(samples / Math.ceil(samples / Math.min(bindable, affordable)));
  const chunks: Chunk[] = [];
  for (let first = 0; first < samples; first += size) {
    chunks.push({ firstSample: first, samples: Math.min(size, samples - first) });
  }
  return chunks;
}
