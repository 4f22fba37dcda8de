import { checkOptions } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { castInto } from '../ops/cast.ts';
import { checkLike, type Like } from '../ops/check.ts';
import { Module, type PassOptions, passNames } from './module.ts';

/**
 * torch.nn.Identity. forward and backward return what they are given, or copy it to `options.out`. A {@link Sequential}
 * passes it by, hooks included, so that it costs nothing.
 */
export class Identity extends Module {
  override forward(x: Tensor, options: PassOptions = {}): Tensor {
    this.checkOwn();
    return this.#pass(x, options);
  }

  override backward(dy: Tensor, options: PassOptions = {}): Tensor {
    this.checkOwn();
    return this.#pass(dy, options);
  }

  protected override accepts(input: Like): readonly number[] | null {
    return this.forward === Identity.prototype.forward ? input.shape : super.accepts(input);
  }

  #pass(x: Tensor, options: PassOptions): Tensor {
    this.checkUsable();
    checkOptions('Identity', options, passNames);
    const { out, ...target } = options;
    this.gpu.checkUsable(x, 'x');
    if (!out) return x;
    checkLike({ out }, x);
    castInto(this.gpu, x, out, target);
    return out;
  }
}
