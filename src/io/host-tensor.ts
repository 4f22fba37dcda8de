import { decodeBfloat16 } from '../gpu/bfloat16.ts';
import { decodeHalf } from '../gpu/float16.ts';

/** What the data of a {@link HostTensor} is. */
export type HostArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** Element types of tensors in host memory. */
export type HostDType =
  | 'f64'
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'i64'
  | 'u64'
  | 'i32'
  | 'u32'
  | 'i16'
  | 'u16'
  | 'i8'
  | 'u8'
  | 'bool';

/** A dense row-major array in host memory. */
export interface HostTensor {
  dtype: HostDType;
  /** Sizes; [] for one element. */
  shape: readonly number[];
  /** The elements; those of f16 and bf16 as their bits in a Uint16Array, those of bool as 0 and 1 in a Uint8Array. */
  data: HostArray;
}

/** How a dtype is held. */
interface Holder {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): HostArray;
  new (buffer: ArrayBufferLike, offset: number, length: number): HostArray;
}

export const holders: Readonly<Record<HostDType, Holder>> = {
  f64: Float64Array,
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  i32: Int32Array,
  u32: Uint32Array,
  i16: Int16Array,
  u16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
};

/** The elements as numbers; 64-bit integers beyond 2^53 are rounded. */
export function numbersOf({ dtype, data }: HostTensor): ArrayLike<number> {
  if (dtype === 'f16') return decodeHalf(Uint16Array.from(data as Uint16Array).buffer);
  if (dtype === 'bf16') return decodeBfloat16(Uint16Array.from(data as Uint16Array).buffer);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return Float64Array.from(data as BigInt64Array, Number);
  }
  return data;
}
