// A functional norm as plain data, without a device and without tensors: the same checks, descriptors and dispatches as those of
// a call.

import { modelOfClass } from '../gpu/device-model.ts';
import { byteSize, elementCount, type FloatDType } from '../gpu/dtype.ts';
import { NormError } from '../gpu/errors.ts';
import { checkFacts, type DeviceFacts, factNames, overrideFacts } from '../gpu/facts.ts';
import { isKeyOf } from '../gpu/keys.ts';
import { checkOptions, type OptionKind, type OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { sizesOf } from '../gpu/tensor.ts';
import type { Activation } from '../kernels/activation.ts';
import { tanhBackward, tanhForward } from '../kernels/row-kernels.ts';
import type { Layout } from '../plan/geometry.ts';
import { checkGrid } from '../plan/grid.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import { batchNormBackwardNames, batchNormForwardNames } from './batch-norm.ts';
import { floatDType } from './check.ts';
import type { EpsMode, RmsNormCast, RunningVariance } from './conventions.ts';
import { type Described, describeProgram } from './describe-program.ts';
import { placesOf } from './described-places.ts';
import type { DescribedOp, Description, PlacesOptions } from './description.ts';
import {
  backwardDescriptor,
  backwardInputs,
  backwardOutputs,
  type CallOptions,
  checkGradientOptions,
  forwardDescriptor,
  forwardInputs,
  forwardOutputs,
} from './descriptors.ts';
import {
  checkChoices,
  dynamicTanhBackwardNames,
  dynamicTanhNames,
  tanhBackwardDescriptor,
  tanhCall,
  tanhForwardDescriptor,
  tanhGradients,
} from './dynamic-tanh.ts';
import { checkGate, refuseEpilogue } from './epilogue.ts';
import { groupNormBackwardNames, groupNormNames } from './group-norm.ts';
import { instanceNormBackwardNames, instanceNormNames } from './instance-norm.ts';
import { l2NormBackwardNames, l2NormNames, l2NormReasons } from './l2-norm.ts';
import { addLayerNormNames, layerNormBackwardNames, layerNormNames } from './layer-norm.ts';
import {
  type LocalResponseNormSettings,
  localResponseNormNames,
  responseDescriptor,
  responseProgram,
} from './local-response-norm.ts';
import { checkParameters } from './norm.ts';
import { addsResidual, backwardCall, forwardCall, type NormOp } from './op-options.ts';
import { makeBackward, makeForward } from './programs.ts';
import { addRmsNormNames, rmsNormBackwardNames, rmsNormNames, rmsNormReasons } from './rms-norm.ts';

/**
 * Options of {@link describe}: those of the function itself, with `true` or `false` where it takes a tensor. An op takes the options
 * that its function takes in that pass, and refuses others by name.
 */
export interface DescribeOptions extends PlacesOptions {
  /** Of x: integers ≥ 0, as the function wants them. */
  shape: ArrayLike<number>;
  /** Of x and everything of its shape but y and dy. Arithmetic is f32 whichever it is. Default 'f32'. */
  dtype?: FloatDType | undefined;
  /** Of y and dy. Default: that of x. Not of localResponseNorm and dynamicTanh. */
  yDtype?: FloatDType | undefined;
  /** Of weight, bias and their gradients: that of x, or 'f32' beside 'f16' and 'bf16'. Default: that of x. Not of localResponseNorm. */
  paramDtype?: FloatDType | undefined;
  /** Default 'forward'. */
  pass?: 'forward' | 'backward' | undefined;
  /** layerNorm, rmsNorm and their residual forms, l2Norm: the trailing sizes that are normalized together. Default: the last size. */
  normalizedShape?: number | ArrayLike<number> | undefined;
  /** Likewise: the axes that are normalized together, instead. */
  axes?: number | ArrayLike<number> | undefined;
  /**
   * Of weight and bias. Default: normalizedShape, or one value per channel; else as the function has it, such as [N, 1, D] for [N, T, D], or
   * [N, C] of groupNorm and instanceNorm. Not of batchNorm and localResponseNorm.
   */
  parameterShape?: ArrayLike<number> | undefined;
  /** Whether weight holds γ − 1. Default false. Not of localResponseNorm and dynamicTanh. */
  zeroCenteredGamma?: boolean | undefined;
  /** Groups that the channels fall into (groupNorm, which needs it), or the elements of normalizedShape (default 1). */
  numGroups?: number | undefined;
  /** Of norms over channels: [N, C, ...] or [N, ..., C]. Default 'channels-first'. */
  layout?: Layout | undefined;
  /** rmsNorm, addRmsNorm: where it rounds, and what weight means. Default 'torch'. */
  cast?: RmsNormCast | undefined;
  /**
   * Added to the variance or the mean square. Default 1e-5, or 2^-23 of rmsNorm. A backward pass does not use it, but for that of l2Norm,
   * where it is what epsMode says, and 1e-12 or, where it is added, 1e-6.
   */
  eps?: number | undefined;
  /** l2Norm: whether eps is the least length, or added to its square. Default 'max'. */
  epsMode?: EpsMode | undefined;
  /** Whether there is γ. Default true. */
  weight?: boolean | null | undefined;
  /** Whether there is β. Default true where the norm has one. A backward pass reads it only where an activation follows. */
  bias?: boolean | null | undefined;
  /** Whether a tensor like x is added before the activation. Default false. addLayerNorm and addRmsNorm always have theirs. */
  residual?: boolean | null | undefined;
  /** Whether the affine map is multiplied by the activation of a tensor like x. Default false. */
  gate?: boolean | null | undefined;
  /** What follows the affine map. Default 'none'. */
  activation?: Activation | undefined;
  /** Factor of negative values, for 'leakyRelu'. Default 0.01. */
  negativeSlope?: number | undefined;
  /**
   * batchNorm, instanceNorm: with the statistics of x, or else the running ones. Default, as of the functions: false of batchNorm,
   * which then needs runningMean and runningVar, and true of instanceNorm.
   */
  training?: boolean | undefined;
  /** batchNorm, instanceNorm, forward: whether there are running means; with runningVar or not at all. Default false. */
  runningMean?: boolean | null | undefined;
  /** Likewise of running variances. Default false. */
  runningVar?: boolean | null | undefined;
  /** batchNorm, forward: whether batches are counted. Default false. */
  numBatchesTracked?: boolean | null | undefined;
  /** Factor of the statistics of x in the update of the running ones; null of batchNorm for the average of all batches. Default 0.1. */
  momentum?: number | null | undefined;
  /** The variance that running_var is updated with. Default 'unbiased'. */
  runningVariance?: RunningVariance | undefined;
  /** batchNorm, instanceNorm, forward: whether the biased variance of x is an output. Default false. */
  variance?: boolean | undefined;
  /** Forward: false where no backward pass follows; mean and rstd are then no outputs. Default true. */
  statistics?: boolean | undefined;
  /**
   * Backward of norms over rows: whether the gradient of the residual sum is added to dx. Default: true of addLayerNorm and
   * addRmsNorm, whose x is then the sum that forward left, else false.
   */
  dsum?: boolean | null | undefined;
  /** Backward: which gradients of the parameters are wanted; dalpha is of dynamicTanh. Default: those of the parameters that there are. */
  wants?: { dweight?: boolean; dbias?: boolean; dalpha?: boolean } | undefined;
  /** Backward: whether dweight and dbias are added to what their buffers hold. Default false. */
  accumulate?: boolean | { dweight: boolean; dbias: boolean; dalpha?: boolean } | undefined;
  /** localResponseNorm, which needs it: channels in a window. */
  size?: number | undefined;
  /** localResponseNorm: factor of the window's sum of squares, which is divided by size. Default 1e-4. */
  alpha?: number | undefined;
  /** localResponseNorm: exponent of the denominator. Default 0.75. */
  beta?: number | undefined;
  /** localResponseNorm: added to the window's share. Default 1. */
  k?: number | undefined;
  /** Overrides how the work is laid out. Results differ at most in rounding. */
  schedule?: ScheduleOptions | undefined;
}

/** What dispatches are chosen for: {@link DeviceFacts}, some or all. JSON writes unlimited `iterations` as null, which says the same. */
export type DescribeFacts = {
  [Name in keyof DeviceFacts]?: DeviceFacts[Name] | (Name extends 'iterations' ? null : never) | undefined;
};

/**
 * What is assumed where facts are missing: a GPU of the class 'integrated' with the limits that every WebGPU device has
 * (https://www.w3.org/TR/webgpu/#limits), and no subgroups. `f16` is true where a dtype is f16; false has such
 * tensors read and written as words of two.
 */
const floor: Omit<DeviceFacts, 'f16'> = {
  ...modelOfClass('integrated'),
  software: false,
  iterations: Number.POSITIVE_INFINITY,
  subgroup: 0,
  maxInvocations: 256,
  maxBindingBytes: 2 ** 27,
  maxWorkgroupsPerDimension: 65_535,
  offsetAlignment: 256,
};

type Names = Readonly<Record<string, OptionKind>>;

// alpha is always there: the option of that name is another op's.
const { alpha: _forward, ...tanhNames } = dynamicTanhNames;
const { alpha: _backward, ...tanhBackwardNames } = dynamicTanhBackwardNames;

/** The options of each function, forward and backward. */
const functions: Readonly<
  Record<DescribedOp, { forward: Names; backward: Names; reasons?: Readonly<Record<string, string>> }>
> = {
  layerNorm: { forward: layerNormNames, backward: layerNormBackwardNames },
  addLayerNorm: { forward: addLayerNormNames, backward: layerNormBackwardNames },
  rmsNorm: { forward: rmsNormNames, backward: rmsNormBackwardNames, reasons: rmsNormReasons },
  addRmsNorm: { forward: addRmsNormNames, backward: rmsNormBackwardNames, reasons: rmsNormReasons },
  l2Norm: { forward: l2NormNames, backward: l2NormBackwardNames, reasons: l2NormReasons },
  groupNorm: { forward: groupNormNames, backward: groupNormBackwardNames },
  instanceNorm: { forward: instanceNormNames, backward: instanceNormBackwardNames },
  batchNorm: { forward: batchNormForwardNames, backward: batchNormBackwardNames },
  localResponseNorm: { forward: localResponseNormNames, backward: localResponseNormNames },
  dynamicTanh: { forward: tanhNames, backward: tanhBackwardNames },
};

const ownNames = {
  shape: 'other',
  dtype: 'string',
  paramDtype: 'string',
  parameterShape: 'other',
  pass: 'string',
  strides: 'other',
  sharedBuffer: 'other',
} as const satisfies OptionNames<
  Pick<DescribeOptions, 'shape' | 'dtype' | 'paramDtype' | 'parameterShape' | 'pass' | keyof PlacesOptions>
>;

/** Where a call is recorded, and tensors that every call of a pass has: a description says that there are such. */
const implied = ['encoder', 'pass', 'out', 'mean', 'rstd', 'y', 'sum'];

/** @internal The options that an op takes in a pass: those of its function, with booleans for tensors. */
export function describeNames(op: DescribedOp, pass: 'forward' | 'backward'): Names {
  const own = Object.entries(functions[op][pass]).filter(([name]) => !implied.includes(name));
  const told = own.map(([name, kind]) => [name, kind.replace('tensor', 'boolean') as OptionKind]);
  const { paramDtype, parameterShape, strides, ...common } = ownNames;
  return {
    ...Object.fromEntries(told),
    ...common,
    ...(op === 'localResponseNorm' ? {} : { paramDtype }),
    ...('normalizedShape' in functions[op][pass] ? { strides } : {}),
    ...(op === 'localResponseNorm' || op === 'batchNorm' ? {} : { parameterShape }),
  };
}

/** @internal */
export const describedOps = Object.keys(functions) as DescribedOp[];

/**
 * The dispatches of a functional norm as plain data: WGSL, what each binding and each uniform buffer holds, workgroups. They are
 * those that the function records on a device with these facts, so that whatever runs them has the same bits. Needs no
 * device and makes none; the result survives JSON. docs/kernels.md says how to run it.
 *
 * @param op - the function's name; its backward goes by the same. The backward pass of addLayerNorm and addRmsNorm takes `dsum`.
 * @param options - those of the function, with booleans where it takes tensors, and what is known of x.
 * @param facts - of the device that is to run it, such as `gpu.facts` or the JSON of it. Default, one by one: the limits that every
 * WebGPU device has, no subgroups, `f16` where a dtype is f16.
 * @throws NormError `value` for an op, option or fact that there is none of, `shape`, `dtype`, `limit`, as the function.
 * @example
 * ```ts
 * const plan = describe('layerNorm', { shape: [4096, 1024], dtype: 'f16', pass: 'backward' });
 * for (const { wgsl, bindings, workgroups } of plan.dispatches) console.log(wgsl, bindings, workgroups);
 * ```
 */
export function describe(op: DescribedOp, options: DescribeOptions, facts: DescribeFacts = {}): Description {
  if (!isKeyOf(functions, op)) {
    throw new NormError('value', `There is no op '${shown(op)}'.`, `Use one of ${describedOps.join(', ')}.`);
  }
  const { pass = 'forward' } = (options ?? {}) as Partial<DescribeOptions>;
  if (pass !== 'forward' && pass !== 'backward') {
    throw new NormError('value', `There is no pass '${shown(pass)}'.`, "Use 'forward' or 'backward'.");
  }
  const names = describeNames(op, pass);
  if (!('activation' in names)) refuseEpilogue(op, options);
  checkOptions(`describe('${op}') ${pass}`, options, names, functions[op].reasons);
  const shape = sizesOf(options.shape);
  const dtype = floatDType({ dtype: options.dtype ?? 'f32' }, 'x');
  const { paramDtype = dtype, yDtype = dtype } = options;
  checkSize(shape, dtype);
  checkSize(shape, yDtype);
  const all = factsOf(facts, [dtype, paramDtype, yDtype]);
  const described =
    op === 'localResponseNorm'
      ? responseParts(pass, shape, dtype, options, all)
      : op === 'dynamicTanh'
        ? tanhParts(pass, { shape, dtype }, options, all)
        : (pass === 'forward' ? forwardParts : backwardParts)(op, shape, { ...options, dtype }, all);
  checkGrid(described.program, all);
  return { abi: 1, op, pass, ...describeProgram(described, all) };
}

/** Throws `limit` for sizes whose bytes cannot be counted. */
function checkSize(shape: readonly number[], dtype: FloatDType): void {
  if (Number.isSafeInteger(elementCount(shape) * byteSize(dtype))) return;
  throw new NormError(
    'limit',
    `A tensor of shape [${shape}] is larger than any buffer.`,
    'Split the tensor.',
  );
}

/** All facts. Throws `value` for those that make no sense. */
function factsOf(given: DescribeFacts, dtypes: readonly FloatDType[]): DeviceFacts {
  checkOptions('facts', given, { ...factNames, iterations: 'number?' });
  const { iterations, ...others } = given;
  checkFacts(others);
  const facts = overrideFacts(
    { ...floor, f16: dtypes.includes('f16') },
    { ...others, iterations: iterations ?? floor.iterations },
  );
  const { subgroup, offsetAlignment } = facts;
  const refuse = (name: keyof DeviceFacts, fix: string): never => {
    throw new NormError('value', `facts: ${name} is ${facts[name]}.`, fix);
  };
  for (const name of ['maxWorkgroupsPerDimension', 'maxBindingBytes'] as const) {
    if (!(Number.isInteger(facts[name]) && facts[name] >= 1)) refuse(name, 'Use an integer ≥ 1.');
  }
  if (!(Number.isInteger(facts.maxInvocations) && facts.maxInvocations >= 128)) {
    refuse('maxInvocations', 'Use an integer ≥ 128: every WebGPU device has as many.');
  }
  if (!(facts.iterations >= 1)) refuse('iterations', 'Use a number ≥ 1, or null where there is no limit.');
  if (!(facts.leastWorkspace >= 0)) refuse('leastWorkspace', 'Use a number of bytes ≥ 0.');
  const isPower = (value: number) => value > 0 && Number.isInteger(Math.log2(value));
  if (subgroup !== 0 && !(isPower(subgroup) && subgroup >= 4)) {
    refuse('subgroup', 'Use a power of two ≥ 4 that divides every subgroup size of the device, or 0.');
  }
  if (!(isPower(offsetAlignment) && offsetAlignment >= 16 && offsetAlignment <= 256)) {
    refuse('offsetAlignment', 'Use a power of two from 16 to 256.');
  }
  return facts;
}

function responseParts(
  pass: 'forward' | 'backward',
  shape: readonly number[],
  dtype: FloatDType,
  options: DescribeOptions,
  facts: DeviceFacts,
): Described {
  const x = { shape, dtype };
  const tensors =
    pass === 'forward' ? { inputs: { x }, outputs: { y: x } } : { inputs: { dy: x, x }, outputs: { dx: x } };
  const { shared } = placesOf(tensors, options);
  const d = {
    ...responseDescriptor(shape, dtype, options as LocalResponseNormSettings),
    ...(shared && { shared }),
  };
  return { program: responseProgram(pass, d, facts), ...tensors };
}

function tanhParts(
  pass: 'forward' | 'backward',
  x: { shape: readonly number[]; dtype: FloatDType },
  options: DescribeOptions,
  facts: DeviceFacts,
): Described {
  const { paramDtype = x.dtype, parameterShape, wants, accumulate } = options;
  const sizes = parameterShape === undefined ? x.shape.slice(-1) : sizesOf(parameterShape, 'parameterShape');
  const alpha = { shape: [1], dtype: paramDtype };
  const parameter = { shape: sizes, dtype: floatDType({ dtype: paramDtype }, 'weight') };
  const there = (given: boolean | null | undefined) =>
    (given ?? given === undefined) ? parameter : undefined;
  const parameters = { alpha, weight: there(options.weight), bias: there(options.bias) };
  const call = tanhCall(x, parameters);
  if (pass === 'forward') {
    const tensors = { inputs: { x, ...parameters }, outputs: { y: x } };
    const { shared } = placesOf(tensors, options);
    const program = tanhForward.forward(tanhForwardDescriptor(call, parameters, shared), facts);
    return { program, ...tensors };
  }
  checkChoices("describe('dynamicTanh')", wants, accumulate);
  const told = { ...parameters, wants, accumulate };
  const inputs = { dy: x, x, alpha, weight: parameters.weight };
  const outputs = tanhGradients(call, tanhBackwardDescriptor(call, told), x.shape);
  const { shared } = placesOf({ inputs, outputs }, options);
  const d = tanhBackwardDescriptor(call, told, shared);
  const added = { ...d.accumulate, dalpha: d.dalpha?.accumulate === true };
  return { program: tanhBackward.backward(d, facts), inputs, outputs, accumulate: added };
}

/** What is known of the call without its tensors. */
function callOptions(op: NormOp, pass: 'forward' | 'backward', options: DescribeOptions): CallOptions {
  const names = functions[op][pass];
  const { dtype, paramDtype, yDtype, activation, negativeSlope } = options;
  const { schedule, statistics, accumulate, wants } = options;
  const adds = addsResidual(op);
  const before = pass === 'forward' ? adds : (options.dsum ?? adds);
  checkGate(options.residual, options.gate);
  return {
    dtype,
    paramDtype,
    yDtype,
    weight: options.weight ?? options.weight === undefined,
    bias: 'bias' in names && (options.bias ?? options.bias === undefined),
    residual: before ? 'before' : options.residual || options.gate ? 'after' : 'none',
    gated: options.gate === true,
    activation,
    negativeSlope,
    schedule,
    statistics,
    accumulate,
    wants,
  };
}

/** {@link DescribeOptions} where null says that there is no such tensor, as false does. */
const settingsOf = (options: DescribeOptions) => ({
  ...options,
  runningMean: options.runningMean ?? undefined,
  runningVar: options.runningVar ?? undefined,
  numBatchesTracked: options.numBatchesTracked ?? undefined,
});

function forwardParts(
  op: NormOp,
  shape: readonly number[],
  options: DescribeOptions,
  facts: DeviceFacts,
): Described {
  const call = forwardCall(op, shape, settingsOf(options));
  const told = callOptions(op, 'forward', options);
  const dense = forwardDescriptor(call, told);
  const inputs = forwardInputs(call, dense, shape);
  const outputs = forwardOutputs(call, dense, shape);
  checkParameters(call, inputs.x, { shape: call.parameterShape, dtype: dense.paramDtype }, undefined);
  const { strides, ...places } = placesOf({ inputs, outputs }, options, call.strided, told.schedule);
  const d = forwardDescriptor(call, { ...told, ...places });
  return { program: makeForward(call, d, facts), inputs, outputs, strides };
}

function backwardParts(
  op: NormOp,
  shape: readonly number[],
  options: DescribeOptions,
  facts: DeviceFacts,
): Described {
  const call = backwardCall(op, shape, settingsOf(options));
  checkGradientOptions(`describe('${op}')`, options.wants, options.accumulate);
  const told = callOptions(op, 'backward', options);
  const dense = backwardDescriptor(call, told);
  const inputs = backwardInputs(call, dense, shape);
  const outputs = backwardOutputs(call, dense, shape);
  checkParameters(call, inputs.x, { shape: call.parameterShape, dtype: dense.paramDtype }, undefined);
  const { strides, ...places } = placesOf({ inputs, outputs }, options, call.strided, told.schedule);
  const d = backwardDescriptor(call, { ...told, ...places });
  return { program: makeBackward(call, d, facts), inputs, outputs, strides, accumulate: d.accumulate };
}
