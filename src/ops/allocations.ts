import type { Tensor } from '../gpu/tensor.ts';

/** Makes an f32 tensor of a shape. */
export type MakeTensor = (shape: readonly number[]) => Tensor;

/** @internal Tensors made for one call: if one of them cannot be made, those before it go. */
export class Allocations {
  readonly #made: Tensor[] = [];

  unless(given: Tensor | undefined, make: () => Tensor): Tensor {
    if (given) return given;
    try {
      const tensor = make();
      this.#made.push(tensor);
      return tensor;
    } catch (error) {
      for (const tensor of this.#made) tensor.destroy();
      throw error;
    }
  }
}
