import type { Gpu } from '../gpu/gpu.ts';
import type { DType, Tensor } from '../gpu/tensor.ts';
import { checkEps } from '../ops/check.ts';
import { layerNormCall } from '../ops/layer-norm.ts';
import type { NormCall } from '../ops/norm.ts';
import { type ForwardOptions, NormModule } from './norm-module.ts';

/** torch.nn.LayerNorm: see {@link layerNorm} for the formula. */
export class LayerNorm extends NormModule {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  readonly elementwiseAffine: boolean;

  /**
   * @param normalizedShape - the trailing sizes that are normalized together; a number stands for one size.
   * @param options.eps - added to the variance. Default 1e-5.
   * @param options.elementwiseAffine - whether there is a weight (ones at first). Default true.
   * @param options.bias - whether there is a bias (zeros at first) beside the weight. Default true.
   * @param options.dtype - of the parameters. Default 'f32', which serves f32 and f16 inputs.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(
    gpu: Gpu,
    normalizedShape: number | readonly number[],
    options: { eps?: number; elementwiseAffine?: boolean; bias?: boolean; dtype?: DType } = {},
  ) {
    super(gpu);
    const { eps = 1e-5, elementwiseAffine = true, bias = true, dtype = 'f32' } = options;
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape];
    this.eps = eps;
    this.elementwiseAffine = elementwiseAffine;
    checkEps(eps);
    layerNormCall(this.normalizedShape, this.normalizedShape);
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

  protected override describe(shape: readonly number[]): NormCall {
    return layerNormCall(shape, this.normalizedShape, this.eps);
  }
}
