import { describe, expect, it } from 'vitest';
import { decodeHalf, encodeHalf, fromHalfBits, toHalfBits } from '../../src/gpu/float16.ts';
import { roundToHalf } from '../reference/half.ts';
import { random } from '../support/data.ts';

describe('f16 conversion', () => {
  it('decodes every bit pattern to the value that encodes to it', () => {
    for (let bits = 0; bits < 65_536; bits++) {
      const value = fromHalfBits(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(fromHalfBits(toHalfBits(value)))).toBe(true);
      else expect(toHalfBits(value)).toBe(bits);
    }
  });

  it('rounds to nearest, ties to even, as the float64 reference does', () => {
    const values = [
      0,
      -0,
      65_504,
      65_519.996,
      65_520,
      1e9,
      -1e9,
      2 ** -24,
      2 ** -25,
      2 ** -25 * 1.01,
      6e-8,
      1e-7,
    ];
    const next = random(16);
    for (let i = 0; i < 20_000; i++) {
      const f32 = Math.fround((next() - 0.5) * 2 ** (next() * 50 - 30));
      values.push(f32);
    }
    // Exact ties between neighbours.
    for (let bits = 0; bits < 0x7bff; bits += 7)
      values.push((fromHalfBits(bits) + fromHalfBits(bits + 1)) / 2);
    for (const value of values) {
      const f32 = Math.fround(value);
      expect(fromHalfBits(toHalfBits(f32)), String(f32)).toBe(roundToHalf(f32));
    }
  });

  it('packs and unpacks arrays', () => {
    const values = [1, -2.5, 0.1, 70_000, Number.NaN];
    const decoded = decodeHalf(encodeHalf(values));
    expect([...decoded]).toEqual([
      1,
      -2.5,
      roundToHalf(Math.fround(0.1)),
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ]);
  });
});
