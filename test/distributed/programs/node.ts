/**
 * A rank in a Node process. With the arguments `train` and `data-parallel`, started by `webgpu-norm launch`; with `data-parallel-ports`, all
 * ranks, over the ports of a hub; with `data-parallel-alone`, what those are compared with; else it does as it is told.
 */
import { create, globals } from 'webgpu';
import { MessagePortHub, MessagePortProcessGroup } from '../../../src/distributed/index.ts';
import { NatsProcessGroup } from '../../../src/distributed/nats.ts';
import { init } from '../../../src/index.ts';
import { size, trainAlone, trainTogether } from './data-parallel.ts';
import { obedient } from './rank.ts';
import { batchSizes, train } from './training.ts';
import { startTimeout } from './victim.ts';

Object.assign(globalThis, globals);
// Every device dies with the object that create() returns, so nothing may ever collect it.
const dawn = create([]);
Object.assign(globalThis, { dawn });
const gpu = await init({ gpu: dawn });

if (process.argv[2] === 'train') {
  const group = await NatsProcessGroup.join();
  const result = await train(gpu, group, batchSizes.slice(0, group.size));
  await group.barrier();
  await group.close();
  console.log(JSON.stringify(result));
  process.exit(0); // Dawn's threads would keep the process alive
}

if (process.argv[2] === 'data-parallel') {
  const group = await NatsProcessGroup.join();
  const result = await trainTogether(gpu, group);
  await group.barrier();
  await group.close();
  console.log(JSON.stringify(result));
  process.exit(0);
}

if (process.argv[2] === 'data-parallel-ports') {
  const hub = new MessagePortHub();
  const ranks = Array.from({ length: size }, async (_, rank) => {
    const group = await MessagePortProcessGroup.join(hub.connect(), { rank, size });
    const result = await trainTogether(gpu, group);
    await group.barrier();
    await group.close();
    return result;
  });
  for (const result of await Promise.all(ranks)) console.log(JSON.stringify(result));
  process.exit(0);
}

if (process.argv[2] === 'data-parallel-alone') {
  console.log(JSON.stringify(await trainAlone(gpu)));
  process.exit(0);
}

const obey = obedient(
  gpu,
  ({ url = '', ...orders }) =>
    NatsProcessGroup.join({ ...orders, timeout: startTimeout, nats: { servers: url } }),
  (said) => process.send?.(said),
  () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length,
);
process.on('message', (orders: Parameters<typeof obey>[0]) => {
  obey(orders).catch((error) => {
    console.error(error);
    process.exit(1);
  });
});
process.send?.({ kind: 'ready' });
