/** The reference of local response normalization, and what its programs ask for. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ResponseDescriptor, responseBackward, responseForward } from '../../src/kernels/response.ts';
import {
  groupNormGeometry,
  localResponseNormBackwardReference,
  localResponseNormReference,
  relativeError,
} from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { decode } from '../support/golden.ts';
import { RESPONSE_GOLDEN, type ResponseGoldenFile } from '../support/response.ts';
import { facts } from '../support/variants.ts';

describe('golden local-response-norm', () => {
  const path = new URL(`../golden/${RESPONSE_GOLDEN}.json`, import.meta.url);
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as ResponseGoldenFile;
  for (const { name, shape, layout, inputs, outputs, ...options } of cases) {
    it(name, () => {
      const geometry = groupNormGeometry(shape, 1, layout);
      const [x, dy] = [decode(inputs.x), decode(inputs.dy)];
      const y = localResponseNormReference(x, geometry, options);
      expect(relativeError(y, decode(outputs.y))).toBeLessThan(1e-14);
      const { dx, scale } = localResponseNormBackwardReference(dy, x, geometry, options);
      expect(relativeError(dx, decode(outputs.dx), scale)).toBeLessThan(1e-14);
    });
  }
});

describe('localResponseNormReference', () => {
  it('sums ⌊size/2⌋ channels before and ⌊(size − 1)/2⌋ after', () => {
    const geometry = groupNormGeometry([1, 5, 1], 1, 'channels-first');
    const options = { alpha: 1, beta: 1, k: 0 };
    const x = [1, 2, 3, 4, 5];
    const d = (size: number) =>
      [...localResponseNormReference(x, geometry, { ...options, size })].map((y, i) =>
        Math.round((size * (x[i] as number)) / y),
      );
    expect(d(1)).toEqual([1, 4, 9, 16, 25]);
    expect(d(2)).toEqual([1, 5, 13, 25, 41]);
    expect(d(3)).toEqual([5, 14, 29, 50, 41]);
    expect(d(4)).toEqual([5, 14, 30, 54, 50]);
    expect(d(99)).toEqual([55, 55, 55, 55, 55]);
  });

  it('has the derivative that differences give', () => {
    const shape = [2, 6, 3];
    const count = 36;
    const [x, dy] = [Float64Array.from(normal(count)), normal(count, { seed: 2 })];
    for (const layout of ['channels-first', 'channels-last'] as const) {
      for (const size of [2, 3, 5, 9]) {
        const geometry = groupNormGeometry(shape, 1, layout);
        const options = { size, alpha: 1, beta: 0.6, k: 0.5 };
        const loss = (values: ArrayLike<number>) =>
          localResponseNormReference(values, geometry, options).reduce(
            (sum, y, i) => sum + y * (dy[i] as number),
            0,
          );
        const { dx, scale } = localResponseNormBackwardReference(dy, x, geometry, options);
        const step = 1e-5;
        const differences = x.map((_, i) => {
          const moved = (by: number) => loss(x.map((value, j) => (i === j ? value + by : value)));
          return (moved(step) - moved(-step)) / (2 * step);
        });
        expect(relativeError(dx, differences, scale), `${layout} ${size}`).toBeLessThan(1e-8);
      }
    }
  });

  it('refuses arrays of another length', () => {
    const geometry = groupNormGeometry([1, 2, 3], 1, 'channels-first');
    const options = { size: 1, alpha: 1, beta: 1, k: 1 };
    expect(() => localResponseNormReference([1], geometry, options)).toThrow(RangeError);
  });
});

describe('programs of local response normalization', () => {
  const geometry = { samples: 100, positions: 1, channels: 6, inner: 16, groups: 0 };
  const d: ResponseDescriptor = { geometry, dtype: 'f32', size: 5, alpha: 1, beta: 0.75, k: 1 };

  it('take one dispatch forward; two and f32 scratch like x backward', () => {
    expect(responseForward(d, facts)).toMatchObject({ steps: { length: 1 }, scratch: {} });
    const scratch = { ratios: 100 * 6 * 16 * 4 };
    expect(responseBackward({ ...d, dtype: 'f16' }, facts)).toMatchObject({ steps: { length: 2 }, scratch });
  });

  it('cut a tensor that is larger than a binding between samples', () => {
    const tiny = { ...facts, maxBindingBytes: 4096 };
    const { steps } = responseForward(d, tiny);
    expect(steps.length).toBe(10);
    const long = { ...d, size: 9, geometry: { ...geometry, inner: 1, channels: 96 } };
    expect(responseBackward(long, tiny).steps.length).toBe(2 * 10);
    for (const { ranges } of [...steps, ...responseBackward(long, tiny).steps]) {
      expect((ranges.x?.offset ?? 0) % tiny.offsetAlignment).toBe(0);
      expect(ranges.x?.size).toBeLessThanOrEqual(4096);
    }
    expect(() => responseForward({ ...d, geometry: { ...geometry, inner: 1600 } }, tiny)).toThrow(
      /One sample of x/,
    );
    expect(responseForward({ ...d, geometry: { ...geometry, samples: 0 } }, facts).steps).toEqual([]);
  });
});
