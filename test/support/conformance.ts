/**
 * Published conformance cases (ONNX, ONNX Runtime, PyTorch, Keras, WebNN, ...) as calls of this library.
 *
 * The cases lie in test/conformance/. Here are their format, the mapping of their attributes onto ours, and the comparison with
 * each suite's own tolerance. A case that the library cannot express comes back with a reason: test/conformance/unsupported.json
 * lists all of those, and a test holds the list.
 */

import type { FloatDType } from '../../src/index.ts';
import {
  axesGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  type Layout,
} from '../reference/geometry.ts';
import { rounders, roundToHalf } from '../reference/half.ts';

// ---- The format of a case.

export type ConformanceDtype = 'float32' | 'float16' | 'bfloat16' | 'float64';

export interface ConformanceTensor {
  shape: number[];
  dtype: ConformanceDtype;
  /** Row-major values, or one value for all. */
  data?: number[];
  fill?: number;
}

export interface Tolerance {
  metric: string;
  value?: number;
  rtol?: number;
  atol?: number;
  abs?: number;
  rel_ratio?: number;
}

export interface ConformanceCase {
  source: string;
  name: string;
  op: string;
  attrs: {
    epsilon?: number;
    axes?: number[];
    groups?: number;
    layout?: 'nchw' | 'nhwc';
    scale_per?: 'group' | 'channel';
    activation?: string;
    /** batch_norm: the channel axis; null where there is more than one, or none. */
    axis?: number | null;
    /** batch_norm: which axes of x a parameter with more than one runs along. */
    param_axes?: number[];
    /** batch_norm: running = running_decay·running + (1 − running_decay)·batch, with this variance. */
    running_decay?: number;
    running_var?: 'biased' | 'unbiased' | 'none';
    /** lrn: y = x / (k + A·Σx²)^beta over channels c − before … c + after, A = alpha or alpha / size. */
    size?: number;
    alpha?: number;
    beta?: number;
    k?: number;
    before?: number;
    after?: number;
    alpha_divided_by_size?: boolean;
  };
  inputs: Partial<Record<string, ConformanceTensor>>;
  expected: Partial<Record<string, ConformanceTensor>>;
  tol: Partial<Record<string, Tolerance>>;
}

// ---- What the library is asked.

export interface Expected {
  data: Float64Array;
  dtype: ConformanceDtype;
  tol: Tolerance;
  /** What the suite applies to the norm's output; here on the CPU, since the library's norms do not fuse it. */
  activation?: Activation;
}

type Activation = 'relu' | 'silu' | 'sigmoid';

const activations: Record<Activation, (x: number) => number> = {
  relu: (x) => Math.max(x, 0),
  silu: (x) => x / (1 + Math.exp(-x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

export interface SupportedCase {
  supported: true;
  name: string;
  op: 'layerNorm' | 'rmsNorm' | 'addLayerNorm' | 'addRmsNorm' | 'groupNorm' | 'instanceNorm';
  kind: 'moments' | 'rms';
  /** Shape of x. */
  shape: number[];
  /** layerNorm, rmsNorm and their residual forms: what is normalized, from the first axis on. */
  axes?: number[];
  /** groupNorm. */
  groups?: number;
  /** groupNorm, instanceNorm. */
  layout?: Layout;
  /** The same for the float64 reference. */
  geometry: Geometry;
  eps: number;
  /** Type of x, residual and y. f16 inputs hold f16 values. */
  dtype: FloatDType;
  /** Type of weight and bias. */
  paramDtype: FloatDType;
  x: Float32Array;
  residual?: Float32Array;
  weight?: Float32Array;
  bias?: Float32Array;
  /** By the library's output names. */
  expected: { y: Expected } & Partial<Record<'mean' | 'rstd' | 'sum', Expected>>;
  /** What the adapter did on the CPU before the library saw the case. */
  notes: string[];
}

export interface UnsupportedCase {
  supported: false;
  name: string;
  reason: string;
}

/** The ops that {@link describeCase} maps; BatchNorm and LocalResponseNorm have files of their own. */
export const CONFORMANCE_OPS = [
  'layer_norm',
  'rms_norm',
  'skip_layer_norm',
  'skip_rms_norm',
  'mean_variance_norm',
  'group_norm',
  'skip_group_norm',
  'instance_norm',
] as const;

// ---- Small array tools.

const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1);

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);

const isIdentity = (order: readonly number[]): boolean => order.every((axis, i) => axis === i);

export function valuesOf({ shape, data, fill }: ConformanceTensor): Float64Array {
  return data ? Float64Array.from(data) : new Float64Array(product(shape)).fill(fill ?? 0);
}

const roundTo = (dtype: FloatDType): ((value: number) => number) =>
  dtype === 'f32' ? Math.fround : rounders[dtype];

/** The values reordered so that axis i of the result is axis order[i] of the original. */
function permute(values: Float64Array, shape: readonly number[], order: readonly number[]): Float64Array {
  if (isIdentity(order)) return values;
  const strides = shape.map((_, axis) => product(shape.slice(axis + 1)));
  const sizes = order.map((axis) => shape[axis] as number);
  return values.map((_, target) => {
    let source = 0;
    let rest = target;
    for (let i = order.length - 1; i >= 0; i--) {
      const size = sizes[i] as number;
      source += (rest % size) * (strides[order[i] as number] as number);
      rest = Math.floor(rest / size);
    }
    return values[source] as number;
  });
}

/** The values repeated to a larger shape by numpy's rule: axes align at the end, an axis of 1 repeats. */
function broadcast(values: Float64Array, from: readonly number[], to: readonly number[]): Float64Array {
  const missing = to.length - from.length;
  const padded = to.map((_, axis) => from[axis - missing] ?? 1);
  if (missing < 0 || padded.some((size, axis) => size !== 1 && size !== to[axis])) {
    throw new RangeError(`[${from}] does not broadcast to [${to}]`);
  }
  return new Float64Array(product(to)).map((_, target) => {
    let source = 0;
    let stride = 1;
    let rest = target;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const size = to[axis] as number;
      if (padded[axis] !== 1) source += (rest % size) * stride;
      stride *= padded[axis] as number;
      rest = Math.floor(rest / size);
    }
    return values[source] as number;
  });
}

// ---- The mapping.

/** By the names of the suites, those of the library. */
const OUTPUTS = { y: 'y', mean: 'mean', inv_std: 'rstd', sum: 'sum' } as const;

/** A reason not to run a case, thrown through the mapping and returned by it. */
export class Unsupported extends Error {}

export interface Types {
  dtype: FloatDType;
  paramDtype: FloatDType;
}

/** y has the type of x in this library: a case that asks for another runs in f32, which holds every narrower input exactly. */
export function typesOf({ inputs, expected }: ConformanceCase): Types {
  const narrow: Partial<Record<ConformanceDtype, FloatDType>> = { float16: 'f16', bfloat16: 'bf16' };
  const dtypeOf = (tensor: ConformanceTensor | undefined) => (tensor && narrow[tensor.dtype]) ?? 'f32';
  const dtype = dtypeOf(inputs.x) === dtypeOf(expected.y) ? dtypeOf(inputs.x) : 'f32';
  return { dtype, paramDtype: dtypeOf(inputs.scale ?? inputs.bias) === dtype ? dtype : 'f32' };
}

function expectedOutputs(testCase: ConformanceCase) {
  const outputs = expectedBy(testCase, OUTPUTS);
  if (!outputs.y) throw new Unsupported('no expected y');
  return { ...outputs, y: outputs.y };
}

/** The expected outputs by the library's names, given for each name of the suites. */
export function expectedBy<Name extends string>(
  testCase: ConformanceCase,
  names: Readonly<Record<string, Name>>,
): Partial<Record<Name, Expected>> {
  const outputs: Partial<Record<Name, Expected>> = {};
  for (const [name, tensor] of Object.entries(testCase.expected)) {
    const tol = testCase.tol[name];
    const ours = names[name];
    if (!ours || !tensor) throw new Unsupported(`output ${name}`);
    if (!tol) throw new Unsupported(`no tolerance for ${name}`);
    outputs[ours] = { data: valuesOf(tensor), dtype: tensor.dtype, tol };
  }
  return outputs;
}

/** skip (and input_bias, which the library has no word for) as one tensor shaped like x. */
function residualOf(
  testCase: ConformanceCase,
  x: ConformanceTensor,
  notes: string[],
): Float64Array | undefined {
  const { skip, input_bias: inputBias } = testCase.inputs;
  if (!skip) {
    if (inputBias) throw new Unsupported('input_bias without skip');
    return undefined;
  }
  let { shape } = skip;
  // SkipGroupNorm's skip can be [N, C], added at every position of [N, ...spatial, C].
  if (testCase.op === 'skip_group_norm' && shape.length === 2 && x.shape.length > 2) {
    shape = [shape[0] as number, ...x.shape.slice(1, -1).map(() => 1), shape[1] as number];
  }
  let residual = broadcast(valuesOf(skip), shape, x.shape);
  if (!sameShape(skip.shape, x.shape)) notes.push('skip broadcast to the shape of x');
  if (inputBias) {
    const addend = broadcast(valuesOf(inputBias), inputBias.shape, x.shape);
    residual = residual.map((value, i) => value + (addend[i] as number));
    notes.push('input_bias added to skip');
  }
  return residual;
}

export const toFloat32 = (values: Float64Array, dtype: FloatDType): Float32Array =>
  Float32Array.from(values, roundTo(dtype));

function describeRows(testCase: ConformanceCase, x: ConformanceTensor): SupportedCase {
  const notes: string[] = [];
  const { axes } = testCase.attrs;
  const rank = x.shape.length;
  if (!axes || axes.length === 0) throw new Unsupported('no axis is normalised');
  const normalized = axes.map((axis) => (axis + rank) % rank);
  const normalizedShape = normalized.map((axis) => x.shape[axis] as number);
  // Parameters have the order in which the suite names the axes; the library has that of x.
  const ascending = [...normalized].sort((a, b) => a - b);
  const order = ascending.map((axis) => normalized.indexOf(axis));
  if (!isIdentity(order)) notes.push(`parameters permuted to the axes [${ascending}]`);

  const { dtype, paramDtype } = typesOf(testCase);
  const parameter = (name: 'scale' | 'bias'): Float32Array | undefined => {
    const tensor = testCase.inputs[name];
    if (!tensor) return undefined;
    const leading = tensor.shape.slice(0, Math.max(tensor.shape.length - normalizedShape.length, 0));
    const trailing = tensor.shape.slice(leading.length);
    if (leading.some((size) => size !== 1)) throw new Unsupported('scale or bias that differs between rows');
    if (!sameShape(trailing, normalizedShape)) notes.push(`${name} broadcast to the normalised axes`);
    return toFloat32(
      permute(broadcast(valuesOf(tensor), trailing, normalizedShape), normalizedShape, order),
      paramDtype,
    );
  };
  const weight = parameter('scale');
  const bias = parameter('bias');
  const residual = residualOf(testCase, x, notes);
  const rms = testCase.op.endsWith('rms_norm');
  return {
    supported: true,
    name: `${testCase.source}: ${testCase.name}`,
    op: residual ? (rms ? 'addRmsNorm' : 'addLayerNorm') : rms ? 'rmsNorm' : 'layerNorm',
    kind: rms ? 'rms' : 'moments',
    shape: [...x.shape],
    axes: ascending,
    geometry: axesGeometry(x.shape, ascending),
    // What ONNX adds to the standard deviation, 1e-9, is nothing beside it.
    eps: testCase.op === 'mean_variance_norm' ? 0 : (testCase.attrs.epsilon ?? 0),
    dtype,
    paramDtype,
    x: toFloat32(valuesOf(x), dtype),
    ...(residual && { residual: toFloat32(residual, dtype) }),
    ...(weight && { weight }),
    ...(bias && { bias }),
    expected: expectedOutputs(testCase),
    notes,
  };
}

function describeChannels(testCase: ConformanceCase, x: ConformanceTensor): SupportedCase {
  const notes: string[] = [];
  const { layout: suiteLayout, groups = -1, scale_per: scalePer, epsilon = 0 } = testCase.attrs;
  const layout: Layout = suiteLayout === 'nhwc' ? 'channels-last' : 'channels-first';
  const channels = x.shape[layout === 'channels-last' ? x.shape.length - 1 : 1] as number;
  const instance = testCase.op === 'instance_norm';
  const groupCount = instance || groups === -1 ? channels : groups;
  const { dtype, paramDtype } = typesOf(testCase);
  const parameter = (name: 'scale' | 'bias'): Float32Array | undefined => {
    const tensor = testCase.inputs[name];
    if (!tensor) return undefined;
    const values = valuesOf(tensor);
    if (values.length === channels && scalePer !== 'group') return toFloat32(values, paramDtype);
    if (scalePer !== 'group' || values.length !== groupCount)
      throw new Unsupported('scale or bias not per channel');
    notes.push(`${name} per group repeated per channel`);
    const repeat = channels / groupCount;
    return toFloat32(
      new Float64Array(channels).map((_, channel) => values[Math.floor(channel / repeat)] as number),
      paramDtype,
    );
  };
  const weight = parameter('scale');
  const bias = parameter('bias');
  const residual = residualOf(testCase, x, notes);
  let values = valuesOf(x);
  const expected = expectedOutputs(testCase);
  if (residual) {
    values = values.map((value, i) => value + (residual[i] as number));
    delete expected.sum;
    notes.push('x + skip added before, so that its sum is not tested');
  }
  return {
    supported: true,
    name: `${testCase.source}: ${testCase.name}`,
    op: instance ? 'instanceNorm' : 'groupNorm',
    kind: 'moments',
    shape: x.shape,
    ...(!instance && { groups: groupCount }),
    layout,
    geometry: instance
      ? instanceNormGeometry(x.shape, layout)
      : groupNormGeometry(x.shape, groupCount, layout),
    eps: epsilon,
    dtype,
    paramDtype,
    x: toFloat32(values, dtype),
    ...(weight && { weight }),
    ...(bias && { bias }),
    expected,
    notes,
  };
}

/** The library call that a case asks for, or the reason why there is none. */
export function describeCase(testCase: ConformanceCase): SupportedCase | UnsupportedCase {
  return describeAs(testCase, CONFORMANCE_OPS, (x) => {
    const byChannel = testCase.op === 'instance_norm' || testCase.op.endsWith('group_norm');
    const described = byChannel ? describeChannels(testCase, x) : describeRows(testCase, x);
    applyActivation(testCase, described.expected.y, described.notes);
    return described;
  });
}

/** What `describe` makes of the case's x, or why it does not. */
export function describeAs<T>(
  testCase: ConformanceCase,
  ops: readonly string[],
  describe: (x: ConformanceTensor) => T,
): T | UnsupportedCase {
  const name = `${testCase.source}: ${testCase.name}`;
  try {
    const { x } = testCase.inputs;
    if (!ops.includes(testCase.op)) throw new Unsupported(`there is no ${testCase.op}`);
    if (!x) throw new Unsupported('no x');
    return describe(x);
  } catch (error) {
    if (error instanceof Unsupported) return { supported: false, name, reason: error.message };
    throw error;
  }
}

/** The case's activation is left to the comparison. */
export function applyActivation(
  { attrs: { activation } }: ConformanceCase,
  y: Expected | undefined,
  notes: string[],
): void {
  if (!activation) return;
  if (!(activation in activations)) throw new Unsupported(`activation ${activation}`);
  if (y) y.activation = activation as Activation;
  notes.push(`${activation} applied on the CPU`);
}

// ---- The comparison.

/** Distance between neighbouring values of the type around `value`. */
function spacing(value: number, dtype: ConformanceDtype): number {
  const [fractionBits, minExponent] = {
    float16: [10, -14],
    bfloat16: [7, -126],
    float32: [23, -126],
    float64: [52, -1022],
  }[dtype] as [number, number];
  const exponent = value === 0 ? minExponent : Math.max(Math.floor(Math.log2(Math.abs(value))), minExponent);
  return 2 ** (exponent - fractionBits);
}

function roundToDtype(value: number, dtype: ConformanceDtype): number {
  if (dtype === 'float16') return roundToHalf(value);
  return dtype === 'float32' ? Math.fround(value) : value;
}

/** Is one value within the suite's tolerance? */
function within(actual: number, expected: number, dtype: ConformanceDtype, tol: Tolerance): boolean {
  const { metric, value = 0, rtol = 0, atol = 0, abs = 0, rel_ratio: ratio = 1 } = tol;
  if (metric === 'no_nan') return !Number.isNaN(actual);
  const rounded = roundToDtype(actual, dtype);
  if (rounded === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return true;
  const distance = Math.abs(actual - expected);
  switch (metric) {
    case 'exact':
      return false;
    case 'abs':
      return distance <= value;
    case 'allclose':
      return distance <= atol + rtol * Math.abs(expected);
    case 'ulp':
      return Math.abs(rounded - expected) <= value * spacing(expected, dtype);
    case 'ort_js':
      return distance < abs || (actual / expected < ratio && expected / actual < ratio);
    default:
      throw new Error(`unknown tolerance metric ${metric}`);
  }
}

/** null if every value is within the tolerance, else a sentence with the worst one. */
export function compare(
  values: ArrayLike<number>,
  { data, dtype, tol, activation }: Expected,
): string | null {
  const actual = activation ? Array.from(values, activations[activation]) : values;
  if (actual.length !== data.length) return `${actual.length} values, expected ${data.length}`;
  let [wrong, worst, worstDistance] = [0, 0, -1];
  for (let i = 0; i < data.length; i++) {
    const [a, e] = [actual[i] as number, data[i] as number];
    if (within(a, e, dtype, tol)) continue;
    wrong++;
    const distance = Number.isNaN(a - e) ? Number.POSITIVE_INFINITY : Math.abs(a - e);
    if (distance > worstDistance) [worst, worstDistance] = [i, distance];
  }
  if (wrong === 0) return null;
  return `${wrong} of ${data.length} values off, worst [${worst}] = ${actual[worst]}, expected ${data[worst]} (${JSON.stringify(tol)})`;
}
