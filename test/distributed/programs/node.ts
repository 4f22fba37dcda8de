/** A rank in a Node process. With the argument `train`, started by `webgpu-norm launch`; else it does as it is told. */
import { create, globals } from 'webgpu';
import { NatsProcessGroup } from '../../../src/distributed/nats.ts';
import { init } from '../../../src/index.ts';
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
