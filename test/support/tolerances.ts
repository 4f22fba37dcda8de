/**
 * The bounds that GPU results are held to: relative errors ‖actual − expected‖ / ‖scale‖ against float64 on the same
 * rounded inputs.
 */
export const bounds = {
  /** Parameters and state of optimizers after up to ten steps, relative to the sizes of their terms, and after up to a hundred. */
  tenSteps: 1e-6,
  manySteps: 2e-6,
  /** y, mean, rstd in f32, for |mean|/std up to 1e5 alike: a few roundings of the last bit (2^-24 = 6e-8 each). */
  forward: 5e-7,
  /**
   * dx relative to ‖rstd·γ·dy‖, dweight and dbias relative to the sums of their absolute terms. Two reductions follow
   * each other; tiny rows cancel to almost nothing, so the terms are the scale and not the result.
   */
  backward: 2e-6,
  /** Rows whose first element lies 1e5 standard deviations off: what is summed about such a pivot is as large. */
  outlier: 1e-5,
  /** SyncBatchNorm beside one BatchNorm of all replicas, in f32, for |mean|/std up to 1e5; gradients as `backward`. */
  replicas: 1e-6,
  /** In f16 y and dx are rounded once: half a last bit (2^-11) of their size. */
  replicasHalf: 4.9e-4,
  /** Likewise in bf16: 2^-8. */
  replicasBfloat16: 3.91e-3,
  /** f16 and bf16: error of rounding the float64 answer once, times this … */
  halfFactor: 1.05,
  /** … plus this, for the f32 arithmetic before it. */
  halfSlack: 1e-6,
} as const;
