/** Storage types of what is normalized and of parameters. Arithmetic is f32 whichever it is. */
export type FloatDType = 'f32' | 'f16' | 'bf16';

/** @internal */
export const isFloatDType = (dtype: unknown): dtype is FloatDType =>
  dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

/** Storage type of a tensor's elements; u32 is for counts, such as BatchNorm's numBatchesTracked. */
export type DType = FloatDType | 'u32';

/** Bytes of one element. */
export function byteSize(dtype: DType): number {
  return dtype === 'f16' || dtype === 'bf16' ? 2 : 4;
}

/** Number of elements of a shape; 1 for a scalar's []. */
export function elementCount(shape: readonly number[]): number {
  let product = 1;
  for (const size of shape) product *= size;
  return product;
}
