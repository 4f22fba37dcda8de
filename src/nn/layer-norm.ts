import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { layerNormKernels } from '../kernels/row-kernels.ts';
import { checkEps } from '../ops/check.ts';
import { layerNormCall, normalizedSizes } from '../ops/layer-norm.ts';
import type { BothCalls } from '../ops/norm.ts';
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
  /** Groups of the elements of normalizedShape, each normalized by itself: see {@link layerNorm}. Default 1. */
  numGroups?: number | undefined;
  /** Whether there is a weight (ones at first). Default true. */
  elementwiseAffine?: boolean | undefined;
  /** Whether there is a bias (zeros at first) beside the weight. Default true. */
  bias?: boolean | undefined;
  /** Of the parameters. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

const names = {
  ...epilogueModuleNames,
  eps: 'number',
  numGroups: 'number',
  elementwiseAffine: 'boolean',
  bias: 'boolean',
  dtype: 'string',
} as const satisfies OptionNames<LayerNormModuleOptions>;

/** torch.nn.LayerNorm: see {@link layerNorm} for the formula. */
export class LayerNorm extends NormModule {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  readonly numGroups: number;
  readonly elementwiseAffine: boolean;

  /**
   * @param normalizedShape - the trailing sizes that are normalized together; a number stands for one size.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, normalizedShape: number | ArrayLike<number>, options: LayerNormModuleOptions = {}) {
    checkOptions('LayerNorm', options, names);
    super(gpu, options);
    const { eps = 1e-5, numGroups = 1, elementwiseAffine = true, bias = true, dtype = 'f32' } = options;
    this.normalizedShape = normalizedSizes(normalizedShape);
    this.eps = eps;
    this.numGroups = numGroups;
    this.elementwiseAffine = elementwiseAffine;
    checkEps(eps);
    layerNormCall(this.normalizedShape, this.normalizedShape, eps, numGroups);
    if (!elementwiseAffine) return;
    this.weight = this.register('weight', this.normalizedShape, dtype, 1);
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
    return { ...layerNormCall(shape, this.normalizedShape, this.eps, this.numGroups), ...layerNormKernels };
  }
}
