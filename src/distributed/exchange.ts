// What collectives stand on: calls with numbers, parts that are sent, waited for and asked for again, faults.
import { type Call, type Terms, termsInWords } from './call.ts';
import { GroupError, ranksInWords, titled } from './errors.ts';
import { decode, encode, type Frame, headerBytes, Kind, resultLevel, sameEpoch } from './frame.ts';
import { Inbox, window } from './inbox.ts';
import type { TakeOver } from './join.ts';
import { faultPayload, type Member, objection, readFault, settingsOf } from './member.ts';
import { type Bytes, type TreeStep, treeSteps } from './merge.ts';
import { Outbox, type Sent } from './outbox.ts';
import type { Traffic } from './process-group.ts';
import type { Transport } from './transport.ts';

const firstReminder = 250;
const slowestReminder = 2000;

/** What the ranks of a group exchange, as one of them sees it. */
export class Exchange {
  readonly traffic: Traffic = { collectives: 0, bytesSent: 0, bytesReceived: 0 };
  readonly member: Member;
  readonly others: readonly number[];
  /** Whether parts are merged by a tree of ranks. */
  readonly isTree: boolean;
  /** What this rank does in a tree. */
  readonly steps: readonly TreeStep[];
  readonly #transport: Transport;
  readonly #mostAhead: () => number;
  readonly #outbox: Outbox;
  readonly #calls = new Map<number, Call>();
  readonly #inbox = new Inbox();
  readonly #left = new Set<number>();
  #made = 0;
  #failure: GroupError | undefined;
  #closing: Promise<void> | undefined;

  constructor(transport: Transport, member: Member, takeOver: TakeOver, mostAhead: () => number) {
    const { rank, size, treeAbove, fanOut } = member;
    this.member = member;
    this.others = Array.from({ length: size }, (_, one) => one).filter((one) => one !== rank);
    this.isTree = size > treeAbove;
    this.steps = treeSteps(rank, size, fanOut);
    this.#transport = transport;
    this.#mostAhead = mostAhead;
    const reporting = this.isTree
      ? this.steps.flatMap((step) => ('from' in step ? step.from : []))
      : this.others;
    this.#outbox = new Outbox(reporting);
    takeOver(
      (frame) => this.#receive(frame),
      (error) => this.#fail(new GroupError('connection', error.message, error.fix, [rank], error), false),
    );
  }

  /** Throws once the group has failed or was closed. */
  checkAlive(): void {
    const failure = this.#failure;
    if (!failure) return;
    if (failure.code === 'destroyed') throw failure;
    const what = `This group has failed before: ${failure.message}`;
    throw new GroupError(failure.code, what, rejoin, failure.ranks, failure);
  }

  /** Leaves the group. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { rank, size } = this.member;
    if (!this.#failure && size > 1) this.#say(Kind.bye, {});
    this.#end(new GroupError('destroyed', 'The group was closed.', 'Join a new one.', [rank]));
    await this.#transport.close();
  }

  /** Numbers a call, which from then on takes what comes for it; {@link finish} is to follow. */
  begin(terms: Terms, signal: AbortSignal | undefined): Call {
    this.#made++;
    this.traffic.collectives++;
    const abort = () => {
      const what = `Rank ${this.member.rank} aborted call ${call.seq}, ${termsInWords(terms)}.`;
      this.#fail(new GroupError('aborted', what, rejoin, [this.member.rank], signal?.reason));
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

  finish(call: Call): void {
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

  /** Sends this rank's part at a level: to one rank or to all. */
  give(call: Call, level: number, payload: Bytes, to?: number): void {
    if (this.member.size === 1) return;
    const sent = { seq: call.seq, terms: call.terms, level, to, payload };
    if (!this.#transport.reliable) this.#outbox.keep(sent);
    this.#send(sent, to);
  }

  #send({ seq, level, terms, payload }: Sent, to?: number): void {
    const { maxFrame, overhead = 0 } = this.#transport;
    const room = Math.floor((maxFrame - headerBytes) / 8) * 8;
    // In a tree a rank speaks for those below it.
    const done = this.isTree ? this.#outbox.doneByAll(this.#done) : this.#done;
    for (let offset = 0; offset === 0 || offset < payload.length; offset += room) {
      const part = payload.subarray(offset, offset + room);
      const bytes = payload.length;
      this.traffic.bytesSent += headerBytes + overhead + part.length;
      this.#say(Kind.data, { ...terms, seq, level, done, bytes, offset, payload: part }, to);
    }
  }

  #say(kind: number, frame: Partial<Frame>, to?: number): void {
    const { group, epoch, rank } = this.member;
    this.#transport.send(encode(group, { epoch, ...frame, kind, from: rank }), frame.seq ?? 0, to);
  }

  /** The parts of other ranks at one level, in the order asked for. */
  gather(call: Call, ranks: readonly number[], level: number, timeout: number): Promise<Bytes[]> {
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
    const misfit = parts?.misfit(call.terms, this.member.size);
    if (misfit) {
      const { rank, terms, size } = misfit;
      const what = `In call ${call.seq}, rank ${rank} made a ${termsInWords(terms)} with ${size} bytes, rank ${this.member.rank} a ${termsInWords(call.terms)}.`;
      const fix = 'Make the same calls in the same order, with the same shapes and dtypes, on all ranks.';
      this.#fail(new GroupError('mismatch', what, fix, [rank, this.member.rank]));
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
      this.finish(call);
      call.reject(error);
    }
  }

  #receive(given: Uint8Array): void {
    if (this.#failure) return;
    const { group, nonce, epoch } = this.member;
    const frame = decode(group, given);
    if (!frame || typeof frame === 'string') return;
    if (frame.kind === Kind.hello) {
      this.#heard(frame, nonce);
      return;
    }
    const { from, seq } = frame;
    if (!sameEpoch(frame.epoch, epoch) || from === this.member.rank || from >= this.member.size) return;
    if (frame.kind === Kind.data) {
      this.#take(frame, given.length + (this.#transport.overhead ?? 0));
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
      const sent = this.#outbox.find(seq, frame.level, from);
      if (sent) this.#send(sent, from);
    }
  }

  /** A rank says hello: one that has not heard yet that all are ready, or one too many. */
  #heard(frame: Frame, nonce: Member['nonce']): void {
    if (frame.from === this.member.rank && sameEpoch(frame.epoch, nonce)) return;
    const error = objection(this.member, frame);
    if (error) {
      this.#say(Kind.fault, { epoch: frame.epoch, payload: faultPayload(error) });
      return;
    }
    this.#say(Kind.hello, { epoch: nonce, payload: settingsOf(this.member) }, frame.from);
    this.#say(Kind.ready, {}, frame.from);
  }

  #take(frame: Frame, length: number): void {
    const { seq, from, done } = frame;
    this.#outbox.hear(from, done);
    const call = this.#calls.get(seq);
    if (!this.#expects(frame) || (!call && seq <= this.#made)) return;
    if (!this.#inbox.hasRoom(frame, this.#made, this.#mostAhead())) {
      if (this.#transport.reliable) this.#overrun(frame);
      return;
    }
    this.traffic.bytesReceived += length;
    this.#inbox.add(frame);
    if (call) this.#look(call);
  }

  /** Whether this rank ever waits for what that one sends at that level. */
  #expects({ from, level }: Frame): boolean {
    if (!this.isTree) return level === 0;
    if (level === resultLevel) return from === 0;
    const step = this.steps[level];
    return step !== undefined && 'from' in step && step.from.includes(from);
  }

  /** A part is for a call so far ahead that it cannot be kept, and nobody would send it again. */
  #overrun({ seq, from }: Frame): void {
    const what = `Rank ${from} is ${seq - this.#made} calls ahead of rank ${this.member.rank}, which keeps at most ${window} calls and ${this.#mostAhead()} bytes for later.`;
    const fix = 'Await some of the calls before the next ones, or make smaller ones.';
    this.#fail(new GroupError('limit', what, fix, [from, this.member.rank]));
  }
}

const rejoin = 'Close this group and join a new one, from a saved state if need be.';
