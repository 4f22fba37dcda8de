// Calls of functional norms as plain data: no tensors, so that they can be asked about before there are any.

import type { FloatDType } from '../gpu/dtype.ts';
import { NormError } from '../gpu/errors.ts';
import type { OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { sizesOf } from '../gpu/tensor.ts';
import type { Activation } from '../kernels/activation.ts';
import { channelKernels } from '../kernels/channel-kernels.ts';
import { layerNormKernels, rmsNormKernels } from '../kernels/row-kernels.ts';
import type { Layout } from '../plan/geometry.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import { batchNormBackwardCall, batchNormParts } from './batch-norm.ts';
import { checkTensorShape } from './check.ts';
import type { EpsMode, RmsNormCast, RunningVariance } from './conventions.ts';
import type { CallOptions } from './descriptors.ts';
import { checkGate } from './epilogue.ts';
import { groupNormCall } from './group-norm.ts';
import { instanceNormBackwardCall, instanceNormParts } from './instance-norm.ts';
import { l2NormCall } from './l2-norm.ts';
import { layerNormCall } from './layer-norm.ts';
import type { BothCalls } from './norm.ts';
import { rmsNormCall } from './rms-norm.ts';

/** A functional norm, by its name; its backward goes by the same. */
export type NormOp =
  | 'layerNorm'
  | 'addLayerNorm'
  | 'rmsNorm'
  | 'addRmsNorm'
  | 'l2Norm'
  | 'groupNorm'
  | 'instanceNorm'
  | 'batchNorm';

/** What the functional norms are told, without the tensors. */
export interface NormOpOptions {
  /** Norms over rows: LayerNorm, RMSNorm, l2Norm. Default: the last size, unless there are axes. */
  normalizedShape?: number | ArrayLike<number> | undefined;
  /** Norms over rows: the axes that are normalized together, as `layerNorm` has them. */
  axes?: number | ArrayLike<number> | undefined;
  /** GroupNorm, norms over rows. Default 1. */
  numGroups?: number | undefined;
  /**
   * Of weight and bias, which may have values of their own for the samples of a batch. Default: normalizedShape, or one value per channel.
   */
  parameterShape?: ArrayLike<number> | undefined;
  /** Default false. */
  zeroCenteredGamma?: boolean | undefined;
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
  /** Of y and dy. Default: that of x. */
  yDtype?: FloatDType | undefined;
  /** Whether there are weight and bias (RMSNorm, l2Norm: weight), whose gradients are then wanted. Default true. */
  affine?: boolean | undefined;
  /** Default 'none'. */
  activation?: Activation | undefined;
  /** Whether a residual comes before the activation. Default false. */
  residual?: boolean | undefined;
  /** Whether the affine map is multiplied by the activation of a gate. Default false. */
  gate?: boolean | undefined;
  schedule?: ScheduleOptions | undefined;
}

/** @internal */
export const normOpNames = {
  normalizedShape: 'other',
  axes: 'other',
  numGroups: 'number',
  parameterShape: 'other',
  zeroCenteredGamma: 'boolean',
  layout: 'string',
  training: 'boolean',
  cast: 'string',
  dtype: 'string',
  paramDtype: 'string',
  yDtype: 'string',
  affine: 'boolean',
  activation: 'string',
  residual: 'boolean',
  gate: 'boolean',
  schedule: 'other',
} as const satisfies OptionNames<NormOpOptions>;

/** @internal Options of the functional norms that their calls are made from, with a boolean where they take a tensor. */
export interface CallSettings
  extends Pick<
    NormOpOptions,
    | 'normalizedShape'
    | 'axes'
    | 'numGroups'
    | 'parameterShape'
    | 'zeroCenteredGamma'
    | 'layout'
    | 'training'
    | 'cast'
  > {
  eps?: number | undefined;
  epsMode?: EpsMode | undefined;
  momentum?: number | null | undefined;
  runningMean?: boolean | undefined;
  runningVar?: boolean | undefined;
  numBatchesTracked?: boolean | undefined;
  runningVariance?: RunningVariance | undefined;
  variance?: boolean | undefined;
}

/** @internal The call that a forward pass makes of x of that shape. */
export function forwardCall(op: NormOp, shape: readonly number[], settings: CallSettings): BothCalls {
  const { parameterShape } = settings;
  const given = parameterShape === undefined ? undefined : sizesOf(parameterShape, 'parameterShape');
  return withParameters(madeCall(op, shape, settings, given), given);
}

/** The call, if weight and bias of the given shape are what it takes. */
function withParameters(call: BothCalls, given: readonly number[] | undefined): BothCalls {
  if (given) checkTensorShape({ shape: given }, call.parameterShape, 'parameterShape');
  return call;
}

function madeCall(
  op: NormOp,
  shape: readonly number[],
  settings: CallSettings,
  given: readonly number[] | undefined,
): BothCalls {
  const { axes, normalizedShape = axes === undefined ? shape.slice(-1) : undefined } = settings;
  const { numGroups, layout, cast, eps, zeroCenteredGamma } = settings;
  const rows = { normalizedShape, axes, numGroups, eps, zeroCenteredGamma };
  switch (op) {
    case 'layerNorm':
    case 'addLayerNorm':
      return { ...layerNormCall(shape, rows, given), ...layerNormKernels };
    case 'rmsNorm':
    case 'addRmsNorm':
      return { ...rmsNormCall(shape, { ...rows, cast }, given), ...rmsNormKernels };
    case 'l2Norm':
      return { ...l2NormCall(shape, { ...rows, epsMode: settings.epsMode }, given), ...rmsNormKernels };
    case 'groupNorm':
      return {
        ...groupNormCall(shape, { numGroups: numGroups as number, layout, eps, zeroCenteredGamma }, given),
        ...channelKernels,
      };
    case 'instanceNorm':
      return {
        ...instanceNormParts<boolean>(shape, { ...settings, momentum: settings.momentum ?? undefined }, given)
          .call,
        ...channelKernels,
      };
    case 'batchNorm':
      return { ...batchNormParts<boolean>(shape, settings).call, ...channelKernels };
    default:
      throw new NormError(
        'value',
        `There is no op '${shown(op)}'.`,
        "Use the name of a functional norm: 'layerNorm'.",
      );
  }
}

/** @internal Likewise of a backward pass, which takes the statistics that forward left. */
export function backwardCall(op: NormOp, shape: readonly number[], settings: CallSettings): BothCalls {
  const { training, parameterShape } = settings;
  const given = parameterShape === undefined ? undefined : sizesOf(parameterShape, 'parameterShape');
  if (op === 'instanceNorm') {
    const call = instanceNormBackwardCall(shape, settings, training ?? true, given);
    return withParameters({ ...call, ...channelKernels }, given);
  }
  if (op === 'batchNorm') {
    return withParameters(
      { ...batchNormBackwardCall(shape, settings, training ?? false), ...channelKernels },
      given,
    );
  }
  // Of l2Norm, eps says where rstd does not depend on x.
  return forwardCall(op, shape, op === 'l2Norm' ? settings : { ...settings, eps: 0 });
}

/** @internal The call that an op makes of x of that shape. */
export function callOf(op: NormOp, shape: readonly number[], options: NormOpOptions): BothCalls {
  const { training = true } = options;
  const { normalizedShape, axes, numGroups = 1, layout, cast, parameterShape, zeroCenteredGamma } = options;
  const settings = { normalizedShape, axes, numGroups, layout, cast, parameterShape, zeroCenteredGamma };
  if (op !== 'batchNorm') return forwardCall(op, shape, settings);
  const running = { runningMean: true, runningVar: true, numBatchesTracked: true };
  return forwardCall(op, shape, { ...settings, ...running, training });
}

/** @internal Whether an op normalizes x + residual. */
export const addsResidual = (op: NormOp): boolean => op === 'addLayerNorm' || op === 'addRmsNorm';

/** Whether an op may have a bias. */
const hasBias = (op: NormOp): boolean => op !== 'rmsNorm' && op !== 'addRmsNorm' && op !== 'l2Norm';

/** @internal What the programs of the op are made from, beside the call. */
export function prepareOptionsOf(op: NormOp, options: NormOpOptions): CallOptions {
  const { dtype, paramDtype, yDtype, affine = true, activation, residual, gate, schedule } = options;
  checkGate(residual, gate);
  return {
    dtype,
    paramDtype,
    yDtype,
    weight: affine,
    bias: affine && hasBias(op),
    activation,
    residual: addsResidual(op) ? 'before' : residual || gate ? 'after' : 'none',
    gated: gate,
    schedule,
  };
}
