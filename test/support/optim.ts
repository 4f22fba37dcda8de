/** torch.optim's rules in float64, element by element, with the sizes of the terms that errors are judged by. */
import type { FloatDType } from '../../src/index.ts';
import { rounders } from '../reference/half.ts';

/** Settings of SGD and of AdamW, under the library's names. */
export interface Settings {
  lr: number;
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

  sgd(grad: ArrayLike<number>, settings: Settings): void {
    const { lr, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false, maximize } = settings;
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

  adamw(grad: ArrayLike<number>, settings: Settings): void {
    const { lr, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 1e-2, amsgrad, maximize } = settings;
    this.steps++;
    for (const name of ['exp_avg', 'exp_avg_sq', ...(amsgrad ? ['max_exp_avg_sq'] : [])]) this.#make(name);
    const [correction, correctionSq] = betas.map((beta) => 1 - beta ** this.steps) as [number, number];
    this.#each((i, read, size, set) => {
      const p = read('param');
      const g = (maximize ? -1 : 1) * (grad[i] as number);
      const m = betas[0] * read('exp_avg') + (1 - betas[0]) * g;
      const mSize = betas[0] * size('exp_avg') + (1 - betas[0]) * Math.abs(g);
      let v = betas[1] * read('exp_avg_sq') + (1 - betas[1]) * g * g;
      set('exp_avg', m, mSize);
      set('exp_avg_sq', v, v);
      if (amsgrad) {
        v = Math.max(v, read('max_exp_avg_sq'));
        set('max_exp_avg_sq', v, v);
      }
      const step = lr / correction / (Math.sqrt(v / correctionSq) + eps);
      const decayed = lr * weightDecay * p;
      set('param', this.#round(p - decayed - step * m), size('param') + Math.abs(decayed) + step * mSize);
    });
  }

  #make(name: string): void {
    const { length } = this.values.param as Float64Array;
    this.values[name] ??= new Float64Array(length);
    this.scale[name] ??= new Float64Array(length);
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
