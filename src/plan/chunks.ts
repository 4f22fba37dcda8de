import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { elementCount, type Geometry, setCount } from './geometry.ts';

/** Consecutive samples that one binding can hold. */
export interface Chunk {
  firstSample: number;
  samples: number;
}

/** Elements that one binding may have: their indices, and those of threads beyond the last one, are below 2^32. */
export const mostElements = 2 ** 32 - 2 ** 27;

/** Bytes that one binding of such elements may have. */
export const bindableBytes = (elementBytes: number, { maxBindingBytes }: DeviceFacts): number =>
  Math.min(maxBindingBytes, elementBytes * mostElements);

/**
 * How many consecutive units of so many bytes a binding can hold, whichever of them comes first. A binding begins at an
 * aligned offset, at or before its first unit; where units are as long as some alignments, that is at it.
 */
export function unitsPerBinding(unitBytes: number, most: number, alignment: number): number {
  return Math.floor((most - paddingOf(unitBytes, alignment)) / unitBytes);
}

/** The most bytes between an aligned offset and the beginning of a unit. */
function paddingOf(unitBytes: number, alignment: number): number {
  let [common, rest] = [alignment, unitBytes % alignment];
  while (rest > 0) [common, rest] = [rest, common % rest];
  return alignment - common;
}

/**
 * Cuts the samples so that each part of x, and of the scratch that goes with it, fits a binding, and the scratch of a part
 * its budget. Parts share their scratch.
 *
 * @param elementBytes - of x.
 * @param scratchBytes - of scratch, per sample: what each binding of it takes.
 * @param whole - bytes of what is bound whole, by name.
 * @param budget - bytes of scratch that all bindings of a part may take together, as long as it is more than one sample.
 * @param mostSamples - of a part.
 * @throws NormError `limit` if a single sample is larger than a binding may be, or what is bound whole is.
 */
export function chunksOf(
  geometry: Geometry,
  elementBytes: number,
  scratchBytes: readonly number[],
  whole: Readonly<Record<string, number>>,
  facts: DeviceFacts,
  budget = Number.POSITIVE_INFINITY,
  mostSamples = Number.POSITIVE_INFINITY,
): Chunk[] {
  const { samples } = geometry;
  checkWhole(geometry, whole, facts);
  const most = bindableBytes(elementBytes, facts);
  const sampleBytes = elementCount({ ...geometry, samples: 1 }) * elementBytes;
  const largestScratch = Math.max(0, ...scratchBytes);
  const scratches = Math.floor(bindableBytes(4, facts) / largestScratch);
  const each = scratchBytes.reduce((sum, bytes) => sum + bytes, 0);
  const affordable = Math.min(mostSamples, each > 0 ? Math.max(1, Math.floor(budget / each)) : mostSamples);
  if (samples * sampleBytes <= most && samples <= scratches && samples <= affordable) {
    return [{ firstSample: 0, samples }];
  }
  const units = unitsPerBinding(sampleBytes, most, facts.offsetAlignment);
  if (units < 1) refuseSample(geometry, elementBytes, sampleBytes, facts);
  if (scratches < 1) refuse('The scratch of one sample', largestScratch, facts, 'or use smaller samples');
  // Of equal size: a last part of a few samples would leave a device idle.
  const size = Math.ceil(samples / Math.ceil(samples / Math.min(units, scratches, affordable)));
  const chunks: Chunk[] = [];
  for (let first = 0; first < samples; first += size) {
    chunks.push({ firstSample: first, samples: Math.min(size, samples - first) });
  }
  return chunks;
}

/**
 * All samples as one part, of a tensor that is not cut.
 *
 * @param what - it is.
 * @throws NormError `limit` if it is larger than a binding may be.
 */
export function onePart(
  geometry: Geometry,
  elementBytes: number,
  what: string,
  whole: Readonly<Record<string, number>>,
  facts: DeviceFacts,
): Chunk[] {
  checkWhole(geometry, whole, facts);
  const bytes = elementCount(geometry) * elementBytes;
  if (bytes > bindableBytes(elementBytes, facts)) {
    refuse(what, bytes, facts, 'or pass fewer samples at a time');
  }
  return [{ firstSample: 0, samples: geometry.samples }];
}

/**
 * Throws `limit` unless what is bound whole fits a binding.
 *
 * @param whole - bytes by name.
 */
export function checkWhole(
  geometry: Geometry,
  whole: Readonly<Record<string, number>>,
  facts: DeviceFacts,
): void {
  const most = bindableBytes(4, facts);
  const statistics = 8 * setCount(geometry);
  if (statistics > most) {
    const batch = geometry.samples > 1 ? 'split the tensor along its batch' : 'use fewer channels';
    refuse('The mean of all sets', statistics, facts, `or ${batch}`);
  }
  for (const [what, bytes] of Object.entries(whole)) {
    if (bytes > most)
      refuse(what, bytes, facts, 'or normalize fewer channels: a smaller batch does not help');
  }
}

function refuse(what: string, bytes: number, { maxBindingBytes }: DeviceFacts, alternative: string): never {
  throw new NormError(
    'limit',
    `${what} takes ${bytes} bytes; the device binds at most ${maxBindingBytes} at once ` +
      '(maxStorageBufferBindingSize).',
    `Request a larger limit when making the device, ${alternative}.`,
  );
}

/** What would help where not even one sample fits a binding, of which there may be others before its first element. */
function refuseSample(
  { samples, positions, inner, groups }: Geometry,
  elementBytes: number,
  sampleBytes: number,
  facts: DeviceFacts,
): never {
  const isRow = positions === 1 && inner === 1 && groups <= 1;
  const what = samples === 1 ? 'x' : `One ${isRow ? 'row' : 'sample'} of x`;
  const padding = sampleBytes <= facts.maxBindingBytes ? paddingOf(sampleBytes, facts.offsetAlignment) : 0;
  const half = elementBytes > 2 ? 'use f16 or bf16, ' : '';
  // Where there is one sample only, its batch is among its positions (BatchNorm), or there is none.
  const batch =
    samples === 1 ? 'pass a smaller tensor' : 'use smaller samples: a smaller batch does not help';
  refuse(
    padding > 0 ? `${what}, bound from an aligned offset before it,` : what,
    sampleBytes + padding,
    facts,
    `${half}or ${isRow ? 'normalize shorter rows' : batch}`,
  );
}

/** Segments of x, or a piece of one. */
export interface Stretch {
  /** The first of them. */
  segment: number;
  count: number;
  /** Elements of a segment, or of the piece. */
  cols: number;
  /** The first element of x. */
  first: number;
}

/**
 * Cuts x, which is made of `segments` segments of `length` elements, wherever a binding ends: for what is done element by element.
 *
 * @param whole - whether segments must stay whole; longer ones than a binding are else cut, too, at aligned offsets.
 * @throws NormError `limit` if a whole segment is larger than a binding may be.
 */
export function stretchesOf(
  segments: number,
  length: number,
  elementBytes: number,
  facts: DeviceFacts,
  whole = false,
): Stretch[] {
  const most = bindableBytes(elementBytes, facts);
  const alignment = facts.offsetAlignment;
  const fits = segments * length * elementBytes <= most;
  const units = fits ? segments : unitsPerBinding(length * elementBytes, most, alignment);
  const stretches: Stretch[] = [];
  if (units >= 1) {
    const size = Math.ceil(segments / Math.ceil(segments / units));
    for (let segment = 0; segment < segments; segment += size) {
      stretches.push({
        segment,
        count: Math.min(size, segments - segment),
        cols: length,
        first: segment * length,
      });
    }
    return stretches;
  }
  // A piece begins at an aligned offset from its segment, which itself may begin after one.
  const longest = (Math.floor(most / alignment - 1) * alignment) / elementBytes;
  if (whole || longest < 1)
    refuse('One segment of x', length * elementBytes, facts, 'or pass a smaller tensor');
  for (let segment = 0; segment < segments; segment++) {
    for (let col = 0; col < length; col += longest) {
      const cols = Math.min(longest, length - col);
      stretches.push({ segment, count: 1, cols, first: segment * length + col });
    }
  }
  return stretches;
}
