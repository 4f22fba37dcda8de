// Started by memory.test.ts with --expose-gc, beside the installed package: the loops that people write, many times, and what they leave.
import { json } from 'node:stream/consumers';
import { getHeapSnapshot } from 'node:v8';
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
const kept = [];
const loops = {
  // Shows that a leak would be seen: one small object of each iteration stays.
  leak: () => {
    kept.push({});
  },
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

/** What the program holds once all is collected that can be. */
async function settled() {
  await gpu.idle();
  let [least, rounds] = [Infinity, 0];
  // What finalizers let go of is collected one round later, and they run when the machine has time.
  while (rounds < 3) {
    globalThis.gc();
    await new Promise((next) => setTimeout(next, 10));
    const { heapUsed } = process.memoryUsage();
    rounds = heapUsed < 0.99 * least ? 0 : rounds + 1;
    least = Math.min(least, heapUsed);
  }
  return { ...gpu.memory(), objects: await objects() };
}

/**
 * Counts the objects, closures, strings and so on of the heap. Bytes would not tell a leak from V8's ways: code comes and goes, and a
 * WeakMap or FinalizationRegistry keeps the room that it once needed between two collections.
 */
async function objects() {
  const { snapshot, nodes } = await json(getHeapSnapshot());
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const kinds = types[0].map((kind) => !['code', 'hidden', 'synthetic'].includes(kind));
  let count = 0;
  for (let i = fields.indexOf('type'); i < nodes.length; i += fields.length) count += kinds[nodes[i]];
  return count;
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
