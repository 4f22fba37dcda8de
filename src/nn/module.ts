import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { floatDType } from '../ops/check.ts';

/** A learned tensor and its gradient. */
export class Parameter {
  /** The values. */
  readonly data: Tensor;
  #gradient: Tensor | null = null;
  #cleared = true;

  /** @internal */
  constructor(data: Tensor) {
    this.data = data.gpu.keep(data);
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

  /** @internal The tensor that a backward pass writes the gradient to, or adds it to where `grad` is not null. */
  takeGradient(): Tensor {
    this.#gradient ??= this.data.gpu.keep(this.data.gpu.empty(this.data.shape, { dtype: this.data.dtype }));
    return this.#gradient;
  }

  /** @internal After a backward pass: the gradient holds something. */
  keepGradient(): void {
    this.#cleared = this.#gradient === null;
  }

  destroy(): void {
    this.data.destroy();
    this.#gradient?.destroy();
    this.#gradient = null;
    this.#cleared = true;
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
  protected register(name: string, shape: readonly number[], dtype: FloatDType, fill: number): Parameter {
    floatDType({ dtype }, name);
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
