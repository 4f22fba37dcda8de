/** The optimizers: against PyTorch and float64, recording, state dictionaries, errors, whole steps of training. */

import {
  BatchNorm1d,
  type FloatDType,
  type Gpu,
  init,
  LayerNorm,
  type Parameter,
  type Tensor,
} from '../../src/index.ts';
import { AdamW, SGD } from '../../src/optim/index.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal, stored } from '../support/data.ts';
import { decode } from '../support/golden.ts';
import { camel, type OptimCase, type OptimFile, settingsOf, stepsOf } from '../support/golden-optim.ts';
import { type Kind, OptimReference, type Settings } from '../support/optim.ts';
import {
  type AnyOptimizer,
  host,
  kinds,
  optimizerOf,
  parameterOf,
  setGradient,
} from '../support/optimizers.ts';
import { bounds } from '../support/tolerances.ts';

/** Errors of a parameter and of its state against the reference, the largest first asserted and then returned. */
async function verify(
  param: Tensor,
  state: Readonly<Record<string, Tensor>>,
  { values, scale, steps: counted }: OptimReference,
  what: string,
  steps = 10,
): Promise<number> {
  let worst = 0;
  for (const [name, expected] of Object.entries(values)) {
    const tensor = name === 'param' ? param : (state[name] as Tensor | undefined);
    assert(tensor, `${what}: there is no ${name}`);
    const actual = await tensor.data();
    const narrow = tensor.dtype !== 'f32';
    const error = relativeError(actual, expected, scale[name]);
    if (!narrow) worst = Math.max(worst, error);
    // What f32 ends beside a tie is rounded to its other side, and the next steps start there.
    const last = tensor.dtype === 'f16' ? 2 ** -11 : 2 ** -8;
    const bound = narrow ? last : steps > 10 ? bounds.manySteps : bounds.tenSteps;
    assert(error <= bound, `${what}: ${name}: error ${error.toExponential(2)} > ${bound.toExponential(2)}`);
  }
  if (state.step) assertEqual(await state.step.data(), Float32Array.of(counted), `${what}: step`);
  return worst;
}

async function checkGolden({ gpu }: Context, golden: OptimCase): Promise<number> {
  const { optimizer: kind, initial, groups, lrs, dtype } = golden;
  const values = initial.map((tensor) => Float32Array.from(decode(tensor)));
  const parameters = values.map((value, i) => parameterOf(gpu, value, initial[i]?.shape as number[], dtype));
  const references = values.map((value) => new OptimReference(value, dtype));
  const given = groups
    ? [
        { params: parameters.slice(0, 1), ...camel(groups[0]) },
        { params: parameters.slice(1), ...camel(groups[1]) },
      ]
    : parameters;
  const optimizer = optimizerOf(kind, given as Parameter[], camel(golden.settings));
  let worst = 0;
  for (let step = 0; step < stepsOf(golden); step++) {
    const gradients = golden.gradients[step % golden.gradients.length] as OptimCase['initial'];
    for (const [i, parameter] of parameters.entries()) {
      const skipped = golden.skip.some(([at, which]) => at === step && which === i);
      const grad = decode(gradients[i]);
      setGradient(parameter, skipped ? undefined : grad);
      if (skipped || !grad) continue;
      const settings = settingsOf(golden, i, step);
      references[i]?.step(kind, grad, settings);
    }
    if (lrs) (optimizer.paramGroups[0] as { lr: number }).lr = lrs[step % lrs.length] as number;
    optimizer.step();
    const after = golden.after[`${step + 1}`];
    if (!after) continue;
    const { state } = optimizer.stateDict();
    for (const [i, expected] of after.entries()) {
      // The reference lends the sizes of the terms; the values are PyTorch's.
      const { scale, steps } = references[i] as OptimReference;
      const reference = new OptimReference([], dtype);
      reference.steps = steps;
      for (const [name, tensor] of Object.entries(expected)) {
        if (name === 'step') continue;
        reference.values[name] = Float64Array.from(decode(tensor));
        reference.scale[name] = scale[name] as Float64Array;
      }
      const what = `${golden.name}, parameter ${i}, after ${step + 1}`;
      const { data } = parameters[i] as Parameter;
      worst = Math.max(worst, await verify(data, state[i] ?? {}, reference, what, step + 1));
    }
  }
  optimizer.destroy();
  for (const parameter of parameters) parameter.destroy();
  return worst;
}

const goldenCase = (dtype: 'f32' | 'f16'): Case => ({
  name: `optim: PyTorch's trajectories, ${dtype}`,
  async run(t) {
    const { cases } = (await t.readJson('golden/optim.json')) as OptimFile;
    let worst = 0;
    const chosen = cases.filter((golden) => golden.dtype === dtype);
    for (const golden of chosen) worst = Math.max(worst, await checkGolden(t, golden));
    t.note(`${chosen.length} trajectories`, `largest error ${worst.toExponential(2)}`);
  },
});

const settingsOfKind: Record<Kind, Settings[]> = {
  SGD: [{ lr: 0.1, momentum: 0.9, weightDecay: 0.01, nesterov: true }],
  AdamW: [
    { lr: 0.01, weightDecay: 0.1 },
    { lr: 0.01, betas: [0.6, 0.4], amsgrad: true },
  ],
  Adam: [{ weightDecay: 0.1 }],
  RMSprop: [{ lr: 0.01, momentum: 0.9, centered: true, eps: 1e-4 }],
  Adagrad: [{ lr: 0.1, lrDecay: 0.1, initialAccumulatorValue: 0.1 }],
  Adamax: [{ lr: 0.01, weightDecay: 0.1 }],
};

/** Ten steps of one parameter against float64. */
async function tenSteps(gpu: Gpu, kind: Kind, settings: Settings, size: number, dtype: FloatDType) {
  const initial = stored(dtype, normal(size));
  const parameter = parameterOf(gpu, initial, [size], dtype);
  const reference = new OptimReference(initial, dtype);
  const optimizer = optimizerOf(kind, [parameter], settings);
  for (let step = 0; step < 10; step++) {
    const grad = stored(dtype, normal(size, { seed: step + 2, std: 10 ** ((step % 4) - 2) }));
    setGradient(parameter, grad);
    reference.step(kind, grad, settings);
    optimizer.step();
  }
  const { state } = optimizer.stateDict();
  const worst = await verify(
    parameter.data,
    state[0] ?? {},
    reference,
    `${kind}, ${size} elements, ${dtype}`,
  );
  optimizer.destroy();
  parameter.destroy();
  return worst;
}

const sizesCase = (dtype: FloatDType): Case => ({
  name: `optim: ten steps, sizes, ${dtype}`,
  async run({ gpu, note }) {
    for (const kind of kinds) {
      let worst = 0;
      for (const settings of settingsOfKind[kind]) {
        for (const size of [1, 3, 255, 257, 5001]) {
          worst = Math.max(worst, await tenSteps(gpu, kind, settings, size, dtype));
        }
      }
      note(`${kind} ${dtype}`, `largest error ${worst.toExponential(2)}`);
    }
  },
});

export const cases: Case[] = [
  goldenCase('f32'),
  goldenCase('f16'),
  sizesCase('f32'),
  sizesCase('f16'),
  sizesCase('bf16'),
  {
    name: 'optim: parameters larger than a binding may be',
    async run({ device }) {
      const gpu = await init({ device, facts: { maxBindingBytes: 4096, offsetAlignment: 256 } });
      for (const kind of kinds) {
        for (const settings of settingsOfKind[kind]) await tenSteps(gpu, kind, settings, 5001, 'f32');
        for (const dtype of ['f16', 'bf16'] as const) {
          await tenSteps(gpu, kind, settingsOfKind[kind][0] as Settings, 5001, dtype);
        }
      }
      gpu.destroy();
    },
  },
  {
    name: 'optim: AdamW corrects its averages exactly, after 1 and after 1,000,000 steps',
    async run({ gpu, note }) {
      // Fresh averages are the gradient and its square times 1 − β: what is left of m̂ / sqrt(v̂) is the correction.
      let worst = 0;
      for (const betas of [
        [0.9, 0.999],
        [0.5, 0.999999],
        [0, 0.9],
      ] as const) {
        for (const before of [0, 1, 2, 9, 99, 999, 9_999, 999_999]) {
          const parameter = parameterOf(gpu, [0], [1]);
          const optimizer = new AdamW([parameter], { lr: 1, betas, eps: 0, weightDecay: 0 });
          optimizer.loadStateDict({
            state: { 0: { step: host([before], []), exp_avg: host([0]), exp_avg_sq: host([0]) } },
            param_groups: [{ params: [0] }],
          });
          setGradient(parameter, [-1]);
          optimizer.step();
          const [t, [beta1, beta2]] = [before + 1, betas];
          const correction = (beta: number) => -Math.expm1(t * Math.log(beta));
          const m = (1 - beta1) / correction(beta1);
          const expected = m / Math.sqrt((1 - beta2) / correction(beta2));
          const error = relativeError(await parameter.data.data(), [expected]);
          worst = Math.max(worst, error);
          assert(error <= bounds.backward, `betas [${betas}], step ${t}: ${error.toExponential(2)}`);
          optimizer.destroy();
          parameter.destroy();
        }
      }
      note('largest error', worst.toExponential(2));
    },
  },
  {
    name: 'optim: steps recorded into one encoder or pass, submitted later, keep their settings',
    async run({ gpu, device }) {
      for (const kind of ['SGD', 'AdamW'] as const) {
        const settings: Settings = kind === 'SGD' ? { lr: 0.1, momentum: 0.9, dampening: 0.5 } : { lr: 0.1 };
        const initial = normal(70);
        const grad = normal(70, { seed: 2 });
        const ends: Float32Array[] = [];
        for (const recorded of [false, true]) {
          const parameter = parameterOf(gpu, initial, [70]);
          setGradient(parameter, grad);
          const optimizer = optimizerOf(kind, [parameter], settings);
          const group = optimizer.paramGroups[0] as { lr: number };
          const encoder = device.createCommandEncoder();
          const next = (lr: number, where: { encoder?: GPUCommandEncoder; pass?: GPUComputePassEncoder }) => {
            group.lr = lr;
            optimizer.step(recorded ? where : {});
          };
          next(0.1, { encoder });
          const pass = encoder.beginComputePass();
          next(0.2, { pass });
          next(0.3, { pass });
          pass.end();
          group.lr = 100;
          const commands = encoder.finish();
          if (recorded) assertEqual(await parameter.data.data(), initial, 'before the submit');
          device.queue.submit([commands]);
          ends.push(await parameter.data.data());
          optimizer.destroy();
          parameter.destroy();
        }
        assertEqual(ends[1], ends[0], `${kind}: recorded and immediate steps`);
        assert(
          ends[0]?.some((value, i) => value !== initial[i]),
          'something moved',
        );
      }
    },
  },
  {
    name: 'optim: what has no gradient stays, with its state',
    async run({ gpu }) {
      const [a, b, c] = [1, 2, 3].map((seed) => parameterOf(gpu, normal(5, { seed }), [5])) as [
        Parameter,
        Parameter,
        Parameter,
      ];
      const optimizer = new AdamW([a, b, c]);
      optimizer.step();
      assertEqual(Object.keys(optimizer.stateDict().state), []);
      const before = gpu.memory().tensors;
      for (const parameter of [a, c]) setGradient(parameter, normal(5, { seed: 9 }));
      optimizer.step();
      optimizer.step();
      assertEqual(await b.data.data(), normal(5, { seed: 2 }));
      const { state } = optimizer.stateDict();
      assertEqual(Object.keys(state), ['0', '2']);
      assertEqual(await state[2]?.step?.data(), Float32Array.of(2));
      // The averages of small parameters lie in one tensor; which of them are counted is a list.
      assertEqual(
        gpu.memory().tensors,
        before + 2 + 2 + 2,
        'two gradients, the counts and whose, two averages',
      );
      c.requiresGrad = false;
      const still = await c.data.data();
      optimizer.step();
      assertEqual(await c.data.data(), still, 'no gradient is required');
      c.requiresGrad = true;
      optimizer.zeroGrad();
      assertEqual(a.grad, null);
      setGradient(b, normal(5));
      optimizer.step();
      assertEqual(await optimizer.stateDict().state[1]?.step?.data(), Float32Array.of(1));
      assertEqual(await optimizer.stateDict().state[0]?.step?.data(), Float32Array.of(3));
      optimizer.destroy();
      optimizer.destroy();
      await assertThrows(() => optimizer.step(), { code: 'destroyed' });
      for (const parameter of [a, b, c]) parameter.destroy();
    },
  },
  {
    name: 'optim: 1,000 steps of training, one encoder and one submit each, read nothing back and leak nothing',
    timeout: 120_000,
    async run({ navigatorGpu }) {
      const own = await init({ gpu: navigatorGpu });
      const { device } = own;
      const counts = countCalls(device);
      const gpu = await init({ device });
      const modules = [new LayerNorm(gpu, 6), new BatchNorm1d(gpu, 6)] as const;
      const x = gpu.tensor(normal(24), [4, 6]);
      const target = gpu.tensor(normal(24, { seed: 2 }), [4, 6]);
      const parameters = modules.flatMap((module) => module.parameters());
      const optimizers = [new AdamW(parameters.slice(0, 2)), new SGD(parameters.slice(2), { momentum: 0.9 })];
      const step = () =>
        gpu.scope(() => {
          const encoder = device.createCommandEncoder();
          const y = modules[1].forward(modules[0].forward(x, { encoder }), { encoder });
          assertEqual(y.shape, [4, 6]);
          modules[0].backward(modules[1].backward(target, { encoder }), { encoder });
          for (const optimizer of optimizers) optimizer.step({ encoder });
          for (const optimizer of optimizers) optimizer.zeroGrad({ encoder });
          device.queue.submit([encoder.finish()]);
        });
      step();
      await gpu.idle();
      const before = { ...counts };
      const memory = JSON.stringify(gpu.memory());
      for (let i = 0; i < 1000; i++) {
        step();
        if (i % 100 === 99) await gpu.idle();
      }
      await gpu.idle();
      assertEqual(counts.submits - before.submits, 1000, 'submits');
      assertEqual(counts.maps, 0, 'buffers mapped to read');
      assertEqual(counts.live, before.live, 'buffers');
      assertEqual(JSON.stringify(gpu.memory()), memory, 'memory');
      const adamw = optimizers[0] as AdamW;
      assertEqual(await adamw.stateDict().state[0]?.step?.data(), Float32Array.of(1001), 'steps');
      gpu.scope(() => {
        modules[0].backward(modules[0].forward(x));
      });
      const submits = counts.submits;
      adamw.step();
      assertEqual(counts.submits, submits + 1, 'submits of a step without an encoder');
      const weight = await modules[1].weight?.data.data();
      assert(weight?.every(Number.isFinite) && weight.some((value) => value !== 1), 'it has learnt');
      for (const optimizer of optimizers) optimizer.destroy();
      for (const module of modules) module.destroy();
      for (const tensor of [x, target]) tensor.destroy();
      assertEqual(gpu.memory().tensors, 0, 'tensors');
      gpu.destroy();
      assertEqual(counts.live, 0, 'buffers after destroy');
      own.destroy();
    },
  },
  {
    name: 'optim: a learning rate that changes in every step makes no bind groups and hardly any buffers',
    timeout: 120_000,
    async run({ navigatorGpu, note }) {
      const own = await init({ gpu: navigatorGpu });
      const { device } = own;
      const made = countMade(device);
      const gpu = await init({ device });
      for (const kind of ['SGD', 'AdamW'] as const) {
        const parameters = [70, 71, 72].map((size) => parameterOf(gpu, normal(size), [size]));
        for (const parameter of parameters) setGradient(parameter, normal(parameter.data.size, { seed: 2 }));
        const momentum = kind === 'SGD' ? { momentum: 0.9, dampening: 0.5 } : {};
        const groups = [{ params: parameters.slice(0, 2) }, { params: parameters.slice(2), lr: 0.1 }];
        const optimizer = optimizerOf(kind, groups, momentum);
        let steps = 0;
        const step = (where: Where) => {
          steps += 1;
          for (const group of optimizer.paramGroups) group.lr = 0.1 / steps;
          stepInto(device, optimizer, where);
        };
        for (const where of ['queue', 'encoder', 'pass'] as const) {
          // Dampening begins with the second step.
          for (let i = 0; i < 2; i++) step(where);
          const before = { ...made };
          const count = 320;
          for (let i = 0; i < count; i++) step(where);
          const buffers = made.buffers - before.buffers;
          const bindGroups = made.bindGroups - before.bindGroups;
          note(`${kind}, ${where}, ${count} steps`, `${buffers} buffers, ${bindGroups} bind groups`);
          assertEqual(made.params - before.params, 0, `${kind}, ${where}: uniform buffers`);
          // What is not submitted yet may read the numbers of the step before: those of 64 steps share a buffer.
          const most = where === 'queue' ? 0 : (2 * count) / 64;
          assert(buffers <= most, `${kind}, ${where}: ${buffers} buffers`);
          // What the numbers of a group are copied with in an open pass; none for each parameter.
          const mostGroups = where === 'pass' ? 2 * count : 0;
          assert(bindGroups <= mostGroups, `${kind}, ${where}: ${bindGroups} bind groups`);
        }
        await gpu.idle();
        optimizer.destroy();
        for (const parameter of parameters) parameter.destroy();
      }
      gpu.destroy();
      own.destroy();
    },
  },
  {
    name: 'optim: a step has the numbers of its moment, in whatever order steps are submitted or dropped',
    async run({ gpu, device }) {
      // Gradients of 1 and learning rates that are powers of two: the sum is exact, and says which steps ran.
      const parameter = parameterOf(gpu, [0], [1]);
      setGradient(parameter, [-1]);
      const optimizer = new SGD([parameter]);
      const group = optimizer.paramGroups[0] as { lr: number };
      const recorded = (lr: number, where: 'encoder' | 'pass') => {
        group.lr = lr;
        const encoder = device.createCommandEncoder();
        recordInto(encoder, optimizer, where);
        return encoder.finish();
      };
      const immediate = (lr: number) => {
        group.lr = lr;
        optimizer.step();
      };
      const value = async () => (await parameter.data.data())[0];
      for (const [a, b] of [
        ['encoder', 'encoder'],
        ['encoder', 'pass'],
        ['pass', 'encoder'],
        ['pass', 'pass'],
      ] as const) {
        parameter.data.write([0]);
        immediate(1);
        const first = recorded(2, a);
        immediate(4);
        recorded(8, b); // dropped
        immediate(4);
        const second = recorded(4, b);
        const third = recorded(16, a);
        assertEqual(await value(), 1 + 4 + 4, `${a}, ${b}: before the submits`);
        device.queue.submit([third]);
        immediate(32);
        device.queue.submit([second, first]);
        immediate(32);
        assertEqual(await value(), 1 + 2 + 4 + 4 + 4 + 16 + 32 + 32, `${a}, ${b}`);
      }
      // More steps of an encoder than the numbers of one buffer.
      parameter.data.write([0]);
      const encoder = device.createCommandEncoder();
      let sum = 0;
      for (let i = 0; i < 200; i++) {
        group.lr = i;
        sum += i;
        recordInto(encoder, optimizer, i % 3 === 0 ? 'pass' : 'encoder');
      }
      device.queue.submit([encoder.finish()]);
      assertEqual(await value(), sum, 'two hundred steps in one encoder');
      optimizer.destroy();
      parameter.destroy();
    },
  },
];

/** Counts what a device is asked for from now on. */
function countCalls(device: GPUDevice): { live: number; submits: number; maps: number } {
  const counts = { live: 0, submits: 0, maps: 0 };
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    counts.live += 1;
    const destroy = buffer.destroy.bind(buffer);
    const map = buffer.mapAsync.bind(buffer);
    let destroyed = false;
    buffer.destroy = () => {
      if (!destroyed) counts.live -= 1;
      destroyed = true;
      return destroy();
    };
    buffer.mapAsync = (...how) => {
      counts.maps += 1;
      return map(...how);
    };
    return buffer;
  };
  const submit = device.queue.submit.bind(device.queue);
  device.queue.submit = (buffers) => {
    counts.submits += 1;
    return submit(buffers);
  };
  return counts;
}

type Where = 'queue' | 'encoder' | 'pass';

/** A step in a compute pass of the encoder: its own or an open one. */
function recordInto(encoder: GPUCommandEncoder, optimizer: AnyOptimizer, where: 'encoder' | 'pass'): void {
  if (where === 'encoder') {
    optimizer.step({ encoder });
    return;
  }
  const pass = encoder.beginComputePass();
  optimizer.step({ pass });
  pass.end();
}

/** A step, submitted. */
function stepInto(device: GPUDevice, optimizer: AnyOptimizer, where: Where): void {
  if (where === 'queue') {
    optimizer.step();
    return;
  }
  const encoder = device.createCommandEncoder();
  recordInto(encoder, optimizer, where);
  device.queue.submit([encoder.finish()]);
}

/** Counts the buffers, those of uniform numbers among them, and the bind groups that a device makes from now on. */
function countMade(device: GPUDevice): { buffers: number; params: number; bindGroups: number } {
  const made = { buffers: 0, params: 0, bindGroups: 0 };
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    made.buffers += 1;
    if (descriptor.label === 'params') made.params += 1;
    return createBuffer(descriptor);
  };
  const createBindGroup = device.createBindGroup.bind(device);
  device.createBindGroup = (descriptor) => {
    made.bindGroups += 1;
    return createBindGroup(descriptor);
  };
  return made;
}
