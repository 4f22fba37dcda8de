// The one implementation of collectives, over any transport: sequence numbers, timeouts, faults.
import { NormError } from '../gpu/errors.ts';
import { checkOptions, checkSignal, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import { shown } from '../gpu/shown.ts';
import { type Call, leafBytes, type Terms, termsInWords } from './call.ts';
import { GroupError, ranksInWords, titled } from './errors.ts';
import { decode, encode, type Frame, headerBytes, Kind, Op, resultLevel, sameEpoch } from './frame.ts';
import { Inbox, window } from './inbox.ts';
import type { TakeOver } from './join.ts';
import { checkTimeout, faultPayload, type Member, objection, readFault, settingsOf } from './member.ts';
import {
  type Bytes,
  type Combine,
  gathering,
  joinAll,
  type Merge,
  merging,
  picking,
  sum,
  type TreeStep,
  treeSteps,
} from './merge.ts';
import { Outbox, type Sent } from './outbox.ts';
import type { CollectiveOptions, ProcessGroup, Traffic } from './process-group.ts';
import type { Transport } from './transport.ts';

const collectiveNames = {
  signal: 'other',
  timeout: 'number',
  label: 'string',
} as const satisfies OptionNames<CollectiveOptions>;

const firstReminder = 250;
const slowestReminder = 2000;

/** A process group over a {@link Transport}; its subclasses say how ranks get one. */
export abstract class FramedGroup implements ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly #traffic: Traffic = { collectives: 0, bytesSent: 0, bytesReceived: 0 };
  readonly #transport: Transport;
  readonly #member: Member;
  readonly #outbox: Outbox;
  /** What this rank does in a tree. */
  readonly #steps: readonly TreeStep[];
  readonly #calls = new Map<number, Call>();
  readonly #inbox = new Inbox();
  readonly #left = new Set<number>();
  /**
   * Bytes that are kept of one rank for calls after the next one. What is more is dropped and asked for again when it is
   * needed; over a reliable transport, where nobody asks again, the group ends with `limit`.
   */
  protected readonly mostAhead: number = 2 ** 30;
  #made = 0;
  #failure: GroupError | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(transport: Transport, member: Member, takeOver: TakeOver) {
    this.rank = member.rank;
    this.size = member.size;
    this.#transport = transport;
    this.#member = member;
    this.#steps = treeSteps(this.rank, this.size, member.fanOut);
    const reporting = this.#isTree
      ? this.#steps.flatMap((step) => ('from' in step ? step.from : []))
      : this.#others();
    this.#outbox = new Outbox(reporting);
    takeOver(
      (frame) => this.#receive(frame),
      (error) =>
        this.#fail(new GroupError('connection', error.message, error.fix, [this.rank], error), false),
    );
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws `value` if this is a Proxy of a group. */
  checkOwn(): void {
    if (!(#member in this)) throw proxied('ProcessGroup');
  }

  get traffic(): Readonly<Traffic> {
    this.checkOwn();
    return { ...this.#traffic };
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
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    if (!this.#failure && this.size > 1) this.#say(Kind.bye, {});
    this.#end(new GroupError('destroyed', 'The group was closed.', 'Join a new one.', [this.rank]));
    await this.#transport.close();
  }

  get #isTree(): boolean {
    return this.size > this.#member.treeAbove;
  }

  #others(): number[] {
    return Array.from({ length: this.size }, (_, rank) => rank).filter((rank) => rank !== this.rank);
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
    const { signal, timeout = this.#member.timeout, label = '' } = options;
    checkSignal(signal);
    if (!(values instanceof Float32Array)) {
      throw new NormError('value', 'The values are no Float32Array.', 'Pass a Float32Array.');
    }
    if (!/^[\x20-\x7e]{0,16}$/.test(label)) {
      throw new NormError('value', `The label '${label}' is too long.`, 'Use up to 16 ASCII characters.');
    }
    checkTimeout(timeout);
    if (this.#failure) throw this.#again(this.#failure);
    const terms: Terms = { op, root, elements: values.length, label };
    const own = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice() as Bytes;
    const leaf = leafBytes(terms, this.rank) > 0 ? own : new Uint8Array();
    const call = this.#begin(terms, signal);
    try {
      return await (this.#isTree ? this.#byTree : this.#flat).call(this, call, leaf, combine, timeout);
    } finally {
      this.#finish(call);
    }
  }

  /** Everyone sends to everyone and joins everything. */
  async #flat(call: Call, leaf: Bytes, combine: Combine, timeout: number): Promise<Bytes> {
    const others = this.#others();
    this.#give(call, 0, leaf);
    const theirs = await this.#gather(call, others, 0, timeout);
    const parts = theirs.map((part) => combine.lift(part));
    parts.splice(this.rank, 0, combine.lift(leaf));
    return joinAll(parts, this.#member.fanOut, combine);
  }

  /** Parts go up a tree, joined at every level, and the result comes back to all at once. */
  async #byTree(call: Call, leaf: Bytes, combine: Combine, timeout: number): Promise<Bytes> {
    const began = performance.now();
    const levels = Math.ceil(Math.log(this.size) / Math.log(this.#member.fanOut));
    let mine = combine.lift(leaf);
    for (const [level, step] of this.#steps.entries()) {
      if ('to' in step) {
        this.#give(call, level, level === 0 ? leaf : mine, step.to);
        const left = timeout - (performance.now() - began);
        const [result] = await this.#gather(call, [0], resultLevel, left);
        return result as Bytes;
      }
      if (step.from.length === 0) continue;
      // Who waits for a part loses patience before those who wait for what is made of it: it knows who is missing.
      const patience = timeout * (1 - (levels - level) / (3 * levels));
      const parts = await this.#gather(call, step.from, level, patience - (performance.now() - began));
      mine = combine.join([mine, ...parts.map((part) => (level === 0 ? combine.lift(part) : part))]);
    }
    this.#give(call, resultLevel, mine);
    return mine;
  }

  #begin(terms: Terms, signal: AbortSignal | undefined): Call {
    this.#made++;
    this.#traffic.collectives++;
    const abort = () => {
      const what = `Rank ${this.rank} aborted call ${call.seq}, ${termsInWords(terms)}.`;
      this.#fail(new GroupError('aborted', what, rejoin, [this.rank], signal?.reason));
    };
    const call: Call = {
      seq: this.#made,
      terms,
      level: 0,
      ranks: [],
      resolve: () => {},
      reject: () => {},
      unlisten: () => signal?.removeEventListener('abort', abort),
    };
    this.#calls.set(call.seq, call);
    if (signal?.aborted) {
      abort();
      throw this.#failure;
    }
    signal?.addEventListener('abort', abort);
    return call;
  }

  #finish(call: Call): void {
    clearTimeout(call.deadline);
    clearTimeout(call.reminder);
    call.unlisten();
    this.#calls.delete(call.seq);
    this.#inbox.forget(call.seq);
    this.#outbox.forget(this.#done);
  }

  /** All calls up to this one have ended on this rank. */
  get #done(): number {
    return this.#calls.size === 0 ? this.#made : Math.min(...this.#calls.keys()) - 1;
  }

  #give(call: Call, level: number, payload: Bytes, to?: number): void {
    if (this.size === 1) return;
    const sent = { seq: call.seq, terms: call.terms, level, payload };
    if (!this.#transport.reliable) this.#outbox.keep(sent);
    this.#send(sent, to);
  }

  #send({ seq, level, terms, payload }: Sent, to?: number): void {
    const room = Math.floor((this.#transport.maxFrame - headerBytes) / 8) * 8;
    // In a tree a rank speaks for those below it.
    const done = this.#isTree ? this.#outbox.doneByAll(this.#done) : this.#done;
    for (let offset = 0; offset === 0 || offset < payload.length; offset += room) {
      const part = payload.subarray(offset, offset + room);
      const bytes = payload.length;
      this.#traffic.bytesSent += headerBytes + part.length;
      this.#say(Kind.data, { ...terms, seq, level, done, bytes, offset, payload: part }, to);
    }
  }

  #say(kind: number, frame: Partial<Frame>, to?: number): void {
    const { group, epoch, rank } = this.#member;
    this.#transport.send(encode(group, { epoch, ...frame, kind, from: rank }), frame.seq ?? 0, to);
  }

  /** The parts of other ranks at one level, in the order asked for. */
  #gather(call: Call, ranks: readonly number[], level: number, timeout: number): Promise<Bytes[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      Object.assign(call, { ranks, level, resolve, reject });
      clearTimeout(call.deadline);
      call.deadline = setTimeout(() => this.#late(call), Math.max(0, timeout));
      if (!this.#transport.reliable) this.#remind(call, firstReminder);
      this.#look(call);
    });
  }

  #missing({ seq, ranks, level }: Call): number[] {
    const parts = this.#inbox.get(seq);
    return ranks.filter((rank) => !parts?.get(level, rank));
  }

  /** Ends a wait if all has come, or if it never will. */
  #look(call: Call): void {
    const parts = this.#inbox.get(call.seq);
    const misfit = parts?.misfit(call.terms, this.size);
    if (misfit) {
      const { rank, terms, size } = misfit;
      const what = `In call ${call.seq}, rank ${rank} made a ${termsInWords(terms)} with ${size} bytes, rank ${this.rank} a ${termsInWords(call.terms)}.`;
      const fix = 'Make the same calls in the same order, with the same shapes and dtypes, on all ranks.';
      this.#fail(new GroupError('mismatch', what, fix, [rank, this.rank]));
      return;
    }
    const missing = this.#missing(call);
    if (missing.length === 0) {
      clearTimeout(call.deadline);
      clearTimeout(call.reminder);
      call.resolve(call.ranks.map((rank) => parts?.get(call.level, rank) as Bytes));
      return;
    }
    const gone = missing.filter((rank) => this.#left.has(rank));
    if (gone.length === 0) return;
    const what = `${titled(ranksInWords(gone))} left before call ${call.seq}, ${termsInWords(call.terms)}.`;
    this.#fail(new GroupError('rank-lost', what, rejoin, gone));
  }

  #remind(call: Call, wait: number): void {
    clearTimeout(call.reminder);
    call.reminder = setTimeout(() => {
      const { seq, level } = call;
      for (const rank of this.#missing(call)) this.#say(Kind.resend, { seq, level }, rank);
      this.#remind(call, Math.min(2 * wait, slowestReminder));
    }, wait);
  }

  #late(call: Call): void {
    const missing = this.#missing(call);
    const role = call.level === resultLevel ? ', which merges for all,' : '';
    const what = `${titled(ranksInWords(missing))}${role} did not take part in call ${call.seq}, ${termsInWords(call.terms)}, in time.`;
    this.#fail(new GroupError('timeout', what, rejoin, missing));
  }

  /** The group is over: for this rank, and where `tell` for the others. */
  #fail(error: GroupError, tell = true): void {
    if (this.#failure) return;
    if (tell) this.#say(Kind.fault, { payload: faultPayload(error) });
    this.#end(error);
  }

  #end(error: GroupError): void {
    this.#failure ??= error;
    this.#inbox.clear();
    this.#outbox.clear();
    for (const call of [...this.#calls.values()]) {
      this.#finish(call);
      call.reject(error);
    }
  }

  #again(failure: GroupError): GroupError {
    if (failure.code === 'destroyed') return failure;
    const what = `This group has failed before: ${failure.message}`;
    return new GroupError(failure.code, what, rejoin, failure.ranks, failure);
  }

  #receive(given: Uint8Array): void {
    if (this.#failure) return;
    const { group, nonce, epoch } = this.#member;
    const frame = decode(group, given);
    if (!frame || frame === 'version') return;
    if (frame.kind === Kind.hello) {
      this.#heard(frame, nonce);
      return;
    }
    const { from, seq } = frame;
    if (!sameEpoch(frame.epoch, epoch) || from === this.rank || from >= this.size) return;
    if (frame.kind === Kind.data) {
      this.#take(frame, given.length);
      return;
    }
    if (frame.kind === Kind.bye) {
      this.#left.add(from);
      this.#outbox.leave(from);
      for (const call of [...this.#calls.values()]) this.#look(call);
    } else if (frame.kind === Kind.fault) {
      const error = readFault(frame);
      if (error) this.#fail(error, false);
    } else if (frame.kind === Kind.resend) {
      const sent = this.#outbox.find(seq, frame.level);
      if (sent) this.#send(sent, from);
    }
  }

  /** A rank says hello: one that has not heard yet that all are ready, or one too many. */
  #heard(frame: Frame, nonce: Member['nonce']): void {
    if (frame.from === this.rank && sameEpoch(frame.epoch, nonce)) return;
    const error = objection(this.#member, frame);
    if (error) {
      this.#say(Kind.fault, { epoch: frame.epoch, payload: faultPayload(error) });
      return;
    }
    this.#say(Kind.hello, { epoch: nonce, payload: settingsOf(this.#member) }, frame.from);
    this.#say(Kind.ready, {}, frame.from);
  }

  #take(frame: Frame, length: number): void {
    const { seq, from, done } = frame;
    this.#outbox.hear(from, done);
    const call = this.#calls.get(seq);
    if (!this.#expects(frame) || (!call && seq <= this.#made)) return;
    if (!this.#inbox.hasRoom(frame, this.#made, this.mostAhead)) {
      if (this.#transport.reliable) this.#overrun(frame);
      return;
    }
    this.#traffic.bytesReceived += length;
    this.#inbox.add(frame);
    if (call) this.#look(call);
  }

  /** Whether this rank ever waits for what that one sends at that level. */
  #expects({ from, level }: Frame): boolean {
    if (!this.#isTree) return level === 0;
    if (level === resultLevel) return from === 0;
    const step = this.#steps[level];
    return step !== undefined && 'from' in step && step.from.includes(from);
  }

  /** A part is for a call so far ahead that it cannot be kept, and nobody would send it again. */
  #overrun({ seq, from }: Frame): void {
    const what = `Rank ${from} is ${seq - this.#made} calls ahead of rank ${this.rank}, which keeps at most ${window} calls and ${this.mostAhead} bytes for later.`;
    const fix = 'Await some of the calls before the next ones, or make smaller ones.';
    this.#fail(new GroupError('limit', what, fix, [from, this.rank]));
  }
}

const rejoin = 'Close this group and join a new one, from a saved state if need be.';
