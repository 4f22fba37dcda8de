import { NormError } from '../gpu/errors.ts';
import type { Tensor } from '../gpu/tensor.ts';

/**
 * What a module keeps of its last forward, for backward. It is one forward's alone, so that a loop of forwards does not grow;
 * where several with different inputs wait for their backward, the second of those is refused, not given the wrong one's.
 */
export class LastForward<Saved extends { readonly x: Tensor }> {
  #x: Tensor | undefined;
  #saved: Saved | null = null;
  /** Whether a backward pass has used it. */
  #answered = false;
  /** Whether forwards of other inputs came before it that no backward pass has used. */
  #others = false;

  /** A forward of x has begun: until keep() is called, there is nothing for backward. */
  begin(x: Tensor | undefined): void {
    if (this.#answered || !x) this.#others = false;
    else if (this.#x && this.#x !== x) this.#others = true;
    this.#answered = false;
    this.#x = x;
    this.#saved = null;
  }

  /** What the next backward is to use; null for nothing. */
  keep(saved: Saved | null): void {
    this.begin(saved?.x);
    this.#saved = saved;
  }

  /** What backward needs. Throws `order` before forward, and where it would be that of another forward. */
  get(): Saved {
    if (this.#answered && this.#others) {
      throw new NormError(
        'order',
        'forward() was called with several inputs. The module keeps what the last one needs, and backward() has used that.',
        'Call backward() after each forward(), or make several modules that share their parameters.',
      );
    }
    if (this.#saved) return this.#saved;
    throw new NormError('order', 'backward() was called before forward().', 'Call forward() first.');
  }

  /** A backward pass has used it. */
  answer(): void {
    this.#answered = true;
  }
}
