// Conversion between f32 and IEEE binary16, four words at a time on the way to and from the GPU. Float16Array is used
// where the platform has it.

interface Float16ArrayConstructor {
  new (length: number): ArrayLike<number> & { set(from: ArrayLike<number>): void; buffer: ArrayBuffer };
  new (buffer: ArrayBuffer): ArrayLike<number> & { buffer: ArrayBuffer };
}
const NativeFloat16Array = (globalThis as { Float16Array?: Float16ArrayConstructor }).Float16Array;

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The bits of `value` rounded to f16, to nearest, ties to even. `value` is rounded to f32 first. */
export function toHalfBits(value: number): number {
  f32[0] = value;
  const bits = u32[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to 65536 or more
  if (magnitude < 0x38800000) {
    // A subnormal of f16 is a multiple of 2^-24; adding 0.5 aligns f32's last bit with that, and rounds.
    u32[0] = magnitude;
    f32[0] = (f32[0] as number) + 0.5;
    return sign | ((u32[0] as number) - 0x3f000000);
  }
  // Rebias the exponent from 127 to 15, then drop 13 bits, to nearest even.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

/** The value of f16 bits. */
export function fromHalfBits(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Numbers as f16 bytes. */
export function encodeHalf(values: ArrayLike<number>): ArrayBuffer {
  if (NativeFloat16Array) {
    // Through f32, as everywhere in this library: the same f16 on every platform.
    const halves = new NativeFloat16Array(values.length);
    halves.set(values instanceof Float32Array ? values : Float32Array.from(values));
    return halves.buffer;
  }
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = toHalfBits(values[i] as number);
  return bits.buffer;
}

/** f16 bytes as f32 numbers; exact. */
export function decodeHalf(bytes: ArrayBuffer): Float32Array<ArrayBuffer> {
  if (NativeFloat16Array) return Float32Array.from(new NativeFloat16Array(bytes));
  return Float32Array.from(new Uint16Array(bytes), fromHalfBits);
}
