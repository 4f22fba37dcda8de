import { init, LayerNorm } from 'webgpu-norm';

const gpu = await init();
const norm = new LayerNorm(gpu, 4);
const y = norm.forward(gpu.tensor([1, 2, 3, 4, 10, 20, 30, 40], [2, 4]));
const output = document.querySelector('output');
if (output) output.textContent = JSON.stringify([...(await y.data())]);
gpu.destroy();
