import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { commonEpoch } from './frame.ts';
import { FramedGroup } from './framed-group.ts';
import { identity } from './member.ts';
import type { Bytes } from './merge.ts';
import type { JoinOptions } from './process-group.ts';
import type { Transport } from './transport.ts';

/** Options of {@link LocalProcessGroup.create}: those of joining that make sense where nobody has to be found. */
export type LocalGroupOptions = Pick<JoinOptions, 'timeout' | 'treeAbove' | 'fanOut'>;

const names = {
  timeout: 'number',
  treeAbove: 'number',
  fanOut: 'number',
} as const satisfies OptionNames<LocalGroupOptions>;

/** Ranks in one JavaScript realm, on one GPUDevice or on several. */
export class LocalProcessGroup extends FramedGroup {
  /**
   * All ranks of a new group.
   *
   * @throws NormError `value`.
   */
  static create(size: number, options: LocalGroupOptions = {}): LocalProcessGroup[] {
    checkOptions('LocalProcessGroup.create', options, names);
    identity({ ...options, rank: 0, size }); // throws before there is a list of that length
    const ranks = Array.from({ length: size }, (_, rank) => identity({ ...options, rank, size }));
    const epoch = commonEpoch(ranks.map(({ nonce }) => nonce));
    const bus = new Bus();
    return ranks.map((own) => {
      const transport = bus.plug(own.rank);
      return new LocalProcessGroup(transport, { ...own, epoch }, transport.listen);
    });
  }
}

/** Hands frames to all ranks but their sender, each in a microtask of its own. */
class Bus {
  readonly #listeners = new Map<number, (frame: Uint8Array) => void>();

  plug(rank: number): Transport {
    const listeners = this.#listeners;
    return {
      maxFrame: Number.POSITIVE_INFINITY,
      reliable: true,
      send(frame: Bytes, _: number, to?: number) {
        for (const other of to === undefined ? listeners.keys() : [to]) {
          if (other !== rank) queueMicrotask(() => listeners.get(other)?.(frame));
        }
      },
      listen: (receive) => {
        listeners.set(rank, receive);
      },
      async close() {
        listeners.delete(rank);
      },
    };
  }
}
