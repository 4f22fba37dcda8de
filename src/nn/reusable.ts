import type { Gpu } from '../gpu/gpu.ts';
import { type DType, elementCount, type Tensor } from '../gpu/tensor.ts';
import { sameShape } from '../ops/check.ts';

/**
 * A tensor that every pass writes anew. Commands that are recorded but not yet submitted may refer to it, so it is used
 * again, and one that became too small is kept until destroy(); doubling bounds what that adds up to.
 */
export class Reusable {
  readonly #gpu: Gpu;
  readonly #made = new Map<DType, Tensor[]>();
  #last: Tensor | undefined;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** The same tensor where shape and dtype are those of the last time, so that what was bound to it still fits. */
  take(shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const last = this.#last;
    const fits = last?.dtype === dtype && sameShape(last.shape, shape);
    if (fits && this.#gpu.intact(last)) return last;
    // What turned out to have no memory, or to be written by refused commands, is made anew.
    const made = (this.#made.get(dtype) ?? []).filter((tensor) => {
      const usable = this.#gpu.intact(tensor);
      if (!usable) tensor.destroy();
      return usable;
    });
    this.#made.set(dtype, made);
    const size = elementCount(shape);
    let backing = made.at(-1);
    if (!backing || backing.size < size) {
      const doubled = Math.max(size, 2 * (backing?.size ?? 0));
      backing = this.#gpu.keep(this.#gpu.empty([doubled], { dtype }));
      made.push(backing);
    }
    this.#last = backing.view(shape);
    return this.#last;
  }

  destroy(): void {
    for (const made of this.#made.values()) for (const tensor of made) tensor.destroy();
    this.#made.clear();
    this.#last = undefined;
  }
}
