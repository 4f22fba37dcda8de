import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { DType, Tensor } from '../gpu/tensor.ts';

/** A learned tensor and its gradient. */
export class Parameter {
  /** The values. */
  readonly data: Tensor;
  /** The gradient, like data; null until the first backward pass after zeroGrad(). */
  grad: Tensor | null = null;

  /** @internal */
  constructor(data: Tensor) {
    this.data = data.gpu.keep(data);
  }

  /** Forgets the gradient, as PyTorch's zero_grad does: the next backward pass writes it anew. */
  zeroGrad(): void {
    this.grad?.destroy();
    this.grad = null;
  }

  /** @internal The gradient to write or add to, and which of the two. */
  gradient(): { grad: Tensor; accumulate: boolean } {
    const accumulate = this.grad !== null;
    this.grad ??= this.data.gpu.keep(this.data.gpu.empty(this.data.shape, { dtype: this.data.dtype }));
    return { grad: this.grad, accumulate };
  }

  destroy(): void {
    this.data.destroy();
    this.zeroGrad();
  }
}

/** What all modules have: named parameters on one context. */
export abstract class Module {
  readonly gpu: Gpu;
  readonly #parameters = new Map<string, Parameter>();
  #destroyed = false;

  constructor(gpu: Gpu) {
    gpu.checkAlive();
    this.gpu = gpu;
  }

  /** The parameters with their names, in PyTorch's order. */
  namedParameters(): [string, Parameter][] {
    return [...this.#parameters];
  }

  parameters(): Parameter[] {
    return [...this.#parameters.values()];
  }

  /** Forgets all gradients. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.zeroGrad();
  }

  /** Frees the parameters, their gradients and what forward kept. Idempotent. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const parameter of this.parameters()) parameter.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** A parameter filled with one value. */
  protected register(name: string, shape: readonly number[], dtype: DType, fill: number): Parameter {
    const size = shape.reduce((product, n) => product * n, 1);
    const parameter = new Parameter(this.gpu.tensor(new Float32Array(size).fill(fill), shape, { dtype }));
    this.#parameters.set(name, parameter);
    return parameter;
  }

  protected checkUsable(): void {
    this.gpu.checkAlive();
    if (this.#destroyed) throw new NormError('destroyed', 'This module was destroyed.', 'Make a new one.');
  }
}
