/** State dictionaries and errors of the optimizers. */

import { type HostTensor, init, NormError, type Parameter, type Tensor } from '../../src/index.ts';
import { AdamW, type AdamWSettings, SGD, type SGDSettings } from '../../src/optim/index.ts';
import { assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import type { Kind, Settings } from '../support/optim.ts';
import { host, kinds, optimizerOf, parameterOf, setGradient } from '../support/optimizers.ts';

const bits = async (tensor: Tensor | undefined) => new Uint32Array((await tensor?.data())?.buffer ?? []);

/** Settings with all state that there is. */
const continued: Record<Kind, Settings> = {
  SGD: { lr: 0.1, momentum: 0.9, dampening: 0.5 },
  Adam: { lr: 0.1, amsgrad: true },
  AdamW: { lr: 0.1, amsgrad: true },
  RMSprop: { lr: 0.01, momentum: 0.9, centered: true, eps: 1e-3 },
  Adagrad: { lr: 0.1, lrDecay: 0.1, initialAccumulatorValue: 0.5 },
  Adamax: { lr: 0.1 },
};

export const cases: Case[] = [
  {
    name: 'optim: a state dictionary continues bit for bit, as tensors and as numbers',
    async run({ gpu }) {
      for (const kind of kinds) {
        const settings = continued[kind];
        const made: Parameter[] = [];
        const start = (values: ArrayLike<number>[]) => {
          const params = values.map((value) => parameterOf(gpu, value, [value.length]));
          made.push(...params);
          const rest = { params: params.slice(1), weightDecay: 0.1 };
          const groups = [{ params: params.slice(0, 1) }, rest];
          return { params, optimizer: optimizerOf(kind, groups, settings) };
        };
        const sizes = [7, 65];
        const train = ({ params, optimizer }: ReturnType<typeof start>, from: number, to: number) => {
          for (let step = from; step < to; step++) {
            for (const [i, size] of sizes.entries()) {
              setGradient(params[i] as Parameter, normal(size, { seed: 10 * step + i }));
            }
            optimizer.step();
          }
        };
        const first = start(sizes.map((size) => normal(size)));
        (first.optimizer.paramGroups[1] as { lr: number }).lr = 0.03;
        train(first, 0, 3);
        const copies = () => Promise.all(first.params.map(({ data }) => data.data()));
        const dict = first.optimizer.stateDict();
        assertEqual(dict.param_groups[1]?.params, [1]);
        assertEqual(dict.param_groups[1]?.weight_decay, 0.1);
        const numbers: Record<number, Record<string, HostTensor>> = {};
        for (const [index, entry] of Object.entries(dict.state)) {
          numbers[Number(index)] = {};
          for (const [name, tensor] of Object.entries(entry)) {
            const values = await tensor.data();
            (numbers[Number(index)] as Record<string, HostTensor>)[name] = host(values, tensor.shape);
          }
        }
        const second = start(await copies());
        second.optimizer.loadStateDict(dict);
        const third = start(await copies());
        const values = await copies();
        train(third, 50, 51); // what was there is replaced
        third.params.forEach(({ data }, i) => {
          data.write(values[i] as Float32Array);
        });
        third.optimizer.loadStateDict({ state: numbers, param_groups: dict.param_groups });
        assertEqual((third.optimizer.paramGroups[1] as { lr: number }).lr, 0.03);
        for (const run of [first, second, third]) train(run, 3, 6);
        for (const [i] of sizes.entries()) {
          const [expected, ...others] = await Promise.all(
            [first, second, third].map(({ params }) => bits(params[i]?.data)),
          );
          for (const actual of others) assertEqual(actual, expected, `${kind}, parameter ${i}`);
        }
        // Without state it starts again.
        first.optimizer.loadStateDict({ state: {}, param_groups: dict.param_groups });
        assertEqual(Object.keys(first.optimizer.stateDict().state), []);
        first.optimizer.loadStateDict(second.optimizer.stateDict());
        first.optimizer.loadStateDict(first.optimizer.stateDict());
        for (const { optimizer } of [first, second, third]) optimizer.destroy();
        for (const parameter of made) parameter.destroy();
      }
    },
  },
  {
    name: "optim: PyTorch's error conditions, before anything changes",
    async run({ gpu }) {
      const [a, b] = [parameterOf(gpu, [1, 2], [2]), parameterOf(gpu, [3], [1])];
      const refuses = (run: () => unknown, code = 'value', message = /./) =>
        assertThrows(run, { code, message });
      const before = JSON.stringify(gpu.memory());
      for (const options of [
        { lr: -1 },
        { lr: Number.NaN },
        { momentum: -0.1 },
        { weightDecay: -1 },
        { nesterov: true },
        { nesterov: true, momentum: 0.9, dampening: 0.1 },
        { dampening: Number.NaN },
      ]) {
        await refuses(() => new SGD([a], options));
      }
      for (const options of [
        { lr: -1 },
        { eps: -1e-8 },
        { betas: [1, 0.9] },
        { betas: [0.9, -0.1] },
        { weightDecay: -1 },
      ]) {
        await refuses(() => new AdamW([a], options as Partial<AdamWSettings>));
      }
      await refuses(() => new SGD([]), 'value', /empty/);
      await refuses(() => new SGD([{ params: [] }]));
      await refuses(() => new SGD([a, a]), 'value', /twice/);
      await refuses(() => new SGD([{ params: [a] }, { params: [b, a] }]), 'value', /twice/);
      await refuses(() => new SGD([{ params: [a], lr: -1 }]));
      await refuses(() => new SGD([a.data] as unknown as Parameter[]));
      assertEqual(JSON.stringify(gpu.memory()), before, 'memory');
      const sgd = new SGD([a], { lr: 0.1, momentum: 0.9 });
      await refuses(() => sgd.addParamGroup({ params: [a] }), 'value', /twice/);
      sgd.addParamGroup({ params: [b], lr: 0.5 });
      const group = sgd.paramGroups[0] as SGDSettings;
      setGradient(a, [1, 1]);
      group.lr = -1;
      await refuses(() => sgd.step());
      group.lr = 0.1;
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      await refuses(() => sgd.step({ encoder, pass }));
      pass.end();
      encoder.finish();
      assertEqual(await a.data.data(), Float32Array.of(1, 2), 'unchanged');
      sgd.step();
      const good = sgd.stateDict();
      const [first, second] = good.param_groups as [
        (typeof good.param_groups)[number],
        (typeof good.param_groups)[number],
      ];
      const momentum = (value: unknown) => ({
        state: { 0: { momentum_buffer: value } },
        param_groups: good.param_groups,
      });
      const load = (dict: unknown) => () => sgd.loadStateDict(dict as typeof good);
      await refuses(load({ state: {}, param_groups: [first] }), 'state', /groups/);
      await refuses(
        load({ state: {}, param_groups: [first, { ...second, params: [1, 2] }] }),
        'state',
        /groups/,
      );
      await refuses(load({ state: {}, param_groups: [first, { ...second, lr: -1 }] }));
      await refuses(
        load({ state: { 0: { exp_avg: host([1, 2]) } }, param_groups: good.param_groups }),
        'state',
        /exp_avg of parameter 0/,
      );
      await refuses(load(momentum(host([1, 2, 3]))), 'state', /\[3\]; \[2\]/);
      await refuses(load(momentum({ ...host([1, 2]), dtype: 'f64' })), 'state', /f64/);
      await refuses(load(momentum({ ...host([1, 2, 3]), shape: [2] })), 'state', /3 elements/);
      await refuses(load(momentum(gpu.zeros([3]))), 'state', /\[3\]; \[2\]/);
      await refuses(load(momentum(gpu.zeros([2], { dtype: 'u32' }))), 'state', /u32/);
      const gone = gpu.zeros([2]);
      gone.destroy();
      await refuses(load(momentum(gone)), 'destroyed');
      assertEqual(
        await good.state[0]?.momentum_buffer?.data(),
        Float32Array.of(1, 1),
        'momentum is as it was',
      );
      assertEqual(group.lr, 0.1);
      const adamw = new AdamW([b]);
      const loads = (entry: Record<string, HostTensor>) => () =>
        adamw.loadStateDict({ state: { 0: entry }, param_groups: [{ params: [0] }] });
      const whole = { step: host([1], []), exp_avg: host([1]), exp_avg_sq: host([1]) };
      await refuses(loads({ step: whole.step, exp_avg: whole.exp_avg }), 'state', /lacks exp_avg_sq/);
      await refuses(loads({ ...whole, step: host([-1], []) }), 'state', /-1 is no count/);
      await refuses(loads({ ...whole, step: host([0.5], []) }), 'state', /0.5 is no count/);
      assertEqual(Object.keys(adamw.stateDict().state), []);
      b.destroy();
      sgd.destroy();
      setGradient(a, [1, 1]);
      a.data.destroy();
      const late = new SGD([a]);
      await refuses(() => late.step(), 'destroyed');
      a.destroy();
    },
  },
  {
    name: 'optim: a step that fails has changed nothing, and the next one is the first',
    run: failingSteps,
  },
  {
    name: 'optim: a dictionary that there is no memory for has changed nothing',
    run: failingLoad,
  },
];

/** The device would dispatch it, but the context is told that it cannot: for a while, so that the same step then succeeds. */
async function failingSteps({ device }: Context): Promise<void> {
  const gpu = await init({ device });
  const facts = gpu.facts as { maxWorkgroupsPerDimension: number };
  const most = facts.maxWorkgroupsPerDimension;
  const long = 10_000;
  for (const kind of ['SGD', 'AdamW'] as const) {
    const start = () => {
      const params = [parameterOf(gpu, [1, 2], [2]), parameterOf(gpu, normal(long), [long])];
      const settings = kind === 'SGD' ? { lr: 0.1, momentum: 0.9, dampening: 0.5 } : { lr: 0.1 };
      for (const [i, parameter] of params.entries()) {
        setGradient(parameter, normal(parameter.data.size, { seed: 5 + i }));
      }
      return { params, optimizer: optimizerOf(kind, params, settings) };
    };
    const failing = start();
    const before = await Promise.all(failing.params.map(({ data }) => data.data()));
    const { tensors } = gpu.memory();
    facts.maxWorkgroupsPerDimension = 0;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const target of [{}, { pass }]) {
      await assertThrows(() => failing.optimizer.step(target), { code: 'limit' });
    }
    facts.maxWorkgroupsPerDimension = most;
    pass.end();
    device.queue.submit([encoder.finish()]);
    assertEqual(await Promise.all(failing.params.map(({ data }) => data.data())), before, 'parameters');
    assertEqual(Object.keys(failing.optimizer.stateDict().state), [], 'state');
    // The counts of steps, which are still zeros, stay, and the list of what is counted.
    assertEqual(gpu.memory().tensors, tensors + 2, 'tensors');
    const fresh = start();
    for (const { optimizer } of [failing, fresh]) {
      optimizer.step();
      optimizer.step();
    }
    for (const [i, { data }] of fresh.params.entries()) {
      assertEqual(await failing.params[i]?.data.data(), await data.data(), `${kind}, parameter ${i}`);
    }
    for (const { optimizer, params } of [failing, fresh]) {
      optimizer.destroy();
      for (const parameter of params) parameter.destroy();
    }
  }
  gpu.destroy();
}

async function failingLoad({ device }: Context): Promise<void> {
  const gpu = await init({ device });
  const params = [1, 2].map((seed) => parameterOf(gpu, normal(5, { seed }), [5]));
  const trained = new SGD(
    params.map((one) => ({ params: [one] })),
    { lr: 0.5, momentum: 0.9 },
  );
  for (const parameter of params) setGradient(parameter, normal(5));
  trained.step();
  const dict = trained.stateDict();
  const groups = params.map((one) => ({ params: [one] }));
  const empty = new SGD(groups, { lr: 0.1, momentum: 0.8 });
  const { tensors } = gpu.memory();
  let left = 1;
  const { zeros } = gpu;
  gpu.zeros = (...given) => {
    left -= 1;
    if (left < 0) throw new NormError('limit', 'There is room for one tensor.', 'This is a test.');
    return zeros.apply(gpu, given);
  };
  await assertThrows(() => empty.loadStateDict(dict), { code: 'limit' });
  gpu.zeros = zeros;
  assertEqual(empty.paramGroups[0]?.lr, 0.1, 'settings');
  assertEqual(Object.keys(empty.stateDict().state), [], 'state');
  assertEqual(gpu.memory().tensors, tensors, 'tensors');
  empty.loadStateDict(dict);
  assertEqual(empty.paramGroups[0]?.lr, 0.5);
  assertEqual(await empty.stateDict().state[1]?.momentum_buffer?.data(), normal(5), 'momentum');
  gpu.destroy();
}
