import { describe, expect, it } from 'vitest';
import { makeComparison } from '../../bench/compare.ts';
import { at, makeData } from '../../bench/inputs.ts';
import { eps } from '../../bench/recorder.ts';
import type { Row } from '../../bench/rows.ts';
import { geometryOf } from '../../bench/subject.ts';

/** Elements of a tensor that is too large to be compared as a whole. */
const rows = 4097;
const length = 1024;

describe('the comparison of the bench, of tensors that it compares in part', () => {
  it('takes whole rows, and whole columns for the parameters', () => {
    const row: Row = {
      ...{ op: 'layerNorm', pass: 'backward', layout: 'channels-first', dtype: 'f32' },
      shape: [rows, length],
    };
    const data = makeData(row, length);
    const dx = new Float32Array(rows * length);
    const dweight = new Float64Array(length);
    const dbias = new Float64Array(length);
    const [xhat, g] = [new Float64Array(length), new Float64Array(length)];
    for (let r = 0; r < rows; r++) {
      const mean = meanOf(length, (c) => at(data.x, r * length + c));
      const variance = meanOf(length, (c) => (at(data.x, r * length + c) - mean) ** 2);
      const rstd = 1 / Math.sqrt(variance + eps);
      let sumG = 0;
      let sumGXhat = 0;
      for (let c = 0; c < length; c++) {
        const dy = at(data.dy, r * length + c);
        xhat[c] = (at(data.x, r * length + c) - mean) * rstd;
        g[c] = dy * (data.weight[c] as number);
        sumG += g[c] as number;
        sumGXhat += (g[c] as number) * (xhat[c] as number);
        dweight[c] = (dweight[c] as number) + dy * (xhat[c] as number);
        dbias[c] = (dbias[c] as number) + dy;
      }
      for (let c = 0; c < length; c++) {
        const through = (sumG + (xhat[c] as number) * sumGXhat) / length;
        dx[r * length + c] = rstd * ((g[c] as number) - through);
      }
    }
    const { compare, compared } = makeComparison(row, geometryOf(row), data);
    const right = { dx, dweight: Float32Array.from(dweight), dbias: Float32Array.from(dbias) };
    expect(compared).toBe(`1024 of ${rows} rows`);
    expect(compare(right).error).toBeLessThan(1e-7);
    // The last row, the last column, and a row of each part are among those that are compared.
    expect(
      compare({ ...right, dx: dx.map((v, i) => (i >= dx.length - length ? v + 1 : v)) }).error,
    ).toBeGreaterThan(1e-3);
    for (const name of ['dweight', 'dbias'] as const) {
      const wrong = right[name].map((value, c) => (c === length - 1 ? value + 100 : value));
      expect(compare({ ...right, [name]: wrong }).error).toBeGreaterThan(1e-3);
    }
    expect(() => compare({ ...right, dx: dx.subarray(1) })).toThrow(/results instead of/);
  }, 30_000);

  it('takes whole channels of a batch', () => {
    const channels = 48;
    const positions = 90_000;
    const row: Row = {
      ...{ op: 'batchNorm', pass: 'forward', layout: 'channels-last', dtype: 'f32', training: true },
      shape: [1, 300, 300, channels],
    };
    const data = makeData(row, channels);
    const y = new Float32Array(positions * channels);
    for (let c = 0; c < channels; c++) {
      const mean = meanOf(positions, (p) => at(data.x, p * channels + c));
      const variance = meanOf(positions, (p) => (at(data.x, p * channels + c) - mean) ** 2);
      const scale = (data.weight[c] as number) / Math.sqrt(variance + eps);
      for (let p = 0; p < positions; p++) {
        y[p * channels + c] = (at(data.x, p * channels + c) - mean) * scale + (data.bias[c] as number);
      }
    }
    const { compare, compared } = makeComparison(row, geometryOf(row), data);
    expect(compared).toBe('11 of 48 channels');
    expect(compare({ y }).error).toBeLessThan(1e-7);
    expect(compare({ y: y.map((v, i) => (i % channels === 0 ? v + 1 : v)) }).error).toBeGreaterThan(1e-3);
  }, 30_000);
});

function meanOf(count: number, term: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += term(i);
  return sum / count;
}
