// `webgpu-norm bench`: every norm on this machine's GPU, beside a copy of as many bytes.
import { adapterName, library } from './library.mjs';
import { normsOf, numbers } from './norms.mjs';

const median = (/** @type {number[]} */ values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

/** Milliseconds of one run: as many in one submit as take a while, median of several. */
async function time(gpu, record, { sampleMs, rounds }) {
  const sample = async (/** @type {number} */ times) => {
    const encoder = gpu.device.createCommandEncoder();
    for (let i = 0; i < times; i++) record(encoder);
    const began = performance.now();
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.idle();
    return performance.now() - began;
  };
  await sample(1); // compiles
  const repeats = Math.max(1, Math.min(200, Math.ceil(sampleMs / (await sample(1)))));
  const samples = [];
  for (let round = 0; round < rounds; round++) samples.push((await sample(repeats)) / repeats);
  return median(samples);
}

/**
 * @param {{ json: boolean, quick: boolean, dawn: string[] }} options
 * @returns {Promise<number>}
 */
export async function bench({ json, quick, dawn }) {
  const lib = await library();
  const gpu = await lib.init({ dawn });
  const timing = quick ? { sampleMs: 20, rounds: 3 } : { sampleMs: 100, rounds: 7 };
  const [rows, size, image] = quick ? [2048, 512, [8, 32, 28, 28]] : [4096, 1024, [32, 64, 56, 56]];
  const results = [];
  for (const norm of normsOf(lib, rows, size, image)) {
    const count = norm.shape.reduce((product, length) => product * length, 1);
    const make = () => gpu.empty(norm.shape);
    const x = gpu.tensor(numbers(count, 1), norm.shape);
    const dy = gpu.tensor(numbers(count, 2), norm.shape);
    const weight = gpu.tensor(numbers(norm.geometry.channels, 3), [norm.geometry.channels]);
    const [y, dx, from, to] = [make(), make(), make(), make()];
    const { mean, rstd } = norm.forward(gpu, x, { weight, out: { y } });
    const outs = mean ? { y, mean, rstd } : { y, rstd };
    const { dweight } = norm.backward(gpu, dy, x, {
      weight,
      mean,
      rstd,
      out: { dx },
      wants: { dweight: true },
    });
    const passes = {
      copy: (encoder) => encoder.copyBufferToBuffer(from.buffer, 0, to.buffer, 0, 4 * count),
      forward: (encoder) => norm.forward(gpu, x, { weight, out: outs, encoder }),
      backward: (encoder) =>
        norm.backward(gpu, dy, x, {
          weight,
          mean,
          rstd,
          out: { dx, dweight },
          wants: { dweight: true, dbias: false },
          encoder,
        }),
    };
    const ms = {};
    for (const [pass, record] of Object.entries(passes)) ms[pass] = await time(gpu, record, timing);
    // Reads and writes of x's size that cannot be done without.
    const batch = norm.name.startsWith('BatchNorm');
    const bytes = {
      forward: (batch ? 3 : 2) * 4 * count,
      backward: (batch ? 5 : 3) * 4 * count,
      copy: 8 * count,
    };
    /** @type {any} */
    const row = { name: norm.name, shape: norm.shape };
    for (const pass of ['forward', 'backward']) {
      const gbps = bytes[pass] / ms[pass] / 1e6;
      row[pass] = { ms: ms[pass], gbps, ofCopy: gbps / (bytes.copy / ms.copy / 1e6) };
    }
    results.push(row);
    if (!json) console.log(line(row));
    for (const tensor of [x, dy, weight, y, dx, from, to, mean, rstd, dweight]) tensor?.destroy();
  }
  const adapter = adapterName(gpu);
  if (json)
    console.log(JSON.stringify({ adapter, date: new Date().toISOString(), timing, results }, null, 2));
  else {
    console.log(
      `${adapter}. f32; median of ${timing.rounds} samples of about ${timing.sampleMs} ms; GB/s by ideal bytes, and as a share of copyBufferToBuffer.`,
    );
  }
  gpu.destroy();
  return 0;
}

function line({ name, shape, forward, backward }) {
  const of = ({ ms, gbps, ofCopy }) =>
    `${ms.toPrecision(3).padStart(8)} ms ${gbps.toPrecision(3).padStart(6)} GB/s ${(100 * ofCopy).toFixed(0).padStart(4)} %`;
  return `${name.padEnd(28)} ${shape.join('×').padEnd(14)} forward ${of(forward)}   backward ${of(backward)}`;
}
