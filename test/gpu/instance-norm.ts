/** InstanceNorm's running statistics: training, evaluation, modes, errors. */
import {
  InstanceNorm1d,
  InstanceNorm2d,
  init,
  instanceNorm,
  instanceNormBackward,
  type NormErrorCode,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import {
  instanceNormGeometry,
  normBackwardReference,
  normReference,
  relativeError,
} from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { RunningReference } from '../support/running.ts';
import { bounds } from '../support/tolerances.ts';

const layouts = ['channels-first', 'channels-last'] as const;

async function close(
  tensor: Tensor,
  expected: ArrayLike<number>,
  bound: number,
  name: string,
  scale = expected,
) {
  const error = relativeError(await tensor.data(), expected, scale);
  assert(error <= bound, `${name}: ${error.toExponential(2)} > ${bound}`);
  return error;
}

const accuracy: Case[] = [
  ...layouts.map(
    (layout): Case => ({
      name: `instanceNorm: running statistics, ${layout}`,
      async run({ gpu, note }) {
        let worst = 0;
        for (const [samples, offset, momentum] of [
          [1, 0, 0.1],
          [3, 1e2, 0.1],
          [40, 1e5, 0.3],
          [2, 1e4, 1],
        ] as const) {
          const shape = layout === 'channels-first' ? [samples, 3, 4, 5] : [samples, 4, 5, 3];
          const module = new InstanceNorm2d(gpu, 3, {
            trackRunningStats: true,
            affine: true,
            layout,
            momentum,
          });
          const reference = new RunningReference(3, true);
          for (let step = 0; step < 3; step++) {
            const values = normal(samples * 60, { mean: offset, seed: step + 1, std: step + 1 });
            const x = gpu.tensor(values, shape);
            module.forward(x).destroy();
            x.destroy();
            reference.update(values, shape, layout, momentum);
          }
          const [mean, variance, batches] = [module.runningMean, module.runningVar, module.numBatchesTracked];
          const name = `${samples} samples at ${offset}`;
          worst = Math.max(
            worst,
            await close(mean as Tensor, reference.mean, bounds.forward, `running mean, ${name}`),
            await close(variance as Tensor, reference.variance, bounds.forward, `running variance, ${name}`),
          );
          assertEqual([...(await (batches as Tensor).data())], [0], 'torch does not count either');
          module.destroy();
        }
        note(layout, `running statistics ${worst.toExponential(2)}`);
      },
    }),
  ),
  ...layouts.map(
    (layout): Case => ({
      name: `instanceNorm: evaluation with running statistics, ${layout}`,
      async run({ gpu }) {
        const shape = layout === 'channels-first' ? [2, 3, 4, 5] : [2, 4, 5, 3];
        const geometry = instanceNormGeometry(shape, layout);
        const [x, dy] = [normal(120, { mean: 5 }), normal(120, { seed: 2 })];
        const module = new InstanceNorm2d(gpu, 3, { trackRunningStats: true, affine: true, layout }).eval();
        const [mean, variance] = [
          [5, 4.5, 6],
          [1, 0.5, 2],
        ];
        const [weight, bias] = [
          [1, 2, -1],
          [0, 1, 2],
        ];
        module.runningMean?.write(mean as number[]);
        module.runningVar?.write(variance as number[]);
        module.weight?.data.write(weight as number[]);
        module.bias?.data.write(bias as number[]);
        // One statistic per set, which is a channel of a sample.
        const frozen = {
          mean: [...(mean as number[]), ...(mean as number[])],
          variance: [...(variance as number[]), ...(variance as number[])],
        };
        const options = { eps: 1e-5, kind: 'moments', weight, bias, frozen } as const;
        const { y } = normReference(x, geometry, options);
        const { dx, dweight, dbias, scale } = normBackwardReference(dy, x, geometry, options);
        const input = gpu.tensor(x, shape);
        await close(module.forward(input), y, bounds.forward, 'y');
        await close(module.backward(gpu.tensor(dy, shape)), dx, bounds.backward, 'dx', scale.dx);
        await close(module.weight?.grad as Tensor, dweight, bounds.backward, 'dweight', scale.dweight);
        await close(module.bias?.grad as Tensor, dbias, bounds.backward, 'dbias', scale.dbias);
        assertEqual(
          [...((await module.runningMean?.data()) ?? [])],
          mean as number[],
          'evaluation changes nothing',
        );
        // A single spatial element is no obstacle to evaluation.
        const flat = layout === 'channels-first' ? [2, 3, 1, 1] : [2, 1, 1, 3];
        assertEqual(module.forward(gpu.tensor(normal(6), flat)).shape, flat);
        module.destroy();
      },
    }),
  ),
  {
    name: 'instanceNorm: running statistics of a batch that is walked in parts',
    async run({ device }) {
      const gpu = await init({ device, facts: { maxBindingBytes: 4096 } });
      const shape = [9, 3, 200];
      const values = normal(9 * 600, { mean: 10 });
      const reference = new RunningReference(3, true);
      reference.update(values, shape, 'channels-first', 0.1);
      const module = new InstanceNorm1d(gpu, 3, { trackRunningStats: true });
      module.forward(gpu.tensor(values, shape));
      await close(module.runningMean as Tensor, reference.mean, bounds.forward, 'running mean');
      await close(module.runningVar as Tensor, reference.variance, bounds.forward, 'running variance');
      gpu.destroy();
    },
  },
];

const behaviour: Case[] = [
  {
    name: 'instanceNorm: modes of its running statistics',
    async run({ gpu }) {
      const x = gpu.tensor(normal(2 * 3 * 8, { mean: 3 }), [2, 3, 8]);
      const read = async (module: InstanceNorm1d) => [...((await module.runningMean?.data()) ?? [])];
      // As PyTorch: without a momentum nothing is updated.
      const still = new InstanceNorm1d(gpu, 3, { trackRunningStats: true, momentum: null });
      still.forward(x);
      assertEqual(await read(still), [0, 0, 0]);
      const untracked = new InstanceNorm1d(gpu, 3);
      assertEqual(untracked.runningMean, null);
      assertEqual([...untracked.stateDict().keys()], []);
      const [trained, evaluated] = [untracked.forward(x), untracked.eval().forward(x)];
      assertEqual([...(await trained.data())], [...(await evaluated.data())], 'always its own statistics');
      const unbatched = new InstanceNorm1d(gpu, 3, { trackRunningStats: true });
      unbatched.forward(gpu.tensor(normal(24, { mean: 3 }), [3, 8]));
      assert(
        (await read(unbatched)).every((value) => Math.abs(value - 0.3) < 0.2),
        'an unbatched input counts',
      );
      assertEqual([...unbatched.stateDict().keys()], ['running_mean', 'running_var', 'num_batches_tracked']);
      unbatched.resetRunningStats();
      assertEqual(await read(unbatched), [0, 0, 0]);

      // As PyTorch: not tracking, it uses its input in evaluation too, and what it has is updated all the same.
      const flipped = new InstanceNorm1d(gpu, 3, { trackRunningStats: true });
      const out = gpu.empty([2, 3, 8]);
      flipped.eval().forward(x, { out });
      assert((await out.data())[0] !== (await trained.data())[0], 'evaluation with the running statistics');
      flipped.trackRunningStats = false;
      flipped.forward(x, { out });
      assertEqual(await out.data(), await trained.data(), 'evaluation that does not track');
      const once = await read(flipped);
      flipped.trackRunningStats = true; // else a reset leaves them alone
      flipped.resetRunningStats();
      flipped.trackRunningStats = false;
      flipped.train().forward(x, { out });
      assert((once[0] as number) > 0, 'an update in evaluation');
      assertEqual(await read(flipped), once, 'an update in training');
    },
  },
  {
    name: 'instanceNorm: what cannot be leaves running statistics alone',
    async run({ gpu }) {
      const runningMean = gpu.zeros([3]);
      const runningVar = gpu.tensor([1, 1, 1], [3]);
      const running = { runningMean, runningVar };
      const x = gpu.tensor(normal(48), [2, 3, 8]);
      await throws('value', () => instanceNorm(gpu, x, { training: false }));
      await throws('value', () => instanceNorm(gpu, x, { runningMean }));
      await throws('value', () => instanceNorm(gpu, x, { runningVar, training: false }));
      await throws('value', () => instanceNorm(gpu, x, { ...running, momentum: Number.NaN }));
      await throws('shape', () => instanceNorm(gpu, x, { ...running, runningVar: gpu.zeros([4]) }));
      await throws('shape', () => instanceNorm(gpu, gpu.zeros([2, 3, 1]), running));
      await throws('aliasing', () => instanceNorm(gpu, x, { runningMean, runningVar: runningMean }));
      await throws('value', () => instanceNorm(gpu, x, { ...running, schedule: { strategy: 'thread' } }));
      const { mean, rstd } = instanceNorm(gpu, x, { ...running, training: false });
      await throws('shape', () =>
        instanceNormBackward(gpu, gpu.zeros([2, 3, 7]), x, { mean, rstd, training: false }),
      );
      assertEqual([...(await runningMean.data())], [0, 0, 0]);
      assertEqual([...(await runningVar.data())], [1, 1, 1]);
    },
  },
];

const throws = (code: NormErrorCode, body: () => unknown) => assertThrows(body, { code, fix: /./ });

export const cases: Case[] = [...accuracy, ...behaviour];
