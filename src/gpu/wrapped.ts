import { BufferUsage } from './constants.ts';
import { NormError } from './errors.ts';
import { spanOf } from './layout.ts';
import { alignUp } from './program.ts';
import { shown } from './shown.ts';
import { byteSize, type DType, elementCount } from './tensor.ts';

/** Throws `buffer` unless a tensor of that shape, dtype and strides can lie in a GPUBuffer, from that byte on. */
export function checkBuffer(
  buffer: GPUBuffer,
  shape: readonly number[],
  dtype: DType,
  offset: number,
  strides: readonly number[] | undefined,
  storageAlignment: number,
): void {
  const alignment = strides ? 4 : storageAlignment;
  const { usage, size, getMappedRange } = (buffer ?? {}) as Partial<GPUBuffer>;
  if (typeof usage !== 'number' || typeof size !== 'number' || typeof getMappedRange !== 'function') {
    throw new NormError(
      'buffer',
      `gpu.wrap takes a GPUBuffer, not ${shown(buffer)}.`,
      'A tensor has its GPUBuffer in `buffer`; numbers become a tensor with gpu.tensor().',
    );
  }
  if (!Number.isInteger(offset) || offset < 0 || offset % alignment !== 0) {
    throw new NormError('buffer', `Offset ${offset} is no multiple of ${alignment} bytes.`, 'Align it.');
  }
  if (!(usage & BufferUsage.STORAGE)) {
    throw new NormError(
      'buffer',
      'The buffer lacks the usage STORAGE.',
      'Create it with GPUBufferUsage.STORAGE.',
    );
  }
  // Bindings and copies are multiples of four bytes.
  const elements = strides ? spanOf(shape, strides) : elementCount(shape);
  const needed = offset + alignUp(Math.max(elements * byteSize(dtype), 4), 4);
  if (!(size >= needed)) {
    throw new NormError(
      'buffer',
      `Shape [${shape}] of ${dtype} at offset ${offset} needs a buffer of ${needed} bytes; this one has ${size}.`,
      'Make the buffer larger or the shape smaller.',
    );
  }
}
