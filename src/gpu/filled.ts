import { NormError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import { alignUp } from './program.ts';
import { byteSize, type DType, elementCount, type Tensor } from './tensor.ts';

/** Bytes of a buffer for a tensor, padding included. Throws `dtype`, or `limit` if the device can have none. */
export function bytesOf(gpu: Gpu, sizes: readonly number[], dtype: DType): number {
  gpu.checkDType(dtype);
  const bytes = alignUp(Math.max(elementCount(sizes) * byteSize(dtype), 4), 16);
  const { maxBufferSize } = gpu.device.limits;
  // Not a number where sizes beyond all bounds meet a zero.
  if (bytes <= maxBufferSize) return bytes;
  throw new NormError(
    'limit',
    `A tensor of shape [${sizes}] takes ${bytes} bytes; the device's maxBufferSize is ${maxBufferSize}.`,
    'Split the tensor, or request a larger maxBufferSize if you made the device.',
  );
}

/** A tensor filled with a value, for which nothing is allocated here or on the device before it is known to be possible. */
export function filled(gpu: Gpu, value: number, sizes: readonly number[], dtype: DType = 'f32'): Tensor {
  bytesOf(gpu, sizes, dtype);
  const values = value === 0 ? null : new Float32Array(elementCount(sizes)).fill(value);
  return gpu.tensor(values, sizes, { dtype });
}
