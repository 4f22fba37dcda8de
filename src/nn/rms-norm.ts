import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { rmsNormKernels } from '../kernels/row-kernels.ts';
import { checkEps } from '../ops/check.ts';
import type { RmsNormCast } from '../ops/conventions.ts';
import { normalizedSizes } from '../ops/layer-norm.ts';
import type { BothCalls } from '../ops/norm.ts';
import { rmsNormCall, rmsNormEps } from '../ops/rms-norm.ts';
import { type ForwardOptions, NormModule } from './norm-module.ts';

/** Options of {@link RMSNorm}. */
export interface RMSNormModuleOptions {
  /** Added to the mean square. Default null: 2^-23, as PyTorch. */
  eps?: number | null | undefined;
  /** Groups of the elements of normalizedShape, each normalized by itself: see {@link rmsNorm}. Default 1. */
  numGroups?: number | undefined;
  /** Whether there is a weight (ones at first; zeros for gemma). Default true. */
  elementwiseAffine?: boolean | undefined;
  /** Where it rounds and what weight means. Default 'torch'. */
  cast?: RmsNormCast | undefined;
  /** Of the weight. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

const names = {
  eps: 'number?',
  numGroups: 'number',
  elementwiseAffine: 'boolean',
  cast: 'string',
  dtype: 'string',
} as const satisfies OptionNames<RMSNormModuleOptions>;

/** torch.nn.RMSNorm: see {@link rmsNorm} for the formula. */
export class RMSNorm extends NormModule {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  readonly numGroups: number;
  readonly cast: RmsNormCast;

  /**
   * @param normalizedShape - the trailing sizes that are normalized together; a number stands for one size.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, normalizedShape: number | ArrayLike<number>, options: RMSNormModuleOptions = {}) {
    checkOptions('RMSNorm', options, names);
    super(gpu);
    const { eps, numGroups = 1, elementwiseAffine = true, cast = 'torch', dtype = 'f32' } = options;
    this.normalizedShape = normalizedSizes(normalizedShape);
    this.eps = eps ?? rmsNormEps;
    this.numGroups = numGroups;
    this.cast = cast;
    checkEps(this.eps);
    rmsNormCall([1, ...this.normalizedShape], this.normalizedShape, this.eps, cast, numGroups);
    if (elementwiseAffine) {
      this.weight = this.register('weight', this.normalizedShape, dtype, cast === 'gemma' ? 0 : 1);
    }
  }

  /** As {@link LayerNorm.forwardResidual}; see {@link addRmsNorm}. */
  forwardResidual(
    x: Tensor,
    residual: Tensor,
    options: ForwardOptions & { outSum?: Tensor } = {},
  ): { y: Tensor; sum: Tensor } {
    return this.addForward(x, residual, options);
  }

  protected override describe(shape: readonly number[]): BothCalls {
    return {
      ...rmsNormCall(shape, this.normalizedShape, this.eps, this.cast, this.numGroups),
      ...rmsNormKernels,
    };
  }
}
