import type { FloatDType } from '../gpu/tensor.ts';
import type { Geometry } from '../plan/geometry.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';

/** A norm as the kernels see it: a geometry, a statistic, an affine map. */
export interface NormDescriptor {
  geometry: Geometry;
  /** `moments` subtracts the mean; `rms` does not. */
  kind: 'moments' | 'rms';
  /** Of x and everything of its shape. */
  dtype: FloatDType;
  /** Of weight and bias. */
  paramDtype: FloatDType;
  eps: number;
  weight: boolean;
  bias: boolean;
  /** Added to weight (gemma: 1). */
  weightOffset: number;
  /** Round x̂ to dtype before it meets weight (llama). */
  castFirst: boolean;
  schedule: ScheduleOptions;
}

export interface ForwardDescriptor extends NormDescriptor {
  /** Running statistics: updated with those of the batch, or used instead of them (`frozen`). */
  running?: 'update' | 'frozen' | undefined;
  /** Factor of the batch's statistics in an update; null for the average of all batches. */
  momentum?: number | null | undefined;
  /** Whether an update counts the batches. */
  counted?: boolean | undefined;
  /** Normalizes x + residual and stores the sum. */
  residual: boolean;
}

export interface BackwardDescriptor extends NormDescriptor {
  /** The statistics did not depend on x. */
  frozen?: boolean | undefined;
  /** Which gradients of the parameters are wanted; `weight` says whether dy meets a weight, `bias` nothing. */
  dweight: boolean;
  dbias: boolean;
  /** Adds the gradient of the residual sum to dx. */
  dsum: boolean;
  /** Whether dweight and dbias are added to what their tensors hold. */
  accumulate: { dweight: boolean; dbias: boolean };
}
