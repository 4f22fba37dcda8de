// The one implementation of collectives, over any transport.
import { NormError } from '../gpu/errors.ts';
import { checkOptions, checkSignal, listOf, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import { shown } from '../gpu/shown.ts';
import { type Call, leafBytes, type Terms } from './call.ts';
import { Exchange } from './exchange.ts';
import { hashText, Op, resultLevel } from './frame.ts';
import type { TakeOver } from './join.ts';
import { checkTimeout, type Member } from './member.ts';
import { type Bytes, type Combine, gathering, joinAll, type Merge, merging, picking, sum } from './merge.ts';
import type { CollectiveOptions, PartOptions, ProcessGroup, Traffic } from './process-group.ts';
import type { Transport } from './transport.ts';

const collectiveNames = {
  signal: 'other',
  timeout: 'number',
  label: 'string',
} as const satisfies OptionNames<CollectiveOptions>;

/** A process group over a {@link Transport}; its subclasses say how ranks get one. */
export abstract class FramedGroup implements ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly #exchange: Exchange;
  /**
   * Bytes that are kept of one rank for calls after the next one. What is more is dropped and asked for again when it is
   * needed; over a reliable transport, where nobody asks again, the group ends with `limit`.
   */
  protected readonly mostAhead: number = 2 ** 30;

  /** @internal */
  constructor(transport: Transport, member: Member, takeOver: TakeOver) {
    this.rank = member.rank;
    this.size = member.size;
    this.#exchange = new Exchange(transport, member, takeOver, () => this.mostAhead);
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws `value` if this is a Proxy of a group. */
  checkOwn(): void {
    if (!(#exchange in this)) throw proxied('ProcessGroup');
  }

  get traffic(): Readonly<Traffic> {
    this.checkOwn();
    return { ...this.#exchange.traffic };
  }

  async allGather(values: Float32Array, options: PartOptions = {}) {
    this.checkOwn();
    const { rest, parts } = this.#parts(options);
    if (parts && values?.length !== parts.lengths[this.rank]) {
      const what = `Rank ${this.rank} gives ${values?.length} floats, and lengths says ${parts.lengths[this.rank]}.`;
      throw new NormError('value', what, 'Give as many as lengths says.');
    }
    const terms = parts && { elements: parts.total, root: parts.hash, expected: parts.lengths };
    const all = await this.#collective({ op: Op.allGather, ...terms }, values, gathering, rest);
    let at = all.byteOffset;
    return Array.from({ length: this.size }, (_, rank) => {
      const length = parts?.lengths[rank] ?? values.length;
      at += 4 * length;
      return new Float32Array(all.buffer, at - 4 * length, length).slice();
    });
  }

  async reduceScatter(values: Float32Array, options: PartOptions = {}) {
    this.checkOwn();
    const { rank, size } = this;
    const { rest, parts } = this.#parts(options);
    if (parts ? values?.length !== parts.total : values?.length % size !== 0) {
      const what = `reduceScatter was given ${values?.length} floats for ${parts ? `${parts.total} of lengths` : `${size} equal parts`}.`;
      throw new NormError(
        'value',
        what,
        'Give as many as all parts together, with lengths where they differ.',
      );
    }
    const lengths = parts?.lengths ?? new Array<number>(size).fill(values.length / size);
    const ends = runningSums(lengths);
    const [end, length] = [ends[rank] as number, lengths[rank] as number];
    const { isTree } = this.#exchange;
    const terms = { op: Op.reduceScatter, root: parts?.hash ?? 0, expected: lengths.map(() => length) };
    const pieces = (all: Bytes) =>
      ends.map((to, i) => all.slice(4 * (to - (lengths[i] as number)), 4 * to) as Bytes);
    // Those of a tree merge everything, whoever needs it.
    const summed = isTree
      ? await this.#collective({ ...terms, expected: undefined }, values, merging(sum), rest)
      : await this.#collective(terms, values, merging(sum), rest, pieces);
    const own = new Float64Array(summed.buffer, summed.byteOffset, summed.byteLength / 8);
    return Float32Array.from(isTree ? own.subarray(end - length, end) : own);
  }

  /** What `lengths` says. Throws `value` unless it says something of every rank. */
  #parts({ lengths: given, ...rest }: PartOptions) {
    if (given === undefined) return { rest };
    const lengths = listOf('lengths', given);
    if (lengths.length !== this.size || lengths.some((one) => !Number.isInteger(one) || one < 0)) {
      const what = `lengths is ${shown(given)}, in a group of ${this.size} ranks.`;
      throw new NormError('value', what, 'Give a whole number, 0 or more, for each rank.');
    }
    const hash = hashText(lengths.join());
    return {
      rest,
      parts: { lengths, total: runningSums(lengths).at(-1) as number, hash: (hash ^ (hash >>> 16)) & 0xffff },
    };
  }

  async allReduce(values: Float32Array, options: CollectiveOptions = {}) {
    return Float32Array.from(await this.allMerge(values, sum, options));
  }

  /**
   * @internal allReduce of values that come later, such as those of a read-back. The call has its number now, so that its
   * place among the calls of this rank does not depend on when they come.
   *
   * @param length - how many there will be.
   */
  async allReduceLater(length: number, values: Promise<Float32Array>, options: CollectiveOptions = {}) {
    this.checkOwn();
    const later = { length, values };
    const { buffer, byteOffset } = await this.#collective({ op: Op.merge }, later, merging(sum), options);
    return Float32Array.from(new Float64Array(buffer, byteOffset, length));
  }

  async allMerge(values: Float32Array, merge: Merge, options: CollectiveOptions = {}) {
    this.checkOwn();
    if (typeof merge?.lift !== 'function' || typeof merge.join !== 'function') {
      throw new NormError('value', `merge is ${shown(merge)}.`, 'Pass { lift, join }, both functions.');
    }
    const merged = await this.#collective({ op: Op.merge }, values, merging(merge), options);
    return new Float64Array(merged.buffer, merged.byteOffset, merged.byteLength / 8).slice();
  }

  async broadcast(values: Float32Array, root: number, options: CollectiveOptions = {}) {
    this.checkOwn();
    if (!Number.isInteger(root) || root < 0 || root >= this.size) {
      throw new NormError('value', `root is ${shown(root)}.`, `Use a rank from 0 to ${this.size - 1}.`);
    }
    const { buffer, byteOffset } = await this.#collective(
      { op: Op.broadcast, root },
      values,
      picking,
      options,
    );
    return new Float32Array(buffer, byteOffset, values.length).slice();
  }

  async barrier(options: CollectiveOptions = {}) {
    this.checkOwn();
    await this.#collective({ op: Op.barrier }, new Float32Array(), gathering, options);
  }

  close(): Promise<void> {
    this.checkOwn();
    return this.#exchange.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What all collectives are: every rank gives a part, and all parts are joined in one order. */
  async #collective(
    what: Pick<Terms, 'op'> & Partial<Terms>,
    values: Float32Array | { length: number; values: Promise<Float32Array> },
    combine: Combine,
    options: CollectiveOptions,
    pieces?: (leaf: Bytes) => Bytes[],
  ): Promise<Bytes> {
    checkOptions('A collective', options, collectiveNames);
    const { signal, timeout = this.#exchange.member.timeout, label = '' } = options;
    checkSignal(signal);
    const later = values instanceof Float32Array ? undefined : values?.values;
    if (!(values instanceof Float32Array || later instanceof Promise)) {
      throw new NormError('value', 'The values are no Float32Array.', 'Pass a Float32Array.');
    }
    if (!/^[\x20-\x7e]{0,16}$/.test(label)) {
      throw new NormError('value', `The label '${label}' is too long.`, 'Use up to 16 ASCII characters.');
    }
    checkTimeout(timeout);
    this.#exchange.checkAlive();
    const terms: Terms = { root: 0, elements: values.length, label, ...what };
    const now = values instanceof Float32Array ? bytesOf(values) : undefined;
    const call = this.#exchange.begin(terms, signal);
    try {
      const own = now ?? bytesOf(await (later as Promise<Float32Array>));
      if (!now) this.#exchange.checkAlive();
      const leaf = pieces || leafBytes(terms, this.rank) > 0 ? own : new Uint8Array();
      if (this.#exchange.isTree) return await this.#byTree(call, leaf, combine, timeout);
      return await this.#flat(call, pieces?.(leaf) ?? leaf, combine, timeout);
    } finally {
      this.#exchange.finish(call);
    }
  }

  /** Everyone sends to everyone, the same or to each its piece, and joins everything. */
  async #flat(call: Call, given: Bytes | Bytes[], combine: Combine, timeout: number): Promise<Bytes> {
    const pieces = Array.isArray(given);
    if (pieces) for (const to of this.#exchange.others) this.#exchange.give(call, 0, given[to] as Bytes, to);
    else this.#exchange.give(call, 0, given);
    const theirs = await this.#exchange.gather(call, this.#exchange.others, 0, timeout);
    const parts = theirs.map((part) => combine.lift(part));
    parts.splice(this.rank, 0, combine.lift(pieces ? (given[this.rank] as Bytes) : given));
    return joinAll(parts, this.#exchange.member.fanOut, combine);
  }

  /** Parts go up a tree, joined at every level, and the result comes back to all at once. */
  async #byTree(call: Call, leaf: Bytes, combine: Combine, timeout: number): Promise<Bytes> {
    const began = performance.now();
    const levels = Math.ceil(Math.log(this.size) / Math.log(this.#exchange.member.fanOut));
    let mine = combine.lift(leaf);
    for (const [level, step] of this.#exchange.steps.entries()) {
      if ('to' in step) {
        this.#exchange.give(call, level, level === 0 ? leaf : mine, step.to);
        const left = timeout - (performance.now() - began);
        const [result] = await this.#exchange.gather(call, [0], resultLevel, left);
        return result as Bytes;
      }
      if (step.from.length === 0) continue;
      // Who waits for a part loses patience before those who wait for what is made of it: it knows who is missing.
      const patience = timeout * (1 - (levels - level) / (3 * levels));
      const parts = await this.#exchange.gather(
        call,
        step.from,
        level,
        patience - (performance.now() - began),
      );
      mine = combine.join([mine, ...parts.map((part) => (level === 0 ? combine.lift(part) : part))]);
    }
    this.#exchange.give(call, resultLevel, mine);
    return mine;
  }
}

/** A copy of the values. */
const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Bytes =>
  new Uint8Array(buffer, byteOffset, byteLength).slice() as Bytes;

/** The sums of all up to each. */
function runningSums(lengths: readonly number[]): number[] {
  let total = 0;
  return lengths.map((length) => {
    total += length;
    return total;
  });
}
