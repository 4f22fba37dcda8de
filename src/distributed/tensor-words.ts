// Tensors on their way between ranks: their bytes as floats, which nobody computes with.
import type { Gpu } from '../gpu/gpu.ts';
import { decode, type Tensor } from '../gpu/tensor.ts';

/** Floats that the tensors take, one after the other. */
export const wordsOf = (tensors: readonly Tensor[]): number =>
  tensors.reduce((total, tensor) => total + words(tensor), 0);

/** The bytes of tensors as they are now. */
export async function readWords(gpu: Gpu, tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>> {
  const values = new Float32Array(wordsOf(tensors));
  const bytes = new Uint8Array(values.buffer);
  let at = 0;
  (await gpu.readBytes(tensors)).forEach((one, i) => {
    bytes.set(new Uint8Array(one), at);
    at += 4 * words(tensors[i] as Tensor);
  });
  return values;
}

/** Gives tensors of the same shapes and dtypes the bytes that {@link readWords} read. */
export function writeWords(tensors: readonly Tensor[], values: Float32Array<ArrayBuffer>): void {
  let at = values.byteOffset;
  for (const tensor of tensors) {
    const bytes = values.buffer.slice(at, at + tensor.byteLength);
    at += 4 * words(tensor);
    tensor.write(tensor.dtype === 'u32' ? new Uint32Array(bytes) : decode(bytes, tensor.dtype));
  }
}

const words = ({ byteLength }: Tensor): number => Math.ceil(byteLength / 4);
