/**
 * Shapes and options that the suites of other libraries test with (test/conformance/shapes.json): they draw their data at random, so
 * these are drawn here, from seeds, and judged against float64.
 */
import type { FloatDType, Layout, RmsNormCast } from '../../src/index.ts';
import { normal, random, toHalf, uniform } from './data.ts';
import { type Arrays, arraysOf, type Op, type Subject } from './subject.ts';

/** How a tensor is drawn: ['normal', mean, std], ['uniform', low, high], ['randint', low, high], ['fill', value],
 * ['modulo'], and ['sine', amplitude] of the element's number. */
export type Draw = readonly [kind: string, ...numbers: number[]];

export interface ShapeCase {
  suite: string;
  name: string;
  op: string;
  dtype: FloatDType;
  shape: number[];
  attrs: {
    eps?: number;
    normalized_shape?: number[];
    num_groups?: number;
    layout?: 'nchw' | 'nhwc';
    param_dtype?: FloatDType;
    cast?: RmsNormCast;
    activation?: 'silu';
    negative_slope?: number;
    training?: boolean;
    track_running_stats?: boolean;
    size?: number;
    alpha?: number;
    beta?: number;
    k?: number;
  };
  x: Draw;
  dy?: Draw;
  residual?: Draw;
  dsum?: Draw;
  weight?: Draw;
  bias?: Draw;
  running_var?: Draw;
}

/** By the names of the file, those of the norms that have statistics. */
export const shapeOps: Readonly<Record<string, Op>> = {
  layer_norm: 'layerNorm',
  rms_norm: 'rmsNorm',
  add_layer_norm: 'addLayerNorm',
  add_rms_norm: 'addRmsNorm',
  group_norm: 'groupNorm',
  instance_norm: 'instanceNorm',
  batch_norm: 'batchNorm',
  batch_norm_act: 'batchNorm',
};

/** The norm that a case asks for, and its data; undefined where the op has no statistics (local response normalization). */
export function subjectOfShape(
  one: ShapeCase,
  seed: number,
): { subject: Subject; arrays: Arrays } | undefined {
  const op = shapeOps[one.op];
  if (!op) return undefined;
  const { attrs, dtype } = one;
  const byChannel = op === 'groupNorm' || op === 'instanceNorm' || op === 'batchNorm';
  // torch normalizes with the statistics of the batch where none are tracked, in evaluation too.
  const evaluation = op === 'batchNorm' && attrs.training === false && attrs.track_running_stats !== false;
  const relu = one.op === 'batch_norm_act' ? 'relu' : undefined;
  const activation = attrs.activation ?? relu;
  const subject: Subject = {
    op,
    // RMSNorm refuses a single dimension, as torch does.
    shape: one.shape.length === 1 ? [1, ...one.shape] : one.shape,
    dtype,
    paramDtype: attrs.param_dtype ?? dtype,
    affine: one.weight !== undefined,
    evaluation,
    ...(attrs.normalized_shape && { trailing: attrs.normalized_shape.length }),
    ...(attrs.num_groups !== undefined && { groups: attrs.num_groups }),
    ...(byChannel && { layout: layoutOf(attrs.layout) }),
    ...(attrs.eps !== undefined && { eps: attrs.eps }),
    ...(attrs.cast && { cast: attrs.cast }),
    ...(activation && { activation }),
  };
  const given = arraysOf(subject, { seed });
  const draw = (how: Draw | undefined, like: Float32Array | undefined, type: FloatDType, salt: number) =>
    how && like ? drawn(how, like.length, seed + salt, type) : like;
  const parameters = attrs.param_dtype ?? dtype;
  return {
    subject,
    arrays: {
      ...given,
      x: drawn(one.x, given.x.length, seed, dtype),
      dy: draw(one.dy, given.dy, dtype, 1) as Float32Array,
      residual: draw(one.residual, given.residual, dtype, 2),
      dsum: draw(one.dsum, given.dsum, dtype, 3),
      weight: draw(one.weight, given.weight, parameters, 4),
      bias: draw(one.bias, given.bias, parameters, 5),
      running: given.running && {
        mean: given.running.mean,
        variance: draw(one.running_var, given.running.variance, 'f32', 7) as Float32Array,
      },
    },
  };
}

export const layoutOf = (layout: 'nchw' | 'nhwc' | undefined): Layout =>
  layout === 'nhwc' ? 'channels-last' : 'channels-first';

/** `count` values of the distribution; in f16 those that f16 can hold. */
export function drawn(
  [kind, a = 0, b = 1]: Draw,
  count: number,
  seed: number,
  dtype: FloatDType,
): Float32Array {
  const values = (): Float32Array => {
    if (kind === 'normal') return normal(count, { mean: a, std: b, seed });
    if (kind === 'uniform') return uniform(count, a, b, seed);
    if (kind === 'fill') return new Float32Array(count).fill(a);
    // Quack's rows of small steps at a mean of 1000.
    if (kind === 'modulo') return Float32Array.from({ length: count }, (_, i) => 1000 + (i % 10));
    if (kind === 'sine') return Float32Array.from({ length: count }, (_, i) => a * Math.sin(i));
    if (kind !== 'randint') throw new Error(`unknown distribution ${kind}`);
    const next = random(seed);
    return Float32Array.from({ length: count }, () => a + Math.floor((b - a) * next()));
  };
  return dtype === 'f16' ? toHalf(values()) : values();
}
