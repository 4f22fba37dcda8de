// LayerNorm between two functions of jax-js, forward and backward, on the device of jax-js.
// jax-js differentiates what comes before and after; layerNormBackward joins the two by the chain rule.
import { getWebGPUDevice, init as initJax, type Array as JaxArray, numpy as np, vjp } from '@jax-js/jax';
import { init, layerNorm, layerNormBackward, type Tensor } from 'webgpu-norm';

const [rows, columns] = [8, 64];
const shape = [rows, columns];

// jax-js owns the device; our context borrows it.
await initJax('webgpu');
const gpu = await init({ device: getWebGPUDevice() });

// An array of jax-js as a tensor on the same buffer: nothing is copied. gpuBuffer() takes a reference to the array, and
// without another one jax-js would use the buffer for something else.
const toTensor = async (array: JaxArray) => gpu.wrap(await array.ref.gpuBuffer(), array.shape);
// jax-js takes no buffer of others, so the way back leads through the CPU.
const toJax = async (tensor: Tensor) =>
  np.array(await tensor.data(), { shape: [...tensor.shape], device: 'webgpu' });

const numbers = (body: (i: number) => number) =>
  Float32Array.from({ length: rows * columns }, (_, i) => body(i));
const data = np.array(numbers(Math.sin), { shape, device: 'webgpu' });
const target = np.array(numbers(Math.cos), { shape, device: 'webgpu' });
const scale = np.array(
  Float32Array.from({ length: columns }, (_, i) => 1 + i / columns),
  { device: 'webgpu' },
);

// h = data · scale
const head = (by: JaxArray) => np.multiply(data.ref, by);
// loss = Σ (y − target)²
const tail = (y: JaxArray) => np.sum(np.square(np.subtract(y, target.ref)));

// Forward: jax-js, LayerNorm, jax-js.
const [h, headBackward] = vjp(head, [scale]);
const x = await toTensor(h);
const { y, mean, rstd } = layerNorm(gpu, x, { normalizedShape: columns });
const [loss, tailBackward] = vjp(tail, [await toJax(y)]);

// Backward: jax-js, LayerNorm, jax-js.
const [dy] = tailBackward(np.ones([], { device: 'webgpu' }));
const { dx } = layerNormBackward(gpu, await toTensor(dy), x, { normalizedShape: columns, mean, rstd });
const [dscale] = headBackward(await toJax(dx));

const shown = {
  sameDevice: gpu.device === getWebGPUDevice(),
  h: await h.jsAsync(),
  y: [...(await y.data())],
  loss: await loss.jsAsync(),
  dy: await dy.jsAsync(),
  dx: [...(await dx.data())],
  dscale: await dscale.jsAsync(),
};
const output = document.querySelector('output');
if (output) output.textContent = JSON.stringify(shown);
