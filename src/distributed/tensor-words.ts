// Tensors on their way between ranks: their bytes as floats, which nobody computes with.
import type { Gpu } from '../gpu/gpu.ts';
import { decode, type Tensor } from '../gpu/tensor.ts';
import type { ProcessGroup } from './process-group.ts';

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

/** Bytes and how many they are, as floats. */
export function packBytes(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(1 + Math.ceil(bytes.length / 4));
  new Uint32Array(values.buffer)[0] = bytes.length;
  new Uint8Array(values.buffer).set(bytes, 4);
  return values;
}

/** What {@link packBytes} packed. */
export function unpackBytes({ buffer, byteOffset }: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const [length] = new Uint32Array(buffer, byteOffset, 1);
  return new Uint8Array(buffer, byteOffset + 4, length);
}

/** How many floats each rank has to say, in rank order. */
export async function lengthsOf(group: ProcessGroup, length: number, label: string): Promise<number[]> {
  const own = new Float32Array(Uint32Array.of(length).buffer);
  return (await group.allGather(own, { label })).map(
    ({ buffer, byteOffset }) => new Uint32Array(buffer, byteOffset, 1)[0] as number,
  );
}

const words = ({ byteLength }: Tensor): number => Math.ceil(byteLength / 4);
