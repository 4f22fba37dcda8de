import type { FloatDType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { StridedLayout } from '../gpu/layout.ts';
import type { Program } from '../gpu/program.ts';
import type { Geometry } from '../plan/geometry.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import type { Activation } from './activation.ts';

/** A statistic, and what x is divided by. */
export type NormKind = 'moments' | 'rms' | 'l2' | 'tanh';

/** A norm as the kernels see it: a geometry, a statistic, an affine map. */
export interface NormDescriptor {
  geometry: Geometry;
  /**
   * Whether the sets of a group lie behind each other (set = group·samples + sample), as where every sample of a batch has weights of its
   * own. Absent: they alternate (set = sample·groups + group).
   */
  blocked?: true | undefined;
  /**
   * `moments` subtracts the mean; `rms` does not, and neither does `l2`, whose x̂ has a length of 1 rather than a root mean square of 1. Of
   * `tanh`, x̂ is tanh(alpha·x).
   */
  kind: NormKind;
  /** Of x and everything of its shape but y and dy. */
  dtype: FloatDType;
  /** Of y and dy. Absent where it is that of x, so that a program has one description. */
  yDtype?: FloatDType | undefined;
  /** Of weight and bias. */
  paramDtype: FloatDType;
  /** Added under the root. */
  eps: number;
  /** Of l2: what rstd is at most. Absent: nothing limits it but eps. */
  mostRstd?: number | undefined;
  weight: boolean;
  bias: boolean;
  /** Added to weight (gemma: 1). */
  weightOffset: number;
  /** Round x̂ to dtype before it meets weight (llama). */
  castFirst: boolean;
  /** What follows the affine map. */
  activation: Activation;
  /** Of leakyRelu; 0 with any other. */
  negativeSlope: number;
  /** x + residual is normalized (`before`), or residual is added to what activation gets (`after`). */
  residual: 'none' | 'before' | 'after';
  /** Beside residual `after`: its tensor is a gate, whose activation the affine map is multiplied by, and is bound as `gate`. */
  gated?: true | undefined;
  /** In place: inputs that are the very tensor that an output is written to, and which. Absent where there are none. */
  aliases?: { x?: 'y' | 'sum' | 'dx'; residual?: 'y' | 'sum'; dy?: 'dx'; dsum?: 'dx' } | undefined;
  /**
   * Operands whose GPUBuffer has other operands, too, one of which is written. WebGPU lets a dispatch write a part of a buffer and use
   * another one only if it may write both. Absent where each has a buffer of its own.
   */
  shared?: readonly string[] | undefined;
  /** Where the elements of operands lie that are not dense, by role. Absent where all are. */
  layouts?: Readonly<Record<string, StridedLayout>> | undefined;
  schedule: ScheduleOptions;
}

/**
 * Statistics over replicas: `local` ends with those of this one (forward: mean and spread; backward: the sums of dweight
 * and dbias, in f32), `joined` begins with those of all, which hold `total` elements per channel. Geometries of one sample.
 */
interface Replicated {
  stage?: 'local' | 'joined' | undefined;
  total?: number | undefined;
}

export interface ForwardDescriptor extends NormDescriptor, Replicated {
  /** False: nobody wants mean and rstd. They are scratch where a later dispatch reads them, and else not stored. */
  statistics?: false | undefined;
  /** Running statistics: updated with those of the batch, or used instead of them (`frozen`). */
  running?: 'update' | 'frozen' | undefined;
  /** Factor of the batch's statistics in an update; null for the average of all batches. */
  momentum?: number | null | undefined;
  /** Whether an update counts the batches. */
  counted?: boolean | undefined;
  /** Whether an update takes the biased variance. */
  biased?: boolean | undefined;
  /** Whether the variance is kept. */
  variance?: boolean | undefined;
}

export interface BackwardDescriptor extends NormDescriptor, Replicated {
  /** The statistics did not depend on x. */
  frozen?: boolean | undefined;
  /** Of tanh: whether the gradient of alpha is wanted, and added to what its tensor holds. */
  dalpha?: { accumulate: boolean } | undefined;
  /** Which gradients of the parameters are wanted; `weight` and `bias` say what forward had. */
  dweight: boolean;
  dbias: boolean;
  /** Adds the gradient of the residual sum to dx. */
  dsum: boolean;
  /** Whether dweight and dbias are added to what their tensors hold. */
  accumulate: { dweight: boolean; dbias: boolean };
}

/**
 * What makes the dispatches of a forward pass. Each function of a norm names its own, so that a program that has only some norms, or
 * no backward passes, brings along only what these need.
 */
export interface ForwardKernels {
  forward(d: ForwardDescriptor, facts: DeviceFacts): Program;
}

/** Likewise of a backward pass. */
export interface BackwardKernels {
  backward(d: BackwardDescriptor, facts: DeviceFacts): Program;
}
