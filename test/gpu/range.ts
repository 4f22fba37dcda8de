/** Every magnitude that f32 has: statistics whose squares, sums or differences leave its range. */
import {
  BatchNorm1d,
  batchNorm,
  batchNormBackward,
  type Gpu,
  groupNorm,
  InstanceNorm3d,
  type Layout,
  layerNorm,
  rmsNorm,
  type ScheduleOptions,
  type Strategy,
  type Tensor,
} from '../../src/index.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal, uniform } from '../support/data.ts';
import { runLocally, verifyReplicas } from '../support/replicas.ts';
import { RunningReference } from '../support/running.ts';
import {
  arraysOf,
  asOnGpu,
  geometryOf,
  ops,
  type Subject,
  summary,
  verify,
  verifyAll,
} from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';
import { shapesOf } from './accuracy.ts';

const strategies: readonly Strategy[] = ['thread', 'registers', 'workgroup', 'split'];

/** An eps that does not drown x: 0, or for BatchNorm, which takes none, the smallest number of f32. */
const epsBeside = (op: Subject['op'], magnitude: number) =>
  magnitude < 1 ? { eps: op === 'batchNorm' ? 2 ** -149 : 0 } : {};

/** Two shapes of each op, one of them channels-last where there are layouts; all that accuracy.ts compiles. */
function shapes(op: Subject['op']): Subject[] {
  if (op === 'batchNorm') {
    return [
      { op, shape: [3, 8, 5, 7] },
      { op, shape: [3, 5, 7, 8], layout: 'channels-last' },
    ];
  }
  const all = shapesOf(op);
  const last = all.find(({ layout }) => layout === 'channels-last') ?? all[2];
  return [all[op === 'groupNorm' || op === 'instanceNorm' ? 0 : 1], last].map((one) => ({
    op,
    ...(one as Omit<Subject, 'op'>),
  }));
}

/** BatchNorm at every magnitude; the other ops, which accuracy.ts takes there, where some lanes scale and others do not. */
const everyOp: Case[] = [...ops, 'batchNorm' as const].map((op) => ({
  name: `range: ${op} from 1e-30 to 3e38`,
  timeout: 180_000,
  async run(t) {
    const magnitudes = [7e18, 3e19, 1e25, 1e38, 1e-10, 1e-20];
    if (op === 'batchNorm') magnitudes.push(1e19, 1e30, 3e38, 1e-30);
    const list = shapes(op).flatMap((subject) =>
      magnitudes.map((magnitude) => ({ ...subject, ...epsBeside(op, magnitude), data: { magnitude } })),
    );
    t.note('own schedules', summary(await verifyAll(t.gpu, list)));
    await asOnGpu(t.device, async (gpu) => t.note('as on a GPU', summary(await verifyAll(gpu, list))));
    if (op !== 'batchNorm') return;
    const ways = [
      { lanes: 8, splits: 3 },
      { lanes: 1, splits: 5, vec4: false },
    ];
    const more = ways.flatMap((way) =>
      list.map((one) => ({ ...one, schedule: { ...way, workgroup: 8, reduction: 'portable' as const } })),
    );
    await verifyAll(t.gpu, more);
  },
}));

async function rows(gpu: Gpu, values: Float32Array, cols: number, options: object = {}) {
  const x = gpu.tensor(values, [values.length / cols, cols]);
  const { y, mean, rstd } = layerNorm(gpu, x, { normalizedShape: cols, ...options });
  const [yData, meanData, rstdData] = await Promise.all([y.data(), mean.data(), rstd.data()]);
  for (const tensor of [x, y, mean, rstd]) tensor.destroy();
  return { y: yData, mean: meanData, rstd: rstdData };
}

/** Half of them +value, half −value. */
const halves = (length: number, value: number) =>
  Float32Array.from({ length }, (_, i) => (i < length / 2 ? value : -value));

const near = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  bound: number = bounds.forward,
) => {
  const error = relativeError(actual, expected);
  assert(error <= bound, `${what}: off by ${error.toExponential(1)}: ${Array.from(actual).slice(0, 8)}`);
};

/** Right, or NaN from the first to the last: never finite and wrong. */
const nearOrNaN = (actual: Float32Array, expected: ArrayLike<number>, what: string, bound?: number) => {
  if (!actual.every(Number.isNaN)) near(actual, expected, what, bound);
};

const named: Case[] = [
  {
    name: 'range: rows of two values of any size, constant rows, rows that are not finite',
    async run(t) {
      for (const strategy of strategies) {
        const schedule: ScheduleOptions = { strategy };
        for (const value of [7e18, 1e19, 1e30, 1e38, 3e38]) {
          const { y, rstd } = await rows(t.gpu, halves(8, value), 8, { schedule });
          near(y, halves(8, 1), `y of ±${value} (${strategy})`);
          near(rstd, [1 / value], `rstd of ±${value} (${strategy})`);
        }
        for (const value of [1e-20, 1e-25, 1e-30, 1e-31, 1e-34, 1e-37, 1e-38]) {
          const { y, rstd } = await rows(t.gpu, halves(8, value), 8, { schedule, eps: 0 });
          nearOrNaN(y, halves(8, 1), `y of ±${value} (${strategy})`);
          if (value >= 1e-30) near(rstd, [1 / Math.fround(value)], `rstd of ±${value} (${strategy})`);
        }
        for (const value of [1e38, 3e38, -3.4028234663852886e38]) {
          const bias = t.gpu.tensor(normal(130), [130]);
          const { y, mean } = await rows(t.gpu, new Float32Array(130).fill(value), 130, { schedule, bias });
          assertEqual(y, normal(130), `a constant row of ${value} (${strategy})`);
          assertEqual(mean[0], Math.fround(value), `the mean of a constant row of ${value} (${strategy})`);
        }
        for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
          const values = normal(12);
          values[5] = value;
          const { y, rstd } = await rows(t.gpu, values, 4, { schedule });
          assert(y.subarray(4, 8).every(Number.isNaN), `y of a row with ${value} (${strategy}): ${y}`);
          assert(Number.isNaN(rstd[1]), `rstd of a row with ${value} (${strategy}): ${rstd}`);
          assert([...y.subarray(0, 4), ...y.subarray(8)].every(Number.isFinite), `its neighbours: ${y}`);
        }
      }
    },
  },
  {
    name: 'range: two values near 1e-31, and an rstd beyond what subnormal numbers allow',
    async run(t) {
      for (const strategy of strategies) {
        for (const [a, b] of [
          [1e-31, 3e-31],
          [1e-31, 1.0001e-31],
          [2e-38, 3e-38],
        ] as const) {
          const values = Float32Array.of(a, b);
          const [low = 0, high = 0] = values;
          const { y, mean } = await rows(t.gpu, values, 2, { schedule: { strategy }, eps: 0 });
          nearOrNaN(y, [-1, 1], `y of ${a} and ${b} (${strategy})`);
          const sum = (mean[0] ?? 0) + (mean[1] ?? 0);
          const error = Math.abs(sum - (low + high) / 2) / ((high - low) / 2);
          assert(Number.isNaN(sum) || error <= bounds.forward, `mean of ${a} and ${b}: off by ${error}`);
        }
      }
    },
  },
  {
    name: 'range: long rows whose sum of squares is out of range',
    async run(t) {
      for (const [length, value] of [
        [1_048_576, 5e16],
        [16_384, 2e17],
      ] as const) {
        const alternating = Float32Array.from({ length }, (_, i) => (i % 2 ? -value : value));
        const one = alternating.map(Math.sign);
        for (const values of [alternating, halves(length, value)]) {
          const { y } = await rows(t.gpu, values, length);
          near(y, values === alternating ? one : halves(length, 1), `${length} of ±${value}`);
          await asOnGpu(t.device, async (gpu) =>
            near(
              (await rows(gpu, values, length)).y,
              values.map(Math.sign),
              `${length} of ±${value}, as on a GPU`,
            ),
          );
        }
        const x = t.gpu.tensor(alternating, [1, length]);
        near(
          await rmsNorm(t.gpu, x, { normalizedShape: length }).y.data(),
          one,
          `rms of ${length} ±${value}`,
        );
      }
    },
  },
  {
    name: 'range: one value of 1e20 in a group',
    async run(t) {
      const values = normal(32);
      values[9] = 1e20;
      const rest = -1 / Math.sqrt(31);
      const expected = values.map((value) => (value === Math.fround(1e20) ? Math.sqrt(31) : rest));
      for (const strategy of strategies) {
        for (const [shape, layout] of [
          [[1, 4, 8], 'channels-first'],
          [[1, 8, 4], 'channels-last'],
        ] as [number[], Layout][]) {
          const geometry = geometryOf({ op: 'groupNorm', shape, groups: 1, layout });
          if (!strategiesOf(geometry, 'forward').includes(strategy)) continue;
          const { y } = groupNorm(t.gpu, t.gpu.tensor(values, shape), {
            numGroups: 1,
            layout,
            schedule: { strategy },
          });
          near(await y.data(), expected, `${layout} (${strategy})`);
        }
      }
    },
  },
  {
    name: 'range: neighbouring channels of very different magnitudes',
    async run(t) {
      // Threads own four neighbouring channels where these come last.
      const magnitudes = [1e33, 1, 1e-9, 1e32, 1e35, 1e-15, 1, 3e38, 1e-30, 1e-3, 1e10, 1e29];
      const [positions, channels] = [21, magnitudes.length];
      const column = (values: ArrayLike<number>, c: number) =>
        Float32Array.from({ length: positions }, (_, i) => values[i * channels + c] as number);
      const noise = uniform(positions * channels, -1, 1, 5);
      const x = noise.map((value, i) => value * (magnitudes[i % channels] as number));
      const dy = uniform(positions * channels, -1e6, 1e6, 6);
      const weight = uniform(channels, 0.5, 2, 7);
      const options = { training: true, layout: 'channels-last', eps: 2 ** -149 } as const;
      const check = async (gpu: Gpu, which: string) => {
        const shape = [positions, 1, channels];
        const input = { x: gpu.tensor(x, shape), weight: gpu.tensor(weight, [channels]) };
        const forward = batchNorm(gpu, input.x, { ...options, weight: input.weight });
        const { mean, rstd } = forward;
        const gradient = batchNormBackward(gpu, gpu.tensor(dy, shape), input.x, {
          training: true,
          layout: 'channels-last',
          weight: input.weight,
          mean,
          rstd,
        });
        const [y, dx] = await Promise.all([forward.y.data(), gradient.dx.data()]);
        for (const [c, magnitude] of magnitudes.entries()) {
          const [own, g] = [column(x, c), column(dy, c)];
          const mean = own.reduce((sum, value) => sum + value / positions, 0);
          const variance = own.reduce((sum, value) => sum + (value - mean) ** 2 / positions, 0);
          const deviation = Math.sqrt(variance + options.eps);
          const w = weight[c] as number;
          const xhat = Array.from(own, (value) => (value - mean) / deviation);
          const meanG = g.reduce((sum, value) => sum + value / positions, 0);
          const meanGx = g.reduce((sum, value, i) => sum + (value * (xhat[i] as number)) / positions, 0);
          const judge = magnitude === 1e-15 ? nearOrNaN : near;
          const what = `a channel of ±${magnitude} (${which})`;
          judge(
            column(y, c),
            xhat.map((value) => value * w),
            `y of ${what}`,
          );
          judge(
            column(dx, c),
            xhat.map((value, i) => (w / deviation) * ((g[i] as number) - meanG - value * meanGx)),
            `dx of ${what}`,
            bounds.backward,
          );
        }
      };
      await check(t.gpu, 'own schedules');
      await asOnGpu(t.device, (gpu) => check(gpu, 'as on a GPU'));
    },
  },
  {
    name: 'range: running statistics of batches beyond the range',
    async run(t) {
      const norm = new BatchNorm1d(t.gpu, 2);
      norm.forward(t.gpu.tensor(Float32Array.of(1e20, 1, -1e20, 2), [2, 2]));
      const [infinite, finite] = await (norm.runningVar as Tensor).data();
      assertEqual(infinite, Number.POSITIVE_INFINITY, 'running_var of ±1e20');
      near([finite as number], [0.95], 'running_var of its neighbour');
      norm.eval();
      // 1 / sqrt(Infinity) is 0: y is the bias, as in PyTorch.
      const y = await norm.forward(t.gpu.tensor([1, 1, 2, 1], [2, 2])).data();
      assertEqual([y[0], y[2]], [0, 0], 'evaluation with an infinite variance');
      norm.destroy();

      // A sum of squares that f32 has not, of a variance that it has.
      const large = new BatchNorm1d(t.gpu, 1);
      large.forward(t.gpu.tensor(halves(4096, 5e18), [4096, 1]));
      const [variance = 0] = await (large.runningVar as Tensor).data();
      near([variance], [0.9 + (0.1 * 2.5e37 * 4096) / 4095], 'running_var of ±5e18');
      large.destroy();
    },
  },
  {
    name: 'range: a channel with one infinity',
    async run(t) {
      for (const layout of ['channels-first', 'channels-last'] as const) {
        const shape = [4, 6, 6];
        const values = normal(144);
        values[0] = Number.POSITIVE_INFINITY;
        const { y, mean, rstd } = batchNorm(t.gpu, t.gpu.tensor(values, shape), { training: true, layout });
        const [yData, meanData, rstdData] = await Promise.all([y.data(), mean.data(), rstd.data()]);
        const channel = (i: number) => (layout === 'channels-first' ? Math.floor(i / 6) : i) % 6;
        assert(Number.isNaN(rstdData[0]) && Number.isNaN(meanData[0]), `${layout}: ${rstdData}`);
        assert(rstdData.subarray(1).every(Number.isFinite), `${layout}: ${rstdData}`);
        assert(
          yData.every((value, i) => Number.isNaN(value) === (channel(i) === 0)),
          `${layout}: ${yData}`,
        );
      }
    },
  },
  {
    name: 'range: replicas of BatchNorm whose sums of squares are out of range',
    async run(t) {
      for (const layout of ['channels-first', 'channels-last'] as const) {
        const subject = { channels: 3, spatial: [17], layout, sizes: [4, 1, 6], magnitude: 5e18 };
        const worst = await verifyReplicas((inputs) => runLocally(t.gpu, subject, inputs), subject);
        t.note(layout, worst.toExponential(1));
      }
    },
  },
];

const faults: Case[] = [
  {
    name: 'range: rstd of a ramp, near zero and far from it',
    async run(t) {
      // Sums of regular numbers lose alike in every chunk, and splits of a ramp have means far apart.
      const ramps: ((i: number) => number)[] = [
        (i) => i,
        (i) => 5 - 0.37 * i,
        (i) => 1e5 + 0.01 * i,
        (i) => 100 + 0.1 * Math.floor(i / 260),
        // Two groups of five channels: each is 0, 0.001, 0.002, …
        (i) => 0.001 * (5 * Math.floor(i / 10) + (i % 5)),
      ];
      const channels = { op: 'batchNorm', layout: 'channels-last' } as const;
      const subjects: Subject[] = [
        { ...channels, shape: [1, 4, 8, 260] },
        { ...channels, shape: [1, 4, 8, 260], schedule: { splits: 2 } },
        { ...channels, shape: [1, 8, 8, 260], schedule: { splits: 3 } },
        { op: 'groupNorm', layout: 'channels-last', shape: [1, 27, 10], groups: 2, affine: false },
        { op: 'layerNorm', shape: [2, 4096], schedule: { strategy: 'split', splits: 2 } },
        { op: 'layerNorm', shape: [2, 4096], schedule: { strategy: 'workgroup', workgroup: 32 } },
      ];
      for (const subject of subjects) {
        for (const ramp of ramps) {
          const arrays = arraysOf(subject);
          const x = arrays.x.map((_, i) => ramp(i));
          await verify(t.gpu, subject, {}, { ...arrays, x });
        }
      }
    },
  },
  {
    name: 'range: running_mean of instances at different offsets',
    async run(t) {
      const shape = [100, 1, 2, 1, 7];
      for (const seed of [1, 2, 3, 4]) {
        const at = normal(100, { std: 1e5, seed });
        if (seed > 2) at[0] = 1e7; // the first instance lies apart
        const x = normal(1400, { seed: seed + 9 }).map((value, i) => value + (at[Math.floor(i / 14)] ?? 0));
        const norm = new InstanceNorm3d(t.gpu, 7, { trackRunningStats: true, layout: 'channels-last' });
        norm.forward(t.gpu.tensor(x, shape)).destroy();
        const reference = new RunningReference(7, true);
        reference.update(x, shape, 'channels-last', 0.1);
        const { mean } = reference.scale;
        const error = relativeError(await (norm.runningMean as Tensor).data(), reference.mean, mean);
        assert(error <= bounds.forward, `running_mean: off by ${error.toExponential(2)}`);
        norm.destroy();
      }
    },
  },
];

export const cases: Case[] = [...everyOp, ...named, ...faults];
