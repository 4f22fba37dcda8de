/** dx over dy, over x or over dsum: the bits are those of a dx of its own. */
import {
  BatchNorm2d,
  batchNorm,
  batchNormBackward,
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
  rmsNorm,
  rmsNormBackward,
  type ScheduleOptions,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { asOnGpu } from '../support/subject.ts';

interface Operands {
  dy: Tensor;
  x: Tensor;
  dsum: Tensor;
  residual: Tensor;
  weight: Tensor;
}
type Over = 'dy' | 'x' | 'dsum';
type Result = Record<string, Tensor | null | undefined>;

interface Subject {
  shape: number[];
  parameters: number[];
  /** What a dx of its own needs for the same bits. */
  apart?: ScheduleOptions;
  /** What dx can be written over. */
  over: readonly Over[];
  run(gpu: Gpu, operands: Operands, schedule: ScheduleOptions, dx?: Tensor): Result;
}

const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);
const outOf = (dx: Tensor | undefined) => (dx ? { out: { dx } } : {});

const layer = (shape: number[], axes: number[], dsum: boolean): Subject => ({
  shape,
  parameters: axes.map((axis) => shape[axis] as number),
  over: dsum ? ['dy', 'x', 'dsum'] : ['dy', 'x'],
  // In place, a thread has four columns of axes that others follow, and not sixteen.
  ...(axes[0] !== shape.length - 1 && { apart: { fourRows: false } }),
  run(gpu, operands, schedule, dx) {
    const { dy, x, weight } = operands;
    const options = { axes, weight, schedule };
    const { mean, rstd } = layerNorm(gpu, x, options);
    const beside = dsum && { dsum: operands.dsum };
    return { ...layerNormBackward(gpu, dy, x, { ...options, ...beside, mean, rstd, ...outOf(dx) }) };
  },
});

const rms = (shape: number[]): Subject => ({
  shape,
  parameters: [shape.at(-1) as number],
  over: ['dy', 'x'],
  run(gpu, { dy, x, weight }, schedule, dx) {
    const options = { normalizedShape: weight.shape, weight, schedule };
    const { rstd } = rmsNorm(gpu, x, options);
    return { ...rmsNormBackward(gpu, dy, x, { ...options, rstd, ...outOf(dx) }) };
  },
});

const l2 = (shape: number[]): Subject => ({
  shape,
  parameters: [shape.at(-1) as number],
  over: ['dy', 'x'],
  run(gpu, { dy, x, weight }, schedule, dx) {
    const options = { normalizedShape: weight.shape, weight, schedule };
    const { rstd } = l2Norm(gpu, x, options);
    return { ...l2NormBackward(gpu, dy, x, { ...options, rstd, ...outOf(dx) }) };
  },
});

/** A residual and an activation, whose gradient a first pass stores: always two passes. */
const activated = (shape: number[]): Subject => ({
  shape,
  parameters: [shape.at(-1) as number],
  over: ['dy', 'x'],
  run(gpu, { dy, x, weight, residual }, _, dx) {
    const options = { normalizedShape: weight.shape, weight, residual, activation: 'silu' as const };
    const { mean, rstd } = layerNorm(gpu, x, options);
    return { ...layerNormBackward(gpu, dy, x, { ...options, mean, rstd, ...outOf(dx) }) };
  },
});

const gated = (shape: number[]): Subject => ({
  shape,
  parameters: [shape.at(-1) as number],
  over: ['dy', 'x'],
  run(gpu, { dy, x, weight, residual }, _, dx) {
    const options = { normalizedShape: weight.shape, weight, gate: residual, activation: 'silu' as const };
    const { rstd } = rmsNorm(gpu, x, options);
    return { ...rmsNormBackward(gpu, dy, x, { ...options, rstd, ...outOf(dx) }) };
  },
});

const channels = (
  op: 'group' | 'instance' | 'batch',
  shape: number[],
  layout: 'channels-first' | 'channels-last' = 'channels-first',
): Subject => ({
  shape,
  parameters: [(layout === 'channels-first' ? shape[1] : shape.at(-1)) as number],
  over: ['dy', 'x'],
  run(gpu, { dy, x, weight }, schedule, dx) {
    const common = { weight, layout, schedule };
    if (op === 'group') {
      const { mean, rstd } = groupNorm(gpu, x, { numGroups: 2, ...common });
      return { ...groupNormBackward(gpu, dy, x, { numGroups: 2, ...common, mean, rstd, ...outOf(dx) }) };
    }
    if (op === 'instance') {
      const { mean, rstd } = instanceNorm(gpu, x, common);
      return { ...instanceNormBackward(gpu, dy, x, { ...common, mean, rstd, ...outOf(dx) }) };
    }
    const { mean, rstd } = batchNorm(gpu, x, { training: true, ...common });
    return { ...batchNormBackward(gpu, dy, x, { training: true, ...common, mean, rstd, ...outOf(dx) }) };
  },
});

const schedules: ScheduleOptions[] = [{}, { strategy: 'registers' }, { strategy: 'split', splits: 2 }];

// An odd number of quads, of which a thread has two, and rows that are no whole quads.
const rows = [layer([9, 260], [1], true), layer([12, 61], [1], false), rms([70, 20])];
const others = [
  layer([2, 6, 4, 5], [1], true),
  layer([2, 8, 6, 4], [1], false),
  activated([12, 40]),
  activated([7, 33]),
  gated([12, 40]),
  gated([7, 33]),
  channels('group', [3, 8, 5, 5]),
  channels('group', [3, 6, 6, 8], 'channels-last'),
  channels('instance', [2, 5, 33]),
  channels('batch', [4, 6, 5, 10]),
  channels('batch', [70, 13]),
  l2([9, 36]),
];

async function compare(
  gpu: Gpu,
  subjects: readonly Subject[],
  schedule: ScheduleOptions = {},
  dtype: FloatDType = 'f32',
): Promise<void> {
  for (const { shape, parameters, apart, over, run } of subjects) {
    const operands = (): Operands => {
      const like = (seed: number, mean = 0) =>
        gpu.tensor(normal(product(shape), { seed, mean }), shape, { dtype });
      const weight = gpu.tensor(normal(product(parameters), { seed: 5 }), parameters, { dtype });
      return { dy: like(1), x: like(2, 3), dsum: like(3), residual: like(4), weight };
    };
    const expected = run(gpu, operands(), { ...schedule, ...apart });
    for (const name of over) {
      const given = operands();
      const found = run(gpu, given, schedule, given[name]);
      const label = `[${shape}] ${dtype} ${JSON.stringify(schedule)}, dx over ${name}`;
      assertEqual(found.dx, given[name], `${label}: dx`);
      for (const [result, tensor] of Object.entries(expected))
        assertEqual(await found[result]?.data(), await tensor?.data(), `${label}: ${result}`);
    }
  }
}

export const cases: Case[] = [
  {
    name: 'dx in place: rows, in every schedule',
    timeout: 240_000,
    async run({ gpu }) {
      for (const schedule of schedules) await compare(gpu, rows, schedule);
    },
  },
  {
    name: 'dx in place: kept axes, epilogues, channels',
    timeout: 240_000,
    run: ({ gpu }) => compare(gpu, others),
  },
  ...(['f16', 'bf16'] as const).map(
    (dtype): Case => ({
      name: `dx in place: ${dtype}`,
      timeout: 240_000,
      run: ({ gpu }) => compare(gpu, [rows[0], rows[1], others[3], others[6]] as Subject[], {}, dtype),
    }),
  ),
  {
    name: 'dx in place: as on a GPU',
    timeout: 240_000,
    run: (t) =>
      asOnGpu(t.device, (gpu) => compare(gpu, [...rows, ...others.slice(0, 2), ...others.slice(6)])),
  },
  {
    name: 'dx in place: in parts',
    timeout: 240_000,
    async run(t) {
      const gpu = await init({ device: t.device, facts: { maxBindingBytes: 4096 } });
      await compare(gpu, [
        layer([64, 40], [1], true),
        layer([5, 900], [1], false),
        channels('group', [30, 6, 7, 8]),
      ]);
      gpu.destroy();
    },
  },
  {
    name: 'dx in place: a tensor with strides',
    async run({ gpu }) {
      const [shape, strides] = [
        [4, 3, 16],
        [96, 16, 1],
      ];
      const values = (seed: number) => normal(4 * 96, { seed });
      const dense = (all: Float32Array) =>
        Float32Array.from({ length: 192 }, (_, i) => all[Math.floor(i / 48) * 96 + (i % 48)] as number);
      const x = gpu.tensor(dense(values(1)), shape);
      const { mean, rstd } = layerNorm(gpu, x, { normalizedShape: 16 });
      const options = { normalizedShape: 16, mean, rstd };
      const expected = layerNormBackward(gpu, gpu.tensor(dense(values(2)), shape), x, options);
      const whole = gpu.tensor(values(2), [4, 96]);
      const dy = gpu.wrap(whole.buffer, shape, { strides });
      layerNormBackward(gpu, dy, x, { ...options, out: { dx: dy } });
      assertEqual(await dy.data(), await expected.dx.data(), 'dx');
      const beside = (all: Float32Array) => all.filter((_, i) => i % 96 >= 48);
      assertEqual(beside(await whole.data()), beside(values(2)), 'what lies beside it');
    },
  },
  {
    name: 'dx in place: modules, over dy',
    async run({ gpu }) {
      const shape = [2, 6, 4, 8];
      const tensor = (seed: number) => gpu.tensor(normal(product(shape), { seed }), shape);
      const results = async (inPlace: boolean) => {
        const model = new Sequential(gpu, new BatchNorm2d(gpu, 6), new LayerNorm(gpu, 8));
        const dy = tensor(2);
        model.forward(tensor(1));
        const dx = model.backward(dy, inPlace ? { out: dy } : {});
        const gradients = [...model.parameters()].map((one) => one.grad as Tensor);
        return Promise.all([dx, ...gradients].map((one) => one.data()));
      };
      assertEqual(await results(true), await results(false), 'dx and the gradients');
      const norm = new LayerNorm(gpu, 8);
      const [x, dy] = [tensor(1), tensor(2)];
      norm.forward(x);
      // x is kept for another backward pass.
      refuses(gpu, 'aliasing', () => norm.backward(dy, { out: x }));
    },
  },
  {
    name: 'dx in place: what cannot be is refused',
    run({ gpu }) {
      const tensor = () => gpu.tensor(normal(32), [4, 8]);
      const [x, dy, residual] = [tensor(), tensor(), tensor()];
      const { mean, rstd } = layerNorm(gpu, x, { normalizedShape: 8, residual });
      const options = { normalizedShape: 8, mean, rstd };
      // dy is the gradient of the residual, too.
      refuses(gpu, 'aliasing', () =>
        layerNormBackward(gpu, dy, x, { ...options, residual, out: { dx: dy } }),
      );
      refuses(gpu, 'aliasing', () =>
        layerNormBackward(gpu, dy, x, {
          ...options,
          residual,
          activation: 'relu',
          out: { dx: dy, dresidual: dy },
        }),
      );
      refuses(gpu, 'aliasing', () =>
        layerNormBackward(gpu, dy, x, { ...options, out: { dx: rstd as Tensor } }),
      );
      const image = gpu.zeros([2, 4, 8]);
      const kept = layerNorm(gpu, image, { axes: [1] });
      const schedule = { strategy: 'thread', fourRows: true } as const;
      const over = gpu.zeros([2, 4, 8]);
      refuses(gpu, 'aliasing', () =>
        layerNormBackward(gpu, over, image, {
          axes: [1],
          mean: kept.mean,
          rstd: kept.rstd,
          schedule,
          out: { dx: over },
        }),
      );
    },
  },
];
