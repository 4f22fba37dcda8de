import type { RecordOptions, Repeat } from '../gpu/execute.ts';

/**
 * The last call of a kind, remembered so that the same call again need only be recorded. What a call depends on is a list
 * of values, compared one by one: tensors, options, modes.
 */
export class Warm<Result> {
  #key: readonly unknown[] = [];
  #repeat: Repeat | null = null;
  #result: Result | null = null;

  /** Records the call again and returns its result, if it was the last one and nothing it needs is gone; else null. */
  record(key: readonly unknown[], target: RecordOptions): Result | null {
    const repeat = this.#repeat;
    if (repeat === null) return null;
    const last = this.#key;
    for (let i = 0; i < key.length; i++) if (key[i] !== last[i]) return null;
    if (!repeat.possible || (target.encoder && target.pass)) return null;
    repeat.record(target);
    return this.#result;
  }

  keep(key: readonly unknown[], repeat: Repeat, result: Result): void {
    this.#key = key;
    this.#repeat = repeat;
    this.#result = result;
  }

  forget(): void {
    this.#key = [];
    this.#repeat = null;
    this.#result = null;
  }
}
