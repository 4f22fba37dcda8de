/** A call that fails leaves no tensor behind, and what a context keeps of its past does not grow. */
import {
  batchNorm,
  type Gpu,
  groupNorm,
  groupNormBackward,
  init,
  instanceNorm,
  LayerNorm,
  layerNorm,
  layerNormBackward,
  localResponseNorm,
  NormError,
  rmsNorm,
  type ScheduleOptions,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';

/** Runs `body`, which throws something while it records, and counts the tensors that it leaves. */
function leftBy(gpu: Gpu, body: () => unknown): number {
  const before = gpu.memory().tensors;
  let threw = false;
  try {
    body();
  } catch {
    threw = true;
  }
  assert(threw, 'it was to throw');
  return gpu.memory().tensors - before;
}

export const cases: Case[] = [
  {
    name: 'leaks: values that a dtype cannot hold leave no tensor',
    run({ gpu }) {
      refuses(gpu, 'value', () => gpu.tensor([1.5], [1], { dtype: 'u32' }));
      refuses(gpu, 'value', () => gpu.tensor([1, -1], [2], { dtype: 'u32' }));
    },
  },
  {
    name: 'leaks: schedules with unknown keys or values are refused before anything is made',
    run({ gpu }) {
      const x = gpu.tensor(normal(24), [4, 6]);
      for (const schedule of [
        { fourRows: 'no' },
        { vec4: 1 },
        { strategie: 'thread' },
        { lanes: 'four' },
        { workgroup: null },
        { splits: '2' },
      ]) {
        const options = { normalizedShape: 6, schedule: schedule as unknown as ScheduleOptions };
        refuses(gpu, 'value', () => layerNorm(gpu, x, options));
        refuses(gpu, 'value', () => rmsNorm(gpu, x, options));
      }
      x.destroy();
    },
  },
  {
    name: 'leaks: whatever is thrown while recording leaves no tensor',
    run({ gpu }) {
      const x = gpu.tensor(normal(48), [2, 4, 6]);
      const { mean, rstd } = layerNorm(gpu, x, { normalizedShape: 6 });
      const group = groupNorm(gpu, x, { numGroups: 2 });
      // A pass that gives up halfway.
      const pass = {
        setPipeline() {},
        setBindGroup() {},
        dispatchWorkgroups() {
          throw new Error('over');
        },
      } as unknown as GPUComputePassEncoder;
      const calls = [
        () => layerNorm(gpu, x, { normalizedShape: 6, pass }),
        () => layerNormBackward(gpu, x, x, { normalizedShape: 6, mean, rstd, pass }),
        () => rmsNorm(gpu, x, { normalizedShape: 6, pass }),
        () => groupNorm(gpu, x, { numGroups: 2, pass }),
        () => groupNormBackward(gpu, x, x, { numGroups: 2, mean: group.mean, rstd: group.rstd, pass }),
        () => instanceNorm(gpu, x, { pass }),
        () => batchNorm(gpu, x, { training: true, pass }),
        () => localResponseNorm(gpu, x, { size: 3, pass }),
      ];
      assertEqual(
        calls.map((call) => leftBy(gpu, call)),
        calls.map(() => 0),
        'tensors left',
      );
      for (const tensor of [x, mean, rstd, group.y, group.mean, group.rstd]) tensor?.destroy();
    },
  },
  {
    name: 'leaks: a scope frees what a failed call inside it kept, once',
    run({ gpu }) {
      const before = gpu.memory().tensors;
      gpu.scope(() => {
        const x = gpu.tensor(normal(24), [4, 6]);
        const { y } = gpu.scope(() => layerNorm(gpu, x, { normalizedShape: 6 }));
        assert(!y.destroyed, 'y was returned');
        refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: 5 }));
      });
      assertEqual(gpu.memory().tensors, before);
    },
  },
  {
    name: 'leaks: a view keeps the tensor whose buffer it shares',
    async run({ gpu }) {
      const view = gpu.tensor(normal(24), [24]).view([4, 6]);
      await gpu.idle();
      (globalThis as { gc?: () => void }).gc?.();
      assertEqual([...(await view.data())], [...normal(24)]);
    },
  },
  {
    name: 'leaks: lost resolves when the context of a borrowed device is destroyed',
    async run({ device }) {
      const gpu = await init({ device });
      const norm = new LayerNorm(gpu, 4);
      norm.forward(gpu.zeros([2, 4]));
      gpu.destroy();
      assert(/destroyed/.test(await gpu.lost), 'the reason');
      await device.queue.onSubmittedWorkDone(); // the device goes on
    },
  },
  {
    name: 'leaks: idle() tells all that it has not told yet',
    async run({ navigatorGpu, expectValidationErrors }) {
      expectValidationErrors();
      const device = (await (await navigatorGpu.requestAdapter())?.requestDevice()) as GPUDevice;
      const gpu = await init({ device });
      const usage = 0x80 | 0x4 | 0x8; // STORAGE | COPY_SRC | COPY_DST
      const buffers = [16, 32].map((size) => device.createBuffer({ size, usage }));
      const inputs = buffers.map((buffer) => gpu.wrap(buffer, [1, buffer.size / 4]));
      await gpu.idle();
      for (const buffer of buffers) buffer.destroy();
      for (const x of inputs) {
        layerNorm(gpu, x, { normalizedShape: x.size });
        rmsNorm(gpu, x, { normalizedShape: x.size });
      }
      const error = await gpu.idle().catch((reason: unknown) => reason);
      assert(error instanceof NormError && error.code === 'validation', `${error}`);
      const told = (error as NormError).message;
      assertEqual(told.match(/commands of layer_norm\.forward/g)?.length, 2, told);
      assertEqual(told.match(/commands of rms_norm\.forward/g)?.length, 2, told);
      assert((error as NormError).cause instanceof AggregateError, 'all are its cause');
      await gpu.idle();
      gpu.destroy();
      device.destroy();
    },
  },
];
