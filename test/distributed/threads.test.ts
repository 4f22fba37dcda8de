/** Ranks in Node's worker_threads, one of which is terminated. */
import { Worker } from 'node:worker_threads';
import { beforeAll, expect, test } from 'vitest';
import { MessagePortHub } from '../../src/distributed/index.ts';
import { groupName } from './fabrics.ts';
import { bundleProgram } from './programs/bundle.ts';

let program: string;
beforeAll(async () => {
  program = await bundleProgram('thread');
});

const heard = (worker: Worker) =>
  new Promise<unknown>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });

test.each(['ports of a hub', 'a BroadcastChannel'])('over %s', async (kind) => {
  const hub = new MessagePortHub();
  const group = groupName();
  const workers = [0, 1, 2].map((rank) => {
    const port = kind === 'ports of a hub' ? hub.connect() : undefined;
    return new Worker(program, {
      workerData: { rank, size: 3, group, timeout: 400, ...(port && { port }) },
      transferList: port ? [port as never] : [],
    });
  });
  await Promise.all(workers.map(heard));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const survivors = [0, 2].map((rank) => heard(workers[rank] as Worker));
  await workers[1]?.terminate();
  const said = (await Promise.all(survivors)) as { code: string; ranks: number[]; total: number }[];
  for (const one of said) {
    expect(one).toMatchObject({ code: 'timeout', ranks: [1], total: said[0]?.total });
    expect(one.total).toBeGreaterThan(0);
    expect(one.total % 6).toBe(0); // whole sums alone
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  hub.close();
});
