import type { Tensor } from './tensor.ts';

/** A tensor that owns its buffer, and what that takes. */
interface Entry {
  tensor: WeakRef<Tensor>;
  bytes: number;
}

/**
 * The tensors of a context that own their buffer, held weakly: one that nobody holds any more is collected with its GPUBuffer, whose
 * memory the browser then frees once the GPU is done with it.
 *
 * @remarks The buffer is not destroyed by that: commands which are recorded but not yet submitted may still refer to it.
 */
export class LiveTensors {
  /** Bytes of their buffers. */
  bytes = 0;
  readonly #entries = new Set<Entry>();
  readonly #entryOf = new WeakMap<Tensor, Entry>();
  readonly #collected = new FinalizationRegistry<Entry>((entry) => this.#forget(entry));

  get size(): number {
    return this.#entries.size;
  }

  add(tensor: Tensor, bytes: number): void {
    const entry = { tensor: new WeakRef(tensor), bytes };
    this.#entries.add(entry);
    this.#entryOf.set(tensor, entry);
    this.#collected.register(tensor, entry, entry);
    this.bytes += bytes;
  }

  /** Whether it was among them. */
  delete(tensor: Tensor): boolean {
    const entry = this.#entryOf.get(tensor);
    if (!entry) return false;
    this.#entryOf.delete(tensor);
    this.#collected.unregister(entry);
    return this.#forget(entry);
  }

  /** Those that are not collected yet. */
  all(): Tensor[] {
    return [...this.#entries].map(({ tensor }) => tensor.deref()).filter((tensor) => tensor !== undefined);
  }

  #forget(entry: Entry): boolean {
    if (!this.#entries.delete(entry)) return false;
    this.bytes -= entry.bytes;
    return true;
  }
}
