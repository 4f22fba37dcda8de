/** Recording again makes no GPU object, and follows what has changed. What it costs the CPU is a line of the bench. */
import {
  BatchNorm1d,
  type Gpu,
  init,
  LayerNorm,
  layerNorm,
  layerNormBackward,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';

/** Counts everything that a device makes but command encoders. */
function countMade(device: GPUDevice): () => number {
  let made = 0;
  for (const name of [
    'createBuffer',
    'createBindGroup',
    'createComputePipeline',
    'createShaderModule',
  ] as const) {
    const create = device[name].bind(device) as (descriptor: never) => unknown;
    (device as unknown as Record<string, unknown>)[name] = (descriptor: never) => {
      made += 1;
      return create(descriptor);
    };
  }
  return () => made;
}

async function ownDevice(navigatorGpu: GPU): Promise<GPUDevice> {
  const adapter = await navigatorGpu.requestAdapter();
  return (await adapter?.requestDevice()) as GPUDevice;
}

const forwardTo = (gpu: Gpu, x: Tensor, out: { y: Tensor; mean: Tensor; rstd: Tensor }) =>
  layerNorm(gpu, x, { normalizedShape: 64, out });

export const cases: Case[] = [
  {
    name: 'overhead: recording again makes no GPU object',
    async run({ navigatorGpu }) {
      const device = await ownDevice(navigatorGpu);
      const gpu = await init({ device });
      const x = gpu.tensor(normal(8 * 64), [8, 64]);
      const dy = gpu.tensor(normal(8 * 64, { seed: 2 }), [8, 64]);
      const [y, dx] = [gpu.empty([8, 64]), gpu.empty([8, 64])];
      const out = { y: gpu.empty([8, 64]), mean: gpu.empty([8, 2]), rstd: gpu.empty([8]) };
      const gradients = { dx: gpu.empty([8, 64]) };
      const layer = new LayerNorm(gpu, 64);
      const batch = new BatchNorm1d(gpu, 64);
      const step = (): void => {
        for (const module of [layer, batch]) {
          module.forward(x, { out: y });
          module.backward(dy, { out: dx });
        }
        forwardTo(gpu, x, out);
        const { mean, rstd } = out;
        layerNormBackward(gpu, dy, x, { normalizedShape: 64, mean, rstd, out: gradients });
      };
      // The first backward pass of a module writes its gradients, the second adds to them.
      step();
      step();
      const made = countMade(device);
      for (let i = 0; i < 10; i++) step();
      assertEqual(made(), 0, 'GPU objects made by calls that come again');
      // A new output is one buffer, and a bind group for each dispatch that uses it.
      layer.forward(x).destroy();
      assert(made() <= 3, `${made()} GPU objects for a new output`);
      gpu.destroy();
      device.destroy();
    },
  },
  {
    name: 'overhead: what is recorded again follows what has changed',
    async run({ gpu }) {
      const [x, other] = [gpu.tensor(normal(24), [4, 6]), gpu.tensor(normal(24, { seed: 2 }), [4, 6])];
      const y = gpu.empty([4, 6]);
      const module = new BatchNorm1d(gpu, 6);
      const forward = async (input: Tensor) => [...(await module.forward(input, { out: y }).data())];
      const first = await forward(x);
      assertEqual(await forward(x), first);
      const second = await forward(other);
      assert(
        second.some((value, i) => value !== first[i]),
        'another input',
      );
      assertEqual(await forward(x), first);
      assertEqual([...((await module.numBatchesTracked?.data()) ?? [])], [4], 'each one counts');
      module.weight?.data.write(new Float32Array(6).fill(2));
      assertEqual(
        await forward(x),
        first.map((value) => 2 * value),
        'another weight in the same tensor',
      );
      module.eval();
      const evaluated = await forward(x);
      assert(
        evaluated.some((value, i) => value !== 2 * (first[i] as number)),
        'another mode',
      );
      module.train();
      assertEqual(
        await forward(x),
        first.map((value) => 2 * value),
      );
      x.destroy();
      let refused = '';
      try {
        module.forward(x, { out: y });
      } catch (error) {
        refused = (error as { code?: string }).code ?? '';
      }
      assertEqual(refused, 'destroyed');
      module.destroy();
    },
  },
];
