import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  localResponseNormBackwardReference,
  localResponseNormReference,
  normBackwardReference,
  normReference,
  rounders,
} from '../reference/index.ts';
import {
  CONFORMANCE_OPS,
  type ConformanceCase,
  type ConformanceTensor,
  compare,
  describeCase,
  type Expected,
  type SupportedCase,
  type UnsupportedCase,
} from '../support/conformance.ts';
import { BATCH_OPS, describeBatch, inConvention } from '../support/conformance-batch.ts';
import { describeResponse, RESPONSE_OPS } from '../support/conformance-response.ts';
import { type ShapeCase, shapeOps } from '../support/conformance-shapes.ts';
import { drawn, refusals, suites } from '../support/conformance-sources.ts';
import { RunningReference } from '../support/running.ts';

const folder = new URL('../conformance/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));
const published = suites.flatMap((name) => read(name) as ConformanceCase[]);

/** The files that are no cases. */
const unsupportedFile = 'unsupported';

/** The adapter of a case's op. */
function describeAny(testCase: ConformanceCase): { supported: true } | UnsupportedCase {
  const belongs = (ops: readonly string[]) => ops.includes(testCase.op);
  if (belongs(BATCH_OPS)) return describeBatch(testCase);
  return belongs(RESPONSE_OPS) ? describeResponse(testCase) : describeCase(testCase);
}

describe('the published cases', () => {
  it('are all files of test/conformance', () => {
    const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
    const known = [...suites, refusals, drawn, unsupportedFile].map((name) => `${name}.json`);
    expect(files.sort()).toEqual(known.sort());
    expect(published.length).toBe(367);
  });

  it('are supported, but for those that test/conformance/unsupported.json lists with their reasons', () => {
    const reasons: Record<string, string[]> = {};
    for (const testCase of published) {
      const described = describeAny(testCase);
      if (described.supported) continue;
      const { reason, name } = described;
      reasons[reason] = [...(reasons[reason] ?? []), name];
    }
    expect(reasons).toEqual(read(unsupportedFile));
  });

  it('of shapes.json all become calls of this library', () => {
    const list = read(drawn) as ShapeCase[];
    expect(list.length).toBe(702);
    const others = list.filter(({ op }) => op !== 'lrn' && !(op in shapeOps));
    expect(others).toEqual([]);
  });
});

/** The float64 reference in the library's place. */
function runReference({ x, residual, geometry, kind, eps, weight, bias, dtype }: SupportedCase) {
  const round = dtype === 'f32' ? Math.fround : rounders[dtype];
  const sum = residual ? x.map((value, i) => round(value + (residual[i] as number))) : x;
  return { ...normReference(sum, geometry, { kind, eps, weight, bias }), sum };
}

describe('conformance, float64 reference', () => {
  const ops: readonly string[] = CONFORMANCE_OPS;
  const descriptors = published.filter(({ op }) => ops.includes(op)).map(describeCase);

  descriptors.forEach((each, index) => {
    if (!each.supported) return;
    it(`${index} ${each.op} ${each.name}`, () => {
      const actual = runReference(each);
      for (const [name, expected] of Object.entries(each.expected)) {
        expect(compare(actual[name as keyof typeof actual], expected), name).toBeNull();
      }
    });
  });
});

/** Every case of these ops by the float64 reference; `answers` gives its outputs by name. */
function referenceAgrees<T extends { name: string; expected: Partial<Record<string, Expected>> }>(
  what: string,
  ops: readonly string[],
  describeOne: (testCase: ConformanceCase) => (T & { supported: true }) | UnsupportedCase,
  answers: (one: T) => Partial<Record<string, ArrayLike<number>>>,
): void {
  describe(`conformance, float64 reference of ${what}`, () => {
    const found = published.filter(({ op }) => ops.includes(op)).map(describeOne);
    found.forEach((one, index) => {
      if (!one.supported) return;
      it(`${index} ${one.name}`, () => {
        const actual = answers(one);
        for (const [name, expected] of Object.entries(one.expected)) {
          expect(expected && compare(actual[name] ?? [], expected), name).toBeNull();
        }
      });
    });
  });
}

referenceAgrees('BatchNorm', BATCH_OPS, describeBatch, (one) => {
  const { x, dy, geometry, shape, layout, momentum, running, training } = one;
  const options = { kind: 'moments', eps: one.eps, weight: one.weight, bias: one.bias } as const;
  if (!training) return { ...normReference(x, geometry, { ...options, frozen: running }) };
  const after = new RunningReference(geometry.channels);
  if (running) {
    after.mean.set(running.mean);
    after.variance.set(running.variance);
    after.update(x, shape, layout, momentum);
  }
  const gradients = dy && normBackwardReference(dy, x, geometry, options);
  return {
    ...normReference(x, geometry, options),
    ...(gradients && { dx: gradients.dx, dweight: gradients.dweight, dbias: gradients.dbias }),
    runningMean: after.mean,
    runningVar: inConvention(one, after.variance),
  };
});

referenceAgrees('LocalResponseNorm', RESPONSE_OPS, describeResponse, ({ x, dy, geometry, ...options }) => ({
  y: localResponseNormReference(x, geometry, options),
  dx: localResponseNormBackwardReference(dy, x, geometry, options).dx,
}));

describe('the conformance adapter', () => {
  const tensor = (shape: number[], data: number[], dtype: ConformanceTensor['dtype'] = 'float32') => ({
    shape,
    dtype,
    data,
  });
  const tol = { metric: 'exact' };
  const base = { source: 's', name: 'n', op: 'layer_norm', tol: { y: tol } };
  const x = tensor([2, 3], [1, 2, 3, 4, 5, 6]);

  it('gives parameters the order of the axes of x', () => {
    const axes = [2, 1];
    const described = describeCase({
      ...base,
      attrs: { epsilon: 0.5, axes },
      inputs: { x: tensor([1, 2, 3], [1, 2, 3, 4, 5, 6]), scale: tensor([3, 2], [1, 2, 3, 4, 5, 6]) },
      expected: { y: tensor([1, 2, 3], [1, 2, 3, 4, 5, 6]) },
    }) as SupportedCase;
    expect(described).toMatchObject({ shape: [1, 2, 3], axes: [1, 2], eps: 0.5 });
    expect([...described.x]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...(described.weight ?? [])]).toEqual([1, 3, 5, 2, 4, 6]);
    const first = describeCase({
      ...base,
      attrs: { axes: [-2] },
      inputs: { x, scale: tensor([2], [7, 8]) },
      expected: { y: x },
    }) as SupportedCase;
    expect(first).toMatchObject({ shape: [2, 3], axes: [0] });
    expect([...(first.weight ?? [])]).toEqual([7, 8]);
  });

  it('broadcasts skip, adds input_bias to it, repeats a scale per group', () => {
    const { residual } = describeCase({
      ...base,
      op: 'skip_layer_norm',
      attrs: { axes: [1] },
      inputs: { x, skip: tensor([1, 3], [10, 20, 30]), input_bias: tensor([3], [1, 2, 3]) },
      expected: { y: x },
    }) as SupportedCase;
    expect([...(residual ?? [])]).toEqual([11, 22, 33, 11, 22, 33]);
    const { weight } = describeCase({
      ...base,
      op: 'group_norm',
      attrs: { groups: 2, layout: 'nhwc', scale_per: 'group' },
      inputs: { x: tensor([1, 4], [1, 2, 3, 4]), scale: tensor([2], [5, 6]) },
      expected: { y: tensor([1, 4], [0, 0, 0, 0]) },
    }) as SupportedCase;
    expect([...(weight ?? [])]).toEqual([5, 5, 6, 6]);
  });

  it('names what it does not support', () => {
    const reasonOf = (changes: Partial<ConformanceCase>): string | null => {
      const result = describeCase({
        ...base,
        attrs: { axes: [1] },
        inputs: { x },
        expected: { y: x },
        ...changes,
      });
      return result.supported ? null : result.reason;
    };
    expect(reasonOf({})).toBeNull();
    expect(reasonOf({ op: 'lrn' })).toBe('there is no lrn');
    expect(reasonOf({ attrs: { axes: [] } })).toMatch(/no axis/);
    expect(reasonOf({ inputs: { x, scale: tensor([2, 1], [1, 2]) } })).toMatch(/differs between rows/);
    expect(reasonOf({ inputs: { x, scale: tensor([1], [2]) } })).toBeNull();
    expect(reasonOf({ inputs: { x: { ...x, dtype: 'bfloat16' } } })).toBeNull();
    expect(reasonOf({ op: 'group_norm', attrs: { groups: 1, layout: 'nchw', activation: 'tanh' } })).toBe(
      'activation tanh',
    );
  });

  it('knows every tolerance', () => {
    const check = (
      actual: number,
      value: number,
      tolerance: object,
      dtype: ConformanceTensor['dtype'] = 'float32',
    ) => compare([actual], { data: Float64Array.of(value), dtype, tol: tolerance as never }) === null;
    expect(check(1.1, 1, { metric: 'abs', value: 0.2 })).toBe(true);
    expect(check(1.3, 1, { metric: 'abs', value: 0.2 })).toBe(false);
    expect(check(101, 100, { metric: 'allclose', rtol: 0.01, atol: 0.1 })).toBe(true);
    expect(check(101.2, 100, { metric: 'allclose', rtol: 0.01, atol: 0.1 })).toBe(false);
    expect(check(1 + 1e-9, 1, { metric: 'exact' })).toBe(true); // the same f32
    expect(check(1 + 1e-6, 1, { metric: 'exact' })).toBe(false);
    expect(check(1 + 2 ** -9, 1, { metric: 'ulp', value: 2 }, 'float16')).toBe(true);
    expect(check(1 + 2 ** -8, 1, { metric: 'ulp', value: 2 }, 'float16')).toBe(false);
    expect(check(5.0004, 5, { metric: 'ort_js', abs: 1e-3, rel_ratio: 1.00001 })).toBe(true);
    expect(check(1000.005, 1000, { metric: 'ort_js', abs: 1e-3, rel_ratio: 1.00001 })).toBe(true);
    expect(check(1000.02, 1000, { metric: 'ort_js', abs: 1e-3, rel_ratio: 1.00001 })).toBe(false);
    expect(check(7, 0, { metric: 'no_nan' })).toBe(true);
    expect(check(NaN, 0, { metric: 'no_nan' })).toBe(false);
    expect(check(NaN, 0, { metric: 'allclose', rtol: 1, atol: 1 })).toBe(false);
    expect(check(NaN, NaN, { metric: 'allclose', rtol: 0, atol: 0 })).toBe(true);
    expect(() => check(0, 1, { metric: 'other' })).toThrow(/unknown tolerance/);
    expect(compare([1], { data: Float64Array.of(1, 2), dtype: 'float32', tol })).toMatch(
      /1 values, expected 2/,
    );
  });
});
