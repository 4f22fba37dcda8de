import type { Terms } from './call.ts';
import type { Bytes } from './merge.ts';

/** Something that this rank sent and that another may ask for again. */
export interface Sent {
  seq: number;
  level: number;
  /** Absent: to all. */
  to?: number | undefined;
  terms: Terms;
  payload: Bytes;
}

/** What this rank has sent, for as long as somebody may still need it. */
export class Outbox {
  /** Of those that report to this rank: the call up to which all have ended there. */
  readonly #doneOf: Map<number, number>;
  #sent: Sent[] = [];

  /** @param reporting - the ranks whose frames come here. */
  constructor(reporting: readonly number[]) {
    this.#doneOf = new Map(reporting.map((rank) => [rank, 0]));
  }

  keep(sent: Sent): void {
    this.#sent.push(sent);
  }

  /** What was sent at one level of one call to a rank, or to all. */
  find(seq: number, level: number, rank: number): Sent | undefined {
    const isIt = (sent: Sent) => sent.seq === seq && sent.level === level && (sent.to ?? rank) === rank;
    return this.#sent.find(isIt);
  }

  /** A rank has ended all calls up to this one. */
  hear(rank: number, done: number): void {
    const known = this.#doneOf.get(rank);
    if (known !== undefined && done > known) this.#doneOf.set(rank, done);
  }

  /** A rank is gone, and will ask for nothing. */
  leave(rank: number): void {
    this.#doneOf.delete(rank);
  }

  /** The call up to which all have ended on this rank, which has ended `own`, and on those that report to it. */
  doneByAll(own: number): number {
    return Math.min(own, ...this.#doneOf.values());
  }

  /** Lets go of what nobody can ask for any more. */
  forget(own: number): void {
    const done = this.doneByAll(own);
    this.#sent = this.#sent.filter(({ seq }) => seq > done);
  }

  clear(): void {
    this.#sent = [];
  }
}
