import { decodeBfloat16, encodeBfloat16 } from './bfloat16.ts';
import { BufferUsage } from './constants.ts';
import { byteSize, type DType, elementCount } from './dtype.ts';
import { NormError } from './errors.ts';
import { decodeHalf, encodeHalf } from './float16.ts';
import type { Gpu } from './gpu.ts';
import { spanOf } from './layout.ts';
import { proxied } from './proxied.ts';
import { noteChange } from './replay.ts';
import { shown } from './shown.ts';

export { byteSize, type DType, elementCount, type FloatDType } from './dtype.ts';

/** @internal The sizes as a list of their own. Throws `shape` unless they are integers ≥ 0. */
export function sizesOf(shape: ArrayLike<number>, name = 'shape'): readonly number[] {
  const listed = Array.isArray(shape) || isNumbers(shape);
  // Array.from makes undefined of the holes of a list, which are no sizes.
  const sizes: readonly number[] = listed ? Array.from(shape) : [];
  if (listed && sizes.every((size) => Number.isInteger(size) && size >= 0)) return sizes;
  throw new NormError(
    'shape',
    `${name} is ${shown(shape)}; a list of integers ≥ 0 is needed.`,
    `Pass a list, such as [8, ${typeof shape === 'number' ? shape : 32}].`,
  );
}

/** Whether it is a typed array whose elements are numbers. */
const isNumbers = (values: unknown): values is ArrayLike<number> & ArrayBufferView =>
  ArrayBuffer.isView(values) &&
  !(values instanceof DataView || values instanceof BigInt64Array || values instanceof BigUint64Array);

/** Throws `shape` unless there are as many values as are needed, `value` unless they are numbers. */
function checkValues(values: ArrayLike<number>, shape: readonly number[]): void {
  const length = typeof values === 'object' && values !== null ? values.length : undefined;
  if (typeof length !== 'number' || (ArrayBuffer.isView(values) && !isNumbers(values))) {
    throw new NormError(
      'value',
      `The values are ${Object.prototype.toString.call(values).slice(8, -1)}; numbers are needed.`,
      'Pass a list of numbers or a typed array; BigInts become numbers by Array.from(values, Number).',
    );
  }
  if (length !== elementCount(shape)) {
    throw new NormError(
      'shape',
      `Shape [${shape}] has ${elementCount(shape)} elements, but ${length} values were given.`,
      'Pass as many values as the shape has elements.',
    );
  }
  if (isNumbers(values)) return;
  for (let i = 0; i < length; i++) {
    if (typeof values[i] === 'number') continue;
    throw new NormError('value', `Value ${i} is ${shown(values[i])}, which is no number.`, 'Convert it.');
  }
}

/**
 * An array in a GPUBuffer, dense and row-major unless it has strides.
 *
 * Made by {@link Gpu.tensor}, {@link Gpu.zeros} or {@link Gpu.empty}, which own their buffer, or by
 * {@link Gpu.wrap} around a buffer of yours, which is never destroyed and never resized.
 */
export class Tensor {
  readonly gpu: Gpu;
  readonly buffer: GPUBuffer;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Number of elements. */
  readonly size: number;
  /** Number of bytes from the first element to behind the last, without padding. */
  readonly byteLength: number;
  /** Byte offset of the first element in `buffer`; a multiple of the device's storage offset alignment, or of 4 where there are strides. */
  readonly offset: number;
  /** Elements from one index of an axis to the next; undefined where the tensor is dense and row-major. See {@link Gpu.wrap}. */
  readonly strides: readonly number[] | undefined;
  /** Whether {@link destroy} destroys `buffer`. */
  readonly owned: boolean;
  /** The tensor whose buffer this one shares, which lives as long as this. */
  readonly #source: Tensor | undefined;
  #destroyed = false;

  /** @internal Use {@link Gpu.tensor} or {@link Gpu.wrap}. */
  constructor(
    gpu: Gpu,
    buffer: GPUBuffer,
    shape: readonly number[],
    dtype: DType,
    offset: number,
    owned: boolean,
    source?: Tensor,
    strides?: readonly number[],
  ) {
    this.gpu = gpu;
    this.buffer = buffer;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    this.size = elementCount(shape);
    this.strides = strides && Object.freeze([...strides]);
    this.byteLength = (strides ? spanOf(shape, strides) : this.size) * byteSize(dtype);
    this.offset = offset;
    this.owned = owned;
    this.#source = source;
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  get destroyed(): boolean {
    if (!(#destroyed in this)) throw proxied('Tensor');
    return this.#destroyed;
  }

  /**
   * Reads the elements back, f16 and bf16 converted to f32 (exactly), u32 likewise (exactly up to 2^24).
   *
   * @throws NormError `destroyed`, `device-lost`, `buffer` (a wrapped buffer without COPY_SRC), `out-of-memory` (also where
   * the memory cannot be mapped) or the error of an earlier dispatch, such as `shader`.
   */
  async data(): Promise<Float32Array<ArrayBuffer>> {
    const [bytes] = await this.gpu.readBytes([this]);
    return decode(bytes as ArrayBuffer, this.dtype);
  }

  /**
   * Overwrites the elements; f16 and bf16 round to nearest even.
   *
   * @throws NormError `shape` if the length differs, `value` if a u32 is to hold something else, `buffer` if a wrapped
   * buffer lacks COPY_DST, `unsupported` with strides.
   */
  write(values: ArrayLike<number>): void {
    this.gpu.checkUsable(this);
    const problem = this.writeProblem();
    if (problem) throw new NormError('buffer', `The tensor cannot be written: ${problem}.`, writeFix);
    this.upload(encode(values, this.shape, this.dtype));
  }

  /** @internal Writes the bytes of all elements. */
  upload({ buffer, byteOffset, byteLength }: Encoded): void {
    this.gpu.device.queue.writeBuffer(this.buffer, this.offset, buffer, byteOffset, byteLength);
  }

  /** @internal Why {@link write} cannot, if it cannot. */
  writeProblem(): string | undefined {
    if (!(this.buffer.usage & BufferUsage.COPY_DST)) return 'its buffer lacks the usage COPY_DST';
    // writeBuffer takes multiples of four bytes. Our own buffers are padded; in a wrapped one, what follows is yours.
    if (this.owned || this.byteLength % 4 === 0) return undefined;
    return `it has an odd number of ${this.dtype} elements in a wrapped buffer, and writes are multiples of 4 bytes`;
  }

  /** @internal The tensor that the buffer came with: this one, or the one that this is a view of. */
  get source(): Tensor {
    return this.#source ?? this;
  }

  /** @internal Elements from `first` on in another shape; does not own the buffer. */
  view(shape: readonly number[], first = 0): Tensor {
    const offset = this.offset + first * byteSize(this.dtype);
    return new Tensor(this.gpu, this.buffer, shape, this.dtype, offset, false, this.source);
  }

  /** Frees the buffer if it is owned; work already submitted still completes. Idempotent. */
  destroy(): void {
    if (this.destroyed) return;
    this.#destroyed = true;
    noteChange();
    this.gpu.release(this);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

const writeFix =
  'Make the buffer with COPY_DST, and write odd f16 and bf16 tensors yourself; or use gpu.tensor().';

/** @internal Elements from their bytes: f16, bf16 and u32 converted to f32. */
export function decode(bytes: ArrayBuffer, dtype: DType): Float32Array<ArrayBuffer> {
  if (dtype === 'u32') return Float32Array.from(new Uint32Array(bytes));
  if (dtype === 'bf16') return decodeBfloat16(bytes);
  return dtype === 'f16' ? decodeHalf(bytes) : new Float32Array(bytes);
}

/** Bytes of elements, a multiple of four of them. */
type Encoded = Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/**
 * @internal The bytes of the elements of a tensor, padded. Throws `shape` unless there are as many as it has, `value` where one is
 * no number, or none that the dtype can hold.
 */
export function encode(values: ArrayLike<number>, shape: readonly number[], dtype: DType): Encoded {
  checkValues(values, shape);
  if (dtype === 'f32') {
    const ready = values instanceof Float32Array && values.buffer instanceof ArrayBuffer;
    return ready ? (values as Float32Array<ArrayBuffer>) : Float32Array.from(values);
  }
  return padded(encoders[dtype](values));
}

/** @internal Bytes, and two more where they are no multiple of four. */
export function padded(bytes: ArrayBuffer): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return new Uint8Array(bytes);
  const more = new Uint8Array(bytes.byteLength + 2);
  more.set(new Uint8Array(bytes));
  return more;
}

const encoders = { f16: encodeHalf, bf16: encodeBfloat16, u32: encodeCounts };

function encodeCounts(values: ArrayLike<number>): ArrayBuffer {
  const counts = Uint32Array.from(values);
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] !== values[i]) {
      throw new NormError('value', `${values[i]} is no u32.`, 'Write integers from 0 to 2^32 - 1.');
    }
  }
  return counts.buffer;
}
