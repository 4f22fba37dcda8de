/** What a running variance is made of, and the variance as a result: unbiased (PyTorch) or biased (ONNX, Keras, Flax). */
import { LocalProcessGroup, SyncBatchNorm, syncBatchNorm } from '../../src/distributed/index.ts';
import {
  BatchNorm1d,
  BatchNorm2d,
  batchNorm,
  batchNormBackward,
  type ForwardResult,
  type Gpu,
  InstanceNorm1d,
  instanceNorm,
  layerNorm,
  type RunningVariance,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertClose, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { batchNormGeometry, instanceNormGeometry, type Layout, setSize } from '../reference/geometry.ts';
import { normReference } from '../reference/norm.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';

const norms = { batchNorm, instanceNorm } as const;

/** Where 1/rstd² − eps loses the variance, N = 1, far offsets, magnitudes whose squares f32 has no room for. */
const inputs: { shape: number[]; layout: Layout; mean: number; std: number; eps: number }[] = [
  { shape: [6, 3, 5], layout: 'channels-first', mean: 0.5, std: 1e-4, eps: 1e-3 },
  { shape: [6, 5, 8], layout: 'channels-last', mean: -3, std: 1e-4, eps: 1e-3 },
  { shape: [1, 4, 40], layout: 'channels-first', mean: 0, std: 2, eps: 1e-5 },
  { shape: [1, 7, 3], layout: 'channels-last', mean: 1e4, std: 1, eps: 1e-5 },
  { shape: [3, 2, 700], layout: 'channels-first', mean: 0, std: 1e17, eps: 1e-5 },
  { shape: [2, 300, 5], layout: 'channels-last', mean: 0, std: 1e-15, eps: 1e-5 },
];

/** The biased variances of x in float64, by set, and how many elements a set has. */
function variancesOf(norm: keyof typeof norms, x: Float32Array, shape: number[], layout: Layout) {
  const geometry = (norm === 'batchNorm' ? batchNormGeometry : instanceNormGeometry)(shape, layout);
  const { rstd } = normReference(x, geometry, { eps: 0, kind: 'moments' });
  const { samples, channels } = geometry;
  const variances = Float64Array.from(rstd, (value) => value ** -2);
  const averages = Float64Array.from({ length: channels }, (_, channel) => {
    let total = 0;
    for (let sample = 0; sample < samples; sample++)
      total += variances[sample * channels + channel] as number;
    return total / samples;
  });
  return { variances, averages, count: setSize(geometry) };
}

const statistics = (gpu: Gpu, channels: number) => ({
  runningMean: gpu.zeros([channels]),
  runningVar: gpu.tensor(new Float32Array(channels).fill(1), [channels]),
});

export const cases: Case[] = [
  {
    name: 'conventions: the running variance is unbiased or biased, and the variance a result, against float64',
    async run({ gpu, note }) {
      let worst = 0;
      for (const [name, norm] of Object.entries(norms) as [keyof typeof norms, typeof batchNorm][]) {
        for (const [i, { shape, layout, mean, std, eps }] of inputs.entries()) {
          const values = normal(
            shape.reduce((a, b) => a * b),
            { mean, std, seed: i + 1 },
          );
          const x = gpu.tensor(values, shape);
          const { variances, averages, count } = variancesOf(name, values, shape, layout);
          const what = `${name} [${shape}] ${layout}`;
          const call = (options: object): ForwardResult =>
            norm(gpu, x, { layout, eps, ...(norm === batchNorm ? { training: true } : {}), ...options });
          const plain = call({ variance: true });
          worst = Math.max(
            worst,
            assertClose(await (plain.variance as Tensor).data(), variances, 1e-6, 'relative', what),
          );
          assertEqual(call({}).variance, undefined, `${what}: not asked for`);
          const alone = call({ variance: true, statistics: false });
          assertEqual(alone.rstd, null, `${what}: without statistics`);
          assertEqual(await (alone.variance as Tensor).data(), await (plain.variance as Tensor).data(), what);
          for (const [runningVariance, factor] of [
            ['unbiased', count / (count - 1)],
            ['biased', 1],
          ] as [RunningVariance, number][]) {
            // momentum 1 leaves nothing of the old one, in which a small variance would not show.
            for (const momentum of [1, 0.1]) {
              const running = statistics(gpu, averages.length);
              const variance = gpu.empty(plain.rstd.shape);
              const result = call({ ...running, runningVariance, momentum, out: { variance } });
              const expected = averages.map((one) => 1 - momentum + momentum * one * factor);
              assertClose(
                await running.runningVar.data(),
                expected,
                1e-6,
                'relative',
                `${what} ${runningVariance}`,
              );
              assert(result.variance === variance, 'out');
              assertClose(
                await variance.data(),
                variances,
                1e-6,
                'relative',
                `${what} beside ${runningVariance}`,
              );
              const asEver = statistics(gpu, averages.length);
              call({ ...asEver, momentum });
              const same =
                (await asEver.runningVar.data()).join() === (await running.runningVar.data()).join();
              assert(same || runningVariance === 'biased', `${what}: the default is unbiased`);
            }
          }
        }
      }
      note('worst relative error of a variance', worst.toExponential(1));
    },
  },
  {
    name: 'conventions: modules and their evaluation follow runningVariance',
    async run({ gpu }) {
      const shape = [4, 2, 3];
      const values = normal(24, { mean: 1, std: 1e-4, seed: 5 });
      const x = gpu.tensor(values, shape);
      const [alone] = LocalProcessGroup.create(1) as [LocalProcessGroup];
      const options = { runningVariance: 'biased', eps: 1e-3, momentum: 1 } as const;
      for (const norm of [
        new BatchNorm1d(gpu, 2, options),
        new SyncBatchNorm(gpu, 2, { ...options, group: alone }),
        new InstanceNorm1d(gpu, 2, { ...options, trackRunningStats: true }),
        new BatchNorm1d(gpu, 2, { ...options, momentum: null }),
      ]) {
        const what = norm.constructor.name;
        assertEqual(norm.runningVariance, 'biased', what);
        const name = norm instanceof InstanceNorm1d ? 'instanceNorm' : 'batchNorm';
        const { averages } = variancesOf(name, values, shape, 'channels-first');
        norm.forward(x);
        assertClose(await (norm.runningVar as Tensor).data(), averages, 1e-6, 'relative', what);
        norm.eval();
        const mean = await (norm.runningMean as Tensor).data();
        const y = await (norm.forward(x) as Tensor).data();
        const expected = values.map((value, i) => {
          const channel = Math.floor(i / 3) % 2;
          return (value - (mean[channel] as number)) / Math.sqrt((averages[channel] as number) + 1e-3);
        });
        assertClose(y, expected, 1e-6, 'absolute', `${what} in evaluation`);
        norm.destroy();
      }
      assertEqual(new BatchNorm2d(gpu, 2).runningVariance, 'unbiased');
    },
  },
  {
    name: 'conventions: over ranks the variance is that of all',
    async run({ gpu }) {
      const values = normal(48, { mean: 2, std: 1e-4, seed: 6 });
      const { variances, count } = variancesOf('batchNorm', values, [8, 2, 3], 'channels-first');
      for (const [runningVariance, factor] of [
        ['biased', 1],
        ['unbiased', count / (count - 1)],
      ] as const) {
        const groups = LocalProcessGroup.create(2);
        await Promise.all(
          groups.map(async (group, rank) => {
            const x = gpu.tensor(values.slice(24 * rank, 24 * (rank + 1)), [4, 2, 3]);
            const running = statistics(gpu, 2);
            const options = {
              ...running,
              runningVariance,
              variance: true,
              momentum: 1,
              training: true,
              group,
            };
            const { variance } = await syncBatchNorm(gpu, x, options);
            assertClose(await (variance as Tensor).data(), variances, 1e-6, 'relative');
            const expected = variances.map((value) => value * factor);
            assertClose(await running.runningVar.data(), expected, 1e-6, 'relative', runningVariance);
          }),
        );
      }
    },
  },
  {
    name: 'conventions: what has no variance, and names that there are not',
    async run({ gpu }) {
      const x = gpu.tensor(normal(24), [4, 2, 3]);
      const one = gpu.tensor([1, 2], [1, 2]);
      const running = statistics(gpu, 2);
      const wrong = { runningVariance: 'population' as RunningVariance };
      refuses(gpu, 'value', () => batchNorm(gpu, x, { ...running, training: true, ...wrong }));
      refuses(gpu, 'value', () => instanceNorm(gpu, x, { ...running, ...wrong }));
      refuses(gpu, 'value', () => new BatchNorm1d(gpu, 2, wrong));
      refuses(gpu, 'value', () => batchNorm(gpu, x, { ...running, variance: true }));
      const variance = gpu.zeros([2]);
      refuses(gpu, 'value', () => batchNorm(gpu, x, { ...running, out: { variance } }));
      refuses(gpu, 'value', () => instanceNorm(gpu, x, { ...running, training: false, variance: true }));
      refuses(gpu, 'value', () => layerNorm(gpu, x, { normalizedShape: 3, out: { variance } }));
      refuses(gpu, 'shape', () => instanceNorm(gpu, x, { out: { variance } }));
      for (const runningVariance of ['unbiased', 'biased'] as const) {
        refuses(gpu, 'shape', () => batchNorm(gpu, one, { ...running, training: true, runningVariance }));
      }
      assertEqual(await running.runningVar.data(), [1, 1], 'nothing is changed');
      const constant = gpu.tensor(new Float32Array(24).fill(1e30), [4, 2, 3]);
      const still = batchNorm(gpu, constant, { training: true, out: { variance } });
      assertEqual(await variance.data(), [0, 0], 'of what is constant');
      const { dx } = batchNormBackward(gpu, x, constant, { ...still });
      assertEqual(dx.shape, x.shape, "all of forward's result can be spread into backward's options");
      await assertThrows(() => new BatchNorm1d(gpu, 2, { running_variance: 'biased' } as object), {
        code: 'value',
        message: /Did you mean 'runningVariance'/,
      });
    },
  },
];
