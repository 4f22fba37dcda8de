import { type Gpu, Module, NormError, Parameter, type PassOptions, type Tensor } from '../../src/index.ts';
import { normal } from '../../test/support/data.ts';
import { dispatch } from './kernels.ts';

export interface LinearOptions {
  /** Default true. */
  bias?: boolean;
  /** Of the weight's normal distribution. Default 1 / sqrt(inFeatures). */
  std?: number;
  /** Of the weight. */
  seed?: number;
}

/** y = x·weightᵀ + bias, as torch.nn.Linear: x [n, inFeatures], weight [outFeatures, inFeatures], bias [outFeatures]. f32. */
export class Linear extends Module {
  readonly weight: Parameter;
  /** Zeros at first. */
  readonly bias: Parameter | null;
  readonly inFeatures: number;
  readonly outFeatures: number;
  #x: Tensor | null = null;

  constructor(
    gpu: Gpu,
    inFeatures: number,
    outFeatures: number,
    { bias = true, std = 1 / Math.sqrt(inFeatures), seed = 1 }: LinearOptions = {},
  ) {
    super(gpu);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    const values = normal(outFeatures * inFeatures, { std, seed });
    const weight = new Parameter(gpu.tensor(values, [outFeatures, inFeatures]));
    this.weight = this.registerParameter('weight', weight);
    const zeros = bias ? new Parameter(gpu.zeros([outFeatures])) : null;
    this.bias = this.registerParameter('bias', zeros);
  }

  /** @param x - [n, inFeatures], kept for backward. */
  override forward(x: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    this.checkUsable();
    const [n, width] = x.shape;
    if (x.shape.length !== 2 || width !== this.inFeatures) {
      throw new NormError('shape', `Linear got [${x.shape}].`, `It takes [n, ${this.inFeatures}].`);
    }
    const y = out ?? this.gpu.empty([n as number, this.outFeatures]);
    const operands = { a: x, b: this.weight.data, bias: this.bias?.data, c: y };
    this.#multiply(
      { HAS_BIAS: this.bias !== null },
      [n as number, this.outFeatures, width],
      [width, 1, 1, width],
      operands,
      target,
    );
    this.#x = x;
    return y;
  }

  override backward(dy: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    this.checkUsable();
    const x = this.#x;
    if (!x) throw new NormError('order', 'backward() was called before forward().', 'Call forward() first.');
    const { weight, bias, inFeatures, outFeatures } = this;
    const n = x.shape[0] as number;
    const dx = out ?? this.gpu.empty(x.shape);
    this.#multiply(
      {},
      [n, inFeatures, outFeatures],
      [outFeatures, 1, inFeatures, 1],
      { a: dy, b: weight.data, c: dx },
      target,
    );
    if (weight.requiresGrad) {
      const flags = { ACCUMULATE: true };
      const c = weight.takeGradient();
      this.#multiply(
        flags,
        [outFeatures, inFeatures, n],
        [1, outFeatures, inFeatures, 1],
        { a: dy, b: x, c },
        target,
      );
      weight.keepGradient(target);
    }
    if (bias?.requiresGrad) {
      const flags = { ACCUMULATE: true };
      const c = bias.takeGradient();
      dispatch(
        this.gpu,
        'columnSums',
        flags,
        { rows: n, cols: outFeatures },
        outFeatures,
        { a: dy, c },
        target,
      );
      bias.keepGradient(target);
    }
    return dx;
  }

  override outputShape(shape: readonly number[]): readonly number[] {
    return [...shape.slice(0, -1), this.outFeatures];
  }

  override destroy(): void {
    this.#x = null;
    super.destroy();
  }

  /** @param strides - of a along its rows and the depth, of b along the depth and its columns. */
  #multiply(
    flags: { HAS_BIAS?: boolean; ACCUMULATE?: boolean },
    [rows, cols, depth]: readonly [number, number, number],
    strides: readonly [number, number, number, number],
    operands: { a: Tensor; b: Tensor; bias?: Tensor | undefined; c: Tensor },
    target: PassOptions,
  ): void {
    const tiles = Math.ceil(rows / 4) * Math.ceil(cols / 4);
    const [a_row, a_depth, b_depth, b_col] = strides;
    const sizes = { rows, cols, depth, a_row, a_depth, b_depth, b_col };
    dispatch(this.gpu, 'matmul', flags, sizes, tiles, operands, target);
  }
}
