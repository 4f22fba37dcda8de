// Conversion between f32 and bfloat16, the upper half of an f32: what checkpoints of language models are stored in.

/** Numbers as bf16 bytes: rounded to f32 first, then to nearest, ties to even; NaN stays NaN, and becomes quiet. */
export function encodeBfloat16(values: ArrayLike<number>): ArrayBuffer {
  const singles = values instanceof Float32Array ? values : Float32Array.from(values);
  const bits = new Uint32Array(singles.buffer, singles.byteOffset, singles.length);
  return Uint16Array.from(bits, (one) => {
    const isNan = (one & 0x7fffffff) > 0x7f800000;
    return isNan ? (one >>> 16) | 0x40 : (one + 0x7fff + ((one >>> 16) & 1)) >>> 16;
  }).buffer;
}

/** bf16 bytes as f32 numbers; exact. */
export function decodeBfloat16(bytes: ArrayBuffer): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.from(new Uint16Array(bytes), (half) => half << 16).buffer);
}
