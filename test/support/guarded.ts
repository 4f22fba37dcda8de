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
  /** What was written into the buffer when it was made. */
  before: Uint8Array;
}

/** A tensor amid guard zones. Without values it holds guard bytes too: what no kernel writes then shows as NaN. */
export function guarded(
  gpu: Gpu,
  shape: readonly number[],
  dtype: FloatDType,
  values?: ArrayLike<number>,
): Guarded {
  const elements = shape.reduce((product, size) => product * size, 1);
  const bytes = elements * byteSize(dtype);
  const before = new Uint8Array(zone + Math.ceil(bytes / 4) * 4 + zone).fill(guard);
  if (values) {
    const encoded = encode(values, shape, dtype);
    before.set(new Uint8Array(encoded.buffer, encoded.byteOffset, bytes), zone);
  }
  const buffer = gpu.device.createBuffer({
    label: 'guarded',
    size: before.length,
    usage: usage.STORAGE | usage.COPY_SRC | usage.COPY_DST,
    mappedAtCreation: true,
  });
  new Uint8Array(buffer.getMappedRange()).set(before);
  buffer.unmap();
  return { tensor: gpu.wrap(buffer, shape, { dtype, offset: zone }), buffer, before };
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
