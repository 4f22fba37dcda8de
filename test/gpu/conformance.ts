/** The published cases of other projects' suites, where the folder with them is present. */
import { setSize } from '../../src/reference/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import {
  CONFORMANCE_OPS,
  type ConformanceCase,
  compare,
  describeCase,
  type SupportedCase,
  type UnsupportedCase,
} from '../support/conformance.ts';
import { type Arrays, run, type Subject } from '../support/subject.ts';

const sources = [
  'candle',
  'dfdx',
  'keras',
  'onnx',
  'ort_cpp',
  'ort_js',
  'pytorch',
  'webnn_baseline',
  'webnn_polyfill',
];

function subjectOf(one: SupportedCase): Subject {
  const { op, normalizedShape, layout, eps, dtype, paramDtype } = one;
  // RMSNorm refuses a single dimension, as PyTorch does, and InstanceNorm a single spatial element; other libraries
  // do not. A batch of one and GroupNorm with a group per channel are the same computations.
  const shape = op === 'rmsNorm' && one.shape.length === 1 ? [1, ...one.shape] : one.shape;
  const single = op === 'instanceNorm' && setSize(one.geometry) === 1;
  const groups = single ? one.geometry.channels : one.groups;
  return {
    op: single ? 'groupNorm' : op,
    shape,
    ...(normalizedShape ? { trailing: normalizedShape.length } : {}),
    ...(groups ? { groups } : {}),
    ...(layout ? { layout } : {}),
    eps,
    dtype,
    paramDtype,
    affine: one.bias !== undefined,
  };
}

async function check(t: Context, one: SupportedCase): Promise<string | null> {
  const arrays: Arrays = {
    x: one.x,
    dy: one.x,
    residual: one.residual,
    dsum: undefined,
    weight: one.weight,
    bias: one.bias,
  };
  const results = await run(t.gpu, subjectOf(one), arrays);
  for (const [output, expected] of Object.entries(one.expected)) {
    if (!expected) continue;
    const values = results[output as 'y' | 'mean' | 'rstd' | 'sum'];
    const actual = output === 'mean' ? values?.filter((_, i) => i % 2 === 0) : values;
    if (!actual) return `${output} was not computed`;
    const said = compare(actual, expected);
    if (said) return `${output}: ${said}`;
  }
  return null;
}

/** A case as an adapter describes it. */
type Described<T> = (T & { supported: true; dtype: 'f32' | 'f16' }) | UnsupportedCase;

/** Runs the cases of these ops of all suites; `check` says what is wrong with one, null for nothing. */
export async function checkSuites<T>(
  t: Context,
  ops: readonly string[],
  describe: (raw: ConformanceCase) => Described<T>,
  check: (t: Context, one: T) => Promise<string | null>,
): Promise<void> {
  let passed = 0;
  let absent = 0;
  const unsupported = new Map<string, number>();
  const failures: string[] = [];
  const count = (reason: string) => unsupported.set(reason, (unsupported.get(reason) ?? 0) + 1);
  for (const source of sources) {
    const list = (await t.readJson(`conformance/${source}.json`)) as ConformanceCase[] | null;
    if (!list) {
      absent += 1;
      continue;
    }
    for (const raw of list.filter(({ op }) => ops.includes(op))) {
      const described = describe(raw);
      if (!described.supported) {
        count(described.reason);
      } else if (described.dtype === 'f16' && !t.gpu.facts.f16) {
        count('f16, which this adapter lacks');
      } else {
        const failure = await check(t, described);
        if (failure) failures.push(`${source} ${raw.name}: ${failure}`);
        else passed += 1;
      }
    }
  }
  if (absent === sources.length) t.notApplicable('the published conformance cases are not on this machine');
  t.note('passed', String(passed));
  for (const [reason, number] of unsupported) t.note(`unsupported: ${reason}`, String(number));
  assert(failures.length === 0, `${failures.length} failed:\n${failures.slice(0, 10).join('\n')}`);
  assertEqual(absent, 0, 'source files that are absent while others are there');
}

export const cases: Case[] = [
  {
    name: 'conformance: LayerNorm, RMSNorm, Skip, GroupNorm and InstanceNorm cases',
    timeout: 180_000,
    run: (t) => checkSuites(t, CONFORMANCE_OPS, describeCase, check),
  },
];
