// A transport of which only those with the group's secret can write: every frame travels in an envelope (envelope.ts).
//
// A code says who wrote a frame, but not when: one of an earlier life of the group has a right code, too. So each member has
// a session, which is random, and takes frames of another session only after a greeting or an answer from there that
// names its own: nobody has such a one from before. What is said within a session is counted, and nothing counts twice.
import { NormError } from '../gpu/errors.ts';
import {
  type Envelope,
  envelopeBytes,
  groupKey,
  isGenuine,
  read,
  Sealed,
  seal,
  sessionBytes,
} from './envelope.ts';
import type { Bytes } from './merge.ts';
import { secretBytes } from './secret.ts';
import type { Transport } from './transport.ts';

/** Bytes of frames whose codes are being made out. What comes beyond is dropped, and asked for again if it was genuine. */
const mostUnread = 64 * 2 ** 20;
/** What a small frame costs beside its bytes. */
const perFrame = 1024;

/** Counters of a session that have come, back to some before the highest: the window of RFC 4303, section 3.4.3. */
export class ReplayWindow {
  static readonly size = 1024;
  /** At counter mod size, the last that came. */
  readonly #seen = new Float64Array(ReplayWindow.size).fill(-1);
  readonly #after: number;
  #highest: number;

  /** @param after - the first counter to be taken is the one behind it. */
  constructor(after: number) {
    this.#after = after;
    this.#highest = after;
  }

  /** Whether it comes for the first time. */
  take(counter: number): boolean {
    const place = counter % ReplayWindow.size;
    const least = Math.max(this.#after, this.#highest - ReplayWindow.size);
    if (counter <= least || this.#seen[place] === counter) return false;
    this.#seen[place] = counter;
    this.#highest = Math.max(this.#highest, counter);
    return true;
  }
}

const nameOf = (session: Uint8Array): string => session.join();

/** Frames in envelopes, over a transport that anybody may write to. */
export class SealedTransport implements Transport {
  /** A genuine frame is dropped where too many others have to be looked at. */
  readonly reliable = false;
  readonly overhead = envelopeBytes;
  readonly #inner: Transport;
  readonly #key: CryptoKey;
  readonly #group: string;
  readonly #rank: number;
  readonly #session: Bytes = crypto.getRandomValues(new Uint8Array(sessionBytes));
  /**
   * Sessions that live, by their bytes. Only who has the secret gets in, so there are no more than ranks that were started
   * while this one ran.
   */
  readonly #live = new Map<string, ReplayWindow>();
  #counter = 0;
  #sending: Promise<void> = Promise.resolve();
  #reading: Promise<void> = Promise.resolve();
  #unread = 0;
  #refused = 0;
  #closed = false;

  private constructor(inner: Transport, key: CryptoKey, group: string, rank: number) {
    this.#inner = inner;
    this.#key = key;
    this.#group = group;
    this.#rank = rank;
  }

  /** @throws NormError `unsupported` where there is no WebCrypto. */
  static async over(inner: Transport, secret: string | Uint8Array, group: string, rank: number) {
    if (!globalThis.crypto?.subtle) {
      const what = 'There is no crypto.subtle here, which a group with a secret needs.';
      throw new NormError('unsupported', what, 'Open the page over https or from localhost.');
    }
    return new SealedTransport(inner, await groupKey(secretBytes(secret), group), group, rank);
  }

  get maxFrame(): number {
    return this.#inner.maxFrame - envelopeBytes;
  }

  /** Frames that were dropped since they had no right code or had come before. */
  get refused(): number {
    return this.#refused;
  }

  send(frame: Bytes, seq: number, to?: number): void {
    this.#send(Sealed.frame, frame, seq, to);
  }

  #send(kind: number, content: Uint8Array, seq: number, to?: number): void {
    if (this.#closed) return;
    const [session, counter] = [this.#session, ++this.#counter];
    const sealed = seal(this.#key, this.#group, { kind, from: this.#rank, to, session, counter, content });
    // Codes are made beside each other, but frames leave in order.
    this.#sending = this.#sending.then(async () => this.#inner.send(await sealed, seq, to));
  }

  listen(receive: (frame: Uint8Array) => void, broken: (error: NormError) => void): void {
    this.#inner.listen((given) => this.#look(given, receive), broken);
  }

  #look(given: Uint8Array, receive: (frame: Uint8Array) => void): void {
    const envelope = read(given);
    if (envelope && nameOf(envelope.session) === nameOf(this.#session)) return; // an echo
    const cost = given.length + perFrame;
    if (!envelope || this.#closed || (this.#unread > 0 && this.#unread + cost > mostUnread)) {
      this.#refused++;
      return;
    }
    this.#unread += cost;
    const genuine = isGenuine(this.#key, given).catch(() => false);
    this.#reading = this.#reading.then(async () => {
      const isTaken = (await genuine) && this.#take(envelope);
      this.#unread -= cost;
      if (!isTaken) this.#refused++;
      else if (envelope.kind === Sealed.frame && !this.#closed) receive(envelope.content);
    });
  }

  /** Whether something that a member wrote is new and was written for the group as it is now. */
  #take({ kind, from, to, session, counter, content }: Envelope): boolean {
    if (to !== undefined && to !== this.#rank) return false;
    const name = nameOf(session);
    const window = this.#live.get(name);
    const isGreeting = kind === Sealed.greeting || kind === Sealed.answer;
    if (isGreeting && nameOf(content) !== nameOf(this.#session)) return false;
    if (window) {
      if (!window.take(counter)) return false;
    } else if (isGreeting) {
      this.#live.set(name, new ReplayWindow(counter));
    } else {
      // What it said is lost: whoever joins says it again.
      this.#send(Sealed.greeting, session, 0, from);
      return false;
    }
    if (kind === Sealed.greeting) this.#send(Sealed.answer, session, 0, from);
    return isGreeting || kind === Sealed.frame;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#sending;
    await this.#inner.close();
  }
}
