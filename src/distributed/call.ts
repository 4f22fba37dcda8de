// One collective call of one rank: what it waits for, and what has come of it.
import { type Frame, Op, opNames } from './frame.ts';
import type { Bytes } from './merge.ts';

/** What must be the same on all ranks. */
export interface Terms {
  op: number;
  /** Of a broadcast; where ranks have parts of several lengths, a hash of these. */
  root: number;
  /** Length of the values, or of those of all ranks where they have several lengths. */
  elements: number;
  label: string;
  /** Floats that come from each rank, where these are not `elements`. */
  expected?: readonly number[] | undefined;
}

/** "allGather of 193 floats (bn.forward)". */
export function termsInWords({ op, root, elements, label }: Terms): string {
  const what = op === Op.broadcast ? `broadcast from rank ${root}` : (opNames[op] ?? `collective ${op}`);
  return what + (op === Op.barrier ? '' : ` of ${elements} floats`) + (label && ` (${label})`);
}

export const sameTerms = (a: Terms, b: Terms): boolean =>
  a.op === b.op && a.root === b.root && a.elements === b.elements && a.label === b.label;

/** Bytes that a rank's own part has under these terms. */
export function leafBytes({ op, root, elements, expected }: Terms, rank: number): number {
  if (expected) return 4 * (expected[rank] as number);
  if (op === Op.barrier || (op === Op.broadcast && rank !== root)) return 0;
  return 4 * elements;
}

/**
 * The most bytes that a payload can have under these terms where it stands for the parts of several of `size` ranks. What
 * a merge makes of values only its caller knows.
 */
function mostJoinedBytes({ op, elements, expected }: Terms, size: number): number {
  if (op === Op.merge || op === Op.reduceScatter) return Number.POSITIVE_INFINITY;
  return op === Op.allGather && !expected ? 4 * elements * size : 4 * elements;
}

/**
 * A payload that may come in several frames, in any order, more than once. It takes the memory of what has come, whatever
 * the frames claim of the rest.
 */
class Part {
  readonly terms: Terms;
  /** Bytes of the whole payload, as its sender claims. */
  readonly size: number;
  /** Bytes that are kept. */
  held = 0;
  /** By offset. */
  readonly #pieces = new Map<number, Bytes>();
  #whole: Bytes | undefined;

  constructor({ op, root, elements, label, bytes }: Frame) {
    this.terms = { op, root, elements, label };
    this.size = bytes;
  }

  /** The whole payload; undefined while frames are missing. */
  get bytes(): Bytes | undefined {
    return this.#whole;
  }

  add({ offset, payload, bytes }: Frame): void {
    if (this.#whole || bytes !== this.size) return;
    const known = this.#pieces.get(offset);
    if (known && known.length >= payload.length) return;
    // A sender whose server changed may cut a payload in another way the second time, so pieces may overlap.
    const held = this.held + payload.length - (known?.length ?? 0);
    if (held > 2 * bytes) return;
    this.#pieces.set(offset, payload);
    this.held = held;
    if (this.held >= bytes) this.#complete();
  }

  /** Joins the pieces if there is no gap between them. */
  #complete(): void {
    const pieces = [...this.#pieces].sort(([a], [b]) => a - b);
    let end = 0;
    for (const [offset, payload] of pieces) {
      if (offset > end) return;
      end = Math.max(end, offset + payload.length);
    }
    if (end < this.size) return;
    // One frame may be all of it; then it stays where it is.
    let whole = pieces.find(([, { length }]) => length === this.size)?.[1];
    if (!whole) {
      whole = new Uint8Array(this.size);
      for (const [offset, payload] of pieces) whole.set(payload, offset);
    }
    this.#whole = whole;
    this.#pieces.clear();
    this.held = this.size;
  }
}

/** The parts of a call that have come, also before this rank made the call itself. */
export class Parts {
  readonly #parts = new Map<number, Part>();

  add(frame: Frame): void {
    const key = frame.level * 65_536 + frame.from;
    let part = this.#parts.get(key);
    if (!part) {
      part = new Part(frame);
      this.#parts.set(key, part);
    }
    part.add(frame);
  }

  /** Bytes that are kept of what one rank has sent. */
  heldOf(from: number): number {
    let held = 0;
    for (const [key, part] of this.#parts) if (key % 65_536 === from) held += part.held;
    return held;
  }

  get(level: number, rank: number): Bytes | undefined {
    return this.#parts.get(level * 65_536 + rank)?.bytes;
  }

  /** The first rank whose part does not fit these terms in a group of `size`, and its own terms. */
  misfit(terms: Terms, size: number): { rank: number; terms: Terms; size: number } | undefined {
    for (const [key, part] of this.#parts) {
      const rank = key % 65_536;
      const isLeaf = key < 65_536;
      const fits = isLeaf ? part.size === leafBytes(terms, rank) : part.size <= mostJoinedBytes(terms, size);
      if (!fits || !sameTerms(part.terms, terms)) return { rank, terms: part.terms, size: part.size };
    }
    return undefined;
  }
}

/** A call under way on this rank. */
export interface Call {
  seq: number;
  terms: Terms;
  /** What it waits for now. */
  level: number;
  ranks: readonly number[];
  resolve(parts: Bytes[]): void;
  reject(error: Error): void;
  /** Ends it with `timeout`. */
  deadline?: ReturnType<typeof setTimeout> | undefined;
  /** Asks again for what is missing. */
  reminder?: ReturnType<typeof setTimeout> | undefined;
  /** Takes back the listener of the AbortSignal. */
  unlisten(): void;
}
