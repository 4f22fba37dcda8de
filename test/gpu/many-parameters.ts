/** Optimizers, clipping and scaling over thousands of small parameters: dispatches, copies, leaks, equal numbers. */

import { type Gpu, init, type Parameter, type Tensor } from '../../src/index.ts';
import { clipGradNorm, clipGradValue, GradScaler, SGD } from '../../src/optim/index.ts';
import { assert, assertEqual, assertSame } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import type { Kind, Settings } from '../support/optim.ts';
import { kinds, optimizerOf, parameterOf, setGradient } from '../support/optimizers.ts';

/** Counts what is dispatched, copied, submitted, made and mapped from now on. */
function countWork(device: GPUDevice) {
  const work = { dispatches: 0, copies: 0, submits: 0, buffers: 0, maps: 0 };
  const createEncoder = device.createCommandEncoder.bind(device);
  device.createCommandEncoder = (descriptor) => {
    const encoder = createEncoder(descriptor);
    const begin = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (passDescriptor) => {
      const pass = begin(passDescriptor);
      const dispatch = pass.dispatchWorkgroups.bind(pass);
      pass.dispatchWorkgroups = (...sizes) => {
        work.dispatches += 1;
        dispatch(...sizes);
      };
      return pass;
    };
    const copy = encoder.copyBufferToBuffer.bind(encoder) as (...args: unknown[]) => undefined;
    encoder.copyBufferToBuffer = (...args: unknown[]) => {
      work.copies += 1;
      return copy(...args);
    };
    return encoder;
  };
  const submit = device.queue.submit.bind(device.queue);
  device.queue.submit = (buffers) => {
    work.submits += 1;
    return submit(buffers);
  };
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    work.buffers += 1;
    const buffer = createBuffer(descriptor);
    const map = buffer.mapAsync.bind(buffer);
    buffer.mapAsync = (...how) => {
      work.maps += 1;
      return map(...how);
    };
    return buffer;
  };
  return work;
}

const zero = (work: Record<string, number>) => {
  for (const name of Object.keys(work)) work[name] = 0;
};

/** Parameters of these sizes with gradients. */
function many(gpu: Gpu, sizes: readonly number[], dtype: 'f32' | 'f16' = 'f32', seed = 1): Parameter[] {
  return sizes.map((size, i) => {
    const parameter = parameterOf(gpu, normal(size, { seed: seed + i }), [size], dtype);
    setGradient(parameter, normal(size, { seed: seed + 1000 + i }));
    return parameter;
  });
}

const valuesOf = (parameters: readonly Parameter[]) => Promise.all(parameters.map(({ data }) => data.data()));
const gradientsOf = (parameters: readonly Parameter[]) =>
  Promise.all(parameters.map(({ grad }) => (grad as Tensor).data()));

const settings: Record<Kind, Settings> = {
  SGD: { lr: 0.1, momentum: 0.9, dampening: 0.5 },
  Adam: { lr: 0.1, weightDecay: 0.1 },
  AdamW: { lr: 0.1, amsgrad: true },
  RMSprop: { lr: 0.01, momentum: 0.9, centered: true, eps: 1e-3 },
  Adagrad: { lr: 0.1, lrDecay: 0.1, initialAccumulatorValue: 0.5 },
  Adamax: { lr: 0.1 },
};

/** Small ones of several sizes, among them odd ones, some beyond a place, and a large one. */
const mixed = [64, 1, 300, 7, 64, 129, 1000, 64, 33, 256, 70_000, 5];

export const cases: Case[] = [
  {
    name: 'optim: 2,000 parameters of 64 values step in 2 dispatches and one submit, 1,000 times without a leak',
    timeout: 240_000,
    async run({ navigatorGpu, note }) {
      const own = await init({ gpu: navigatorGpu });
      const work = countWork(own.device);
      const gpu = await init({ device: own.device });
      const count = 2000;
      const parameters = many(gpu, Array<number>(count).fill(64));
      const optimizer = optimizerOf('AdamW', parameters, { lr: 0.01 });
      const scaler = new GradScaler(gpu, { initScale: 1 });
      optimizer.step();
      await gpu.idle();
      zero(work);
      optimizer.step();
      note('a step', `${work.dispatches} dispatches, ${work.copies} copies, ${work.buffers} buffers`);
      assertSame(work, { dispatches: 2, copies: 3 * count, submits: 1, buffers: 0, maps: 0 }, 'a step');
      gpu.scope(() => clipGradNorm(parameters, 1));
      zero(work);
      gpu.scope(() => clipGradNorm(parameters, 1));
      // The norm that is returned is a buffer.
      assertSame(work, { dispatches: 3, copies: 2 * count, submits: 1, buffers: 1, maps: 0 }, 'clipping');
      scaler.step(optimizer);
      scaler.update();
      zero(work);
      scaler.step(optimizer);
      scaler.update();
      // Beside the copies of unscaling and of the step, those of the settings and of what was found.
      assertSame(work, { dispatches: 4, copies: 5 * count + 2, submits: 3, buffers: 0, maps: 0 }, 'scaling');
      for (const parameter of parameters) parameter.destroy();
      optimizer.destroy();
      // Fewer of them: what a thousand steps leave does not depend on how many there are.
      const few = many(gpu, Array<number>(12).fill(64));
      const one = optimizerOf('AdamW', few, { lr: 0.01 });
      const train = () =>
        gpu.scope(() => {
          scaler.unscale(one);
          clipGradNorm(few, 1);
          clipGradValue(few, 0.5);
          scaler.step(one);
          scaler.update();
        });
      train();
      await gpu.idle();
      const before = JSON.stringify(gpu.memory());
      for (let i = 0; i < 1000; i++) {
        train();
        if (i % 100 === 99) await gpu.idle();
      }
      assertEqual(JSON.stringify(gpu.memory()), before, 'memory');
      assertEqual(work.maps, 0, 'maps');
      assertEqual(await one.stateDict().state[0]?.step?.data(), Float32Array.of(1001), 'steps');
      gpu.destroy();
      own.destroy();
    },
  },
  {
    name: 'optim: packed parameters have the bits of separate ones, whichever have gradients',
    async run({ gpu, device }) {
      for (const kind of kinds) {
        const ends: Float32Array[][] = [];
        for (const packed of [true, false]) {
          const parameters = many(gpu, mixed);
          const optimizer = optimizerOf(kind, parameters, settings[kind]);
          for (let step = 0; step < 4; step++) {
            parameters.forEach((parameter, i) => {
              const skipped = (step === 1 && i % 3 === 0) || (step === 0 && i === 4);
              setGradient(
                parameter,
                skipped ? undefined : normal(parameter.data.size, { seed: 7 * step + i }),
              );
            });
            const encoder = device.createCommandEncoder();
            const pass = packed ? undefined : encoder.beginComputePass();
            optimizer.step(pass ? { pass } : { encoder });
            pass?.end();
            device.queue.submit([encoder.finish()]);
          }
          ends.push(await valuesOf(parameters));
          const { state } = optimizer.stateDict();
          for (const index of Object.keys(state).map(Number)) {
            for (const tensor of Object.values(state[index] ?? {})) ends.at(-1)?.push(await tensor.data());
          }
          optimizer.destroy();
          for (const parameter of parameters) parameter.destroy();
        }
        const [first, second] = ends as [Float32Array[], Float32Array[]];
        assertEqual(first.length, second.length, `${kind}: tensors`);
        first.forEach((values, i) => {
          assertEqual(values, second[i], `${kind}: tensor ${i}`);
        });
      }
    },
  },
  {
    name: 'optim: f16 parameters with f32 copies add up what f16 alone loses',
    async run({ gpu, device }) {
      for (const [name, sizes] of [
        ['packed', Array<number>(10).fill(9)],
        ['separate', [9]],
      ] as const) {
        for (const masterCopies of [false, true]) {
          const parameters = sizes.map((size) => parameterOf(gpu, Array(size).fill(1), [size], 'f16'));
          for (const parameter of parameters) setGradient(parameter, Array(parameter.data.size).fill(1));
          // 2^-13 is an eighth of the last bit below 1.
          const optimizer = new SGD(parameters, { lr: 2 ** -13, masterCopies });
          for (let step = 0; step < 16; step++) {
            const encoder = device.createCommandEncoder();
            optimizer.step(step % 2 === 0 ? { encoder } : {});
            device.queue.submit([encoder.finish()]);
          }
          const expected = Float32Array.from({ length: 9 }, () => (masterCopies ? 1 - 2 ** -9 : 1));
          for (const values of await valuesOf(parameters))
            assertEqual(values, expected, `${name}, ${masterCopies}`);
          const { state, param_groups } = optimizer.stateDict();
          assertEqual(param_groups[0]?.master_copies, masterCopies);
          assertEqual(Object.keys(state), masterCopies ? parameters.map((_, i) => `${i}`) : []);
          if (masterCopies) {
            // Half a bit further, which the parameter does not show: the dictionary goes on with it.
            for (let step = 0; step < 3; step++) optimizer.step();
            const other = new SGD(parameters, { lr: 1, masterCopies });
            other.loadStateDict(optimizer.stateDict());
            other.step();
            const end = Float32Array.from({ length: 9 }, () => 1 - 20 * 2 ** -13);
            assertEqual(await other.stateDict().state[0]?.master_param?.data(), end, `${name}: the copy`);
            other.destroy();
          }
          optimizer.destroy();
          for (const parameter of parameters) parameter.destroy();
        }
      }
    },
  },
  {
    name: 'optim: gradients of many parameters are clipped and scaled with the bits of separate ones',
    async run({ gpu, device }) {
      const ends: Float32Array[][] = [];
      for (const packed of [true, false]) {
        const parameters = many(gpu, mixed);
        const optimizer = new SGD(parameters, { lr: 0.1 });
        const scaler = new GradScaler(gpu, { initScale: 3 });
        const encoder = device.createCommandEncoder();
        const pass = packed ? undefined : encoder.beginComputePass();
        const target = pass ? { pass } : { encoder };
        scaler.unscale(optimizer, target);
        clipGradValue(parameters, 0.7, target);
        const norm = clipGradNorm(parameters, 50, target);
        scaler.step(optimizer, target);
        pass?.end();
        device.queue.submit([encoder.finish()]);
        ends.push([...(await gradientsOf(parameters)), ...(await valuesOf(parameters)), await norm.data()]);
        norm.destroy();
        scaler.destroy();
        optimizer.destroy();
        for (const parameter of parameters) parameter.destroy();
      }
      const [first, second] = ends as [Float32Array[], Float32Array[]];
      // The norm is summed in another order: the last one is it, and the clipped gradients follow from it.
      first.forEach((values, i) => {
        values.forEach((value, j) => {
          const other = second[i]?.[j] as number;
          assert(
            Math.abs(value - other) <= 1e-6 * (Math.abs(other) + 1e-3),
            `tensor ${i}, ${j}: ${value}, ${other}`,
          );
        });
      });
      assert((first.at(-1)?.[0] as number) > 60, 'the norm before clipping');
    },
  },
];
