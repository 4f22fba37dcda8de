// What forward and backward passes of all functional norms share: their options, what a norm is, how it is recorded.

import { type Bound, execute, type Operands, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { OptionNames } from '../gpu/options.ts';
import type { Program } from '../gpu/program.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import type { BackwardKernels, ForwardKernels, NormKind } from '../kernels/descriptor.ts';
import type { Geometry } from '../plan/geometry.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import { checkEps, checkTensorShape, floatDType, type Like, parameterDType } from './check.ts';

/** Options that every functional norm has. */
export interface NormOptions extends RecordOptions {
  /**
   * γ, one value per normalized element (LayerNorm, RMSNorm), of the shape of these, or per channel. Absent or null: 1. Norms over the
   * last axes take others for the indices of x's first axes, in the shape that broadcasts: [N, 1, D] beside an x of shape [N, T, D].
   * GroupNorm and InstanceNorm take others for each sample, [N, C], with channels first.
   */
  weight?: Tensor | null | undefined;
  /** Whether weight holds γ − 1, as in Megatron, TransformerEngine and the scale of AdaLN. Default false; true of rmsNorm's cast 'gemma'. */
  zeroCenteredGamma?: boolean | undefined;
  /** Overrides how the work is laid out on the device. The result differs at most in rounding. */
  schedule?: ScheduleOptions | undefined;
  /**
   * Of y, and of dy in the backward pass: 'f16' for a matmul behind a norm of an f32 residual stream. y is rounded to it once; all else
   * keeps the dtype of x, so that dx does not lose what y has lost. Not beside a residual that is added after the norm. Default: that of x.
   */
  yDtype?: FloatDType | undefined;
}

export const normNames = {
  ...recordNames,
  weight: 'tensor?',
  zeroCenteredGamma: 'boolean',
  schedule: 'other',
  yDtype: 'string',
} as const satisfies OptionNames<NormOptions>;

/** @internal What weight means, of those options. */
export type GammaOption = Pick<NormOptions, 'zeroCenteredGamma'>;

/** @internal What is added to weight. */
export const weightOffsetOf = ({ zeroCenteredGamma }: GammaOption): number => (zeroCenteredGamma ? 1 : 0);

/** Whether a functional forward pass returns the statistics that it normalized with. */
export interface StatisticsOption<Kept extends boolean | undefined = boolean | undefined> {
  /**
   * False, where no backward pass follows: mean and rstd are null in the result, and no memory is taken for them but, by some
   * schedules, scratch. y has the same bits either way. Default true.
   */
  statistics?: Kept;
}

/** @internal */
export const statisticsNames = { statistics: 'boolean' } as const satisfies OptionNames<StatisticsOption>;

/** A statistic in the result of a forward pass: null with `statistics: false`. */
export type Statistic<Kept extends boolean | undefined> = Kept extends false ? null : Tensor;

/**
 * Tensors that a forward pass writes to instead of new ones. Each is in a GPUBuffer of its own, but y and sum may be x or the residual
 * themselves, which are then gone: not where a backward pass follows that needs them, unless that is of `sum`.
 */
export interface ForwardOutputs {
  /** Shape of x, and its dtype unless yDtype is another. In place, where it is not: x, or the residual. */
  y?: Tensor | undefined;
  /**
   * Shape and dtype of x: x + residual. In place: the residual, or x, for rows of up to 32,768 elements on a GPU and 16,384 elsewhere, or
   * axes that others follow.
   */
  sum?: Tensor | undefined;
  /** f32, [...sets, 2]; of LayerNorm and RMSNorm over axes, sets are the sizes of the others. */
  mean?: Tensor | undefined;
  /** f32, [...sets]. */
  rstd?: Tensor | undefined;
  /** f32, [...sets]: of batchNorm and instanceNorm, see there. */
  variance?: Tensor | undefined;
}

export const forwardOutputNames = {
  y: 'tensor',
  sum: 'tensor',
  mean: 'tensor',
  rstd: 'tensor',
  variance: 'tensor',
} as const satisfies OptionNames<ForwardOutputs>;

/** Tensors that a backward pass writes to instead of new ones. dx may be dy, dsum or x itself; else none overlaps another operand. */
export interface BackwardOutputs {
  /** Shape and dtype of x. */
  dx?: Tensor | undefined;
  /** Shape of weight and the dtype of the parameters. */
  dweight?: Tensor | undefined;
  /** Shape of bias and the dtype of the parameters. */
  dbias?: Tensor | undefined;
  /** Shape and dtype of x: the gradient of a residual that an activation follows. */
  dresidual?: Tensor | undefined;
  /** Shape and dtype of x: the gradient of a gate. */
  dgate?: Tensor | undefined;
}

export const backwardOutputNames = {
  dx: 'tensor',
  dweight: 'tensor',
  dbias: 'tensor',
  dresidual: 'tensor',
  dgate: 'tensor',
} as const satisfies OptionNames<BackwardOutputs>;

/** Options that every functional backward has. */
export interface BackwardOptions extends NormOptions {
  /** f32 [...sets]: what forward returned. */
  rstd: Tensor;
  /**
   * Which gradients of the parameters are wanted. Default: those whose tensor is in `out`, dbias where a bias is given, and
   * both where there is a weight (dbias only of norms that have a bias).
   */
  wants?: { dweight?: boolean; dbias?: boolean };
  /** Adds dweight and dbias to what `out.dweight` and `out.dbias` hold, as PyTorch accumulates gradients. Default false. */
  accumulate?: boolean | { dweight: boolean; dbias: boolean } | undefined;
  out?: BackwardOutputs | undefined;
  /** Not used, since rstd holds it, but by l2NormBackward: it may be there, so that forward's options can be spread into these. */
  eps?: number | undefined;
  /** Not used: it may be there, so that all of forward's result can be spread into these options. */
  y?: Tensor | undefined;
  /** Likewise. */
  sum?: Tensor | undefined;
  /** Likewise. */
  variance?: Tensor | boolean | undefined;
}

export const backwardNames = {
  ...normNames,
  rstd: 'tensor',
  wants: 'other',
  accumulate: 'other',
  out: 'other',
  eps: 'number',
  y: 'tensor',
  sum: 'tensor',
  variance: 'other',
} as const satisfies OptionNames<BackwardOptions>;

/** What a forward pass returns. */
export interface ForwardResult<Kept extends boolean | undefined = true> {
  /** Shape and dtype of x. */
  y: Tensor;
  /**
   * f32, [...sets, 2]: the mean as hi + lo, an unevaluated sum. hi is the mean in f32; lo is what f32 rounding lost,
   * and what keeps the result exact where |mean| ≫ std.
   */
  mean: Statistic<Kept>;
  /** f32, [...sets]: 1 / sqrt(variance + eps). */
  rstd: Statistic<Kept>;
  /** f32, [...sets]: the biased variance that y was made with; where it was asked for. */
  variance?: Tensor | undefined;
}

/** What a backward pass returns. */
export interface BackwardResult {
  /** Shape and dtype of x. */
  dx: Tensor;
  /** Shape of weight, dtype of the parameters; null if not wanted. */
  dweight: Tensor | null;
  /** Shape of bias, dtype of the parameters; null if not wanted. */
  dbias: Tensor | null;
  /**
   * Shape and dtype of x: the gradient of z + residual; dy itself where there is no activation. Null without a residual.
   */
  dresidual: Tensor | null;
  /** Shape and dtype of x: the gradient of the gate; absent where there was none. */
  dgate?: Tensor;
}

/** A norm of a tensor, described by its functional front end. */
export interface NormCall {
  /** The function's name, for labels. */
  name: string;
  kind: NormKind;
  geometry: Geometry;
  /** As in the descriptor of the kernels. */
  blocked?: true | undefined;
  /** Whether its tensors of x's shape may have strides. */
  strided?: true | undefined;
  /** Shape of weight and bias. */
  parameterShape: readonly number[];
  /** Shape of rstd. */
  setShape: readonly number[];
  eps: number;
  /** As in the descriptor of the kernels. */
  mostRstd?: number | undefined;
  weightOffset?: number | undefined;
  castFirst?: boolean | undefined;
  /** What becomes of running statistics; absent where there are none. */
  running?: Running | undefined;
  /** Whether the variance is a result. */
  variance?: boolean | undefined;
}

/** With what makes the dispatches of its forward pass. */
export type ForwardCall = NormCall & ForwardKernels;
/** Likewise of its backward pass. */
export type BackwardCall = NormCall & BackwardKernels;
/** Of both. */
export type BothCalls = ForwardCall & BackwardCall;

/** Running statistics: updated with those of x, or used instead of them, so that they do not depend on x. */
export interface Running {
  mode: 'update' | 'frozen';
  /** Factor of the batch's statistics in an update; null for the average of all batches. */
  momentum: number | null;
  /** Whether an update counts the batches. */
  counted: boolean;
  /** Whether an update takes the biased variance. Default false. */
  biased?: boolean | undefined;
}

/** The tensors of {@link Running}: f32 [C] and u32 []. */
export interface RunningTensors {
  runningMean: Tensor;
  runningVar: Tensor;
  /** Absent where batches are not counted. */
  numBatchesTracked?: Tensor | undefined;
}

/** The dtype of the parameters. Throws unless eps, weight and bias are those of the call. */
export function checkParameters(
  call: NormCall,
  x: Like,
  weight: Like | undefined,
  bias: Like | undefined,
): FloatDType {
  checkEps(call.eps);
  if (weight) checkTensorShape(weight, call.parameterShape, 'weight');
  if (bias) checkTensorShape(bias, call.parameterShape, 'bias');
  return parameterDType(floatDType(x, 'x'), weight, bias);
}

/** Options of a pass that a module records again. */
export interface Replayable {
  /** Given what to record again. Not called where the pass made a tensor: the next one has to make another. */
  keepBound?: ((bound: Bound) => void) | undefined;
}

/** Makes an f32 tensor of a shape. */
export type MakeTensor = (shape: readonly number[]) => Tensor;

/** Records a program, and gives what to record again. */
export function record(
  gpu: Gpu,
  program: Program,
  operands: Operands,
  options: RecordOptions & Replayable,
  label: string,
): void {
  const bound = execute(gpu, program, operands, options, label);
  if (bound.recurs) options.keepBound?.(bound);
}
