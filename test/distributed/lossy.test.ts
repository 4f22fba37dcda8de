/** A transport that loses, repeats and delays: what the protocol has its numbers for. */
import { expect, test } from 'vitest';
import { FramedGroup } from '../../src/distributed/framed-group.ts';
import type { JoinOptions } from '../../src/distributed/index.ts';
import { join } from '../../src/distributed/join.ts';
import type { Transport } from '../../src/distributed/transport.ts';
import { random } from '../support/data.ts';

class LossyGroup extends FramedGroup {}

/** Every frame is lost, repeated or late with a chance of its own. */
class LossyBus {
  readonly #next: () => number;
  readonly #listeners = new Map<number, (frame: Uint8Array) => void>();
  lost = 0;

  constructor(seed: number) {
    this.#next = random(seed);
  }

  plug(rank: number): Transport {
    return {
      maxFrame: 64 + 8 * 40,
      reliable: false,
      send: (frame, _, to) => {
        for (const other of to === undefined ? this.#listeners.keys() : [to]) {
          if (other !== rank) this.#deliver(other, frame);
        }
      },
      listen: (receive) => {
        this.#listeners.set(rank, receive);
      },
      close: async () => {
        this.#listeners.delete(rank);
      },
    };
  }

  #deliver(to: number, frame: Uint8Array): void {
    const luck = this.#next();
    if (luck < 0.06) {
      this.lost++;
      return;
    }
    const once = () => this.#listeners.get(to)?.(frame);
    setTimeout(once, 10 * this.#next());
    if (luck > 0.85) setTimeout(once, 20 * this.#next());
  }
}

test.each([
  ['flat', {}],
  ['in a tree', { treeAbove: 1, fanOut: 2 }],
])('collectives survive losses, repetitions and delays, %s', async (_, options) => {
  const bus = new LossyBus(7);
  const size = 5;
  const groups = await Promise.all(
    Array.from({ length: size }, (_, rank) => {
      const where: JoinOptions = { rank, size, ...options };
      return join(bus.plug(rank), where, (...args) => new LossyGroup(...args));
    }),
  );
  const results = await Promise.all(
    groups.map(async (group) => {
      const all: number[][] = [];
      for (let step = 0; step < 3; step++) {
        const values = Float32Array.from({ length: 100 }, (_, i) => i + step * group.rank);
        const [sum, gathered] = await Promise.all([group.allReduce(values), group.allGather(values)]);
        all.push([...sum, ...gathered.flatMap((one) => [...one])]);
      }
      await group.barrier();
      return all;
    }),
  );
  expect(bus.lost).toBeGreaterThan(3);
  const expected = Array.from({ length: 3 }, (_, step) => {
    const of = (rank: number) => Array.from({ length: 100 }, (_, i) => i + step * rank);
    return [...of(10 / size).map((value) => size * value), ...[0, 1, 2, 3, 4].flatMap(of)];
  });
  for (const one of results) expect(one).toEqual(expected);
  await Promise.all(groups.map((group) => group.close()));
});
