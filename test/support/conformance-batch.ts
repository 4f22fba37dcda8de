/**
 * The published cases of BatchNorm as calls of this library, each in its own convention: momentum is the share of the old
 * or of the new statistics, and the running variance takes the biased or the unbiased one.
 */
import type { FloatDType } from '../../src/index.ts';
import { batchNormGeometry, type Geometry, type Layout, setSize } from '../reference/geometry.ts';
import {
  applyActivation,
  type ConformanceCase,
  type ConformanceTensor,
  describeAs,
  type Expected,
  expectedBy,
  toFloat32,
  typesOf,
  Unsupported,
  type UnsupportedCase,
  valuesOf,
} from './conformance.ts';

export const BATCH_OPS = ['batch_norm_eval', 'batch_norm_train', 'batch_norm_train_backward'] as const;

const OUTPUTS = {
  y: 'y',
  saved_mean: 'mean',
  saved_inv_std: 'rstd',
  running_mean: 'runningMean',
  running_var: 'runningVar',
  dx: 'dx',
  dscale: 'dweight',
  dbias: 'dbias',
} as const;

export type BatchOutput = (typeof OUTPUTS)[keyof typeof OUTPUTS];

export interface BatchCase {
  supported: true;
  name: string;
  shape: number[];
  layout: Layout;
  /** The same for the float64 reference. */
  geometry: Geometry;
  eps: number;
  training: boolean;
  /** The library's: the share of the new statistics. */
  momentum: number;
  /** Whether the running variance is of biased variances. */
  biased: boolean;
  dtype: FloatDType;
  paramDtype: FloatDType;
  x: Float32Array;
  dy?: Float32Array;
  weight?: Float32Array;
  bias?: Float32Array;
  /** Before the step. */
  running?: { mean: Float32Array; variance: Float32Array };
  expected: Partial<Record<BatchOutput, Expected>>;
  /** What the adapter did on the CPU. */
  notes: string[];
}

/** [N, C, ...] or [N, ..., C] with the same elements in the same order, by the channel axis. */
function channelsOf(
  { attrs: { axis, param_axes: parameterAxes } }: ConformanceCase,
  { shape }: ConformanceTensor,
  notes: string[],
): { shape: number[]; layout: Layout } {
  if (parameterAxes) throw new Unsupported('parameters along several axes');
  if (axis === null && shape.length === 1) {
    notes.push('a vector is a batch of one channel');
    return { shape: [...shape, 1], layout: 'channels-first' };
  }
  if (axis === 0) {
    notes.push('a batch of one put in front');
    return { shape: [1, ...shape], layout: 'channels-first' };
  }
  if (axis === 1) return { shape, layout: 'channels-first' };
  if (axis === shape.length - 1) return { shape, layout: 'channels-last' };
  throw new Unsupported(`channel axis ${axis} of ${shape.length}`);
}

/** The library call that a case asks for, or the reason why there is none. */
export function describeBatch(testCase: ConformanceCase): BatchCase | UnsupportedCase {
  return describeAs(testCase, BATCH_OPS, (tensor) => {
    const { inputs, attrs, op } = testCase;
    const notes: string[] = [];
    const { shape, layout } = channelsOf(testCase, tensor, notes);
    const geometry = batchNormGeometry(shape, layout);
    const training = op !== 'batch_norm_eval';
    const { dtype, paramDtype } = typesOf(testCase);
    const vector = (input: ConformanceTensor | undefined, type: FloatDType) => {
      if (!input) return undefined;
      const values = toFloat32(valuesOf(input), type);
      if (values.length !== geometry.channels) throw new Unsupported('parameters that are not per channel');
      return values;
    };
    const mean = vector(training ? inputs.running_mean : inputs.mean, 'f32');
    const variance = vector(training ? inputs.running_var : inputs.var, 'f32');
    const [weight, bias] = [vector(inputs.scale, paramDtype), vector(inputs.bias, paramDtype)];
    const biased = attrs.running_var === 'biased';
    if (training && setSize(geometry) === 1) throw new Unsupported('training on one value per channel');
    const expected = expectedBy(testCase, OUTPUTS);
    applyActivation(testCase, expected.y, notes);
    return {
      supported: true,
      name: `${testCase.source}: ${testCase.name}`,
      shape,
      layout,
      geometry,
      eps: attrs.epsilon ?? 0,
      training,
      momentum: 1 - (attrs.running_decay ?? 1),
      biased,
      dtype,
      paramDtype,
      x: toFloat32(valuesOf(tensor), dtype),
      ...(inputs.dy && { dy: toFloat32(valuesOf(inputs.dy), dtype) }),
      ...(weight && { weight }),
      ...(bias && { bias }),
      ...(mean && variance && { running: { mean, variance } }),
      expected,
      notes,
    };
  });
}

/** The reference's running variance, which is unbiased, as the suite has it. */
export function inConvention(
  { biased, momentum, running, geometry }: BatchCase,
  runningVar: ArrayLike<number>,
): ArrayLike<number> {
  if (!biased) return runningVar;
  const count = setSize(geometry);
  return Float64Array.from(runningVar, (value, channel) => {
    const kept = (1 - momentum) * (running?.variance[channel] as number);
    return kept + ((value - kept) * (count - 1)) / count;
  });
}
