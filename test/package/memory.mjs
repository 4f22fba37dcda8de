// Started by memory.test.ts with --expose-gc, beside the installed package: the loops that people write, many times, and what they leave.
import { init, LayerNorm, layerNorm, layerNormBackward, rmsNorm } from 'webgpu-norm/node';

const iterations = 10_000;
const gpu = await init();
const shape = [4, 64];
const x = gpu.tensor(
  Float32Array.from({ length: 256 }, (_, i) => i),
  shape,
);
const out = gpu.empty(shape);
const norm = new LayerNorm(gpu, 64);
const loops = {
  function: () => {
    const { mean, rstd } = layerNorm(gpu, x, { normalizedShape: 64 });
    layerNormBackward(gpu, x, x, { normalizedShape: 64, mean, rstd });
  },
  module: () => {
    norm.forward(x);
    norm.backward(x);
  },
  'module with out': () => {
    norm.forward(x, { out });
    norm.backward(x);
    norm.zeroGrad();
  },
  encoder: () => {
    const encoder = gpu.device.createCommandEncoder();
    rmsNorm(gpu, x, { normalizedShape: 64, out: { y: out }, encoder });
    gpu.device.queue.submit([encoder.finish()]);
  },
};

/** Collects what can be collected, and what that lets go of. */
async function settled() {
  await gpu.idle();
  for (let round = 0; round < 4; round++) {
    globalThis.gc();
    await new Promise((next) => setTimeout(next, 10));
  }
  return { ...gpu.memory(), heap: process.memoryUsage().heapUsed };
}

const results = {};
for (const [name, body] of Object.entries(loops)) {
  const samples = [];
  for (let i = 1; i <= iterations; i++) {
    body();
    // As a program that reads a result now and then.
    if (i % 100 === 0) await gpu.idle();
    if (i === iterations / 5 || i === iterations) samples.push(await settled());
  }
  results[name] = samples;
}
console.log(JSON.stringify(results));
process.exit();
