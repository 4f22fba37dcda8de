/** Operands in one GPUBuffer: the bits of operands that have a buffer each, with what lies between them left alone. */

import { LocalProcessGroup, syncBatchNorm, syncBatchNormBackward } from '../../src/distributed/index.ts';
import {
  addRmsNorm,
  BatchNorm2d,
  batchNorm,
  batchNormBackward,
  dynamicTanh,
  dynamicTanhBackward,
  type FloatDType,
  type Gpu,
  groupNorm,
  groupNormBackward,
  init,
  instanceNorm,
  instanceNormBackward,
  LayerNorm,
  l2Norm,
  l2NormBackward,
  layerNorm,
  layerNormBackward,
  localResponseNorm,
  localResponseNormBackward,
  rmsNormBackward,
  type ScheduleOptions,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { asOnGpu } from '../support/subject.ts';

type Make = (shape: readonly number[], values?: Float32Array, dtype?: FloatDType) => Tensor;

const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);

/** A buffer of which tensors take one range after the other, with 256 bytes or more of 77 between them. */
function arena(gpu: Gpu, bytes: number) {
  const whole = gpu.tensor(new Float32Array(bytes / 4).fill(77), [bytes / 4]);
  const taken: [number, number][] = [];
  let next = 0;
  const make: Make = (shape, values, dtype = 'f32') => {
    const tensor = gpu.wrap(whole.buffer, shape, { dtype, offset: next });
    taken.push([next / 4, Math.ceil((next + tensor.byteLength) / 4)]);
    next += 256 * (Math.ceil(tensor.byteLength / 256) + 1);
    // Half a word that nobody has stays as it is.
    if (values) tensor.write(values);
    return tensor;
  };
  return {
    make,
    async check(name: string): Promise<void> {
      const found = await whole.data();
      let from = 0;
      for (const [begin, end] of [...taken, [found.length, found.length] as const]) {
        for (let place = from; place < begin; place++)
          assert(found[place] === 77, `${name}: word ${place} of the buffer is ${found[place]}`);
        from = end;
      }
    },
  };
}

type Run = (gpu: Gpu, make: Make) => Record<string, Tensor | null | undefined>;

/** What a call makes of operands in one buffer, against what it makes of operands that have a buffer each. */
async function compare(gpu: Gpu, name: string, run: Run, bytes = 2 ** 20): Promise<void> {
  const apart = run(gpu, (shape, values, dtype = 'f32') =>
    values ? gpu.tensor(values, shape, { dtype }) : gpu.zeros(shape, { dtype }),
  );
  const { make, check } = arena(gpu, bytes);
  const together = run(gpu, make);
  assertEqual(Object.keys(together), Object.keys(apart), `${name}: results`);
  for (const [result, tensor] of Object.entries(together))
    assertEqual(await tensor?.data(), await apart[result]?.data(), `${name}: ${result}`);
  await check(name);
}

const shape = [2, 6, 5, 8];
const values = (sizes: readonly number[], seed: number, mean = 0) => normal(product(sizes), { seed, mean });

/** LayerNorm with everything that it can be given, forward and backward. */
const layerNorms =
  (schedule: ScheduleOptions, dtype: FloatDType = 'f32', columns = 40): Run =>
  (gpu, make) => {
    const rows = [12, columns];
    const of = (seed: number, sizes: readonly number[] = rows) => make(sizes, values(sizes, seed, 2), dtype);
    const after = schedule.strategy === undefined || schedule.strategy === 'split';
    const [x, weight, bias] = [of(1), of(2, [columns]), of(3, [columns])];
    const epilogue = after && { residual: of(4), activation: 'silu' as const };
    const options = { normalizedShape: columns, weight, bias, ...epilogue, schedule };
    const out = { y: make(rows, undefined, dtype), mean: make([12, 2]), rstd: make([12]) };
    const { mean, rstd } = layerNorm(gpu, x, { ...options, out });
    const gradients = {
      dx: make(rows, undefined, dtype),
      dweight: make([columns], undefined, dtype),
      dbias: make([columns], undefined, dtype),
      ...(after && { dresidual: make(rows, undefined, dtype) }),
    };
    layerNormBackward(gpu, of(5), x, { ...options, mean, rstd, out: gradients });
    return { ...out, ...gradients };
  };

const addRmsNorms: Run = (gpu, make) => {
  const rows = [12, 40];
  const of = (seed: number) => make(rows, values(rows, seed));
  const [weight, dy, dsum] = [make([40], values([40], 1)), of(2), of(3)];
  const out = { y: make(rows), sum: make(rows), rstd: make([12]) };
  const { sum, rstd } = addRmsNorm(gpu, of(4), of(5), { normalizedShape: 40, weight, out });
  const gradients = { dx: make(rows), dweight: make([40]) };
  rmsNormBackward(gpu, dy, sum, { normalizedShape: 40, weight, rstd, dsum, out: gradients });
  return { ...out, ...gradients };
};

const groupNorms =
  (layout: 'channels-first' | 'channels-last'): Run =>
  (gpu, make) => {
    const channels = layout === 'channels-first' ? 6 : 8;
    const of = (seed: number) => make(shape, values(shape, seed, 1));
    const [x, dy, weight, bias] = [
      of(1),
      of(2),
      make([channels], values([channels], 3)),
      make([channels], values([channels], 4)),
    ];
    const common = { numGroups: 2, weight, bias, layout, activation: 'gelu' as const };
    const out = { y: make(shape), mean: make([2, 2, 2]), rstd: make([2, 2]) };
    const { mean, rstd } = groupNorm(gpu, x, { ...common, out });
    const gradients = { dx: make(shape), dweight: make([channels]), dbias: make([channels]) };
    groupNormBackward(gpu, dy, x, { ...common, mean, rstd, out: gradients });
    return { ...out, ...gradients };
  };

const batchNorms =
  (training: boolean): Run =>
  (gpu, make) => {
    const of = (seed: number) => make(shape, values(shape, seed, 1));
    const perChannel = (seed: number) => make([6], values([6], seed).map(Math.abs));
    const [x, dy, weight, bias] = [of(1), of(2), perChannel(3), perChannel(4)];
    const [runningMean, runningVar] = [perChannel(5), perChannel(6)];
    const common = { training, weight, bias };
    const out = { y: make(shape), mean: make([6, 2]), rstd: make([6]) };
    const { mean, rstd } = batchNorm(gpu, x, { ...common, runningMean, runningVar, out });
    const gradients = { dx: make(shape), dweight: make([6]), dbias: make([6]) };
    batchNormBackward(gpu, dy, x, { ...common, mean, rstd, out: gradients });
    return { ...out, ...gradients, runningMean, runningVar };
  };

const others: Run = (gpu, make) => {
  const of = (seed: number) => make(shape, values(shape, seed, 1));
  const [x, dy] = [of(1), of(2)];
  const out = { y: make(shape), mean: make([2, 6, 2]), rstd: make([2, 6]) };
  const { mean, rstd } = instanceNorm(gpu, x, { out });
  const { dx } = instanceNormBackward(gpu, dy, x, { mean, rstd, out: { dx: make(shape) } });
  const response = localResponseNorm(gpu, x, { size: 3, out: { y: make(shape) } });
  const back = localResponseNormBackward(gpu, dy, x, { size: 3, out: { dx: make(shape) } });
  const kept = layerNorm(gpu, x, { axes: [1], out: { y: make(shape) }, statistics: false });
  return { ...out, dx, response: response.y, responseDx: back.dx, kept: kept.y };
};

const variants: Run = (gpu, make) => {
  const rows = [12, 40];
  const of = (seed: number) => make(rows, values(rows, seed, 1));
  const [x, dy, weight, alpha] = [of(1), of(2), make([40], values([40], 3)), make([1], Float32Array.of(0.5))];
  const { y, rstd } = l2Norm(gpu, x, {
    normalizedShape: 40,
    weight,
    out: { y: make(rows), rstd: make([12]) },
  });
  const l2 = l2NormBackward(gpu, dy, x, {
    normalizedShape: 40,
    weight,
    rstd,
    out: { dx: make(rows), dweight: make([40]) },
  });
  const tanh = dynamicTanh(gpu, x, { alpha, weight, out: { y: make(rows) } });
  const out = { dx: make(rows), dalpha: make([1]), dweight: make([40]) };
  dynamicTanhBackward(gpu, dy, x, { alpha, weight, out });
  return { y, rstd, l2Dx: l2.dx, l2Dweight: l2.dweight, tanh: tanh.y, ...out };
};

const modules: Run = (gpu, make) => {
  const [x, dy] = [make(shape, values(shape, 1)), make(shape, values(shape, 2))];
  const [norm, batch] = [new LayerNorm(gpu, 8), new BatchNorm2d(gpu, 6)];
  const results: Record<string, Tensor> = {};
  for (const [name, module] of Object.entries({ norm, batch })) {
    results[`${name}Y`] = module.forward(x, { out: make(shape) });
    results[`${name}Dx`] = module.backward(dy, { out: make(shape) });
  }
  return results;
};

/** x and its norm in place, beside a weight that lies in the same buffer. */
const inPlace: Run = (gpu, make) => {
  const x = make([12, 40], values([12, 40], 1, 3));
  const weight = make([40], values([40], 2));
  layerNorm(gpu, x, { normalizedShape: 40, weight, statistics: false, out: { y: x } });
  return { x };
};

const schedules: ScheduleOptions[] = [
  { strategy: 'thread', workgroup: 8 },
  { strategy: 'registers', workgroup: 32, lanes: 8 },
  { strategy: 'workgroup', workgroup: 16 },
  { strategy: 'split', splits: 2, workgroup: 16 },
];

const runs: Record<string, Run> = {
  'layer norm': layerNorms({}),
  ...Object.fromEntries(
    schedules.map((schedule) => [`layer norm, ${schedule.strategy}`, layerNorms(schedule)]),
  ),
  'layer norm of rows that are no quads': layerNorms({}, 'f32', 39),
  'layer norm of f16': layerNorms({}, 'f16', 42),
  'layer norm of bf16': layerNorms({}, 'bf16'),
  'the norm of a sum': addRmsNorms,
  'group norm': groupNorms('channels-first'),
  'group norm, channels last': groupNorms('channels-last'),
  'batch norm in training': batchNorms(true),
  'batch norm in evaluation': batchNorms(false),
  'instance norm, local response norm, kept axes': others,
  'l2 norm and dynamic tanh': variants,
  modules,
  'in place': inPlace,
};

export const cases: Case[] = [
  ...Object.entries(runs).map(
    ([name, run]): Case => ({
      name: `one buffer: ${name}`,
      timeout: 240_000,
      run: ({ gpu }) => compare(gpu, name, run),
    }),
  ),
  {
    name: 'one buffer: as on a GPU',
    timeout: 240_000,
    run: (t) =>
      asOnGpu(t.device, async (gpu) => {
        for (const run of [layerNorms({}), groupNorms('channels-first'), batchNorms(true)])
          await compare(gpu, 'as on a GPU', run);
      }),
  },
  {
    name: 'one buffer: in parts, where a binding is smaller than x',
    timeout: 240_000,
    async run(t) {
      const gpu = await init({ device: t.device, facts: { maxBindingBytes: 4096 } });
      await compare(gpu, 'in parts', (gpu, make) => {
        const rows = [64, 40];
        const [x, dy, weight] = [
          make(rows, values(rows, 1)),
          make(rows, values(rows, 2)),
          make([40], values([40], 3)),
        ];
        const out = { y: make(rows), mean: make([64, 2]), rstd: make([64]) };
        const { mean, rstd } = layerNorm(gpu, x, { normalizedShape: 40, weight, out });
        const gradients = { dx: make(rows), dweight: make([40]), dbias: make([40]) };
        layerNormBackward(gpu, dy, x, { normalizedShape: 40, weight, mean, rstd, out: gradients });
        return { ...out, ...gradients };
      });
      gpu.destroy();
    },
  },
  {
    name: 'one buffer: replicas of batch norm',
    timeout: 240_000,
    async run({ gpu }) {
      const groups = LocalProcessGroup.create(2);
      const results = async (makeOf: (rank: number) => Make) =>
        Promise.all(
          groups.map(async (group) => {
            const make = makeOf(group.rank);
            const of = (seed: number) => make(shape, values(shape, 2 * seed + group.rank, 1));
            const weight = make([6], values([6], 9));
            const common = { group, training: true, weight };
            const [x, dy] = [of(1), of(2)];
            const out = { y: make(shape), mean: make([6, 2]), rstd: make([6]) };
            const { mean, rstd, count } = await syncBatchNorm(gpu, x, { ...common, out });
            const gradients = { dx: make(shape), dweight: make([6]), dbias: make([6]) };
            const back = { ...common, mean, rstd, count, out: gradients };
            await syncBatchNormBackward(gpu, dy, x, back);
            return Promise.all(Object.values({ ...out, ...gradients }).map((tensor) => tensor.data()));
          }),
        );
      const apart = await results(
        () =>
          (sizes, given, dtype = 'f32') =>
            given ? gpu.tensor(given, sizes, { dtype }) : gpu.zeros(sizes, { dtype }),
      );
      const arenas = groups.map(() => arena(gpu, 2 ** 16));
      assertEqual(await results((rank) => (arenas[rank] as ReturnType<typeof arena>).make), apart, 'results');
      for (const { check } of arenas) await check('replicas');
      for (const group of groups) group.close();
    },
  },
  {
    name: 'one buffer: what overlaps is refused',
    run({ gpu }) {
      const { buffer } = gpu.zeros([1024]);
      const at = (offset: number, sizes = [4, 16]) => gpu.wrap(buffer, sizes, { offset });
      const [x, residual, y, sum] = [at(0), at(256), at(512), at(768)];
      const [long, longer, weight] = [at(1024, [4, 32]), at(1280, [4, 32]), at(2048, [16])];
      refuses(gpu, 'aliasing', () => layerNorm(gpu, long, { normalizedShape: 32, out: { y: longer } }));
      refuses(gpu, 'aliasing', () => addRmsNorm(gpu, x, x, { normalizedShape: 16, weight, out: { y, sum } }));
      refuses(gpu, 'aliasing', () =>
        layerNorm(gpu, x, { normalizedShape: 16, weight, bias: weight, out: { y } }),
      );
      refuses(gpu, 'aliasing', () =>
        addRmsNorm(gpu, x, residual, { normalizedShape: 16, out: { y, sum: y } }),
      );
      addRmsNorm(gpu, x, residual, { normalizedShape: 16, weight, out: { y, sum } });
    },
  },
];
