import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { rmsNormKernels } from '../kernels/row-kernels.ts';
import { checkCount, checkEps } from '../ops/check.ts';
import type { RmsNormCast } from '../ops/conventions.ts';
import type { BothCalls } from '../ops/norm.ts';
import { axesFor, normalizedSizes } from '../ops/normalized.ts';
import { rmsNormCall, rmsNormEps } from '../ops/rms-norm.ts';
import {
  type EpilogueModuleOptions,
  epilogueModuleNames,
  type ForwardOptions,
  NormModule,
} from './norm-module.ts';

/** Options of {@link RMSNorm}. */
export interface RMSNormModuleOptions extends EpilogueModuleOptions {
  /** Added to the mean square. Default null: 2^-23, as PyTorch. */
  eps?: number | null | undefined;
  /**
   * The axes that have the sizes of normalizedShape, in the order of x: see {@link rmsNorm}. Default: the last ones.
   */
  axes?: number | ArrayLike<number> | undefined;
  /** Groups of the elements of normalizedShape, each normalized by itself: see {@link rmsNorm}. Default 1. */
  numGroups?: number | undefined;
  /** Whether weight holds γ − 1, as in Megatron and TransformerEngine. Default false; true of cast 'gemma'. */
  zeroCenteredGamma?: boolean | undefined;
  /** Whether there is a weight (ones at first, or zeros where it holds γ − 1). Default true. */
  elementwiseAffine?: boolean | undefined;
  /** Where it rounds and what weight means. Default 'torch'. */
  cast?: RmsNormCast | undefined;
  /** Of the weight. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

/** Options of {@link RMSNorm2d}: those of RMSNorm but for the axes. */
export type RMSNorm2dOptions = Omit<RMSNormModuleOptions, 'axes' | 'numGroups'>;

const names2d = {
  ...epilogueModuleNames,
  eps: 'number?',
  zeroCenteredGamma: 'boolean',
  elementwiseAffine: 'boolean',
  cast: 'string',
  dtype: 'string',
} as const satisfies OptionNames<RMSNorm2dOptions>;

const names = {
  ...names2d,
  axes: 'other',
  numGroups: 'number',
} as const satisfies OptionNames<RMSNormModuleOptions>;

/** torch.nn.RMSNorm: see {@link rmsNorm} for the formula. */
export class RMSNorm extends NormModule {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  /** Undefined where they are the last ones. */
  readonly axes: readonly number[] | undefined;
  readonly numGroups: number;
  readonly zeroCenteredGamma: boolean;
  readonly cast: RmsNormCast;

  /**
   * @param normalizedShape - the trailing sizes that are normalized together, or those of axes; a number stands for one size.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, normalizedShape: number | ArrayLike<number>, options: RMSNormModuleOptions = {}) {
    checkOptions('RMSNorm', options, names);
    super(gpu, options);
    const { eps, axes, numGroups = 1, elementwiseAffine = true, cast = 'torch', dtype = 'f32' } = options;
    this.normalizedShape = normalizedSizes(normalizedShape);
    this.eps = eps ?? rmsNormEps;
    this.axes = axesFor(this.normalizedShape, axes);
    this.numGroups = numGroups;
    this.zeroCenteredGamma = options.zeroCenteredGamma ?? cast === 'gemma';
    this.cast = cast;
    checkEps(this.eps);
    rmsNormCall([1, ...this.normalizedShape], { ...this, axes: undefined });
    if (elementwiseAffine) {
      this.weight = this.register('weight', this.normalizedShape, dtype, this.zeroCenteredGamma ? 0 : 1);
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
    return { ...rmsNormCall(shape, this), ...rmsNormKernels };
  }
}

/**
 * RMSNorm over the channels of [N, C, H, W], each pixel by itself, with a weight per channel: timm's RmsNorm2d
 * (https://github.com/huggingface/pytorch-image-models, timm/layers/norm.py), beside {@link LayerNorm2d}. Without a weight it is the
 * PixelNorm of Karras et al. (2018, arXiv 1710.10196), whose eps is 1e-8.
 */
export class RMSNorm2d extends RMSNorm {
  /**
   * @param numChannels - C.
   * @param options - eps is 1e-6 by default, as there.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, numChannels: number, options: RMSNorm2dOptions = {}) {
    checkOptions('RMSNorm2d', options, names2d);
    checkCount('numChannels', numChannels);
    super(gpu, numChannels, { ...options, eps: options.eps ?? 1e-6, axes: 1 });
  }
}
