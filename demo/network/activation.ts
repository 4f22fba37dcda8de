import { type Gpu, Module, NormError, type PassOptions, type Tensor } from '../../src/index.ts';
import { dispatch } from './kernels.ts';

/** An elementwise function whose derivative is one of its output, which it keeps for backward. f32. */
class Activation extends Module {
  readonly #flags: { RELU: boolean };
  #y: Tensor | null = null;

  constructor(gpu: Gpu, relu: boolean) {
    super(gpu);
    this.#flags = { RELU: relu };
  }

  override forward(x: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    this.checkUsable();
    const y = out ?? this.gpu.empty(x.shape);
    dispatch(this.gpu, 'activation', this.#flags, { count: x.size }, x.size, { x, y }, target);
    this.#y = y;
    return y;
  }

  override backward(dy: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    this.checkUsable();
    const y = this.#y;
    if (!y) throw new NormError('order', 'backward() was called before forward().', 'Call forward() first.');
    const dx = out ?? this.gpu.empty(y.shape);
    dispatch(this.gpu, 'activationBackward', this.#flags, { count: y.size }, y.size, { y, dy, dx }, target);
    return dx;
  }

  override destroy(): void {
    this.#y = null;
    super.destroy();
  }
}

/** 1 / (1 + e^-x). */
export class Sigmoid extends Activation {
  constructor(gpu: Gpu) {
    super(gpu, false);
  }
}

/** max(x, 0). */
export class ReLU extends Activation {
  constructor(gpu: Gpu) {
    super(gpu, true);
  }
}
