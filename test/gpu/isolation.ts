/** Values that break careless kernels: NaN, infinities, constants, huge, tiny, nothing at all. */
import {
  batchNorm,
  type Gpu,
  groupNorm,
  groupNormBackward,
  init,
  instanceNorm,
  layerNorm,
  layerNormBackward,
  rmsNorm,
  type Strategy,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { layerNormGeometry, normReference, relativeError } from '../reference/index.ts';
import { normal, toHalf, withConstantRow, withElement } from '../support/data.ts';
import { asOnGpu, verifyAll } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

const strategies: Strategy[] = ['thread', 'registers', 'workgroup', 'split'];
const scheduleOf = (strategy: Strategy) => ({ strategy, workgroup: 16, lanes: 16 });

export const cases: Case[] = [
  {
    name: 'isolation: NaN and infinities stay in their own row',
    async run(t) {
      const [rows, cols] = [6, 70];
      const clean = normal(rows * cols);
      const dyValues = normal(rows * cols, { seed: 2, mean: 1 });
      const check = async (gpu: Gpu, strategy: Strategy | undefined) => {
        const schedule = strategy ? scheduleOf(strategy) : {};
        const rowOf = async (values: Float32Array) => {
          const x = gpu.tensor(values, [rows, cols]);
          const dy = gpu.tensor(dyValues, [rows, cols]);
          const { y, mean, rstd } = layerNorm(gpu, x, { normalizedShape: [cols], schedule });
          const { dx } = layerNormBackward(gpu, dy, x, { normalizedShape: [cols], mean, rstd, schedule });
          const read = await Promise.all([y.data(), dx.data()]);
          for (const tensor of [x, dy, y, mean, rstd, dx]) tensor.destroy();
          return read;
        };
        const [y, dx] = await rowOf(clean);
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          const [brokenY, brokenDx] = await rowOf(withElement(clean, 2 * cols + 33, value));
          const others = (a: Float32Array) => [...a.subarray(0, 2 * cols), ...a.subarray(3 * cols)];
          assertEqual(others(brokenY), others(y), `${strategy}: y beside a row with ${value}`);
          assertEqual(others(brokenDx), others(dx), `${strategy}: dx beside a row with ${value}`);
        }
        const [nan] = await rowOf(withElement(clean, 2 * cols + 33, Number.NaN));
        assert(
          nan.subarray(2 * cols, 3 * cols).every(Number.isNaN),
          `${strategy}: a row with a NaN must not look sound`,
        );
      };
      await asOnGpu(t.device, async (gpu) => {
        for (const context of [t.gpu, gpu]) {
          for (const strategy of [undefined, ...strategies]) await check(context, strategy);
        }
      });
    },
  },
  {
    name: 'isolation: with batchInvariant a row has the same bits in every batch',
    async run(t) {
      const schedule = { batchInvariant: true };
      const check = async (gpu: Gpu) => {
        for (const cols of [70, 1024]) {
          const values = normal(130 * cols, { mean: 3 });
          const dyValues = normal(130 * cols, { seed: 2 });
          const weight = gpu.tensor(normal(cols, { seed: 3 }), [cols]);
          const of = async (rows: number) => {
            const options = { normalizedShape: [cols], weight, schedule };
            const x = gpu.tensor(values.subarray(0, rows * cols), [rows, cols]);
            const dy = gpu.tensor(dyValues.subarray(0, rows * cols), [rows, cols]);
            const { y, mean, rstd } = layerNorm(gpu, x, options);
            const { dx } = layerNormBackward(gpu, dy, x, { ...options, mean, rstd });
            return Promise.all([y.data(), dx.data()]);
          };
          const [y, dx] = await of(130);
          for (const rows of [1, 3, 64, 100]) {
            const [someY, someDx] = await of(rows);
            assertEqual(someY, y.subarray(0, rows * cols), `y of ${rows} rows of ${cols}`);
            assertEqual(someDx, dx.subarray(0, rows * cols), `dx of ${rows} rows of ${cols}`);
          }
        }
      };
      await check(t.gpu);
      // So few threads that 64 rows fill the device and three do not.
      const gpu = await init({ device: t.device, facts: { software: false, threads: 4096 } });
      await check(gpu);
      gpu.destroy();
    },
  },
  {
    name: 'isolation: a constant row gives exactly bias',
    async run(t) {
      await asOnGpu(t.device, async (gpu) => {
        await checkConstants(t.gpu, [0, 5, 123.456, -300.1, 10_000.1, 1e6]);
        await checkConstants(gpu, [10_000.1]);
      });
    },
  },
  {
    name: 'isolation: huge and tiny values',
    async run(t) {
      const cols = 100;
      // Beyond these, squares leave the normal range of f32, where devices may flush to zero.
      for (const scale of [1e-15, 1e-9, 1e9, 1e15, 1e18]) {
        const values = normal(4 * cols).map((value) => value * scale);
        const x = t.gpu.tensor(values, [4, cols]);
        const options = { normalizedShape: [cols], eps: scale < 1 ? 0 : 1e-5 };
        const geometry = layerNormGeometry([4, cols], [cols]);
        for (const kind of ['moments', 'rms'] as const) {
          const { y } = kind === 'moments' ? layerNorm(t.gpu, x, options) : rmsNorm(t.gpu, x, options);
          const error = relativeError(
            await y.data(),
            normReference(values, geometry, { eps: options.eps, kind }).y,
          );
          assert(error <= bounds.forward, `${kind} of values around ${scale}: ${error}`);
        }
      }
    },
  },
  {
    name: 'isolation: f16 beyond 256, where squares overflow f16',
    async run(t) {
      const [rows, cols] = [4, 300];
      for (const peak of [300, 940, 60_000]) {
        const values = toHalf(
          normal(rows * cols, { std: 0.1, mean: 0 }).map((v) => Math.max(-1, Math.min(1, v)) * peak),
        );
        const x = t.gpu.tensor(values, [rows, cols], { dtype: 'f16' });
        const geometry = layerNormGeometry([rows, cols], [cols]);
        for (const kind of ['moments', 'rms'] as const) {
          const { y } =
            kind === 'moments'
              ? layerNorm(t.gpu, x, { normalizedShape: [cols] })
              : rmsNorm(t.gpu, x, { normalizedShape: [cols] });
          const expected = normReference(values, geometry, { eps: kind === 'rms' ? 2 ** -23 : 1e-5, kind }).y;
          const rounding = relativeError(toHalf(expected), expected);
          const error = relativeError(await y.data(), expected);
          assert(error <= bounds.halfFactor * rounding + bounds.halfSlack, `${kind} up to ${peak}: ${error}`);
        }
      }
    },
  },
  {
    name: 'isolation: empty tensors are legal: empty out, zero gradients',
    async run(t) {
      await asOnGpu(t.device, async (gpu) => {
        for (const context of [t.gpu, gpu]) await checkEmpty(context);
      });
    },
  },
  {
    name: 'isolation: scratch that holds rubbish changes nothing',
    async run(t) {
      // Fill the shared scratch with the partial sums of NaNs, then ask for small results that need little of it.
      const { gpu } = t;
      const schedule = { strategy: 'split', splits: 7, workgroup: 8 } as const;
      const poison = gpu.tensor(new Float32Array(64 * 4096).fill(Number.NaN), [64, 4096]);
      const { mean, rstd } = layerNorm(gpu, poison, { normalizedShape: [4096], schedule });
      layerNormBackward(gpu, poison, poison, {
        normalizedShape: [4096],
        mean,
        rstd,
        schedule,
        wants: { dweight: true },
      });
      await verifyAll(gpu, [
        { op: 'layerNorm', shape: [3, 300], schedule },
        { op: 'rmsNorm', shape: [3, 5], schedule },
        { op: 'groupNorm', shape: [2, 4, 9], groups: 2, schedule },
        { op: 'groupNorm', shape: [2, 9, 4], groups: 2, layout: 'channels-last', schedule },
        { op: 'layerNorm', shape: [300, 3] },
      ]);
    },
  },
];

async function checkConstants(gpu: Gpu, constants: number[]): Promise<void> {
  for (const value of constants) {
    for (const cols of [1, 7, 64, 1023]) {
      const bias = normal(cols, { seed: 3 });
      const x = gpu.tensor(withConstantRow(normal(3 * cols), cols, 1, value), [3, cols]);
      const options = { weight: gpu.tensor(normal(cols), [cols]), bias: gpu.tensor(bias, [cols]) };
      const outputs = strategies.map((strategy) => {
        const schedule = { ...scheduleOf(strategy), lanes: 16 };
        return layerNorm(gpu, x, { normalizedShape: [cols], ...options, schedule }).y;
      });
      const read = await Promise.all(outputs.map((y) => y.data()));
      for (const [i, y] of read.entries()) {
        assertEqual(y.subarray(cols, 2 * cols), bias, `${strategies[i]}, ${cols} of ${value}`);
      }
      for (const y of outputs) y.destroy();
    }
  }
  for (const layout of ['channels-first', 'channels-last'] as const) {
    const shape = layout === 'channels-first' ? [2, 4, 9] : [2, 9, 4];
    const x = gpu.tensor(new Float32Array(2 * 4 * 9).fill(10_000.1), shape);
    const { y } = groupNorm(gpu, x, { numGroups: 2, layout });
    assertEqual(await y.data(), new Float32Array(2 * 4 * 9), layout);
  }
}

async function checkEmpty(gpu: Gpu): Promise<void> {
  const weight = gpu.tensor(normal(8), [8]);
  const bias = gpu.tensor(normal(8), [8]);
  const x = gpu.empty([0, 8]);
  const { y, mean, rstd } = layerNorm(gpu, x, { normalizedShape: [8], weight, bias });
  assertEqual(y.shape, [0, 8]);
  assertEqual(mean.shape, [0, 2]);
  assertEqual(rstd.shape, [0]);
  assertEqual((await y.data()).length, 0);
  // Into a tensor that holds something: zeros must be written, and added where gradients accumulate.
  const held = gpu.tensor(new Float32Array(8).fill(3), [8]);
  const options = { normalizedShape: [8], weight, mean, rstd, out: { dweight: held } };
  const { dx, dbias } = layerNormBackward(gpu, x, x, {
    ...options,
    accumulate: true,
    wants: { dbias: false },
  });
  assertEqual(dx.shape, [0, 8]);
  assertEqual(dbias, null);
  assertEqual(await held.data(), new Float32Array(8).fill(3));
  layerNormBackward(gpu, x, x, options);
  assertEqual(await held.data(), new Float32Array(8));

  const image = gpu.empty([0, 8, 4, 4]);
  const group = groupNorm(gpu, image, { numGroups: 2, weight, bias });
  assertEqual(group.y.shape, [0, 8, 4, 4]);
  const gradients = groupNormBackward(gpu, image, image, {
    numGroups: 2,
    weight,
    mean: group.mean,
    rstd: group.rstd,
  });
  assertEqual(await gradients.dweight?.data(), new Float32Array(8));
  assertEqual(await gradients.dbias?.data(), new Float32Array(8));
  assertEqual(instanceNorm(gpu, gpu.empty([2, 3, 0])).y.shape, [2, 3, 0]);

  // Statistics of evaluation do not come from x: they are there for an empty one, too.
  const runningMean = gpu.tensor([1, 2, 3], [3]);
  const running = { training: false, eps: 0, runningMean, runningVar: gpu.tensor([1, 4, 16], [3]) } as const;
  for (const layout of ['channels-first', 'channels-last'] as const) {
    const none = gpu.empty(layout === 'channels-first' ? [0, 3, 5] : [0, 5, 3]);
    const batch = batchNorm(gpu, none, { ...running, layout });
    assertEqual(await batch.mean.data(), [1, 0, 2, 0, 3, 0]);
    assertEqual(await batch.rstd.data(), [1, 0.5, 0.25]);
    batchNorm(gpu, none, { ...running, layout, statistics: false });
  }
  const instances = instanceNorm(gpu, gpu.empty([2, 3, 0]), running);
  assertEqual(await instances.rstd.data(), [1, 0.5, 0.25, 1, 0.5, 0.25]);
  assertEqual(instanceNorm(gpu, gpu.empty([0, 3, 5]), running).rstd.shape, [0, 3]);
}
