// The one implementation of collectives, over any transport.
import { NormError } from '../gpu/errors.ts';
import { checkOptions, checkSignal, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import { shown } from '../gpu/shown.ts';
import { type Call, leafBytes, type Terms } from './call.ts';
import { Exchange } from './exchange.ts';
import { Op, resultLevel } from './frame.ts';
import type { TakeOver } from './join.ts';
import { checkTimeout, type Member } from './member.ts';
import { type Bytes, type Combine, gathering, joinAll, type Merge, merging, picking, sum } from './merge.ts';
import type { CollectiveOptions, ProcessGroup, Traffic } from './process-group.ts';
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

  async allGather(values: Float32Array, options: CollectiveOptions = {}) {
    this.checkOwn();
    const all = await this.#collective(Op.allGather, 0, values, gathering, options);
    const { length } = values;
    return Array.from({ length: this.size }, (_, rank) => {
      return new Float32Array(all.buffer, all.byteOffset + 4 * length * rank, length).slice();
    });
  }

  async allReduce(values: Float32Array, options: CollectiveOptions = {}) {
    return Float32Array.from(await this.allMerge(values, sum, options));
  }

  async allMerge(values: Float32Array, merge: Merge, options: CollectiveOptions = {}) {
    this.checkOwn();
    if (typeof merge?.lift !== 'function' || typeof merge.join !== 'function') {
      throw new NormError('value', `merge is ${shown(merge)}.`, 'Pass { lift, join }, both functions.');
    }
    const merged = await this.#collective(Op.merge, 0, values, merging(merge), options);
    return new Float64Array(merged.buffer, merged.byteOffset, merged.byteLength / 8).slice();
  }

  async broadcast(values: Float32Array, root: number, options: CollectiveOptions = {}) {
    this.checkOwn();
    if (!Number.isInteger(root) || root < 0 || root >= this.size) {
      throw new NormError('value', `root is ${shown(root)}.`, `Use a rank from 0 to ${this.size - 1}.`);
    }
    const { buffer, byteOffset } = await this.#collective(Op.broadcast, root, values, picking, options);
    return new Float32Array(buffer, byteOffset, values.length).slice();
  }

  async barrier(options: CollectiveOptions = {}) {
    this.checkOwn();
    await this.#collective(Op.barrier, 0, new Float32Array(), gathering, options);
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
    op: number,
    root: number,
    values: Float32Array,
    combine: Combine,
    options: CollectiveOptions,
  ): Promise<Bytes> {
    checkOptions('A collective', options, collectiveNames);
    const { signal, timeout = this.#exchange.member.timeout, label = '' } = options;
    checkSignal(signal);
    if (!(values instanceof Float32Array)) {
      throw new NormError('value', 'The values are no Float32Array.', 'Pass a Float32Array.');
    }
    if (!/^[\x20-\x7e]{0,16}$/.test(label)) {
      throw new NormError('value', `The label '${label}' is too long.`, 'Use up to 16 ASCII characters.');
    }
    checkTimeout(timeout);
    this.#exchange.checkAlive();
    const terms: Terms = { op, root, elements: values.length, label };
    const own = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice() as Bytes;
    const leaf = leafBytes(terms, this.rank) > 0 ? own : new Uint8Array();
    const call = this.#exchange.begin(terms, signal);
    try {
      return await (this.#exchange.isTree ? this.#byTree : this.#flat).call(
        this,
        call,
        leaf,
        combine,
        timeout,
      );
    } finally {
      this.#exchange.finish(call);
    }
  }

  /** Everyone sends to everyone and joins everything. */
  async #flat(call: Call, leaf: Bytes, combine: Combine, timeout: number): Promise<Bytes> {
    this.#exchange.give(call, 0, leaf);
    const theirs = await this.#exchange.gather(call, this.#exchange.others, 0, timeout);
    const parts = theirs.map((part) => combine.lift(part));
    parts.splice(this.rank, 0, combine.lift(leaf));
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
