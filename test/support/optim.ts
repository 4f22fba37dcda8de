/** torch.optim's rules in float64, element by element, with the sizes of the terms that errors are judged by. */
import type { FloatDType } from '../../src/index.ts';
import { rounders } from '../reference/half.ts';

/** The optimizers. */
export type Kind = 'SGD' | 'Adam' | 'AdamW' | 'RMSprop' | 'Adagrad' | 'Adamax';

/** Settings of the optimizers, under the library's names. */
export interface Settings {
  lr?: number;
  alpha?: number;
  centered?: boolean;
  lrDecay?: number;
  initialAccumulatorValue?: number;
  maximize?: boolean;
  weightDecay?: number;
  momentum?: number;
  dampening?: number;
  nesterov?: boolean;
  betas?: readonly [number, number];
  eps?: number;
  amsgrad?: boolean;
}

/** One parameter, its state by PyTorch's names, and how large the terms were that each is the sum of. */
export class OptimReference {
  readonly values: Record<string, Float64Array> = {};
  readonly scale: Record<string, Float64Array> = {};
  steps = 0;
  readonly #round: (value: number) => number;

  constructor(param: ArrayLike<number>, dtype: FloatDType = 'f32') {
    this.values.param = Float64Array.from(param);
    this.scale.param = this.values.param.map(Math.abs);
    this.#round = rounders[dtype];
  }

  /** A step of an optimizer. */
  step(kind: Kind, grad: ArrayLike<number>, settings: Settings): void {
    if (kind === 'SGD') this.#sgd(grad, settings);
    else if (kind === 'RMSprop') this.#rmsprop(grad, settings);
    else if (kind === 'Adagrad') this.#adagrad(grad, settings);
    else if (kind === 'Adamax') this.#adamax(grad, settings);
    else this.#adam(grad, settings, kind === 'AdamW');
  }

  #sgd(grad: ArrayLike<number>, settings: Settings): void {
    const { lr = 1e-3, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false, maximize } = settings;
    const take = this.values.momentum_buffer ? 1 - dampening : 1;
    if (momentum !== 0) this.#make('momentum_buffer');
    this.#each((i, read, size, set) => {
      const p = read('param');
      const g = (maximize ? -1 : 1) * (grad[i] as number) + weightDecay * p;
      const terms = Math.abs(grad[i] as number) + Math.abs(weightDecay * p);
      let [d, dSize] = [g, terms];
      if (momentum !== 0) {
        d = momentum * read('momentum_buffer') + take * g;
        dSize = momentum * size('momentum_buffer') + Math.abs(take) * terms;
        set('momentum_buffer', d, dSize);
        if (nesterov) [d, dSize] = [g + momentum * d, terms + momentum * dSize];
      }
      set('param', this.#round(p - lr * d), size('param') + lr * dSize);
    });
  }

  #adam(grad: ArrayLike<number>, settings: Settings, decoupled: boolean): void {
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, amsgrad, maximize } = settings;
    const { weightDecay = decoupled ? 1e-2 : 0 } = settings;
    this.steps++;
    for (const name of ['exp_avg', 'exp_avg_sq', ...(amsgrad ? ['max_exp_avg_sq'] : [])]) this.#make(name);
    const [correction, correctionSq] = betas.map((beta) => 1 - beta ** this.steps) as [number, number];
    this.#each((i, read, size, set) => {
      const p = read('param');
      const coupled = decoupled ? 0 : weightDecay * p;
      const g = (maximize ? -1 : 1) * (grad[i] as number) + coupled;
      const gSize = Math.abs(grad[i] as number) + Math.abs(coupled);
      const m = betas[0] * read('exp_avg') + (1 - betas[0]) * g;
      const mSize = betas[0] * size('exp_avg') + (1 - betas[0]) * gSize;
      let v = betas[1] * read('exp_avg_sq') + (1 - betas[1]) * g * g;
      set('exp_avg', m, mSize);
      set('exp_avg_sq', v, v);
      if (amsgrad) {
        v = Math.max(v, read('max_exp_avg_sq'));
        set('max_exp_avg_sq', v, v);
      }
      const step = lr / correction / (Math.sqrt(v / correctionSq) + eps);
      const decayed = decoupled ? lr * weightDecay * p : 0;
      set('param', this.#round(p - decayed - step * m), size('param') + Math.abs(decayed) + step * mSize);
    });
  }

  #rmsprop(grad: ArrayLike<number>, settings: Settings): void {
    const {
      lr = 1e-2,
      alpha = 0.99,
      eps = 1e-8,
      weightDecay = 0,
      momentum = 0,
      centered,
      maximize,
    } = settings;
    this.steps++;
    this.#make('square_avg');
    if (centered) this.#make('grad_avg');
    if (momentum > 0) this.#make('momentum_buffer');
    this.#each((i, read, size, set) => {
      const { p, g, gSize } = termsOf(read('param'), grad[i] as number, weightDecay, maximize);
      const square = alpha * read('square_avg') + (1 - alpha) * g * g;
      set('square_avg', square, alpha * size('square_avg') + (1 - alpha) * gSize * gSize);
      let spread = square;
      if (centered) {
        const mean = alpha * read('grad_avg') + (1 - alpha) * g;
        set('grad_avg', mean, alpha * size('grad_avg') + (1 - alpha) * gSize);
        spread = square - mean * mean;
      }
      const denominator = Math.sqrt(spread) + eps;
      let [d, dSize] = [g / denominator, gSize / denominator];
      if (momentum > 0) {
        d = momentum * read('momentum_buffer') + d;
        dSize = momentum * size('momentum_buffer') + dSize;
        set('momentum_buffer', d, dSize);
      }
      set('param', this.#round(p - lr * d), size('param') + lr * dSize);
    });
  }

  #adagrad(grad: ArrayLike<number>, settings: Settings): void {
    const {
      lr = 1e-2,
      lrDecay = 0,
      weightDecay = 0,
      initialAccumulatorValue = 0,
      eps = 1e-10,
      maximize,
    } = settings;
    this.steps++;
    this.#make('sum', initialAccumulatorValue);
    const rate = lr / (1 + (this.steps - 1) * lrDecay);
    this.#each((i, read, size, set) => {
      const { p, g, gSize } = termsOf(read('param'), grad[i] as number, weightDecay, maximize);
      const sum = read('sum') + g * g;
      set('sum', sum, size('sum') + gSize * gSize);
      const denominator = Math.sqrt(sum) + eps;
      set('param', this.#round(p - (rate * g) / denominator), size('param') + (rate * gSize) / denominator);
    });
  }

  #adamax(grad: ArrayLike<number>, settings: Settings): void {
    const { lr = 2e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, maximize } = settings;
    this.steps++;
    for (const name of ['exp_avg', 'exp_inf']) this.#make(name);
    const rate = lr / (1 - betas[0] ** this.steps);
    this.#each((i, read, size, set) => {
      const { p, g, gSize } = termsOf(read('param'), grad[i] as number, weightDecay, maximize);
      const m = betas[0] * read('exp_avg') + (1 - betas[0]) * g;
      const mSize = betas[0] * size('exp_avg') + (1 - betas[0]) * gSize;
      const largest = Math.max(betas[1] * read('exp_inf'), Math.abs(g) + eps);
      set('exp_avg', m, mSize);
      set('exp_inf', largest, largest);
      set('param', this.#round(p - (rate * m) / largest), size('param') + (rate * mSize) / largest);
    });
  }

  #make(name: string, initial = 0): void {
    const { length } = this.values.param as Float64Array;
    this.values[name] ??= new Float64Array(length).fill(initial);
    this.scale[name] ??= new Float64Array(length).fill(initial);
  }

  #each(
    update: (
      i: number,
      read: (name: string) => number,
      size: (name: string) => number,
      set: (name: string, value: number, size: number) => void,
    ) => void,
  ): void {
    const at = (from: Record<string, Float64Array>, name: string) => from[name] as Float64Array;
    for (let i = 0; i < at(this.values, 'param').length; i++) {
      update(
        i,
        (name) => at(this.values, name)[i] as number,
        (name) => at(this.scale, name)[i] as number,
        (name, value, size) => {
          at(this.values, name)[i] = value;
          at(this.scale, name)[i] = size;
        },
      );
    }
  }
}

/** The gradient with its weight decay, and how large their terms are. */
function termsOf(p: number, grad: number, weightDecay: number, maximize = false) {
  const g = (maximize ? -1 : 1) * grad + weightDecay * p;
  return { p, g, gSize: Math.abs(grad) + Math.abs(weightDecay * p) };
}
