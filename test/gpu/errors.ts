/** Bad input: code and fix, and nothing allocated, recorded or changed. */
import {
  addLayerNorm,
  type Gpu,
  GroupNorm,
  groupNorm,
  InstanceNorm2d,
  init,
  instanceNorm,
  LayerNorm,
  layerNorm,
  layerNormBackward,
  NormError,
  type NormErrorCode,
  RMSNorm,
  rmsNorm,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';

/** Runs `body`, which must throw a NormError of that code with a fix, and leave the memory of `gpu` as it is. */
function refuses(gpu: Gpu, code: NormErrorCode, body: () => unknown): void {
  const before = JSON.stringify(gpu.memory());
  let thrown: unknown;
  try {
    body();
  } catch (error) {
    thrown = error;
  }
  assert(thrown instanceof NormError, `expected a NormError '${code}', got ${thrown ?? 'no error'}: ${body}`);
  assertEqual(thrown.code, code, `code of "${thrown.message}"`);
  assert(thrown.fix.length > 5 && thrown.message.includes(thrown.fix), `no fix in "${thrown.message}"`);
  assertEqual(JSON.stringify(gpu.memory()), before, `memory after "${thrown.message}"`);
}

async function rejects(code: NormErrorCode, promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert(error instanceof NormError, `expected a NormError '${code}', got ${error}`);
  assertEqual(error.code, code, `code of "${error.message}"`);
}

async function ownDevice(navigatorGpu: GPU): Promise<GPUDevice> {
  const adapter = await navigatorGpu.requestAdapter();
  assert(adapter, 'no adapter');
  return adapter.requestDevice();
}

const storage = GPUBufferUsageOf('STORAGE');
function GPUBufferUsageOf(name: 'STORAGE' | 'COPY_SRC' | 'COPY_DST'): number {
  return { STORAGE: 0x80, COPY_SRC: 4, COPY_DST: 8 }[name];
}

export const cases: Case[] = [
  {
    name: 'errors: shapes',
    run({ gpu }) {
      const x = gpu.zeros([2, 4]);
      const w = gpu.zeros([4]);
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [5] }));
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [] }));
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [1, 2, 4] }));
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [4], weight: gpu.keep(x) }));
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [2, 4], bias: w }));
      refuses(gpu, 'shape', () => rmsNorm(gpu, w, { normalizedShape: [4] }));
      refuses(gpu, 'shape', () => rmsNorm(gpu, x, { normalizedShape: [3] }));
      const three = gpu.zeros([2, 3, 5]);
      refuses(gpu, 'shape', () => addLayerNorm(gpu, three, x, { normalizedShape: [5] }));
      refuses(gpu, 'shape', () => groupNorm(gpu, w, { numGroups: 1 }));
      refuses(gpu, 'shape', () => groupNorm(gpu, three, { numGroups: 2 }));
      refuses(gpu, 'value', () => groupNorm(gpu, three, { numGroups: 0 }));
      refuses(gpu, 'value', () => groupNorm(gpu, three, { numGroups: 1.5 }));
      const single = gpu.zeros([1, 4]);
      refuses(gpu, 'shape', () => groupNorm(gpu, single, { numGroups: 4 }));
      const perGroup = groupNorm(gpu, x, { numGroups: 4 }); // two samples: legal, as in PyTorch
      for (const tensor of Object.values(perGroup)) tensor.destroy();
      refuses(gpu, 'shape', () => instanceNorm(gpu, x));
      const pixel = gpu.zeros([2, 3, 1, 1]);
      refuses(gpu, 'shape', () => instanceNorm(gpu, pixel));
      refuses(gpu, 'shape', () => new GroupNorm(gpu, 3, 4));
      refuses(gpu, 'shape', () => new LayerNorm(gpu, []));
      const { y, mean, rstd } = layerNorm(gpu, x, { normalizedShape: [4] });
      refuses(gpu, 'shape', () => layerNormBackward(gpu, three, x, { normalizedShape: [4], mean, rstd }));
      refuses(gpu, 'shape', () => layerNormBackward(gpu, y, x, { normalizedShape: [4], mean: rstd, rstd }));
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [4], out: { y: three } }));
      refuses(gpu, 'shape', () => gpu.tensor([1, 2, 3], [2, 2]));
      refuses(gpu, 'shape', () => gpu.zeros([2, -1]));
      refuses(gpu, 'shape', () => gpu.zeros([1.5]));
      refuses(gpu, 'shape', () => x.write([1]));
    },
  },
  {
    name: 'errors: values, options and modules',
    run({ gpu }) {
      const x = gpu.zeros([2, 4]);
      for (const eps of [-1e-5, Number.NaN, Number.POSITIVE_INFINITY]) {
        refuses(gpu, 'value', () => layerNorm(gpu, x, { normalizedShape: [4], eps }));
        refuses(gpu, 'value', () => new RMSNorm(gpu, 4, { eps }));
      }
      refuses(gpu, 'value', () => rmsNorm(gpu, x, { normalizedShape: [4], cast: 'other' as 'torch' }));
      refuses(gpu, 'value', () => groupNorm(gpu, x, { numGroups: 2, layout: 'NHWC' as 'channels-last' }));
      refuses(gpu, 'value', () => new InstanceNorm2d(gpu, 0));
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      refuses(gpu, 'value', () => layerNorm(gpu, x, { normalizedShape: [4], encoder, pass }));
      pass.end();
      encoder.finish();
      const image = gpu.zeros([2, 4, 3, 3]);
      const module = new InstanceNorm2d(gpu, 3);
      refuses(gpu, 'shape', () => module.forward(image));
      refuses(gpu, 'shape', () => module.forward(x));
      const norm = new LayerNorm(gpu, 4);
      refuses(gpu, 'order', () => norm.backward(x));
      const y = norm.forward(x);
      refuses(gpu, 'shape', () => norm.backward(image));
      assertEqual(norm.weight?.grad, null, 'a failed backward leaves no gradient');
      refuses(gpu, 'order', () => gpu.scope(async () => {}));
      norm.destroy();
      refuses(gpu, 'destroyed', () => norm.forward(x));
      y.destroy();
      refuses(gpu, 'destroyed', () => layerNorm(gpu, y, { normalizedShape: [4] }));
    },
  },
  {
    name: 'errors: an unknown schedule option value is refused',
    run({ gpu }) {
      const x = gpu.zeros([2, 4]);
      const schedule = { strategy: 'fast' as 'tile' };
      refuses(gpu, 'value', () => layerNorm(gpu, x, { normalizedShape: [4], schedule }));
      refuses(gpu, 'value', () =>
        layerNorm(gpu, x, { normalizedShape: [4], schedule: { strategy: 'tile', workgroup: 48 } }),
      );
      const long = gpu.zeros([1, 70_000]);
      refuses(gpu, 'value', () =>
        layerNorm(gpu, long, { normalizedShape: [70_000], schedule: { strategy: 'tile', lanes: 16 } }),
      );
      const image = gpu.zeros([2, 9, 4]);
      refuses(gpu, 'value', () =>
        groupNorm(gpu, image, { numGroups: 2, layout: 'channels-last', schedule: { strategy: 'tile' } }),
      );
    },
  },
  {
    name: 'errors: dtypes',
    requires: ['f16'],
    run({ gpu }) {
      const x = gpu.zeros([2, 4]);
      const half = gpu.zeros([2, 4], { dtype: 'f16' });
      const w = gpu.zeros([4]);
      const halfW = gpu.zeros([4], { dtype: 'f16' });
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { normalizedShape: [4], weight: halfW }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, half, { normalizedShape: [4], weight: halfW, bias: w }));
      refuses(gpu, 'dtype', () => addLayerNorm(gpu, x, half, { normalizedShape: [4] }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, half, { normalizedShape: [4], out: { y: x } }));
      const { mean, rstd } = layerNorm(gpu, half, { normalizedShape: [4] });
      refuses(gpu, 'dtype', () => layerNormBackward(gpu, x, half, { normalizedShape: [4], mean, rstd }));
      refuses(gpu, 'dtype', () => gpu.zeros([2], { dtype: 'bf16' as 'f16' }));
    },
  },
  {
    name: 'errors: f16 without shader-f16',
    async run({ navigatorGpu }) {
      const device = await ownDevice(navigatorGpu); // asks for no feature
      const gpu = await init({ device });
      refuses(gpu, 'dtype', () => gpu.zeros([2], { dtype: 'f16' }));
      refuses(gpu, 'dtype', () => new LayerNorm(gpu, 4, { dtype: 'f16' }));
      device.destroy();
    },
  },
  {
    name: 'errors: buffers and aliasing',
    run({ gpu, device }) {
      const buffer = device.createBuffer({ size: 1024, usage: storage });
      refuses(gpu, 'buffer', () => gpu.wrap(buffer, [257]));
      refuses(gpu, 'buffer', () => gpu.wrap(buffer, [4], { offset: 128 + 4 }));
      refuses(gpu, 'buffer', () => gpu.wrap(buffer, [4], { offset: -256 }));
      refuses(gpu, 'buffer', () => gpu.wrap(buffer, [200], { offset: 256 }));
      const useless = device.createBuffer({ size: 1024, usage: GPUBufferUsageOf('COPY_DST') });
      refuses(gpu, 'buffer', () => gpu.wrap(useless, [4]));
      const x = gpu.wrap(buffer, [2, 4]);
      refuses(gpu, 'buffer', () => x.write(new Float32Array(8)));
      refuses(gpu, 'aliasing', () => layerNorm(gpu, x, { normalizedShape: [4], out: { y: x } }));
      const other = gpu.wrap(buffer, [2, 4], { offset: 256 });
      refuses(gpu, 'aliasing', () => layerNorm(gpu, x, { normalizedShape: [4], out: { y: other } }));
      const out = gpu.zeros([2, 4]);
      refuses(gpu, 'aliasing', () =>
        addLayerNorm(gpu, x, other, { normalizedShape: [4], out: { y: out, sum: out } }),
      );
      buffer.destroy();
      useless.destroy();
    },
  },
  {
    name: 'errors: reading a wrapped buffer without COPY_SRC',
    async run({ gpu, device }) {
      const buffer = device.createBuffer({ size: 16, usage: storage });
      await rejects('buffer', gpu.wrap(buffer, [4]).data());
      buffer.destroy();
    },
  },
  {
    name: 'errors: tensors and buffers of another device',
    async run({ gpu, navigatorGpu }) {
      const device = await ownDevice(navigatorGpu);
      const other = await init({ device });
      const foreign = other.zeros([2, 4]);
      refuses(gpu, 'wrong-device', () => layerNorm(gpu, foreign, { normalizedShape: [4] }));
      const buffer = device.createBuffer({ size: 64, usage: storage | GPUBufferUsageOf('COPY_SRC') });
      const wrapped = gpu.wrap(buffer, [2, 4]);
      await gpu.idle(); // what WebGPU says of the buffer's device, it says asynchronously
      refuses(gpu, 'wrong-device', () => layerNorm(gpu, wrapped, { normalizedShape: [4] }));
      const own = gpu.zeros([2, 4]);
      layerNorm(gpu, own, { normalizedShape: [4] }); // the context itself is unharmed
      device.destroy();
    },
  },
  {
    name: 'errors: a lost device rejects everything and hangs nothing',
    async run({ navigatorGpu }) {
      const device = await ownDevice(navigatorGpu);
      const gpu = await init({ device });
      const x = gpu.zeros([2, 4]);
      const norm = new LayerNorm(gpu, 4);
      await norm.forward(x).data();
      const pending = x.data();
      device.destroy();
      await rejects('device-lost', pending);
      await gpu.lost;
      refuses(gpu, 'device-lost', () => norm.forward(x));
      refuses(gpu, 'device-lost', () => gpu.zeros([1]));
      await rejects('device-lost', x.data());
      await rejects('device-lost', gpu.idle());
      await rejects('device-lost', init({ device }));
      gpu.destroy();
      gpu.destroy();
    },
  },
  {
    name: 'errors: use after destroy',
    async run({ navigatorGpu }) {
      const gpu = await init({ gpu: navigatorGpu });
      const x = gpu.zeros([2, 4]);
      gpu.destroy();
      refuses(gpu, 'destroyed', () => gpu.zeros([1]));
      refuses(gpu, 'destroyed', () => layerNorm(gpu, x, { normalizedShape: [4] }));
      await rejects('destroyed', x.data());
    },
  },
  {
    name: 'errors: no WebGPU',
    async run() {
      const nothing = { requestAdapter: async () => null } as unknown as GPU;
      await rejects('no-webgpu', init({ gpu: nothing }));
    },
  },
];
