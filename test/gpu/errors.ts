/** Bad input: code and fix, and nothing allocated, recorded or changed. */

import { execute } from '../../src/gpu/execute.ts';
import type { Kernel, Program } from '../../src/gpu/program.ts';
import {
  addLayerNorm,
  BatchNorm2d,
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
  rmsNormBackward,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { AdamW } from '../../src/optim/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { countWork, refuses } from '../support/refuses.ts';
import { verifyAll } from '../support/subject.ts';

async function rejects(code: NormErrorCode | null, promise: Promise<unknown>): Promise<NormError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert(error instanceof NormError, `expected a NormError '${code ?? 'of any code'}', got ${error}`);
  if (code) assertEqual(error.code, code, `code of "${error.message}"`);
  return error;
}

/** A context that works: forward, backward and reading give the right numbers. */
async function checkHealthy(gpu: Gpu): Promise<void> {
  await verifyAll(gpu, [{ op: 'layerNorm', shape: [3, 20] }]);
  await gpu.idle();
}

/** A program of one dispatch whose shader does not compile. */
function brokenProgram(name: string): Program {
  const kernel: Kernel = {
    name,
    label: name,
    code: `const fine = 1;\n@compute @workgroup_size(1) fn main() {\n  let x: u32 = nothing_of_that_name;\n}\n// ${name}`,
    bindings: [],
    fields: [],
    enables: [],
    workgroupMemory: [],
    constants: {},
  };
  return { steps: [{ kernel, params: new ArrayBuffer(0), ranges: {}, workgroups: 1 }], scratch: {} };
}

function checkShaderError(error: NormError): void {
  assert(/^ *1 const fine = 1;$/m.test(error.message), `no numbered source in "${error.message}"`);
  assert(/^ *3 .*nothing_of_that_name/m.test(error.message), `no numbered source in "${error.message}"`);
}

/** Makes every out-of-memory scope of a device report an error while `body` runs. */
async function withoutMemory(device: GPUDevice, body: () => void): Promise<void> {
  const filters: GPUErrorFilter[] = [];
  const push = device.pushErrorScope;
  const pop = device.popErrorScope;
  device.pushErrorScope = (filter) => {
    filters.push(filter);
    return push.call(device, filter);
  };
  device.popErrorScope = async () => {
    const filter = filters.pop(); // before the await: scopes nest
    const error = await pop.call(device);
    return filter === 'out-of-memory' ? ({ message: 'no memory, injected' } as GPUError) : error;
  };
  try {
    body();
  } finally {
    device.pushErrorScope = push;
    device.popErrorScope = pop;
  }
}

/** As {@link withoutMemory}, with storage that cannot be bound either. */
async function withoutBuffers(device: GPUDevice, body: () => void): Promise<void> {
  const create = device.createBuffer;
  device.createBuffer = (descriptor) => {
    const { usage } = descriptor;
    const others = (usage & ~storage) | GPUBufferUsageOf('COPY_DST'); // some usage there must be
    return create.call(device, { ...descriptor, usage: usage & storage ? others : usage });
  };
  try {
    await withoutMemory(device, body);
  } finally {
    device.createBuffer = create;
  }
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
    name: 'errors: what `refuses` counts is there to be counted',
    run({ gpu, device }) {
      const x = gpu.zeros([2, 4]);
      const done = countWork(device, () => layerNorm(gpu, x, { normalizedShape: [4] }));
      const encoder = device.createCommandEncoder();
      const recorded = countWork(device, () => layerNorm(gpu, x, { normalizedShape: [4], encoder }));
      for (const name of ['createBuffer', 'createCommandEncoder', 'submit']) {
        assert((done[name] ?? 0) > 0, `${name} is not counted: ${JSON.stringify(done)}`);
      }
      for (const name of ['beginComputePass', 'setPipeline', 'dispatchWorkgroups']) {
        assert((recorded[name] ?? 0) > 0, `${name} is not counted: ${JSON.stringify(recorded)}`);
      }
      assertEqual(recorded.submit, undefined, 'submits of a recorded call');
      encoder.finish();
    },
  },
  {
    name: 'errors: shapes',
    run({ gpu }) {
      const x = gpu.zeros([2, 4]);
      const w = gpu.zeros([4]);
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [5] }));
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [] }));
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [1, 2, 4] }));
      // A weight per row is legal, so that a wrong one differs in the sizes before its last.
      for (const weight of [[3, 4], [2, 1], [1, 2, 4], []].map((shape) => gpu.zeros(shape)))
        refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: [4], weight }));
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
      refuses(gpu, 'shape', () => layerNorm(gpu, x, { normalizedShape: 5 }));
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
      refuses(gpu, 'order', () => gpu.scope((scope) => scope.run(async () => {})));
      norm.destroy();
      refuses(gpu, 'destroyed', () => norm.forward(x));
      y.destroy();
      refuses(gpu, 'destroyed', () => layerNorm(gpu, y, { normalizedShape: [4] }));
    },
  },
  {
    name: 'errors: constructors and arguments of the wrong kind',
    async run({ gpu, navigatorGpu }) {
      const x = gpu.zeros([2, 4]);
      const norm = new LayerNorm(gpu, 4);
      const nothing = undefined as unknown as Tensor;
      const array = new Float32Array(8) as unknown as Tensor;
      const bad = [
        () => new LayerNorm(gpu, -1),
        () => new LayerNorm(gpu, [4, 1.5]),
        () => new RMSNorm(gpu, -1),
        () => new RMSNorm(gpu, Number.NaN),
        () => new GroupNorm(gpu, 2, -4),
        () => new GroupNorm(gpu, 2, 0),
        () => new GroupNorm(gpu, 0, 4),
        () => new InstanceNorm2d(gpu, -3),
        () => new InstanceNorm2d(gpu, 1.5),
        () => new LayerNorm(gpu, 4, { dtype: 'f64' as 'f32' }),
        () => layerNorm(gpu, nothing, { normalizedShape: [4] }),
        () => layerNorm(gpu, array, { normalizedShape: [4] }),
        () => rmsNorm(gpu, array, { normalizedShape: [4] }),
        () => groupNorm(gpu, array, { numGroups: 2 }),
        () => instanceNorm(gpu, array),
        () => layerNorm(gpu, x, { normalizedShape: [4], weight: array }),
        () => layerNorm(gpu, x, { normalizedShape: [4], out: { y: array } }),
        () => layerNormBackward(gpu, array, x, { normalizedShape: [4], mean: x, rstd: x }),
        () => norm.forward(array),
      ];
      const failures: string[] = [];
      for (const one of bad) {
        try {
          refuses(gpu, null, one);
        } catch (error) {
          failures.push((error as Error).message);
        }
      }
      assert(failures.length === 0, `${failures.length} of ${bad.length}:\n${failures.join('\n')}`);
      // A number is the one trailing dimension, in functions as in modules.
      const { y } = layerNorm(gpu, x, { normalizedShape: 4 });
      assertEqual((await y.data()).length, 8);
      const adapter = await navigatorGpu.requestAdapter();
      assert(adapter, 'no adapter');
      adapter.requestDevice = () => Promise.reject(new TypeError('refused on purpose'));
      const refusing = { requestAdapter: async () => adapter } as unknown as GPU;
      await rejects(null, init({ gpu: refusing }));
      const failing = { requestAdapter: () => Promise.reject(new TypeError('refused on purpose')) };
      await rejects(null, init({ gpu: failing as unknown as GPU }));
    },
  },
  {
    name: 'errors: outputs are written or refused, never ignored',
    async run({ gpu }) {
      const x = gpu.tensor(normal(12), [3, 4]);
      const spare = gpu.tensor([7, 7, 7, 7], [4]);
      const like = gpu.zeros([3, 4]);
      const normalizedShape = [4];
      refuses(gpu, 'value', () => layerNorm(gpu, x, { normalizedShape, out: { sum: like } }));
      refuses(gpu, 'value', () => rmsNorm(gpu, x, { normalizedShape, out: { sum: like } }));
      const { mean, rstd } = layerNorm(gpu, x, { normalizedShape });
      const common = { normalizedShape, mean, rstd };
      const written = layerNormBackward(gpu, x, x, { ...common, out: { dweight: spare } });
      assert(written.dweight === spare, 'out.dweight without a weight is the result');
      assert(!(await spare.data()).includes(7), 'out.dweight without a weight is written');
      const bias = gpu.tensor([7, 7, 7, 7], [4]);
      assert(layerNormBackward(gpu, x, x, { ...common, out: { dbias: bias } }).dbias === bias, 'out.dbias');
      assert(!(await bias.data()).includes(7), 'out.dbias is written');
      refuses(gpu, 'value', () =>
        layerNormBackward(gpu, x, x, { ...common, wants: { dbias: false }, out: { dbias: spare } }),
      );
      refuses(gpu, 'value', () =>
        layerNormBackward(gpu, x, x, { ...common, wants: { dweight: false }, out: { dweight: spare } }),
      );
      const rms = rmsNorm(gpu, x, { normalizedShape });
      refuses(gpu, 'value', () =>
        rmsNormBackward(gpu, x, x, { normalizedShape, rstd: rms.rstd, out: { dbias: spare } }),
      );
    },
  },
  {
    name: 'errors: a shader that does not compile, and the context afterwards',
    async run({ navigatorGpu, expectValidationErrors }) {
      const gpu = await init({ gpu: navigatorGpu });
      checkShaderError(await rejects('shader', gpu.prepare(brokenProgram('broken/prepared'))));
      await checkHealthy(gpu);
      // Compiled while recording: WebGPU says so only later, and refuses the commands too.
      expectValidationErrors();
      execute(gpu, brokenProgram('broken/recorded'), {}, {}, 'broken');
      checkShaderError(await rejects('shader', gpu.idle()));
      await checkHealthy(gpu);
      execute(gpu, brokenProgram('broken/recorded'), {}, {}, 'broken');
      await gpu.zeros([1]).data(); // another tensor is none of its business
      checkShaderError(await rejects('shader', gpu.idle()));
      await checkHealthy(gpu);
      gpu.destroy();
    },
  },
  {
    name: 'errors: out of memory, and the context afterwards',
    async run({ navigatorGpu }) {
      const gpu = await init({ gpu: navigatorGpu });
      const { device } = gpu;
      const x = gpu.tensor(normal(12), [3, 4]);
      const before = gpu.memory();
      const made: Tensor[] = [];
      await withoutMemory(device, () => made.push(gpu.empty([3, 4])));
      const bad = made[0] as Tensor;
      await rejects('out-of-memory', bad.data());
      await checkHealthy(gpu);
      refuses(gpu, 'out-of-memory', () => layerNorm(gpu, bad, { normalizedShape: [4] }));
      bad.destroy();
      assertEqual(gpu.memory().tensors, before.tensors, 'tensors after freeing it');
      assertEqual(gpu.memory().tensorBytes, before.tensorBytes, 'bytes after freeing it');
      assertEqual(await x.data(), normal(12), 'a tensor made before');
      // In the results of a call, and in the scratch of one.
      await withoutMemory(device, () => {
        made.push(...Object.values(layerNorm(gpu, x, { normalizedShape: [4] })));
      });
      await rejects('out-of-memory', (made[1] as Tensor).data());
      await withoutMemory(device, () => {
        const schedule = { strategy: 'split', splits: 2 } as const;
        made.push(
          ...Object.values(layerNorm(gpu, gpu.zeros([512, 64]), { normalizedShape: [64], schedule })),
        );
      });
      await rejects('out-of-memory', gpu.idle());
      for (const tensor of made) tensor.destroy();
      await checkHealthy(gpu);
      await verifyAll(gpu, [
        { op: 'layerNorm', shape: [512, 64], schedule: { strategy: 'split', splits: 2 } },
      ]);
      gpu.destroy();
    },
  },
  {
    name: 'errors: no memory for what a module or an encoder uses again, and both afterwards',
    async run({ navigatorGpu, expectValidationErrors }) {
      const gpu = await init({ gpu: navigatorGpu });
      const { device } = gpu;
      const x = gpu.tensor(normal(256 * 64), [256, 64]);
      const model = new Sequential(gpu, new LayerNorm(gpu, 64), new LayerNorm(gpu, 64));
      const pass = () => [model.forward(x), model.backward(x)];
      const failed: Tensor[] = [];
      await withoutBuffers(device, () => failed.push(...pass()));
      await rejects('out-of-memory', (failed[0] as Tensor).data());
      await rejects('out-of-memory', (failed[1] as Tensor).data());
      model.zeroGrad();
      const other = new Sequential(gpu, new LayerNorm(gpu, 64), new LayerNorm(gpu, 64));
      const expected = [other.forward(x), other.backward(x)];
      for (const [i, tensor] of pass().entries()) {
        assertEqual(await tensor.data(), await expected[i]?.data(), ['y', 'dx'][i]);
      }

      const fresh = await init({ gpu: navigatorGpu });
      const given = fresh.tensor(normal(64 * 64), [64, 64]);
      const outputs = { y: fresh.empty([64, 64]), mean: fresh.empty([64, 2]), rstd: fresh.empty([64]) };
      const record = () => {
        const encoder = fresh.device.createCommandEncoder();
        const schedule = { strategy: 'split', splits: 2 } as const;
        layerNorm(fresh, given, { normalizedShape: [64], schedule, out: outputs, encoder });
        return encoder.finish();
      };
      expectValidationErrors();
      await withoutBuffers(fresh.device, record);
      await rejects('out-of-memory', fresh.idle());
      fresh.device.queue.submit([record()]);
      const { y } = layerNorm(fresh, given, { normalizedShape: [64] });
      const expectedY = await y.data();
      assert(relativeError(await outputs.y.data(), expectedY) < 1e-6, 'y of what was recorded again');
      fresh.destroy();
      gpu.destroy();
    },
  },
  {
    name: 'errors: a refused submit leaves running statistics and parameters as they were, and usable',
    async run({ navigatorGpu, expectValidationErrors }) {
      expectValidationErrors();
      const gpu = await init({ gpu: navigatorGpu });
      const norm = new BatchNorm2d(gpu, 4);
      const optimizer = new AdamW(norm.parameters());
      const x = gpu.tensor(normal(128), [2, 4, 4, 4]);
      const buffer = gpu.device.createBuffer({ size: 512, usage: storage });
      const lost = gpu.wrap(buffer, [2, 4, 4, 4]);
      norm.forward(x);
      norm.backward(x);
      optimizer.step();
      const values = () => Promise.all([...norm.stateDict().values()].map((tensor) => tensor.data()));
      const before = await values();
      buffer.destroy();
      for (const told of ['idle', 'data'] as const) {
        const y = norm.forward(lost);
        if (told === 'idle') await rejects('validation', gpu.idle());
        else await rejects('validation', (norm.runningMean as Tensor).data());
        await rejects('validation', y.data());
        for (const [i, array] of (await values()).entries()) assertEqual(array, before[i], `after ${told}`);
      }
      const grad = norm.weight?.grad as Tensor;
      const { buffer: gradBuffer } = grad;
      gradBuffer.destroy();
      optimizer.step();
      await rejects('validation', gpu.idle());
      for (const [i, array] of (await values()).entries()) assertEqual(array, before[i], 'after a step');
      norm.resetRunningStats();
      norm.forward(x);
      await gpu.idle();
      assertEqual(await norm.numBatchesTracked?.data(), Float32Array.of(1), 'batches');
      gpu.destroy();
    },
  },
  {
    name: 'errors: limits, and the context afterwards',
    async run({ navigatorGpu, notApplicable }) {
      const device = await ownDevice(navigatorGpu);
      // As if bindings had no limit, so that only what a buffer may hold is left.
      const gpu = await init({ device, facts: { maxBindingBytes: 2 ** 40 } });
      const { maxBufferSize } = device.limits;
      if (maxBufferSize > 2 ** 30) notApplicable(`buffers of ${maxBufferSize} bytes are too large to exceed`);
      refuses(gpu, 'limit', () => gpu.empty([maxBufferSize / 4 + 1]));
      // y, half as large as its mean, would be allocated first.
      const rows = maxBufferSize / 8 + 4;
      const x = gpu.empty([rows, 1]);
      const before = JSON.stringify(gpu.memory());
      const error = await rejects('limit', (async () => layerNorm(gpu, x, { normalizedShape: [1] }))());
      assertEqual(JSON.stringify(gpu.memory()), before, `memory after "${error.message}"`);
      x.destroy();
      await checkHealthy(gpu);
      device.destroy();
    },
  },
  {
    name: 'errors: what WebGPU refuses of our own commands reaches data()',
    async run({ device, expectValidationErrors }) {
      expectValidationErrors();
      const gpu = await init({ device });
      const usage = storage | GPUBufferUsageOf('COPY_SRC') | GPUBufferUsageOf('COPY_DST');
      const wrap = () => {
        const buffer = device.createBuffer({ size: 256, usage });
        return { buffer, tensor: gpu.wrap(buffer, [2, 4]) };
      };
      const input = wrap();
      input.buffer.destroy();
      const { y } = layerNorm(gpu, input.tensor, { normalizedShape: [4] });
      await rejects(null, y.data());
      await checkHealthy(gpu);
      await rejects(null, input.tensor.data());
      await checkHealthy(gpu);
      const output = wrap();
      output.buffer.destroy();
      layerNorm(gpu, gpu.zeros([2, 4]), { normalizedShape: [4], out: { y: output.tensor } });
      await rejects(null, gpu.idle());
      await checkHealthy(gpu);
      gpu.destroy();
    },
  },
  {
    name: 'errors: data() that is pending when its tensor or its context goes',
    async run({ gpu, device, navigatorGpu }) {
      const values = normal(12);
      const x = gpu.tensor(values, [3, 4]);
      const { y } = layerNorm(gpu, x, { normalizedShape: [4] });
      const expected = await y.data();
      const pending = y.data();
      y.destroy();
      assertEqual(await pending, expected, 'data() of a tensor destroyed meanwhile');
      await rejects('destroyed', y.data());
      const scoped = gpu.scope(() => [layerNorm(gpu, x, { normalizedShape: [4] }).y.data()]);
      assertEqual(await scoped[0], expected, 'data() begun in a scope');
      for (const own of [await init({ gpu: navigatorGpu }), await init({ device })]) {
        const tensor = own.tensor(values, [3, 4]);
        await tensor.data();
        const [data, idle] = [tensor.data(), own.idle()];
        const both = Promise.all([rejects('destroyed', data), rejects('destroyed', idle)]);
        own.destroy();
        await both;
      }
      assertEqual(await x.data(), values, 'another context of the device');
    },
  },
  {
    name: 'errors: an unknown schedule option value is refused',
    run({ gpu }) {
      const x = gpu.zeros([2, 4]);
      const schedule = { strategy: 'fast' as 'registers' };
      refuses(gpu, 'value', () => layerNorm(gpu, x, { normalizedShape: [4], schedule }));
      refuses(gpu, 'value', () =>
        layerNorm(gpu, x, { normalizedShape: [4], schedule: { strategy: 'registers', workgroup: 48 } }),
      );
      const long = gpu.zeros([1, 70_000]);
      refuses(gpu, 'value', () =>
        layerNorm(gpu, long, { normalizedShape: [70_000], schedule: { strategy: 'registers', lanes: 16 } }),
      );
      const image = gpu.zeros([2, 9, 4]);
      refuses(gpu, 'value', () =>
        groupNorm(gpu, image, { numGroups: 2, layout: 'channels-last', schedule: { strategy: 'registers' } }),
      );
    },
  },
  {
    name: 'errors: dtypes',
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
      refuses(gpu, 'dtype', () => gpu.zeros([2], { dtype: 'f64' as 'f16' }));
      const brain = gpu.zeros([2, 4], { dtype: 'bf16' });
      const brainW = gpu.zeros([4], { dtype: 'bf16' });
      for (const [one, weight] of [
        [x, brainW],
        [half, brainW],
        [brain, halfW],
      ] as const) {
        refuses(gpu, 'dtype', () => layerNorm(gpu, one, { normalizedShape: [4], weight }));
      }
      refuses(gpu, 'dtype', () => addLayerNorm(gpu, brain, half, { normalizedShape: [4] }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, brain, { normalizedShape: [4], out: { y: half } }));
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
      const long = gpu.wrap(buffer, [2, 64]);
      const overlapping = gpu.wrap(buffer, [2, 64], { offset: 256 });
      refuses(gpu, 'aliasing', () =>
        layerNorm(gpu, long, { normalizedShape: [64], out: { y: overlapping } }),
      );
      const out = gpu.zeros([2, 4]);
      refuses(gpu, 'aliasing', () =>
        addLayerNorm(gpu, x, x, { normalizedShape: [4], out: { y: out, sum: out } }),
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
