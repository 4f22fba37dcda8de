// One collective call of one rank: what it waits for, and what has come of it.
import { type Frame, Op, opNames } from './frame.ts';
import type { Bytes } from './merge.ts';

/** What must be the same on all ranks. */
export interface Terms {
  op: number;
  root: number;
  /** Length of the values. */
  elements: number;
  label: string;
}

/** "allGather of 193 floats (bn.forward)". */
export function termsInWords({ op, root, elements, label }: Terms): string {
  const what = op === Op.broadcast ? `broadcast from rank ${root}` : (opNames[op] ?? `collective ${op}`);
  return what + (op === Op.barrier ? '' : ` of ${elements} floats`) + (label && ` (${label})`);
}

export const sameTerms = (a: Terms, b: Terms): boolean =>
  a.op === b.op && a.root === b.root && a.elements === b.elements && a.label === b.label;

/** Bytes that a rank's own part has under these terms. */
export function leafBytes({ op, root, elements }: Terms, rank: number): number {
  if (op === Op.barrier || (op === Op.broadcast && rank !== root)) return 0;
  return 4 * elements;
}

/** A payload that may come in several frames, in any order, more than once. */
class Part {
  readonly terms: Terms;
  readonly #bytes: Bytes;
  readonly #offsets = new Set<number>();
  #missing: number;

  constructor(first: Frame) {
    const { op, root, elements, label, bytes, payload } = first;
    this.terms = { op, root, elements, label };
    this.#missing = bytes;
    // One frame may be all of it; then it stays where it is.
    this.#bytes = payload.length === bytes ? payload : new Uint8Array(bytes);
    this.add(first);
  }

  get size(): number {
    return this.#bytes.length;
  }

  /** The whole payload; undefined while frames are missing. */
  get bytes(): Bytes | undefined {
    return this.#missing === 0 ? this.#bytes : undefined;
  }

  add({ offset, payload, bytes }: Frame): void {
    if (this.#offsets.has(offset) || bytes !== this.#bytes.length) return;
    this.#offsets.add(offset);
    if (payload.length < bytes) this.#bytes.set(payload, offset);
    this.#missing -= payload.length;
  }
}

/** The parts of a call that have come, also before this rank made the call itself. */
export class Parts {
  readonly #parts = new Map<number, Part>();

  add(frame: Frame): void {
    const key = frame.level * 65_536 + frame.from;
    const part = this.#parts.get(key);
    if (part) part.add(frame);
    else this.#parts.set(key, new Part(frame));
  }

  get(level: number, rank: number): Bytes | undefined {
    return this.#parts.get(level * 65_536 + rank)?.bytes;
  }

  /** The first rank whose part does not fit these terms, and its own terms. */
  misfit(terms: Terms): { rank: number; terms: Terms; size: number } | undefined {
    for (const [key, part] of this.#parts) {
      const rank = key % 65_536;
      const isLeaf = key < 65_536;
      const fits = sameTerms(part.terms, terms) && (!isLeaf || part.size === leafBytes(terms, rank));
      if (!fits) return { rank, terms: part.terms, size: part.size };
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
