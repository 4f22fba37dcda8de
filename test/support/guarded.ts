/** GPUBuffers whose bytes around the tensor are known, so that a kernel that reads or writes beside it is seen. */
import { byteSize } from '../../src/gpu/dtype.ts';
import { decode, encode } from '../../src/gpu/tensor.ts';
import type { FloatDType, Gpu, Tensor } from '../../src/index.ts';

/** Of every byte of a guard zone: NaN in f32, f16 and bf16, so that what is read from it shows in the result too. */
const guard = 0xff;
/** Bytes of the zone before the tensor: a multiple of every device's offset alignment. The zone after it is at least as long. */
const zone = 256;

// Constants of WebGPU, which Node has no global names for.
const usage = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, STORAGE: 128 };

export interface Guarded {
  tensor: Tensor;
  buffer: GPUBuffer;
  /** Bytes of the buffer before the tensor's first zone. */
  from: number;
  /** What was written there, zones included. */
  before: Uint8Array;
}

/** A tensor to be, of these values. Without any it holds guard bytes: what no kernel writes then shows as NaN. */
export interface Sketch {
  shape: readonly number[];
  dtype: FloatDType;
  values?: ArrayLike<number> | undefined;
}

/** Tensors amid guard zones, each in a buffer of its own or all in one. */
export function guarded(gpu: Gpu, sketches: readonly Sketch[], together: boolean): Guarded[] {
  const contents = sketches.map(guardedBytes);
  const groups = together ? [contents] : contents.map((one) => [one]);
  const made: Guarded[] = [];
  for (const group of groups) {
    const buffer = gpu.device.createBuffer({
      label: 'guarded',
      size: group.reduce((sum, { length }) => sum + length, 0),
      usage: usage.STORAGE | usage.COPY_SRC | usage.COPY_DST,
      mappedAtCreation: true,
    });
    const mapped = new Uint8Array(buffer.getMappedRange());
    let from = 0;
    for (const before of group) {
      mapped.set(before, from);
      const { shape, dtype } = sketches[made.length] as Sketch;
      made.push({ tensor: gpu.wrap(buffer, shape, { dtype, offset: from + zone }), buffer, from, before });
      from += before.length;
    }
    buffer.unmap();
  }
  return made;
}

/** The bytes of a tensor amid its zones; a multiple of a zone. */
function guardedBytes({ shape, dtype, values }: Sketch): Uint8Array {
  const bytes = shape.reduce((product, size) => product * size, 1) * byteSize(dtype);
  const before = new Uint8Array(zone * (Math.ceil(bytes / zone) + 2)).fill(guard);
  if (values) {
    const encoded = encode(values, shape, dtype);
    before.set(new Uint8Array(encoded.buffer, encoded.byteOffset, bytes), zone);
  }
  return before;
}

/** The first byte that differs outside of the tensor (inside too if it is an input), relative to the tensor's first; null if none does. */
export function damage(
  { before, tensor: { byteLength } }: { before: Uint8Array; tensor: { byteLength: number } },
  after: Uint8Array,
  input: boolean,
): number | null {
  for (let at = 0; at < before.length; at++) {
    const inside = at >= zone && at < zone + byteLength;
    if ((input || !inside) && before[at] !== after[at]) return at - zone;
  }
  return null;
}

/** The values of a guarded tensor, from the bytes of its whole buffer. */
export function within(tensor: Tensor, bytes: Uint8Array): Float32Array {
  return decoded(tensor, bytes.slice(zone, zone + tensor.byteLength));
}

export function decoded(tensor: Tensor, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const own = bytes.slice(0, tensor.byteLength).buffer;
  return decode(own, tensor.dtype);
}

/** Copies parts of buffers, in the order of commands; what comes back waits for them. */
export function readBack(
  device: GPUDevice,
  parts: readonly { buffer: GPUBuffer; offset: number; bytes: number }[],
): Promise<Uint8Array<ArrayBuffer>[]> {
  const sizes = parts.map(({ bytes }) => Math.ceil(bytes / 4) * 4);
  const size = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const staging = device.createBuffer({
    label: 'fuzz',
    size: Math.max(size, 4),
    usage: usage.MAP_READ | usage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  const places: number[] = [];
  let place = 0;
  parts.forEach(({ buffer, offset }, i) => {
    const bytes = sizes[i] as number;
    places.push(place);
    if (bytes > 0) encoder.copyBufferToBuffer(buffer, offset, staging, place, bytes);
    place += bytes;
  });
  device.queue.submit([encoder.finish()]);
  return staging.mapAsync(1).then(() => {
    const all = new Uint8Array(staging.getMappedRange()).slice();
    staging.destroy();
    return places.map((from, i) => all.slice(from, from + (sizes[i] as number)));
  });
}
