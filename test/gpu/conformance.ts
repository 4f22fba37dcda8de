/** The published cases of other projects' suites, by the library. */
import {
  batchNorm,
  type FloatDType,
  layerNorm,
  localResponseNorm,
  NormError,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import {
  groupNormGeometry,
  localResponseNormReference,
  relativeError,
  roundAllToHalf,
  setSize,
} from '../reference/index.ts';
import {
  CONFORMANCE_OPS,
  type ConformanceCase,
  compare,
  describeCase,
  type SupportedCase,
  type UnsupportedCase,
  valuesOf,
} from '../support/conformance.ts';
import { drawn as draw, layoutOf, type ShapeCase, subjectOfShape } from '../support/conformance-shapes.ts';
import { drawn as drawnFile, type RefusedCase, refusals, suites } from '../support/conformance-sources.ts';
import { type Arrays, errorsOf, nameOf, run, type Subject } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

function subjectOf(one: SupportedCase): Subject {
  const { op, axes, layout, eps, dtype, paramDtype } = one;
  // RMSNorm refuses a single dimension, as PyTorch does, and InstanceNorm a single spatial element; other libraries
  // do not. A batch of one and GroupNorm with a group per channel are the same computations.
  const shape = op === 'rmsNorm' && one.shape.length === 1 ? [1, ...one.shape] : one.shape;
  const single = op === 'instanceNorm' && setSize(one.geometry) === 1;
  const groups = single ? one.geometry.channels : one.groups;
  return {
    op: single ? 'groupNorm' : op,
    shape,
    ...(axes && { axes: axes.map((axis) => axis + shape.length - one.shape.length) }),
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
type Described<T> = (T & { supported: true; dtype: FloatDType }) | UnsupportedCase;

/** Runs the cases of these ops of all suites; `check` says what is wrong with one, null for nothing. */
export async function checkSuites<T>(
  t: Context,
  ops: readonly string[],
  describe: (raw: ConformanceCase) => Described<T>,
  check: (t: Context, one: T) => Promise<string | null>,
): Promise<void> {
  let passed = 0;
  const unsupported = new Map<string, number>();
  const failures: string[] = [];
  const count = (reason: string) => unsupported.set(reason, (unsupported.get(reason) ?? 0) + 1);
  for (const source of suites) {
    const list = (await t.readJson(`conformance/${source}.json`)) as ConformanceCase[];
    for (const raw of list.filter(({ op }) => ops.includes(op))) {
      const described = describe(raw);
      if (!described.supported) {
        count(described.reason);
      } else {
        const failure = await check(t, described);
        if (failure) failures.push(`${source} ${raw.name}: ${failure}`);
        else passed += 1;
      }
    }
  }
  t.note('passed', String(passed));
  for (const [reason, number] of unsupported) t.note(`unsupported: ${reason}`, String(number));
  assert(failures.length === 0, `${failures.length} failed:\n${failures.slice(0, 10).join('\n')}`);
}

/** Draws the data of every shape whose op is among these, and judges forward and backward against float64. */
async function checkShapes(t: Context, wanted: readonly string[]): Promise<void> {
  const list = (await t.readJson(`conformance/${drawnFile}.json`)) as ShapeCase[];
  const failures: string[] = [];
  let passed = 0;
  for (const [index, one] of list.entries()) {
    if (!wanted.includes(one.op)) continue;
    const problem = await checkShape(t, one, index);
    if (problem) failures.push(`${one.suite} ${one.name}: ${problem}`);
    else passed += 1;
  }
  t.note('passed', String(passed));
  assert(failures.length === 0, `${failures.length} failed:\n${failures.slice(0, 10).join('\n')}`);
}

async function checkShape(t: Context, one: ShapeCase, seed: number): Promise<string | undefined> {
  const found = subjectOfShape(one, seed);
  if (!found) return checkResponseShape(t, one, seed);
  const { subject, arrays } = found;
  const over = errorsOf(subject, arrays, await run(t.gpu, subject, arrays)).filter(
    ({ error, bound }) => !(error <= bound),
  );
  if (over.length === 0) return undefined;
  const list = over.map(({ output, error, bound }) => `${output} ${error} > ${bound}`);
  return `${nameOf(subject)}: ${list.join(', ')}`;
}

async function checkResponseShape(
  { gpu }: Context,
  one: ShapeCase,
  seed: number,
): Promise<string | undefined> {
  const { shape, dtype, attrs } = one;
  const layout = layoutOf(attrs.layout);
  const options = {
    size: attrs.size ?? 5,
    alpha: attrs.alpha ?? 1e-4,
    beta: attrs.beta ?? 0.75,
    k: attrs.k ?? 1,
  };
  const values = draw(one.x, elementCountOf(shape), seed, dtype);
  const x = gpu.tensor(values, shape, { dtype });
  const { y } = localResponseNorm(gpu, x, { ...options, layout });
  const actual = await y.data();
  const expected = localResponseNormReference(values, groupNormGeometry(shape, 1, layout), options);
  const error = relativeError(actual, expected);
  for (const tensor of [x, y]) tensor.destroy();
  const rounding = dtype === 'f16' ? relativeError(roundAllToHalf(expected), expected) : 0;
  const bound = dtype === 'f16' ? bounds.halfFactor * rounding + bounds.halfSlack : bounds.forward;
  return error <= bound ? undefined : `y ${error} > ${bound}`;
}

const elementCountOf = (shape: readonly number[]): number => shape.reduce((all, size) => all * size, 1);

/** Inputs that the suite's own library rejects: what is wrong with them is wrong here too, with one exception. */
async function checkRefusals(t: Context): Promise<void> {
  const list = (await t.readJson(`conformance/${refusals}.json`)) as RefusedCase[];
  const { gpu } = t;
  const accepted: string[] = [];
  for (const { name, op, inputs, attrs } of list) {
    const tensor = (key: string) => {
      const one = inputs[key];
      return one && gpu.tensor(Float32Array.from(valuesOf(one)), one.shape);
    };
    const x = tensor('x') as Tensor;
    const [weight, bias] = [tensor('scale'), tensor('bias')];
    const { epsilon: eps } = attrs;
    try {
      if (op === 'layer_norm') {
        const normalizedShape = x.shape.slice(attrs.axes?.[0] ?? -1);
        layerNorm(gpu, x, { normalizedShape, weight, bias, eps });
      } else {
        const [runningMean, runningVar] = [tensor('mean'), tensor('var')];
        batchNorm(gpu, x, { training: false, weight, bias, eps, runningMean, runningVar });
      }
      accepted.push(name);
    } catch (error) {
      assert(error instanceof NormError && error.code === 'shape', `${name}: ${error}`);
    }
  }
  assertEqual(list.length, 6, 'inputs');
  // A normalized size of 1 gives β, as in torch.
  assertEqual(accepted.join(), 'LayerNormTest.LayerNorm_InvalidNormSize', 'inputs that are accepted');
}

const families = {
  LayerNorm: ['layer_norm', 'add_layer_norm'],
  RMSNorm: ['rms_norm', 'add_rms_norm'],
  'GroupNorm and InstanceNorm': ['group_norm', 'instance_norm'],
  'BatchNorm and LocalResponseNorm': ['batch_norm', 'batch_norm_act', 'lrn'],
};

export const cases: Case[] = [
  {
    name: 'conformance: LayerNorm, RMSNorm, Skip, GroupNorm and InstanceNorm cases',
    timeout: 180_000,
    run: (t) => checkSuites(t, CONFORMANCE_OPS, describeCase, check),
  },
  { name: 'conformance: inputs that must be rejected', run: checkRefusals },
  ...Object.entries(families).map(
    ([name, ops]): Case => ({
      name: `conformance: shapes of other suites, ${name}`,
      timeout: 300_000,
      run: (t) => checkShapes(t, ops),
    }),
  ),
];
