/** Reading back: in pieces of bounded size, of one moment, and with errors that say what is wrong. */
import { decodeSafetensors, type Gpu, init, LayerNorm, NormError, saveStateDict } from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';

/** Sizes of the staging buffers that are made while `body` runs. */
async function stagingOf<T>(device: GPUDevice, body: () => Promise<T>): Promise<[T, number[]]> {
  const sizes: number[] = [];
  const create = device.createBuffer;
  device.createBuffer = (descriptor) => {
    if (descriptor.label === 'read-back') sizes.push(descriptor.size);
    return create.call(device, descriptor);
  };
  try {
    return [await body(), sizes];
  } finally {
    device.createBuffer = create;
  }
}

const most = 2 ** 24;

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => 'nothing was thrown',
    (reason: unknown) => reason,
  );
  return error instanceof NormError ? error.code : String(error);
}

/** A context on a device of its own, and how to change the buffers that it reads back through. */
async function tampered(
  navigatorGpu: GPU,
  change: (buffer: GPUBuffer, device: GPUDevice) => GPUBuffer,
): Promise<{ gpu: Gpu; restore: () => void }> {
  const gpu = await init({ gpu: navigatorGpu });
  const { device } = gpu;
  const create = device.createBuffer;
  device.createBuffer = (descriptor) => {
    const buffer = create.call(device, descriptor);
    return descriptor.label === 'read-back' ? change(buffer, device) : buffer;
  };
  return {
    gpu,
    restore: () => {
      device.createBuffer = create;
    },
  };
}

export const cases: Case[] = [
  {
    name: 'read-back: large tensors are read in pieces, whole and in order',
    async run({ gpu, device }) {
      const sizes = [5_000_001, 3, 4_500_000];
      const values = sizes.map((size, which) => Float32Array.from({ length: size }, (_, i) => i + which / 4));
      const tensors = values.map((one) => gpu.tensor(one, [one.length]));
      const named = new Map(tensors.map((tensor, i) => [`t${i}`, tensor]));
      const [file, staging] = await stagingOf(device, () => saveStateDict(named));
      assert(staging.length === 3 && staging.every((size) => size <= most), `staging of ${staging} bytes`);
      const read = decodeSafetensors(file);
      values.forEach((expected, i) => {
        const data = read.get(`t${i}`)?.data as Float32Array;
        assertEqual(data.length, expected.length);
        assert(
          expected.every((value, at) => data[at] === value),
          `tensor ${i}`,
        );
      });
      const [one] = await stagingOf(device, () => (tensors[0] as (typeof tensors)[0]).data());
      assert(
        one.every((value, at) => value === at),
        'data()',
      );
      for (const tensor of tensors) tensor.destroy();
    },
  },
  {
    name: 'read-back: what is read is of the moment of the call, in every piece',
    async run({ gpu }) {
      const size = most / 4 + 5;
      const x = gpu.tensor(new Float32Array(size).fill(1), [size]);
      const reading = x.data();
      x.write(new Float32Array(size).fill(2));
      const again = x.data();
      x.destroy();
      assert(
        (await reading).every((value) => value === 1),
        'before the write',
      );
      assert(
        (await again).every((value) => value === 2),
        'after it',
      );
    },
  },
  {
    name: 'read-back: a mapping that fails on a healthy device is no lost device',
    async run({ navigatorGpu }) {
      const { gpu, restore } = await tampered(navigatorGpu, (buffer) => {
        buffer.mapAsync = () => Promise.reject(new DOMException('injected', 'OperationError'));
        return buffer;
      });
      const norm = new LayerNorm(gpu, 4);
      const y = norm.forward(gpu.tensor([1, 2, 3, 4], [1, 4]));
      assertEqual(await codeOf(y.data()), 'out-of-memory');
      assertEqual(await codeOf(saveStateDict(norm)), 'out-of-memory');
      restore();
      await gpu.idle();
      assertEqual([...(await y.data())].map(Math.sign), [-1, -1, 1, 1]);
      gpu.destroy();
    },
  },
  {
    name: 'read-back: a staging buffer that WebGPU refuses leaves no uncaptured error',
    async run({ navigatorGpu }) {
      // A buffer that cannot be mapped stands for one without memory: the copy works, mapAsync is refused and rejects.
      const { gpu, restore } = await tampered(navigatorGpu, (buffer, device) => {
        const { size } = buffer;
        buffer.destroy();
        return device.createBuffer({ label: 'not mappable', size, usage: 0x8 });
      });
      const x = gpu.tensor([1, 2, 3], [3]);
      assertEqual(await codeOf(x.data()), 'validation');
      restore();
      await gpu.idle();
      assertEqual([...(await x.data())], [1, 2, 3]);
      gpu.destroy();
    },
  },
];
