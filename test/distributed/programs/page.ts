/** What the tests call in a page: a rank of its own over NATS, or ranks in Web Workers. */

import {
  LocalProcessGroup,
  MessagePortHub,
  MessagePortProcessGroup,
  type ProcessGroup,
} from '../../../src/distributed/index.ts';
import { NatsProcessGroup } from '../../../src/distributed/nats.ts';
import { init } from '../../../src/index.ts';
import {
  drawSizes,
  type Inputs,
  type Replicated,
  runReplica,
  verifyReplicas,
} from '../../support/replicas.ts';
import { type Kill, killLoop, Mailbox, type Remote } from './kill-loop.ts';
import type { Orders } from './rank.ts';
import { train } from './training.ts';

/** One for all that the page does: its pipelines are compiled once. */
const device = init();

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

/** All ranks of a group in this page. */
async function joinAll(
  transport: 'local' | 'ports' | 'channel' | 'nats',
  size: number,
  group: string,
  url: string,
): Promise<ProcessGroup[]> {
  if (transport === 'local') return LocalProcessGroup.create(size);
  const hub = new MessagePortHub();
  return Promise.all(
    Array.from({ length: size }, (_, rank): Promise<ProcessGroup> => {
      const where = { rank, size, group };
      if (transport === 'nats') return NatsProcessGroup.join({ ...where, nats: { servers: url } });
      const port = transport === 'ports' ? hub.connect() : new BroadcastChannel(group);
      return MessagePortProcessGroup.join(port, where);
    }),
  );
}

export const program = {
  /** One process, one batch: what all others are compared with. */
  async trainAlone(sizes: readonly number[]): Promise<number[]> {
    const [group] = LocalProcessGroup.create(1);
    return train(await device, group as LocalProcessGroup, [sum(sizes)]);
  },

  async trainOverNats(rank: number, sizes: readonly number[], group: string, url: string): Promise<number[]> {
    const joined = await NatsProcessGroup.join({ rank, size: sizes.length, group, nats: { servers: url } });
    const state = await train(await device, joined, sizes);
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

  /** SyncBatchNorm over a transport, all ranks in this page: the largest relative error of some subjects. */
  async verify(
    transport: 'local' | 'ports' | 'channel' | 'nats',
    size: number,
    url: string,
  ): Promise<number> {
    const gpu = await device;
    let worst = 0;
    for (const [i, offset] of [0, 1e2, 1e4, 1e5].entries()) {
      const subject: Replicated = {
        channels: 4 + i,
        spatial: i % 2 === 0 ? [5] : [2, 3],
        layout: i < 2 ? 'channels-first' : 'channels-last',
        sizes: drawSizes(size, 100 * size + i),
        offset,
        seed: i + 1,
      };
      const groups = await joinAll(transport, size, `verify-${transport}-${size}-${i}`, url);
      const run = (inputs: Inputs) =>
        Promise.all(groups.map((group) => runReplica(gpu, group, subject, inputs)));
      worst = Math.max(worst, await verifyReplicas(run, subject));
      await Promise.all(groups.map((group) => group.close()));
    }
    return worst;
  },

  killInWorkers(transport: 'ports' | 'channel', kills: number, seed: number): Promise<Kill[]> {
    return killLoop(transport, kills, seed, startWorker);
  },
};

Object.assign(globalThis, { program });
