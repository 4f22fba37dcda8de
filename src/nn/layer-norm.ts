import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { layerNormKernels } from '../kernels/row-kernels.ts';
import { checkCount, checkEps } from '../ops/check.ts';
import { layerNormCall } from '../ops/layer-norm.ts';
import type { BothCalls } from '../ops/norm.ts';
import { axesFor, normalizedSizes } from '../ops/normalized.ts';
import {
  type EpilogueModuleOptions,
  epilogueModuleNames,
  type ForwardOptions,
  NormModule,
} from './norm-module.ts';

/** Options of {@link LayerNorm}. */
export interface LayerNormModuleOptions extends EpilogueModuleOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /**
   * The axes that have the sizes of normalizedShape, in the order of x: see {@link layerNorm}. Default: the last ones.
   */
  axes?: number | ArrayLike<number> | undefined;
  /** Groups of the elements of normalizedShape, each normalized by itself: see {@link layerNorm}. Default 1. */
  numGroups?: number | undefined;
  /** Whether weight holds γ − 1, as in Megatron and TransformerEngine; it is zeros at first. Default false. */
  zeroCenteredGamma?: boolean | undefined;
  /** Whether there is a weight (ones at first). Default true. */
  elementwiseAffine?: boolean | undefined;
  /** Whether there is a bias (zeros at first) beside the weight. Default true. */
  bias?: boolean | undefined;
  /** Of the parameters. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

/** Options of {@link LayerNorm2d}: those of LayerNorm but for the axes. */
export type LayerNorm2dOptions = Omit<LayerNormModuleOptions, 'axes' | 'numGroups'>;

const names2d = {
  ...epilogueModuleNames,
  eps: 'number',
  zeroCenteredGamma: 'boolean',
  elementwiseAffine: 'boolean',
  bias: 'boolean',
  dtype: 'string',
} as const satisfies OptionNames<LayerNorm2dOptions>;

const names = {
  ...names2d,
  axes: 'other',
  numGroups: 'number',
} as const satisfies OptionNames<LayerNormModuleOptions>;

/** torch.nn.LayerNorm: see {@link layerNorm} for the formula. */
export class LayerNorm extends NormModule {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  /** Undefined where they are the last ones. */
  readonly axes: readonly number[] | undefined;
  readonly numGroups: number;
  readonly zeroCenteredGamma: boolean;
  readonly elementwiseAffine: boolean;

  /**
   * @param normalizedShape - the trailing sizes that are normalized together, or those of axes; a number stands for one size.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, normalizedShape: number | ArrayLike<number>, options: LayerNormModuleOptions = {}) {
    checkOptions('LayerNorm', options, names);
    super(gpu, options);
    const { eps = 1e-5, axes, numGroups = 1, elementwiseAffine = true, bias = true, dtype = 'f32' } = options;
    this.normalizedShape = normalizedSizes(normalizedShape);
    this.eps = eps;
    this.axes = axesFor(this.normalizedShape, axes);
    this.numGroups = numGroups;
    this.zeroCenteredGamma = options.zeroCenteredGamma ?? false;
    this.elementwiseAffine = elementwiseAffine;
    checkEps(eps);
    layerNormCall(this.normalizedShape, { ...this, axes: undefined });
    if (!elementwiseAffine) return;
    this.weight = this.register('weight', this.normalizedShape, dtype, this.zeroCenteredGamma ? 0 : 1);
    if (bias) this.bias = this.register('bias', this.normalizedShape, dtype, 0);
  }

  /**
   * sum = x + residual, y = norm(sum), in one pass; see {@link addLayerNorm}. Give the gradient of sum to
   * `backward(dy, { dsum })`, whose dx is that of both x and residual.
   */
  forwardResidual(
    x: Tensor,
    residual: Tensor,
    options: ForwardOptions & { outSum?: Tensor } = {},
  ): { y: Tensor; sum: Tensor } {
    return this.addForward(x, residual, options);
  }

  protected override describe(shape: readonly number[]): BothCalls {
    return { ...layerNormCall(shape, this), ...layerNormKernels };
  }
}

/**
 * LayerNorm over the channels of [N, C, H, W], each pixel by itself, with weight and bias per channel: ConvNeXt's LayerNorm in the format
 * channels_first (https://github.com/facebookresearch/ConvNeXt, models/convnext.py), the LayerNorm2d of Segment Anything, NAFNet and timm.
 * The keys of its state are theirs. See {@link layerNorm} for the formula.
 *
 * @example
 * ```ts
 * const norm = new LayerNorm2d(gpu, 96);
 * const y = norm.forward(x); // [8, 96, 56, 56]
 * ```
 */
export class LayerNorm2d extends LayerNorm {
  /**
   * @param numChannels - C.
   * @param options - eps is 1e-6 by default, as there; that of torch.nn.LayerNorm is 1e-5.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, numChannels: number, options: LayerNorm2dOptions = {}) {
    checkOptions('LayerNorm2d', options, names2d);
    checkCount('numChannels', numChannels);
    super(gpu, numChannels, { eps: 1e-6, ...options, axes: 1 });
  }
}
