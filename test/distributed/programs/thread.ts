/** A rank in one of Node's worker_threads, without a GPU: it sums until its group fails. */
import { parentPort, workerData } from 'node:worker_threads';
import { type GroupError, MessagePortProcessGroup, type PortLike } from '../../../src/distributed/index.ts';

const { rank, size, group: name, port, timeout } = workerData;
const line = port ?? new BroadcastChannel(name);
const group = await MessagePortProcessGroup.join(line as PortLike, {
  rank,
  size,
  group: name,
  timeout: 20_000,
});
parentPort?.postMessage('ready');
let total = 0;
try {
  for (;;) {
    const [sum] = await group.allReduce(Float32Array.of(rank + 1), { timeout });
    total += sum as number;
  }
} catch (error) {
  const { code, ranks } = error as GroupError;
  await group.close();
  parentPort?.postMessage({ code, ranks, total });
}
