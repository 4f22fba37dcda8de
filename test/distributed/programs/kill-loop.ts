/** Kills ranks at random moments, and starts new ones in their place. */
import { MessagePortHub } from '../../../src/distributed/index.ts';
import { random } from '../../support/data.ts';
import type { Failed, Orders, Said } from './rank.ts';

/** A rank somewhere else. */
export interface Remote {
  send(orders: Orders): void;
  /** What it says next. */
  hear(): Promise<Said>;
  kill(): Promise<unknown>;
}

/** What comes in, kept until somebody wants to hear it. */
export class Mailbox {
  readonly #waiting: ((said: Promise<Said>) => void)[] = [];
  readonly #heard: Promise<Said>[] = [];

  readonly put = (said: Said): void => this.#put(Promise.resolve(said));

  /** The rank is broken. */
  readonly fail = (message: string): void => {
    const failed = Promise.reject(new Error(message));
    failed.catch(() => {}); // it may be that nobody wants to hear it any more
    this.#put(failed);
  };

  async take(): Promise<Said> {
    return this.#heard.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  #put(said: Promise<Said>): void {
    const next = this.#waiting.shift();
    if (next) next(said);
    else this.#heard.push(said);
  }
}

export interface Kill {
  victim: number;
  failures: Failed[];
}

export const size = 3;
export const timeout = 1000;

export async function killLoop(
  transport: Orders['transport'],
  kills: number,
  seed: number,
  start: () => Remote,
  url?: string,
): Promise<Kill[]> {
  const next = random(seed);
  const fresh = async () => {
    const rank = start();
    await rank.hear();
    return rank;
  };
  const count = transport === 'local' ? 1 : size;
  const ranks = await Promise.all(Array.from({ length: count }, fresh));
  const results: Kill[] = [];
  let root = 0;
  let states: (number[] | undefined)[] = [];
  try {
    for (let kill = 0; kill < kills; kill++) {
      const victim = Math.floor(next() * size);
      const moment = 600 * next();
      const hub = new MessagePortHub();
      const group = `kills-${seed}-${kill}-${Date.now()}`;
      const common = { transport, size, group, root, timeout, ...(url ? { url } : {}) };
      const failures: Failed[] = [];
      if (transport === 'local') {
        ranks[0]?.send({ ...common, rank: 0, victim, moment, states });
        for (let i = 1; i < size; i++) failures.push((await ranks[0]?.hear()) as Failed);
        states = [];
        for (const { rank, state } of failures) states[rank] = state;
      } else {
        ranks.forEach((one, rank) => {
          one.send({ ...common, rank, ...(transport === 'ports' ? { port: hub.connect() } : {}) });
        });
        await Promise.all(ranks.map((rank) => rank.hear()));
        await new Promise((resolve) => setTimeout(resolve, moment));
        const survivors = ranks.filter((_, rank) => rank !== victim);
        const dying = ranks[victim]?.kill();
        failures.push(...((await Promise.all(survivors.map((rank) => rank.hear()))) as Failed[]));
        await dying;
        ranks[victim] = await fresh();
      }
      results.push({ victim, failures });
      // The new one gets the state of one that has it.
      root = (victim + 1) % size;
      hub.close();
    }
  } finally {
    await Promise.all(ranks.map((rank) => rank.kill()));
  }
  return results;
}
