/** y over x or over the residual, sum over the residual or over x: the bits are those of outputs in buffers of their own. */
import {
  addLayerNorm,
  addRmsNorm,
  batchNorm,
  type FloatDType,
  type Gpu,
  groupNorm,
  instanceNorm,
  LayerNorm,
  layerNorm,
  localResponseNorm,
  rmsNorm,
  type Strategy,
  type Tensor,
} from '../../src/index.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { asOnGpu, geometryOf, type Op } from '../support/subject.ts';

const strategies: Strategy[] = ['thread', 'registers', 'workgroup', 'split'];

interface Inputs {
  x: Tensor;
  residual: Tensor;
  weight: Tensor;
}

/** A norm of one input: y, written to a tensor of its own or to `y`. */
interface One {
  op: Op;
  shape: number[];
  groups?: number;
  layout?: 'channels-last';
  run(gpu: Gpu, inputs: Inputs, schedule: object, y?: Tensor): { y: Tensor };
}

const last = 'channels-last' as const;
const channels = (
  op: 'groupNorm' | 'batchNorm' | 'instanceNorm',
  shape: number[],
  layout?: typeof last,
): One => ({
  op,
  shape,
  ...(op === 'groupNorm' && { groups: 2 }),
  ...(layout && { layout }),
  run(gpu, { x, residual, weight }, schedule, y) {
    const common = {
      weight,
      residual,
      activation: 'silu',
      schedule,
      ...(layout && { layout }),
      out: { ...(y && { y }) },
    } as const;
    if (op === 'groupNorm') return groupNorm(gpu, x, { numGroups: 2, ...common });
    if (op === 'instanceNorm') return instanceNorm(gpu, x, common);
    return batchNorm(gpu, x, { training: true, ...common });
  },
});

const ones: One[] = [
  {
    op: 'layerNorm',
    shape: [7, 64],
    run: (gpu, { x, residual, weight }, schedule, y) =>
      layerNorm(gpu, x, {
        normalizedShape: 64,
        weight,
        residual,
        activation: 'relu',
        schedule,
        out: { ...(y && { y }) },
      }),
  },
  {
    op: 'rmsNorm',
    shape: [9, 61],
    run: (gpu, { x, weight }, schedule, y) =>
      rmsNorm(gpu, x, { normalizedShape: 61, weight, schedule, out: { ...(y && { y }) } }),
  },
  {
    op: 'rmsNorm',
    shape: [3, 500],
    run: (gpu, { x, weight }, schedule, y) =>
      rmsNorm(gpu, x, { normalizedShape: 500, weight, schedule, out: { ...(y && { y }) } }),
  },
  channels('groupNorm', [3, 8, 5, 5]),
  channels('groupNorm', [3, 6, 6, 8], last),
  channels('instanceNorm', [2, 5, 33]),
  channels('instanceNorm', [2, 40, 12], last),
  channels('batchNorm', [4, 6, 50]),
  channels('batchNorm', [70, 13]),
];

/** New tensors with the same values every time. */
function inputsOf(gpu: Gpu, shape: number[], parameters: number, dtype: FloatDType): Inputs {
  const size = shape.reduce((product, one) => product * one, 1);
  const make = (count: number, seed: number, of: number[]) => {
    return gpu.tensor(normal(count, { seed, mean: 3 }), of, { dtype });
  };
  return {
    x: make(size, 1, shape),
    residual: make(size, 2, shape),
    weight: make(parameters, 3, [parameters]),
  };
}

const channelsOf = ({ op, shape, layout }: One) =>
  layout || op === 'layerNorm' || op === 'rmsNorm' ? (shape.at(-1) as number) : (shape[1] as number);

async function inStrategies(
  gpu: Gpu,
  dtype: FloatDType,
  list: readonly One[],
  forced: readonly Strategy[] = strategies,
): Promise<number> {
  let count = 0;
  for (const one of list) {
    const { op, shape, groups, layout } = one;
    const geometry = geometryOf({ op, shape, ...(groups && { groups }), ...(layout && { layout }) });
    const usable = op === 'batchNorm' ? ['split'] : strategiesOf(geometry, 'forward');
    for (const strategy of [undefined, ...forced]) {
      if (strategy && !usable.includes(strategy)) continue;
      // Rows of four per thread, of which the last thread has some twice, and more than one split of a row.
      const schedule = strategy
        ? {
            strategy,
            ...(strategy === 'split' ? { splits: 2 } : {}),
            ...(strategy === 'thread' ? { fourRows: true } : {}),
          }
        : {};
      if (strategy === 'thread' && geometry.inner * geometry.positions > 1)
        Object.assign(schedule, { fourRows: false });
      for (const over of op === 'rmsNorm' ? (['x'] as const) : (['x', 'residual'] as const)) {
        const apart = inputsOf(gpu, shape, channelsOf(one), dtype);
        const expected = await one.run(gpu, apart, schedule).y.data();
        const inputs = inputsOf(gpu, shape, channelsOf(one), dtype);
        const { y } = one.run(gpu, inputs, schedule, inputs[over]);
        assertEqual(y === inputs[over], true, 'y is the tensor that was given');
        assertEqual(
          await y.data(),
          expected,
          `${op} [${shape}] ${layout ?? ''} ${strategy ?? 'by default'} over ${over}`,
        );
        count++;
      }
    }
  }
  return count;
}

/** The residual stream of a transformer: y over x and sum over the residual, or the other way round. */
async function sums(gpu: Gpu, dtype: FloatDType, lengths: readonly number[]): Promise<void> {
  for (const cols of lengths) {
    for (const [name, norm] of [
      ['addRmsNorm', addRmsNorm],
      ['addLayerNorm', addLayerNorm],
    ] as const) {
      const shape = [5, cols];
      const options = { normalizedShape: cols };
      const apart = inputsOf(gpu, shape, cols, dtype);
      // Few lanes: barriers of large workgroups take software adapters long.
      const schedule = { lanes: 8, workgroup: 16 };
      const strategy = 'registers' as const;
      const expected = norm(gpu, apart.x, apart.residual, {
        ...options,
        weight: apart.weight,
        schedule: { ...schedule, strategy },
      });
      const [y, sum] = [await expected.y.data(), await expected.sum.data()];
      for (const [yOver, sumOver] of [
        ['x', 'residual'],
        ['residual', 'x'],
        [undefined, 'residual'],
        ['residual', undefined],
      ] as const) {
        const inputs = inputsOf(gpu, shape, cols, dtype);
        const out = {
          ...(yOver && { y: inputs[yOver] }),
          ...(sumOver && { sum: inputs[sumOver] }),
        };
        const made = norm(gpu, inputs.x, inputs.residual, {
          ...options,
          weight: inputs.weight,
          out,
          schedule: sumOver ? schedule : { ...schedule, strategy },
        });
        const what = `${name} of ${cols}, y over ${yOver}, sum over ${sumOver}`;
        assertEqual(await made.y.data(), y, `y of ${what}`);
        assertEqual(await made.sum.data(), sum, `sum of ${what}`);
      }
    }
  }
}

export const cases: Case[] = [
  ...ones.map(
    (one): Case => ({
      name: `in place: y of ${one.op} [${one.shape}] ${one.layout ?? ''} over x or the residual, in every strategy`,
      timeout: 300_000,
      async run(t) {
        const count = await inStrategies(t.gpu, 'f32', [one]);
        await asOnGpu(t.device, async (gpu) =>
          t.note('f32', `${count + (await inStrategies(gpu, 'f32', [one], []))}`),
        );
      },
    }),
  ),
  {
    name: 'in place: y and sum over x and the residual',
    timeout: 300_000,
    async run(t) {
      await sums(t.gpu, 'f32', [64, 63]);
      await asOnGpu(t.device, (gpu) => sums(gpu, 'f32', [300]));
    },
  },
  // Where f16 is packed, two elements of a word belong to two rows where the number of columns is odd.
  {
    name: 'in place: f16',
    timeout: 300_000,
    async run(t) {
      await inStrategies(t.gpu, 'f16', ones, []);
      await sums(t.gpu, 'f16', [1, 63, 64]);
    },
  },
  {
    name: 'in place: a row whose sums leave the range, evaluation, twice through one tensor',
    async run({ gpu }) {
      const values = normal(64).map((value) => value * 1e30);
      const x = gpu.tensor(values, [2, 32]);
      const schedule = { strategy: 'registers' } as const;
      const apart = addLayerNorm(gpu, x, gpu.zeros([2, 32]), { normalizedShape: 32, schedule });
      const expected = await apart.y.data();
      for (let i = 0; i < 2; i++) {
        const own = gpu.tensor(values, [2, 32]);
        const residual = gpu.zeros([2, 32]);
        addLayerNorm(gpu, own, residual, { normalizedShape: 32, out: { y: own, sum: residual } });
        assertEqual(await own.data(), expected, 'y over x');
        assertEqual(await residual.data(), values, 'sum over the residual');
      }
      // x + x: both inputs are the output.
      const twice = gpu.tensor(normal(64), [2, 32]);
      const once = addRmsNorm(gpu, x, x, { normalizedShape: 32, schedule });
      const over = gpu.tensor(values, [2, 32]);
      addRmsNorm(gpu, over, over, { normalizedShape: 32, schedule, out: { y: over } });
      assertEqual(await over.data(), await once.y.data(), 'y over x, which is the residual, too');
      const doubled = addRmsNorm(gpu, twice, twice, { normalizedShape: 32, out: { sum: twice } });
      assertEqual(
        await doubled.sum.data(),
        normal(64).map((value) => 2 * value),
        'sum over both',
      );
      const runningMean = gpu.tensor([1, 2], [2]);
      const runningVar = gpu.tensor([4, 9], [2]);
      const y = gpu.tensor([1, 2, 5, 8], [2, 2]);
      const evaluate = () => batchNorm(gpu, y, { runningMean, runningVar, eps: 0, out: { y } });
      evaluate();
      assertEqual(await y.data(), Float32Array.of(0, 0, 2, 2), 'evaluation');
      evaluate();
      assertEqual(await y.data(), Float32Array.of(-0.5, -2 / 3, 0.5, 0), 'evaluation of that');
    },
  },
  {
    name: 'in place: what cannot be is refused',
    async run({ gpu }) {
      const refuses = (run: () => unknown) => assertThrows(async () => run(), { code: 'aliasing' });
      const x = gpu.tensor(normal(64), [2, 32]);
      const residual = gpu.tensor(normal(64), [2, 32]);
      const rows = { normalizedShape: 32 };
      // One tensor cannot be both results, nor a parameter and a result.
      await refuses(() => addRmsNorm(gpu, x, residual, { ...rows, out: { y: x, sum: x } }));
      const weight = gpu.tensor(normal(32), [32]);
      const row = gpu.tensor(normal(32), [1, 32]);
      await refuses(() =>
        layerNorm(gpu, row, { ...rows, weight, out: { y: gpu.wrap(weight.buffer, [1, 32]) } }),
      );
      // A place in the same buffer that overlaps, strategies that read what was written, rows that no workgroup holds.
      const both = gpu.tensor(normal(192), [3, 64]);
      const place = (offset: number) => gpu.wrap(both.buffer, [1, 128], { offset });
      await refuses(() => layerNorm(gpu, place(0), { normalizedShape: 128, out: { y: place(256) } }));
      for (const strategy of ['split', 'thread', 'workgroup'] as const)
        await refuses(() =>
          addRmsNorm(gpu, x, residual, { ...rows, schedule: { strategy }, out: { sum: residual } }),
        );
      const [long, other] = [gpu.zeros([1, 40_000]), gpu.zeros([1, 40_000])];
      await refuses(() => addRmsNorm(gpu, long, other, { normalizedShape: 40_000, out: { sum: other } }));
      // A module keeps x for its backward pass; localResponseNorm reads the neighbours of what it writes.
      const norm = new LayerNorm(gpu, 32);
      await refuses(() => norm.forward(x, { out: x }));
      await refuses(() => norm.forwardResidual(x, residual, { outSum: residual }));
      const image = gpu.zeros([1, 4, 3]);
      await refuses(() => localResponseNorm(gpu, image, { size: 3, out: { y: image } }));
      assertEqual(await x.data(), normal(64), 'x is as it was');
    },
  },
];
