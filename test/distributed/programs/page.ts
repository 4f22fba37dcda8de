/** What the tests call in a page: a rank of its own over NATS, or ranks in Web Workers. */
import { NatsProcessGroup } from '../../../src/distributed/nats.ts';
import { init, LocalProcessGroup, MessagePortHub } from '../../../src/index.ts';
import { type Kill, killLoop, Mailbox, type Remote } from './kill-loop.ts';
import type { Orders } from './rank.ts';
import { train } from './training.ts';

const sum = (sizes: readonly number[]) => sizes.reduce((total, size) => total + size, 0);

function startWorker(): Remote {
  const worker = new Worker('/worker.mjs', { type: 'module' });
  const mailbox = new Mailbox();
  worker.onmessage = ({ data }) => mailbox.put(data);
  worker.onerror = ({ message }) => mailbox.fail(message);
  return {
    send: (orders) => worker.postMessage(orders, orders.port ? [orders.port as MessagePort] : []),
    hear: () => mailbox.take(),
    kill: async () => worker.terminate(),
  };
}

export const program = {
  /** One process, one batch: what all others are compared with. */
  async trainAlone(sizes: readonly number[]): Promise<number[]> {
    const [group] = LocalProcessGroup.create(1);
    return train(await init(), group as LocalProcessGroup, [sum(sizes)]);
  },

  async trainOverNats(rank: number, sizes: readonly number[], group: string, url: string): Promise<number[]> {
    const joined = await NatsProcessGroup.join({ rank, size: sizes.length, group, nats: { servers: url } });
    const state = await train(await init(), joined, sizes);
    await joined.barrier();
    await joined.close();
    return state;
  },

  async trainInWorkers(sizes: readonly number[]): Promise<number[][]> {
    const hub = new MessagePortHub();
    const workers = sizes.map(startWorker);
    await Promise.all(workers.map((worker) => worker.hear()));
    workers.forEach((worker, rank) => {
      const size = sizes.length;
      const orders: Orders = {
        transport: 'ports',
        rank,
        size,
        group: 'workers',
        timeout: 20_000,
        sizes,
        port: hub.connect(),
      };
      worker.send(orders);
    });
    const said = await Promise.all(workers.map((worker) => worker.hear()));
    await Promise.all(workers.map((worker) => worker.kill()));
    hub.close();
    return said.map((one) => (one.kind === 'trained' ? one.state : []));
  },

  killInWorkers(transport: 'ports' | 'channel', kills: number, seed: number): Promise<Kill[]> {
    return killLoop(transport, kills, seed, startWorker);
  },
};

Object.assign(globalThis, { program });
