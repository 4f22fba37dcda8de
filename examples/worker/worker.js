// Workers know no import maps: a path, or a bundler.
import { GroupNorm, init } from './node_modules/webgpu-norm/dist/index.js';

const ready = init();
addEventListener('message', async ({ data }) => {
  const gpu = await ready;
  const norm = new GroupNorm(gpu, 2, 4); // two groups of the four channels
  const y = norm.forward(gpu.tensor(data, [2, 4]));
  postMessage(await y.data());
});
