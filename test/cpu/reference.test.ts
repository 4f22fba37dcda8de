import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  batchNormGeometry,
  elementCount,
  forEachElement,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
  normBackwardReference,
  normReference,
  type ReferenceOptions,
  relativeError,
  roundToHalf,
  setCount,
  setSize,
} from '../reference/index.ts';
import { normal } from '../support/data.ts';

const close = (actual: ArrayLike<number>, expected: number[], tolerance = 1e-14): void => {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs((actual[i] as number) - value)).toBeLessThan(tolerance);
};

describe('geometry', () => {
  it('reads layer norm shapes', () => {
    const rows = { positions: 1, inner: 1, groups: 1 };
    expect(layerNormGeometry([2, 3, 4], 4)).toEqual({ ...rows, samples: 6, channels: 4 });
    expect(layerNormGeometry([2, 3, 4], [3, 4])).toEqual({ ...rows, samples: 2, channels: 12 });
    expect(layerNormGeometry([5], [5])).toEqual({ ...rows, samples: 1, channels: 5 });
    expect(layerNormGeometry([0, 5], [5])).toEqual({ ...rows, samples: 0, channels: 5 });
    expect(() => layerNormGeometry([2, 3], [2])).toThrow(RangeError);
    expect(() => layerNormGeometry([3], [1, 3])).toThrow(RangeError);
    expect(() => layerNormGeometry([3], [])).toThrow(RangeError);
  });

  it('reads group norm shapes in both layouts', () => {
    const first = groupNormGeometry([2, 6, 4, 5], 3, 'channels-first');
    expect(first).toEqual({ samples: 2, positions: 1, channels: 6, inner: 20, groups: 3 });
    const last = groupNormGeometry([2, 4, 5, 6], 3, 'channels-last');
    expect(last).toEqual({ samples: 2, positions: 20, channels: 6, inner: 1, groups: 3 });
    for (const geometry of [first, last]) {
      expect([elementCount(geometry), setCount(geometry), setSize(geometry)]).toEqual([240, 6, 40]);
    }
    expect(groupNormGeometry([2, 6], 2, 'channels-last')).toEqual(
      groupNormGeometry([2, 6], 2, 'channels-first'),
    );
    expect(instanceNormGeometry([2, 4, 5, 6], 'channels-last')).toEqual({ ...last, groups: 6 });
    expect(() => groupNormGeometry([2, 6], 4, 'channels-first')).toThrow(RangeError);
    expect(() => groupNormGeometry([6], 2, 'channels-first')).toThrow(RangeError);
  });

  it('reads a batch as one sample whose sets are its channels', () => {
    const first = batchNormGeometry([2, 6, 4, 5], 'channels-first');
    expect(first).toEqual({ samples: 1, positions: 2, channels: 6, inner: 20, groups: 6 });
    const last = batchNormGeometry([2, 4, 5, 6], 'channels-last');
    expect(last).toEqual({ samples: 1, positions: 40, channels: 6, inner: 1, groups: 6 });
    for (const geometry of [first, last]) {
      expect([elementCount(geometry), setCount(geometry), setSize(geometry)]).toEqual([240, 6, 40]);
    }
    expect(batchNormGeometry([7, 3], 'channels-first')).toEqual(batchNormGeometry([7, 3], 'channels-last'));
    expect(setSize(batchNormGeometry([0, 3, 2], 'channels-first'))).toBe(0);
  });
});

describe('forward, by hand', () => {
  it('layer norm', () => {
    // Row 1: mean 5, squared distances 9 1 1 9, variance 5. Row 2: constant.
    const { y, mean, rstd } = normReference([2, 4, 6, 8, 7, 7, 7, 7], layerNormGeometry([2, 4], 4), {
      kind: 'moments',
      eps: 4,
      weight: [1, 2, 3, 4],
      bias: [0, 0, 10, -1],
    });
    close(mean, [5, 7]);
    close(rstd, [1 / 3, 1 / 2]);
    close(y, [-1, -2 / 3, 11, 3, 0, 0, 10, -1]);
  });

  it('rms norm, plain and with weights stored less one', () => {
    const geometry = layerNormGeometry([1, 2], 2);
    const options: ReferenceOptions = { kind: 'rms', eps: 11.5, weight: [2, 3] }; // mean square 24.5
    const plain = normReference([3, Math.sqrt(40)], geometry, options);
    close(plain.mean, [0]);
    close(plain.rstd, [1 / 6]);
    close(plain.y, [1, Math.sqrt(40) / 2]);
    close(normReference([3, Math.sqrt(40)], geometry, { ...options, weightOffset: 1 }).y, [
      1.5,
      (4 * Math.sqrt(40)) / 6,
    ]);
    // An offset belongs to a weight: without one nothing is scaled.
    close(normReference([3, Math.sqrt(40)], geometry, { kind: 'rms', eps: 11.5, weightOffset: 1 }).y, [
      0.5,
      Math.sqrt(40) / 6,
    ]);
  });

  it('group norm: the same numbers in both layouts', () => {
    // One sample, four channels of two positions, two groups: {1 3 5 7} and {0 0 4 4}.
    const options: ReferenceOptions = { kind: 'moments', eps: 0, weight: [1, 1, 1, 2], bias: [0, 1, 0, 0] };
    const r = 1 / Math.sqrt(5);
    const first = normReference(
      [1, 3, 5, 7, 0, 0, 4, 4],
      groupNormGeometry([1, 4, 2], 2, 'channels-first'),
      options,
    );
    close(first.mean, [4, 2]);
    close(first.rstd, [r, 1 / 2]);
    close(first.y, [-3 * r, -r, 1 + r, 1 + 3 * r, -1, -1, 2, 2]);
    const last = normReference(
      [1, 5, 0, 4, 3, 7, 0, 4],
      groupNormGeometry([1, 2, 4], 2, 'channels-last'),
      options,
    );
    expect([...last.mean, ...last.rstd]).toEqual([...first.mean, ...first.rstd]);
    close(last.y, [-3 * r, 1 + r, -1, 2, -r, 1 + 3 * r, -1, 2]);
  });

  it('instance norm, and batch norm as the geometry with one sample', () => {
    const x = [1, 3, 10, 10, 5, 9, 20, 22]; // [2, 2, 2]
    const options: ReferenceOptions = { kind: 'moments', eps: 0.5 };
    const { mean } = normReference(x, instanceNormGeometry([2, 2, 2], 'channels-first'), options);
    close(mean, [2, 10, 7, 21]);
    const batch = normReference(x, { samples: 1, positions: 2, channels: 2, inner: 2, groups: 2 }, options);
    close(batch.mean, [4.5, 15.5]);
    close(batch.rstd, [1 / Math.sqrt(8.75 + 0.5), 1 / Math.sqrt(30.75 + 0.5)]);
  });

  it('keeps NaN and infinities in their own set, and takes empty tensors', () => {
    const options: ReferenceOptions = { kind: 'moments', eps: 1e-5 };
    const { y, mean } = normReference([1, Infinity, 1, 3, NaN, 0], layerNormGeometry([3, 2], 2), options);
    expect([...y].map(Number.isFinite)).toEqual([false, false, true, true, false, false]);
    expect([...mean]).toEqual([Infinity, 2, NaN]);
    const empty = layerNormGeometry([0, 4], 4);
    expect(normReference([], empty, options).y.length).toBe(0);
    expect([...normBackwardReference([], [], empty, options).dweight]).toEqual([0, 0, 0, 0]);
  });

  it('refuses arrays that do not fit the geometry', () => {
    const geometry = layerNormGeometry([2, 3], 3);
    const options: ReferenceOptions = { kind: 'moments', eps: 1e-5 };
    expect(() => normReference([1, 2], geometry, options)).toThrow(/x has 2 values/);
    expect(() => normReference(new Float32Array(6), geometry, { ...options, weight: [1] })).toThrow(
      /weight has 1/,
    );
    expect(() => normBackwardReference(new Float32Array(6), new Float32Array(5), geometry, options)).toThrow(
      /x has 5/,
    );
  });

  it('is exact on a constant row, far from zero and long', () => {
    const x = new Float32Array(100_003).fill(10000.1);
    const { y } = normReference(x, layerNormGeometry([1, x.length], x.length), {
      kind: 'moments',
      eps: 1e-12,
      bias: new Float32Array(x.length).fill(0.25),
    });
    expect(y.every((value) => value === 0.25)).toBe(true);
  });
});

describe('backward, by hand', () => {
  it('keeps what a plain float64 sum rounds away', () => {
    const geometry = layerNormGeometry([4, 1], 1);
    const { dbias } = normBackwardReference([1e16, 1, 1, -1e16], [1, 2, 3, 4], geometry, {
      kind: 'rms',
      eps: 1,
    });
    expect([...dbias]).toEqual([2]);
  });

  it('layer norm of two elements', () => {
    // xhat = -+ s with s = d / sqrt(d^2 + eps), d half the difference; ds/dd = eps * rstd^3.
    const [d, eps] = [1.5, 4];
    const rstd = 1 / Math.sqrt(d * d + eps);
    const result = normBackwardReference([1, 3], [2, 5], layerNormGeometry([1, 2], 2), {
      kind: 'moments',
      eps,
    });
    const slope = ((3 - 1) / 2) * eps * rstd ** 3;
    close(result.dx, [-slope, slope]);
    close(result.dweight, [-d * rstd, 3 * d * rstd]);
    close(result.dbias, [1, 3]);
    close(result.scale.dx, [rstd, 3 * rstd]);
    close(result.scale.dweight, [d * rstd, 3 * d * rstd]);
    close(result.scale.dbias, [1, 3]);
  });

  it('the gradient of a residual sum goes straight through', () => {
    const geometry = layerNormGeometry([2, 3], 3);
    const options: ReferenceOptions = { kind: 'rms', eps: 1e-5 };
    const [x, dy, dsum] = [1, 2, 3].map((seed) => normal(6, { seed })) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const without = normBackwardReference(dy, x, geometry, options);
    const withSum = normBackwardReference(dy, x, geometry, options, dsum);
    close(
      withSum.dx,
      [...without.dx].map((value, i) => value + (dsum[i] as number)),
    );
    close(
      withSum.scale.dx,
      [...without.scale.dx].map((value, i) => value + Math.abs(dsum[i] as number)),
    );
    expect(withSum.dweight).toEqual(without.dweight);
  });
});

describe('backward, by central differences', () => {
  const geometries: Record<string, Geometry> = {
    'layer norm': layerNormGeometry([3, 7], 7),
    'one row': layerNormGeometry([5], 5),
    'group norm, channels first': groupNormGeometry([2, 6, 5], 3, 'channels-first'),
    'group norm, channels last': groupNormGeometry([2, 5, 6], 3, 'channels-last'),
    'group norm without spatial axes': groupNormGeometry([3, 6], 2, 'channels-first'),
    'instance norm, channels first': instanceNormGeometry([2, 3, 4], 'channels-first'),
    'instance norm, channels last': instanceNormGeometry([2, 4, 3], 'channels-last'),
    'batch norm': { samples: 1, positions: 4, channels: 3, inner: 2, groups: 3 },
    'every axis': { samples: 2, positions: 3, channels: 4, inner: 5, groups: 2 },
  };
  const variants: Record<
    string,
    { options: Partial<ReferenceOptions>; parameters: boolean; dsum?: boolean }
  > = {
    moments: { options: {}, parameters: true },
    'moments without parameters': { options: {}, parameters: false },
    'moments with a large eps and dsum': { options: { eps: 0.7 }, parameters: true, dsum: true },
    rms: { options: { kind: 'rms' }, parameters: true },
    'rms without parameters': { options: { kind: 'rms' }, parameters: false },
    'rms with weight offset 1 and dsum': {
      options: { kind: 'rms', weightOffset: 1 },
      parameters: true,
      dsum: true,
    },
  };
  const step = 1e-5; // truncation ~ step^2 and rounding ~ 1e-16 / step both stay below 1e-9

  for (const [geometryName, geometry] of Object.entries(geometries)) {
    for (const [variantName, { options: overrides, parameters, dsum: hasDsum }] of Object.entries(variants)) {
      it(`${geometryName}: ${variantName}`, () => {
        const count = elementCount(geometry);
        const { channels } = geometry;
        const draw = (length: number, seed: number, mean = 0): Float64Array =>
          Float64Array.from(normal(length, { seed, mean }));
        const x = draw(count, 11, 0.5);
        const dy = draw(count, 12);
        const dsum = hasDsum ? draw(count, 13) : null;
        const weight = parameters ? draw(channels, 14, 1) : null;
        const bias = parameters ? draw(channels, 15) : null;
        const options: ReferenceOptions = { kind: 'moments', eps: 1e-3, weight, bias, ...overrides };

        // The loss whose gradient `backward` is.
        const loss = (): number => {
          const { y } = normReference(x, geometry, options);
          return y.reduce(
            (sum, value, i) => sum + value * (dy[i] as number) + (x[i] as number) * (dsum?.[i] ?? 0),
            0,
          );
        };
        const numeric = (values: Float64Array): Float64Array =>
          values.map((value, i) => {
            values[i] = value + step;
            const above = loss();
            values[i] = value - step;
            const below = loss();
            values[i] = value;
            return (above - below) / (2 * step);
          });
        const { dx, dweight, dbias } = normBackwardReference(dy, x, geometry, options, dsum);
        expect(relativeError(dx, numeric(x))).toBeLessThan(1e-7);
        if (weight) expect(relativeError(dweight, numeric(weight))).toBeLessThan(1e-7);
        if (bias) expect(relativeError(dbias, numeric(bias))).toBeLessThan(1e-7);
      });
    }
  }

  it('gives dweight and dbias also without parameters', () => {
    const geometry = geometries['every axis'] as Geometry;
    const [x, dy] = [normal(120, { seed: 1 }), normal(120, { seed: 2 })];
    const options: ReferenceOptions = { kind: 'moments', eps: 1e-5 };
    const bare = normBackwardReference(dy, x, geometry, options);
    expect(bare).toEqual(normBackwardReference(dy, x, geometry, { ...options, weight: [1, 1, 1, 1] }));
  });
});

describe('relativeError', () => {
  it('divides Euclidean norms', () => {
    expect(relativeError([3, 5], [3, 4])).toBeCloseTo(1 / 5, 15);
    expect(relativeError([3, 5], [3, 4], [6, 8])).toBeCloseTo(1 / 10, 15);
    expect(relativeError([1], [0])).toBe(Infinity);
    expect(relativeError([0, 0], [0, 0])).toBe(0);
    expect(relativeError([], [])).toBe(0);
    expect(() => relativeError([1], [1, 2])).toThrow(RangeError);
  });

  it('takes NaN and infinities only where they are expected', () => {
    expect(relativeError([NaN, 2, Infinity], [NaN, 2, Infinity])).toBe(0);
    for (const [actual, expected] of [
      [NaN, 1],
      [1, NaN],
      [Infinity, 1],
      [1, Infinity],
      [-Infinity, Infinity],
      [NaN, Infinity],
    ] as const) {
      expect(relativeError([actual, 1], [expected, 1])).toBe(Infinity);
    }
  });
});

describe('roundToHalf', () => {
  const halfFromBits = (bits: number): number =>
    bits < 0x400 ? bits * 2 ** -24 : (1024 + (bits & 0x3ff)) * 2 ** ((bits >> 10) - 25);

  it('keeps every finite f16 value', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      const value = halfFromBits(bits);
      if (roundToHalf(value) !== value || roundToHalf(-value) !== -value)
        expect.fail(`${value} is an f16 value`);
    }
  });

  it('goes to the nearer neighbour, ties to the even one, between all neighbours', () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [halfFromBits(bits), halfFromBits(bits + 1)];
      const tie = (low + high) / 2;
      const even = bits % 2 === 0 ? low : high;
      const nudge = (high - low) * 1e-9;
      const found = [tie, tie - nudge, tie + nudge, -tie].map(roundToHalf);
      if (found.some((value, i) => value !== [even, low, high, -even][i])) {
        expect.fail(`between ${low} and ${high}: ${found}`);
      }
    }
  });

  it('overflows at 65520, underflows at 2^-25', () => {
    expect(roundToHalf(65504)).toBe(65504);
    expect(roundToHalf(65519.999)).toBe(65504);
    expect(roundToHalf(65520)).toBe(Infinity);
    expect(roundToHalf(-1e300)).toBe(-Infinity);
    expect(roundToHalf(2 ** -25)).toBe(0);
    expect(roundToHalf(2 ** -25 * 1.0001)).toBe(2 ** -24);
    expect(roundToHalf(-(2 ** -26))).toBe(-0);
    expect(roundToHalf(5e-324)).toBe(0);
    for (const value of [0, -0, Infinity, -Infinity, NaN]) expect(roundToHalf(value)).toBe(value);
  });

  it('rounds once: f32 in between would lose this bit', () => {
    const value = 1 + 2 ** -11 + 2 ** -30;
    expect(roundToHalf(value)).toBe(1 + 2 ** -10);
    expect(roundToHalf(Math.fround(value))).toBe(1);
  });
});

describe('the index arithmetic of the reference', () => {
  /** Every index of the shape, in row-major order. */
  function* indices(shape: readonly number[]): Generator<number[]> {
    const [size, ...rest] = shape;
    if (size === undefined) return yield [];
    for (let i = 0; i < size; i++) for (const others of indices(rest)) yield [i, ...others];
  }

  /** What forEachElement visits, and what the multi-dimensional index says. */
  function agrees(
    geometry: Geometry,
    shape: readonly number[],
    setAndChannel: (index: number[]) => [number, number],
  ): void {
    const visited: [number, number, number][] = [];
    forEachElement(geometry, (...visit) => visited.push(visit));
    expect(visited).toEqual([...indices(shape)].map((index, element) => [element, ...setAndChannel(index)]));
  }

  it('finds the set and the channel of every element by the definition of each norm', () => {
    const shape = [2, 6, 3, 4]; // [N, C, H, W], or [N, H, W, C] with 4 channels
    agrees(layerNormGeometry(shape, [3, 4]), shape, ([n = 0, c = 0, h = 0, w = 0]) => [6 * n + c, 4 * h + w]);
    agrees(groupNormGeometry(shape, 3, 'channels-first'), shape, ([n = 0, c = 0]) => [
      3 * n + Math.floor(c / 2),
      c,
    ]);
    agrees(groupNormGeometry(shape, 2, 'channels-last'), shape, ([n = 0, , , c = 0]) => [
      2 * n + Math.floor(c / 2),
      c,
    ]);
    agrees(instanceNormGeometry(shape, 'channels-first'), shape, ([n = 0, c = 0]) => [6 * n + c, c]);
    agrees(instanceNormGeometry(shape, 'channels-last'), shape, ([n = 0, , , c = 0]) => [4 * n + c, c]);
    agrees(batchNormGeometry(shape, 'channels-first'), shape, ([, c = 0]) => [c, c]);
    agrees(batchNormGeometry(shape, 'channels-last'), shape, ([, , , c = 0]) => [c, c]);
  });

  it('is its own: the reference imports nothing of what lays the work of kernels out', () => {
    const folder = new URL('../reference/', import.meta.url);
    const sources = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'));
    expect(sources.filter((source) => /^import (?!type).*\/src\//m.test(source))).toEqual([]);
  });
});
