// How ranks meet. Each says hello with a random number until it has heard those of all others; the numbers together make
// the epoch of the group, and a rank that knows it says ready. Whoever has heard ready from all is in. Frames of
// another life of the group, or of a rank that was started twice, belong to another epoch.
import type { NormError } from '../gpu/errors.ts';
import { GroupError, ranksInWords, titled } from './errors.ts';
import { commonEpoch, decode, type Epoch, encode, type Frame, Kind, sameEpoch } from './frame.ts';
import { faultPayload, type Identity, type Member, objection, readFault, settingsOf } from './member.ts';
import type { Bytes } from './merge.ts';
import type { Transport } from './transport.ts';

const firstWait = 25;

/** Bytes that are kept of ranks that are in already and make calls; they cannot get far without this rank. */
const defaultMostBacklog = 2 ** 30;

/** Level of the faults of ranks that are joining. */
const joining = 1;

/** A rank that looks for the others. */
export class Rendezvous {
  /** Rejects with `timeout` (naming the missing ranks), `mismatch`, `aborted`, `connection`. */
  readonly met: Promise<Member>;
  readonly #own: Identity;
  readonly #transport: Transport;
  readonly #signal: AbortSignal | undefined;
  readonly #nonces: (Epoch | undefined)[] = [];
  /** The epochs that the others are ready for. */
  readonly #ready: (Epoch | undefined)[] = [];
  #epoch: Epoch | undefined;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  readonly #mostBacklog: number;
  #wait = firstWait;
  #hello: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #resolve!: (member: Member) => void;
  #reject!: (error: Error) => void;

  constructor(
    transport: Transport,
    own: Identity,
    signal: AbortSignal | undefined,
    mostBacklog = defaultMostBacklog,
  ) {
    this.#mostBacklog = mostBacklog;
    this.#transport = transport;
    this.#own = own;
    this.#signal = signal;
    this.#nonces[own.rank] = own.nonce;
    this.met = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  start(): void {
    if (this.#own.size === 1) {
      this.#resolve({ ...this.#own, epoch: commonEpoch([this.#own.nonce]) });
      return;
    }
    this.#deadline = setTimeout(() => this.#late(), this.#own.timeout);
    if (this.#signal?.aborted) {
      this.#abort();
      return;
    }
    this.#signal?.addEventListener('abort', this.#abort);
    this.#announce();
  }

  /** Frames of the epoch that came while joining, in order; call it when the group takes over. */
  takeBacklog(): Uint8Array[] {
    const backlog = this.#backlog;
    this.#forget();
    return backlog;
  }

  receive(given: Uint8Array): void {
    const { rank, size, group, nonce } = this.#own;
    const frame = decode(group, given);
    if (frame === 'version') {
      const what = `Rank ${rank} and another one speak different versions of the protocol.`;
      this.fail(new GroupError('mismatch', what, 'Use one version of webgpu-norm everywhere.', [rank]));
      return;
    }
    if (frame === 'sealed') {
      // Whoever sent it may have missed the hello before, and shall know that somebody has no secret.
      this.#say(Kind.hello, nonce, settingsOf(this.#own));
      const what = `Rank ${rank} has no secret, and another one of this group has.`;
      this.fail(new GroupError('mismatch', what, 'Join with the same secret on all ranks.', [rank]));
      return;
    }
    if (!frame) return;
    if (frame.kind === Kind.hello) {
      const isEcho = frame.from === rank && sameEpoch(frame.epoch, nonce);
      if (!isEcho) this.#heard(frame);
      return;
    }
    if (frame.kind === Kind.fault && this.#concerns(frame)) {
      const error = readFault(frame);
      if (error) this.fail(error);
      return;
    }
    if (frame.from === rank || frame.from >= size) return;
    // It may know all ranks before this one does, but it sends parts of collectives only after this one is ready.
    this.#ready[frame.from] = frame.epoch;
    if (frame.kind !== Kind.ready && this.#epoch && sameEpoch(frame.epoch, this.#epoch)) {
      this.#keep(given, frame.from);
    }
    this.#check();
  }

  #keep(given: Uint8Array, from: number): void {
    if (this.#backlogBytes + given.length <= this.#mostBacklog) {
      this.#backlog.push(given);
      this.#backlogBytes += given.length;
    } else if (this.#transport.reliable) {
      const what = `Rank ${from} has sent more than ${this.#mostBacklog} bytes while rank ${this.#own.rank} was joining.`;
      this.fail(new GroupError('limit', what, 'Call barrier() after joining.', [from, this.#own.rank]));
    } // else it is asked for again
  }

  #forget(): void {
    this.#backlog = [];
    this.#backlogBytes = 0;
  }

  fail(error: NormError): void {
    this.#stop();
    this.#reject(error);
  }

  /** Whether a fault is about this rank, or told by one that is joining too; not by a group that has met before. */
  #concerns({ level, epoch }: Frame): boolean {
    return level === joining || sameEpoch(epoch, this.#own.nonce);
  }

  #heard(frame: Frame): void {
    const { from } = frame;
    const error = objection(this.#own, frame);
    if (error) {
      this.#say(Kind.fault, this.#own.nonce, faultPayload(error), undefined, joining);
      this.fail(error);
      return;
    }
    if (from >= this.#own.size) return;
    const known = this.#nonces[from];
    if (known && sameEpoch(known, frame.epoch)) return;
    // New, or started again: what it knew of us is gone.
    this.#nonces[from] = frame.epoch;
    this.#forget();
    this.#say(Kind.hello, this.#own.nonce, settingsOf(this.#own), from);
    const nonces = this.#nonces.filter((nonce) => nonce !== undefined);
    if (nonces.length < this.#own.size) return;
    this.#epoch = commonEpoch(nonces);
    this.#say(Kind.ready, this.#epoch);
    this.#check();
  }

  #others(): number[] {
    return Array.from({ length: this.#own.size }, (_, rank) => rank).filter(
      (rank) => rank !== this.#own.rank,
    );
  }

  #isReady(rank: number): boolean {
    const [epoch, its] = [this.#epoch, this.#ready[rank]];
    return !!epoch && !!its && sameEpoch(epoch, its);
  }

  #check(): void {
    if (!this.#epoch || !this.#others().every((rank) => this.#isReady(rank))) return;
    this.#stop();
    this.#resolve({ ...this.#own, epoch: this.#epoch });
  }

  /** Again and again, ever more slowly: a transport may lose frames, and has none for those who come later. */
  #announce(): void {
    this.#say(Kind.hello, this.#own.nonce, settingsOf(this.#own));
    if (this.#epoch) this.#say(Kind.ready, this.#epoch);
    this.#wait = Math.min(2 * this.#wait, Math.max(500, 4 * this.#own.size));
    this.#hello = setTimeout(() => this.#announce(), this.#wait);
  }

  #say(kind: number, epoch: Epoch, payload = new Uint8Array() as Bytes, to?: number, level = 0): void {
    const { group, rank } = this.#own;
    this.#transport.send(encode(group, { kind, epoch, from: rank, level, payload }), 0, to);
  }

  #late(): void {
    const { size, timeout } = this.#own;
    const unheard = this.#others().filter((rank) => !this.#nonces[rank]);
    const missing = unheard.length > 0 ? unheard : this.#others().filter((rank) => !this.#isReady(rank));
    const { refused = 0 } = this.#transport;
    const strangers =
      refused && ` ${refused} messages without a right code were dropped: another secret, or none?`;
    const what = `${ranksInWords(missing)} of ${size} did not join within ${timeout} ms.${strangers || ''}`;
    this.fail(
      new GroupError(
        'timeout',
        titled(what),
        'Start every rank, with the same group, size, address and secret.',
        missing,
      ),
    );
  }

  readonly #abort = () => {
    const { rank } = this.#own;
    const reason = this.#signal?.reason;
    this.fail(
      new GroupError('aborted', `Joining was aborted on rank ${rank}.`, 'Join again.', [rank], reason),
    );
  };

  #stop(): void {
    clearTimeout(this.#hello);
    clearTimeout(this.#deadline);
    this.#signal?.removeEventListener('abort', this.#abort);
  }
}
