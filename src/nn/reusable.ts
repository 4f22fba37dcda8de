import type { Gpu } from '../gpu/gpu.ts';
import { byteSize, type DType, elementCount, type Tensor } from '../gpu/tensor.ts';

/** Shapes that are remembered; more means that they change all the time. */
const mostViews = 64;

/**
 * A tensor that every pass writes anew. Commands that are recorded but not yet submitted may refer to it, so it is used
 * again, and one that became too small is kept until destroy(); doubling bounds what that adds up to.
 */
export class Reusable {
  readonly #gpu: Gpu;
  readonly #made = new Map<DType, Tensor[]>();
  readonly #views = new Map<string, Tensor>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** The same tensor for the same shape and dtype, so that what was bound to it still fits. */
  take(shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const key = `${dtype} ${shape}`;
    const known = this.#views.get(key);
    if (known && this.#gpu.intact(known)) return known;
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
      // No more than a buffer may have; tensors take multiples of 16 bytes.
      const most = (Math.floor(this.#gpu.device.limits.maxBufferSize / 16) * 16) / byteSize(dtype);
      const doubled = Math.min(2 * (backing?.size ?? 0), most);
      backing = this.#gpu.keep(this.#gpu.empty([Math.max(size, doubled)], { dtype }));
      made.push(backing);
    }
    const view = backing.view(shape);
    if (this.#views.size >= mostViews) this.#views.clear();
    this.#views.set(key, view);
    return view;
  }

  destroy(): void {
    for (const made of this.#made.values()) for (const tensor of made) tensor.destroy();
    this.#made.clear();
    this.#views.clear();
  }
}
