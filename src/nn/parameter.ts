import type { Tensor } from '../gpu/tensor.ts';
import { floatDType } from '../ops/check.ts';

/** Options of a {@link Parameter}. */
export interface ParameterOptions {
  /** Whether backward passes compute its gradient. Default true. */
  requiresGrad?: boolean | undefined;
  /** See {@link Parameter.sequenceParallel}. Default false. */
  sequenceParallel?: boolean | undefined;
}

/** A learned tensor and its gradient: torch.nn.Parameter. */
export class Parameter {
  /** Whether backward passes compute the gradient. Where not, they leave `grad` as it is. */
  requiresGrad: boolean;
  /**
   * Whether the ranks of a sequence-parallel group each see a part of the sequence, so that `syncGradients` has to add up
   * their gradients: Megatron-LM's rule for the weights of norms. Default false.
   */
  sequenceParallel: boolean;
  #data: Tensor;
  #gradient: Tensor | null = null;
  #cleared = true;

  /**
   * @param data - the values, f32 or f16; the parameter owns them from now on: destroy() destroys them, and no
   * `gpu.scope` does.
   * @throws NormError `dtype`, `destroyed`.
   */
  constructor(data: Tensor, { requiresGrad = true, sequenceParallel = false }: ParameterOptions = {}) {
    data.gpu.checkUsable(data, 'data');
    floatDType(data, 'data');
    this.#data = data.gpu.keep(data);
    this.requiresGrad = requiresGrad;
    this.sequenceParallel = sequenceParallel;
  }

  /** The values. Another tensor after {@link Module.to}. */
  get data(): Tensor {
    return this.#data;
  }

  /**
   * The gradient, like data; null until a backward pass after construction or zeroGrad(). It is the same tensor every
   * time: copy it to keep it beyond the next backward pass.
   */
  get grad(): Tensor | null {
    return this.#cleared ? null : this.#gradient;
  }

  /**
   * Forgets the gradient, as PyTorch's zero_grad does: the next backward pass writes it anew. Nothing is freed, so
   * that commands which are recorded but not yet submitted can still read it.
   */
  zeroGrad(): void {
    this.#cleared = true;
  }

  /**
   * For a module's backward: the tensor to write the gradient to, or to add it to where `grad` is not null. Call
   * {@link keepGradient} once that is recorded.
   */
  takeGradient(): Tensor {
    const { gpu, shape, dtype } = this.#data;
    if (this.#cleared && this.#gradient && !gpu.intact(this.#gradient)) {
      this.#gradient.destroy(); // there was no memory for it, or what should write it was refused
      this.#gradient = null;
    }
    this.#gradient ??= gpu.keep(gpu.empty(shape, { dtype }));
    return this.#gradient;
  }

  /** For a module's backward, after {@link takeGradient}: from now on `grad` is that tensor. */
  keepGradient(): void {
    this.#cleared = this.#gradient === null;
  }

  /** @internal Other values in place of these, which are freed together with their gradient. */
  replace(data: Tensor): void {
    this.destroy();
    this.#data = data.gpu.keep(data);
  }

  /** Frees the values and the gradient. Idempotent, so that modules can share a parameter. */
  destroy(): void {
    this.#data.destroy();
    this.#gradient?.destroy();
    this.#gradient = null;
    this.#cleared = true;
  }
}
