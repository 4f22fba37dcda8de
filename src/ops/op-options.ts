// Calls of functional norms as plain data: no tensors, so that they can be asked about before there are any.
import { NormError } from '../gpu/errors.ts';
import type { OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { FloatDType } from '../gpu/tensor.ts';
import type { Activation } from '../kernels/activation.ts';
import type { Layout } from '../plan/geometry.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import { batchNormCall } from './batch-norm.ts';
import { groupNormCall } from './group-norm.ts';
import { instanceNormCall } from './instance-norm.ts';
import { layerNormCall } from './layer-norm.ts';
import type { NormCall } from './norm.ts';
import type { PrepareOptions } from './prepare-norm.ts';
import { type RmsNormCast, rmsNormCall } from './rms-norm.ts';

/** A functional norm, by its name; its backward goes by the same. */
export type NormOp =
  | 'layerNorm'
  | 'addLayerNorm'
  | 'rmsNorm'
  | 'addRmsNorm'
  | 'groupNorm'
  | 'instanceNorm'
  | 'batchNorm';

/** What the functional norms are told, without the tensors. */
export interface NormOpOptions {
  /** LayerNorm, RMSNorm. Default: the last size. */
  normalizedShape?: number | ArrayLike<number> | undefined;
  /** GroupNorm. Default 1. */
  numGroups?: number | undefined;
  /** Default 'channels-first'. */
  layout?: Layout | undefined;
  /** BatchNorm: with the statistics of x, which update running ones, or with the running ones. Default true. */
  training?: boolean | undefined;
  /** RMSNorm. Default 'torch'. */
  cast?: RmsNormCast | undefined;
  /** Of x. Default 'f32'. */
  dtype?: FloatDType | undefined;
  /** Of weight and bias. Default: that of x. */
  paramDtype?: FloatDType | undefined;
  /** Whether there are weight and bias (RMSNorm: weight), whose gradients are then wanted. Default true. */
  affine?: boolean | undefined;
  /** Default 'none'. */
  activation?: Activation | undefined;
  /** Whether a residual comes before the activation. Default false. */
  residual?: boolean | undefined;
  schedule?: ScheduleOptions | undefined;
}

/** @internal */
export const normOpNames = {
  normalizedShape: 'other',
  numGroups: 'number',
  layout: 'string',
  training: 'boolean',
  cast: 'string',
  dtype: 'string',
  paramDtype: 'string',
  affine: 'boolean',
  activation: 'string',
  residual: 'boolean',
  schedule: 'other',
} as const satisfies OptionNames<NormOpOptions>;

/** @internal The call that an op makes of x of that shape. */
export function callOf(op: NormOp, shape: readonly number[], options: NormOpOptions): NormCall {
  const { normalizedShape = shape.slice(-1), numGroups = 1, layout, training = true, cast } = options;
  switch (op) {
    case 'layerNorm':
    case 'addLayerNorm':
      return layerNormCall(shape, normalizedShape);
    case 'rmsNorm':
    case 'addRmsNorm':
      return rmsNormCall(shape, normalizedShape, undefined, cast);
    case 'groupNorm':
      return groupNormCall(shape, numGroups, layout);
    case 'instanceNorm':
      return instanceNormCall(shape, layout);
    case 'batchNorm': {
      const mode = training ? 'update' : 'frozen';
      return batchNormCall(shape, layout, undefined, { mode, momentum: 0.1, counted: training });
    }
    default:
      throw new NormError(
        'value',
        `There is no op '${shown(op)}'.`,
        "Use the name of a functional norm: 'layerNorm'.",
      );
  }
}

/** @internal What the programs of the op are made from, beside the call. */
export function prepareOptionsOf(op: NormOp, options: NormOpOptions): PrepareOptions {
  const { dtype, paramDtype, affine = true, activation, residual, schedule } = options;
  const before = op === 'addLayerNorm' || op === 'addRmsNorm';
  return {
    dtype,
    paramDtype,
    weight: affine,
    bias: affine && op !== 'rmsNorm' && op !== 'addRmsNorm',
    activation,
    residual: before ? 'before' : residual ? 'after' : 'none',
    schedule,
  };
}
