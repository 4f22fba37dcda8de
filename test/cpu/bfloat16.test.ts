import { describe, expect, it } from 'vitest';
import { decodeBfloat16, encodeBfloat16 } from '../../src/gpu/bfloat16.ts';
import { roundToBfloat16 } from '../reference/half.ts';

const bitsOf = (values: ArrayLike<number>) => new Uint16Array(encodeBfloat16(values));

describe('bf16 conversion', () => {
  it('gives every number its bits back', () => {
    const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
    const values = decodeBfloat16(bits.buffer);
    const again = bitsOf(values);
    bits.forEach((one, i) => {
      const isNan = (one & 0x7fff) > 0x7f80;
      expect(Number.isNaN(values[i])).toBe(isNan);
      // A NaN that passes through a number may become quiet.
      if (isNan) expect((again[i] as number) & 0x7fc0).toBe(0x7fc0);
      else expect(again[i]).toBe(one);
    });
  });

  it('rounds to nearest, ties to even, at every halfway point and beside it', () => {
    const singles: number[] = [];
    for (let i = 0; i < 0x7f80; i++) {
      for (const low of [0x7fff, 0x8000, 0x8001]) singles.push(i * 0x10000 + low);
    }
    const values = new Float32Array(Uint32Array.from(singles).buffer);
    expect(decodeBfloat16(encodeBfloat16(values))).toEqual(Float32Array.from(values, roundToBfloat16));
    expect(decodeBfloat16(encodeBfloat16(values.map((value) => -value)))).toEqual(
      Float32Array.from(values, (value) => roundToBfloat16(-value)),
    );
  });

  it('keeps infinities, and NaN whatever it carries', () => {
    expect([...bitsOf([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3.4e38])]).toEqual([
      0x7f80, 0xff80, 0x7f80,
    ]);
    const carrying = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001, 0x7fffffff).buffer);
    for (const value of decodeBfloat16(encodeBfloat16(carrying))) expect(value).toBeNaN();
  });

  it('rounds doubles through f32, as every other dtype', () => {
    expect([...bitsOf([1 + 2 ** -8 + 2 ** -40])]).toEqual([0x3f80]);
  });
});
