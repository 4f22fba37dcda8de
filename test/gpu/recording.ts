/** The caller's encoders, passes, buffers and outputs; what is allocated and freed; what is compiled when. */
import {
  addRmsNorm,
  BatchNorm1d,
  type Gpu,
  GroupNorm,
  groupNorm,
  init,
  LayerNorm,
  layerNorm,
  layerNormBackward,
  type Parameter,
  RMSNorm,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { layerNormGeometry, normReference, relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { bounds } from '../support/tolerances.ts';

const storage = 0x80;
const copySrc = 4;
const copyDst = 8;

/** Counts the buffers of a device: made, less destroyed. */
function countBuffers(device: GPUDevice): () => number {
  let live = 0;
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    live += 1;
    const destroy = buffer.destroy.bind(buffer);
    let destroyed = false;
    buffer.destroy = () => {
      if (!destroyed) live -= 1;
      destroyed = true;
      return destroy();
    };
    return buffer;
  };
  return () => live;
}

async function close(gpu: Gpu, y: Tensor, values: Float32Array, shape: number[]): Promise<void> {
  const { y: expected } = normReference(values, layerNormGeometry(shape, [shape.at(-1) as number]), {
    eps: 1e-5,
    kind: 'moments',
  });
  const error = relativeError(await y.data(), expected);
  assert(error <= bounds.forward, `error ${error}`);
  gpu.checkAlive();
}

export const cases: Case[] = [
  {
    name: "recording: into the caller's encoder and pass, submitting nothing",
    async run({ gpu, device }) {
      const values = normal(6 * 40);
      const x = gpu.tensor(values, [6, 40]);
      let submits = 0;
      const { queue } = device;
      const submit = queue.submit.bind(queue);
      queue.submit = (buffers) => {
        submits += 1;
        return submit(buffers);
      };
      try {
        const encoder = device.createCommandEncoder();
        const first = layerNorm(gpu, x, { normalizedShape: [40], encoder });
        const pass = encoder.beginComputePass();
        // Reads what the pass before it wrote, twice in one pass.
        const second = layerNorm(gpu, first.y, {
          normalizedShape: [40],
          pass,
          schedule: { strategy: 'split', splits: 3 },
        });
        const third = layerNorm(gpu, second.y, { normalizedShape: [40], pass });
        pass.end();
        const commands = encoder.finish();
        assertEqual(submits, 0, 'submits');
        queue.submit([commands]);
        assertEqual(submits, 1, 'submits');
        await close(gpu, first.y, values, [6, 40]);
        await close(gpu, second.y, await first.y.data(), [6, 40]);
        await close(gpu, third.y, await second.y.data(), [6, 40]);
      } finally {
        queue.submit = submit;
      }
    },
  },
  {
    name: 'recording: encoders submitted in another order than recorded, on shared scratch',
    async run({ gpu, device }) {
      const schedule = { strategy: 'split', splits: 4 } as const;
      const values = [normal(3 * 900), normal(5 * 70, { seed: 2 })] as const;
      const shapes = [
        [3, 900],
        [5, 70],
      ];
      const recorded = values.map((value, i) => {
        const shape = shapes[i] as number[];
        const encoder = device.createCommandEncoder();
        const { y } = layerNorm(gpu, gpu.tensor(value, shape), {
          normalizedShape: shape.slice(1),
          encoder,
          schedule,
        });
        return { y, commands: encoder.finish() };
      });
      device.queue.submit(recorded.map(({ commands }) => commands).reverse());
      for (const [i, { y }] of recorded.entries())
        await close(gpu, y, values[i] as Float32Array, shapes[i] as number[]);
    },
  },
  {
    name: 'recording: scratch grows while an encoder that uses the smaller one is not yet submitted',
    async run({ device }) {
      const gpu = await init({ device }); // its scratch is empty yet
      const schedule = { strategy: 'split', splits: 4 } as const;
      const small = normal(3 * 64);
      const large = normal(400 * 64, { seed: 2 });
      const encoder = device.createCommandEncoder();
      const x = gpu.tensor(small, [3, 64]);
      const early = layerNorm(gpu, x, { normalizedShape: [64], encoder, schedule });
      const held = gpu.memory().scratchBytes;
      const late = layerNorm(gpu, gpu.tensor(large, [400, 64]), { normalizedShape: [64], schedule });
      assert(gpu.memory().scratchBytes > held, 'the second call needs more scratch');
      // Recorded again with the larger one, into the encoder that already uses the smaller.
      const again = layerNorm(gpu, x, { normalizedShape: [64], encoder, schedule });
      device.queue.submit([encoder.finish()]);
      await close(gpu, early.y, small, [3, 64]);
      await close(gpu, late.y, large, [400, 64]);
      await close(gpu, again.y, small, [3, 64]);
      gpu.destroy();
    },
  },
  {
    name: 'recording: many steps of a module into one encoder, cleared before it is submitted',
    async run({ gpu, device }) {
      const values = [normal(4 * 30), normal(9 * 30, { seed: 2 }), normal(4 * 30, { seed: 3 })] as const;
      const norm = new LayerNorm(gpu, 30);
      const encoder = device.createCommandEncoder();
      const outputs = values.map((value) => {
        const shape = [value.length / 30, 30];
        const x = gpu.tensor(value, shape);
        const y = norm.forward(x, { encoder });
        norm.backward(x, { encoder });
        return { y, shape };
      });
      norm.zeroGrad();
      device.queue.submit([encoder.finish()]);
      for (const [i, { y, shape }] of outputs.entries())
        await close(gpu, y, values[i] as Float32Array, shape);
      assertEqual(norm.weight?.grad, null);
      norm.destroy();
    },
  },
  {
    name: "recording: the caller's buffers with offsets, as inputs and as outputs",
    async run({ gpu, device }) {
      const values = normal(4 * 33);
      const source = device.createBuffer({ size: 2048, usage: storage | copyDst });
      device.queue.writeBuffer(source, 512, values as Float32Array<ArrayBuffer>);
      const target = device.createBuffer({ size: 2048, usage: storage | copySrc });
      const x = gpu.wrap(source, [4, 33], { offset: 512 });
      const y = gpu.wrap(target, [4, 33], { offset: 256 });
      const result = layerNorm(gpu, x, { normalizedShape: [33], out: { y } });
      assert(result.y === y, 'the given output is returned');
      await close(gpu, y, values, [4, 33]);
      const around = await gpu.wrap(target, [512]).data();
      assertEqual(around.subarray(0, 64), new Float32Array(64), 'before the output');
      assertEqual(around.subarray(64 + 4 * 33), new Float32Array(512 - 64 - 4 * 33), 'after the output');
      y.destroy();
      x.destroy();
      await gpu.wrap(target, [4]).data(); // wrapped buffers survive their tensors
      source.destroy();
      target.destroy();
    },
  },
  {
    name: 'recording: 1,000 forward and backward passes leak nothing',
    timeout: 120_000,
    async run({ navigatorGpu }) {
      const own = await init({ gpu: navigatorGpu });
      const { device } = own;
      const live = countBuffers(device);
      const gpu = await init({ device });
      const modules = [
        { norm: new LayerNorm(gpu, 24), x: gpu.tensor(normal(5 * 24), [5, 24]) },
        { norm: new RMSNorm(gpu, 24), x: gpu.tensor(normal(5 * 24), [5, 24]) },
        { norm: new GroupNorm(gpu, 2, 4), x: gpu.tensor(normal(2 * 4 * 6), [2, 4, 6]) },
      ];
      const step = () =>
        gpu.scope(() => {
          for (const { norm, x } of modules) {
            norm.backward(norm.forward(x));
            norm.zeroGrad();
          }
        });
      step();
      await gpu.idle();
      const before = live();
      const memory = JSON.stringify(gpu.memory());
      for (let i = 0; i < 1000; i++) {
        step();
        if (i % 100 === 99) await gpu.idle();
      }
      await gpu.idle();
      assertEqual(live(), before, 'buffers');
      assertEqual(JSON.stringify(gpu.memory()), memory, 'memory');
      for (const { norm, x } of modules) {
        norm.destroy();
        x.destroy();
      }
      assertEqual(gpu.memory().tensors, 0, 'tensors');
      gpu.destroy();
      assertEqual(live(), 0, 'buffers after destroy');
      const state = await Promise.race([
        device.lost.then(() => 'lost'),
        device.queue.onSubmittedWorkDone().then(() => 'alive'),
      ]);
      assertEqual(state, 'alive', 'a borrowed device');
      assertEqual(await own.tensor([1, 2, 3], [3]).data(), new Float32Array([1, 2, 3]));
      own.destroy();
    },
  },
  {
    name: 'recording: scope frees what is not returned',
    async run({ gpu }) {
      const x = gpu.tensor(normal(40), [4, 10]);
      const before = gpu.memory().tensors;
      const y = gpu.scope(() => {
        const inner = gpu.scope(() => layerNorm(gpu, x, { normalizedShape: [10] }));
        return { out: [layerNorm(gpu, inner.y, { normalizedShape: [10] }).y] };
      });
      assertEqual(gpu.memory().tensors, before + 1);
      assertEqual((await (y.out[0] as Tensor).data()).length, 40);
      y.out[0]?.destroy();
      y.out[0]?.destroy();
      assertEqual(gpu.memory().tensors, before);
      let thrown = false;
      try {
        gpu.scope(() => {
          gpu.zeros([100]);
          throw new Error('mine');
        });
      } catch {
        thrown = true;
      }
      assert(thrown, 'errors pass through');
      assertEqual(gpu.memory().tensors, before);
    },
  },
  {
    name: 'recording: prepare compiles ahead; recording then compiles nothing',
    async run({ navigatorGpu }) {
      const gpu = await init({ gpu: navigatorGpu });
      const norm = new LayerNorm(gpu, 48, { eps: 1e-3 });
      await Promise.all([norm.prepare([7, 48]), norm.prepare([7, 48])]);
      const { device } = gpu;
      const compile = device.createComputePipeline;
      const compileAsync = device.createComputePipelineAsync;
      device.createComputePipeline = () => {
        throw new Error('compiled while recording');
      };
      device.createComputePipelineAsync = () => {
        throw new Error('compiled twice');
      };
      const x = gpu.tensor(normal(7 * 48), [7, 48]);
      const dy = gpu.tensor(normal(7 * 48), [7, 48]);
      norm.forward(x);
      norm.backward(dy);
      norm.backward(dy);
      await norm.prepare([7, 48]);
      device.createComputePipeline = compile;
      device.createComputePipelineAsync = compileAsync;
      await gpu.idle();
      assert(norm.workspaceBytes([7, 48]) <= 2 ** 20, 'workspace');
      gpu.destroy();
    },
  },
  {
    name: 'recording: modules accumulate gradients as PyTorch does',
    async run({ gpu }) {
      const [rows, cols] = [5, 12];
      const norm = new LayerNorm(gpu, cols);
      const x = gpu.tensor(normal(rows * cols), [rows, cols]);
      const dy = gpu.tensor(normal(rows * cols, { seed: 2 }), [rows, cols]);
      assertEqual(norm.weight?.grad, null);
      norm.forward(x);
      norm.backward(dy);
      const once = await norm.weight?.grad?.data();
      const onceBias = await norm.bias?.grad?.data();
      norm.backward(dy);
      const double = (values: Float32Array | undefined) => values?.map((value) => 2 * value);
      assertEqual(await norm.weight?.grad?.data(), double(once), 'weight after two');
      assertEqual(await norm.bias?.grad?.data(), double(onceBias), 'bias after two');
      norm.zeroGrad();
      norm.backward(dy);
      assertEqual(await norm.weight?.grad?.data(), once, 'weight after zeroGrad');
      assertEqual(
        norm.namedParameters().map(([name]) => name),
        ['weight', 'bias'],
      );
      assertEqual(new LayerNorm(gpu, 4, { bias: false }).namedParameters().length, 1);
      assertEqual(new LayerNorm(gpu, 4, { elementwiseAffine: false }).namedParameters().length, 0);
      assertEqual(new RMSNorm(gpu, 4).namedParameters().length, 1);
      assertEqual(new GroupNorm(gpu, 2, 4, { affine: false }).parameters().length, 0);
    },
  },
  {
    name: 'recording: gradients do not depend on the order in which passes are submitted',
    async run({ gpu, device }) {
      const x = gpu.tensor(normal(5 * 12), [5, 12]);
      const [dy, dy2] = [2, 3].map((seed) => gpu.tensor(normal(5 * 12, { seed }), [5, 12])) as [
        Tensor,
        Tensor,
      ];
      const encode = (body: (encoder: GPUCommandEncoder) => unknown) => {
        const encoder = device.createCommandEncoder();
        body(encoder);
        return encoder;
      };
      const channels = gpu.tensor(normal(5 * 12), [5, 6, 2]);
      const like = (tensor: Tensor) => tensor.view([5, 6, 2]);
      for (const [norm, input, first, second] of [
        [new LayerNorm(gpu, 12), x, dy, dy2],
        [new RMSNorm(gpu, 12), x, dy, dy2],
        [new GroupNorm(gpu, 2, 6), channels, like(dy), like(dy2)],
        [new BatchNorm1d(gpu, 6), channels, like(dy), like(dy2)],
      ] as const) {
        const name = norm.constructor.name;
        const gradients = () =>
          Promise.all(norm.parameters().map(async (one: Parameter) => await one.grad?.data()));
        norm.forward(input);
        norm.backward(first);
        norm.backward(second);
        const both = await gradients();
        norm.zeroGrad();
        assertEqual(norm.weight?.grad, null, name);
        norm.backward(second);
        const one = await gradients();
        norm.zeroGrad();
        // The second is submitted first.
        const early = encode((encoder) => norm.backward(first, { encoder }));
        const late = encode((encoder) => norm.backward(second, { encoder }));
        device.queue.submit([late.finish()]);
        device.queue.submit([early.finish()]);
        const sums = await gradients();
        for (const [i, sum] of sums.entries()) {
          for (const [j, value] of (sum ?? []).entries()) {
            const wanted = both[i]?.[j] as number;
            assert(Math.abs(value - wanted) < 1e-5, `${name}: ${i}[${j}] is ${value}, not ${wanted}`);
          }
        }
        // A pass that is recorded and dropped adds nothing, and brings nothing back.
        norm.zeroGrad();
        encode((encoder) => norm.backward(first, { encoder }));
        norm.backward(second);
        assertEqual(await gradients(), one, `${name} beside a dropped encoder`);
        // Clearing in the encoder of the passes, in its order.
        const whole = encode((encoder) => {
          norm.backward(first, { encoder });
          norm.zeroGrad({ encoder });
          norm.backward(second, { encoder });
        });
        device.queue.submit([whole.finish()]);
        assertEqual(await gradients(), one, `${name} cleared in its encoder`);
        norm.destroy();
      }
    },
  },
  {
    name: 'recording: residual modules: one gradient for x and residual',
    async run({ gpu }) {
      const shape = [4, 20];
      const tensor = (seed: number) => gpu.tensor(normal(80, { seed }), shape);
      const [x, residual, dy, dsum] = [tensor(1), tensor(2), tensor(3), tensor(4)] as const;
      const norm = new RMSNorm(gpu, 20);
      const { y, sum } = norm.forwardResidual(x, residual);
      const dx = norm.backward(dy, { dsum });
      const functional = addRmsNorm(gpu, x, residual, { normalizedShape: [20], weight: norm.weight?.data });
      assertEqual(await y.data(), await functional.y.data());
      assertEqual(await sum.data(), await functional.sum.data());
      const without = await norm.backward(dy).data();
      const extra = await dsum.data();
      const withDsum = await dx.data();
      assert(
        withDsum.every((value, i) => Math.abs(value - (without[i] as number) - (extra[i] as number)) < 1e-6),
        'dsum is added to dx',
      );
    },
  },
  {
    name: 'recording: a borrowed device is never destroyed, two contexts share its pipelines',
    async run({ device }) {
      const a = await init({ device });
      const b = await init({ device });
      const x = a.tensor(normal(8), [2, 4]);
      const { y, mean, rstd } = layerNorm(a, x, { normalizedShape: [4] });
      // A tensor of the one context serves the other: same device.
      const { dx } = layerNormBackward(b, y, x, { normalizedShape: [4], mean, rstd });
      assertEqual((await dx.data()).length, 8);
      a.destroy();
      const z = b.tensor(normal(8), [2, 4]);
      assertEqual((await groupNorm(b, z, { numGroups: 2 }).y.data()).length, 8);
      b.destroy();
    },
  },
  {
    name: 'recording: f16 tensors convert both ways',
    async run({ gpu, device }) {
      const values = [0, -0, 1, -2.5, 65504, 65519, 65520, 2 ** -24, 2 ** -25, 1.0009765625, 1.00048828125];
      const expected = [0, -0, 1, -2.5, 65504, 65504, Infinity, 2 ** -24, 0, 1.0009765625, 1];
      const tensor = gpu.tensor(values, [11], { dtype: 'f16' });
      assertEqual(await tensor.data(), Float32Array.from(expected));
      const buffer = device.createBuffer({ size: 256, usage: storage | copySrc | copyDst });
      const odd = gpu.wrap(buffer, [3], { dtype: 'f16' });
      assertEqual((await odd.data()).length, 3);
      const norm = new LayerNorm(gpu, 5, { dtype: 'f16' });
      assertEqual(await norm.weight?.data.data(), new Float32Array(5).fill(1));
      buffer.destroy();
    },
  },
];
