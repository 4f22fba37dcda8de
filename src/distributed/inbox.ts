import { Parts } from './call.ts';
import type { Frame } from './frame.ts';

/** Calls that other ranks may be ahead. */
export const window = 1024;

/** The parts that have come of calls that have not ended on this rank, by number of the call. */
export class Inbox {
  readonly #parts = new Map<number, Parts>();

  get(seq: number): Parts | undefined {
    return this.#parts.get(seq);
  }

  add(frame: Frame): void {
    let parts = this.#parts.get(frame.seq);
    if (!parts) {
      parts = new Parts();
      this.#parts.set(frame.seq, parts);
    }
    parts.add(frame);
  }

  /**
   * Whether a part can be kept where this rank has made so many calls: one for the next call always; of those further
   * ahead, up to `most` bytes of one rank.
   */
  hasRoom({ seq, from, payload }: Frame, made: number, most: number): boolean {
    if (seq <= made + 1) return true;
    let held = payload.length;
    for (const [of, parts] of this.#parts) if (of > made + 1) held += parts.heldOf(from);
    return seq <= made + window && held <= most;
  }

  forget(seq: number): void {
    this.#parts.delete(seq);
  }

  clear(): void {
    this.#parts.clear();
  }
}
