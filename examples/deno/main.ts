import { init, layerNorm } from 'webgpu-norm';

const gpu = await init();
const x = gpu.tensor([1, 2, 3, 4, 10, 20, 30, 40], [2, 4]);
const { y } = layerNorm(gpu, x, { normalizedShape: 4 });
console.log(JSON.stringify([...(await y.data())]));
gpu.destroy();
