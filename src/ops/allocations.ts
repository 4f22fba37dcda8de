import type { Gpu } from '../gpu/gpu.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Like } from './check.ts';

/** Makes an f32 tensor of a shape. */
export type MakeTensor = (shape: readonly number[]) => Tensor;

/** @internal Tensors made for one call: if one of them cannot be made, those before it go. */
export class Allocations {
  readonly #gpu: Gpu;
  readonly #made: Tensor[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  unless(given: Tensor | undefined, like: Like): Tensor {
    if (given) return given;
    try {
      const tensor = this.#gpu.empty(like.shape, like);
      this.#made.push(tensor);
      return tensor;
    } catch (error) {
      for (const tensor of this.#made) tensor.destroy();
      throw error;
    }
  }
}
