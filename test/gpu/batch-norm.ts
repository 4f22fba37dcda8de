/** BatchNorm: accuracy in training and evaluation, running statistics, modes, errors. */
import {
  type BatchNorm,
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  type BatchNormModuleOptions,
  batchNorm,
  batchNormBackward,
  type FloatDType,
  type Gpu,
  init,
  LayerNorm,
  type Layout,
  layerNorm,
  type ScheduleOptions,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case, Requirement } from '../harness/case.ts';
import {
  batchNormGeometry,
  normBackwardReference,
  normReference,
  relativeError,
} from '../reference/index.ts';
import { normal, withElement } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { RunningReference } from '../support/running.ts';
import { asOnGpu, type DataOptions, type Subject, summary, verifyAll } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

const offsets = [0, 1e2, 1e4, 1e5];

/** Two to five dimensions; planes, single samples, single channels, runs with and without tails. */
const shapes: Omit<Subject, 'op'>[] = [
  { shape: [9, 5] },
  { shape: [70, 8] },
  { shape: [2, 1] },
  { shape: [4, 3, 17] },
  { shape: [6, 2, 130] },
  { shape: [3, 8, 5, 7] },
  { shape: [2, 8, 4, 4] },
  { shape: [3, 8, 8, 8] },
  { shape: [9, 5, 2, 3] },
  { shape: [20, 8, 4, 4] },
  { shape: [2, 5, 9, 9] },
  { shape: [2, 3, 3, 4, 5] },
  { shape: [5, 1, 6, 6] },
  { shape: [1, 6, 9, 10] },
  { shape: [1, 1, 8, 8] },
  { shape: [300, 3, 2, 2] },
  { shape: [4, 17, 3], layout: 'channels-last' },
  { shape: [3, 5, 7, 8], layout: 'channels-last' },
  { shape: [2, 3, 4, 5, 6], layout: 'channels-last' },
  { shape: [1, 9, 10, 2], layout: 'channels-last' },
  { shape: [2, 4, 8, 3], layout: 'channels-last' },
];

const ways: { name: string; schedule: ScheduleOptions; requires: Requirement[] }[] = [
  { name: 'chosen', schedule: {}, requires: [] },
  {
    name: 'portable',
    schedule: { reduction: 'portable', workgroup: 32, lanes: 8, splits: 3 },
    requires: [],
  },
  {
    name: 'subgroups',
    schedule: { reduction: 'subgroups', workgroup: 32, lanes: 32, splits: 2 },
    requires: ['subgroups'],
  },
  { name: 'scalar', schedule: { workgroup: 8, lanes: 1, splits: 5, vec4: false }, requires: [] },
];

const modes = [false, true].map((evaluation) => ({
  evaluation,
  mode: evaluation ? 'evaluation' : 'training',
}));

type Datum = Subject & { data?: DataOptions };

const accuracy: Case[] = [
  ...modes.flatMap(({ evaluation, mode }) =>
    ways.map(
      ({ name, schedule, requires }): Case => ({
        name: `batchNorm: ${mode}, ${name}`,
        requires,
        async run(t) {
          const list = shapes.flatMap((shape): Datum[] =>
            [...offsets.map((offset) => ({ offset })), { outlier: true }, { dyMean: 1 }].map((data) => ({
              op: 'batchNorm',
              ...shape,
              evaluation,
              schedule,
              data,
            })),
          );
          t.note(`${mode}, ${name}`, summary(await verifyAll(t.gpu, list)));
        },
      }),
    ),
  ),
  ...(['f16', 'f32'] as const).map(
    (paramDtype): Case => ({
      name: `batchNorm: f16 with ${paramDtype} parameters`,
      async run(t) {
        const some = shapes.filter((_, index) => index % 3 === 0);
        const list = some.flatMap((shape): Datum[] =>
          modes.flatMap(({ evaluation }) =>
            [0, 10].map((offset) => ({
              op: 'batchNorm',
              ...shape,
              dtype: 'f16',
              paramDtype,
              evaluation,
              data: { offset },
            })),
          ),
        );
        t.note(`f16/${paramDtype}`, summary(await verifyAll(t.gpu, list)));
      },
    }),
  ),
  {
    name: 'batchNorm: without parameters, other eps',
    async run(t) {
      const list = modes.flatMap(({ evaluation }): Datum[] => [
        { op: 'batchNorm', shape: [3, 4, 5, 6], affine: false, evaluation },
        { op: 'batchNorm', shape: [3, 5, 6, 4], layout: 'channels-last', affine: false, evaluation },
        { op: 'batchNorm', shape: [20, 6], eps: 0.5, evaluation },
        { op: 'batchNorm', shape: [3, 4, 5, 6], eps: evaluation ? 0 : 1e-12, evaluation },
        // A single value per channel is no obstacle to evaluation.
        ...(evaluation
          ? (
              [
                [1, 5],
                [1, 1],
                [1, 3, 1, 1],
              ] as const
            ).map((shape): Datum => ({ op: 'batchNorm', shape, evaluation }))
          : []),
      ]);
      t.note('variants', summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: 'batchNorm: large batches, and as a GPU would run them',
    timeout: 120_000,
    async run(t) {
      const large: Subject[] = [
        { op: 'batchNorm', shape: [16_384, 1, 3, 3] },
        { op: 'batchNorm', shape: [65_536, 1, 2] },
        { op: 'batchNorm', shape: [1100, 1, 8, 8] },
        { op: 'batchNorm', shape: [50, 13, 7, 7] },
        { op: 'batchNorm', shape: [1000, 2, 5] },
        { op: 'batchNorm', shape: [2, 1, 200, 210] },
        { op: 'batchNorm', shape: [20_000, 3] },
        { op: 'batchNorm', shape: [2, 100, 101, 3], layout: 'channels-last' },
      ];
      const list = large.flatMap((subject): Datum[] => [
        ...[0, 1e5].map((offset) => ({ ...subject, data: { offset, dyMean: offset ? 100 : 1 } })),
        { ...subject, evaluation: true, data: { offset: 10, dyMean: 1 } },
      ]);
      t.note('large', summary(await verifyAll(t.gpu, list)));
      const small = shapes.flatMap((shape): Datum[] =>
        modes.map(({ evaluation }) => ({ op: 'batchNorm', ...shape, evaluation, data: { offset: 1e4 } })),
      );
      await asOnGpu(t.device, async (gpu) => {
        t.note('large, as a GPU', summary(await verifyAll(gpu, list)));
        t.note('small, as a GPU', summary(await verifyAll(gpu, small)));
      });
    },
  },
];

const Modules = { 2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d, 5: BatchNorm3d } as const;
const moduleFor = (gpu: Gpu, shape: readonly number[], options: BatchNormModuleOptions = {}) => {
  const channels = shape[options.layout === 'channels-last' ? shape.length - 1 : 1] as number;
  return new Modules[shape.length as 2 | 3 | 4 | 5](gpu, channels, options);
};

const runningOf = async (module: BatchNorm) => {
  const tensors = [module.runningMean, module.runningVar, module.numBatchesTracked] as Tensor[];
  const [mean, variance, batches] = await Promise.all(tensors.map((tensor) => tensor.data()));
  return { mean, variance, batches: batches?.[0] } as {
    mean: Float32Array;
    variance: Float32Array;
    batches: number;
  };
};

const running: Case[] = [
  {
    name: 'batchNorm: running statistics after one and five batches',
    async run(t) {
      const inputs: { shape: number[]; layout: Layout }[] = [
        { shape: [6, 5], layout: 'channels-first' },
        { shape: [3, 5, 7], layout: 'channels-first' },
        { shape: [1, 3, 4, 4], layout: 'channels-first' },
        { shape: [2, 3, 2, 3, 4], layout: 'channels-first' },
        { shape: [2, 5, 5, 3], layout: 'channels-last' },
      ];
      let worst = 0;
      for (const momentum of [0.1, 0, 1, null, -1.2]) {
        for (const { shape, layout } of inputs) {
          for (const offset of [0, 1e4]) {
            const [module, twin] = [0, 1].map(() => moduleFor(t.gpu, shape, { momentum, layout }));
            assert(module && twin);
            const expected = new RunningReference(module.numFeatures);
            for (let step = 1; step <= 5; step++) {
              const count = shape.reduce((product, size) => product * size, 1);
              const values = normal(count, { mean: offset + step, std: step, seed: step });
              expected.update(values, shape, layout, momentum);
              const x = t.gpu.tensor(values, shape);
              for (const one of [module, twin]) one.forward(x).destroy();
              x.destroy();
              if (step !== 1 && step !== 5) continue;
              const found = await runningOf(module);
              const what = `momentum ${momentum}, [${shape}], offset ${offset}, step ${step}`;
              assertEqual(found.batches, step, what);
              const errors = [
                relativeError(found.mean, expected.mean, expected.scale.mean),
                relativeError(found.variance, expected.variance, expected.scale.variance),
              ];
              for (const error of errors) assert(error <= bounds.forward, `${what}: ${error}`);
              worst = Math.max(worst, ...errors);
              const again = await runningOf(twin);
              assertEqual(again.mean, found.mean, `${what}, twice`);
              assertEqual(again.variance, found.variance, `${what}, twice`);
              if (momentum === 0) {
                assertEqual(found.mean, new Float32Array(module.numFeatures), what);
                assertEqual(found.variance, new Float32Array(module.numFeatures).fill(1), what);
              }
            }
            for (const one of [module, twin]) one.destroy();
          }
        }
      }
      t.note('running statistics', worst.toExponential(2));
    },
  },
  {
    name: 'batchNorm: f16 inputs update f32 running statistics',
    async run(t) {
      for (const dtype of ['f16', 'f32'] as FloatDType[]) {
        const module = new BatchNorm2d(t.gpu, 3, { dtype });
        const x = t.gpu.tensor(normal(120, { mean: 3 }), [2, 3, 4, 5], { dtype: 'f16' });
        const expected = new RunningReference(3);
        expected.update(await x.data(), x.shape, 'channels-first', 0.1);
        module.forward(x);
        const found = await runningOf(module);
        assert(relativeError(found.mean, expected.mean) <= bounds.forward);
        assert(relativeError(found.variance, expected.variance) <= bounds.forward);
        module.destroy();
      }
    },
  },
  {
    name: 'batchNorm: an empty batch is counted and changes nothing else',
    async run(t) {
      const check = async (gpu: Gpu) => {
        for (const layout of ['channels-first', 'channels-last'] as const) {
          const module = new BatchNorm2d(gpu, 3, { layout });
          module.runningMean?.write([1, 2, 3]);
          const shape = layout === 'channels-first' ? [0, 3, 2, 2] : [0, 2, 2, 3];
          const x = gpu.zeros(shape);
          const y = module.forward(x);
          assertEqual(y.shape, shape);
          const dx = module.backward(y);
          assertEqual(dx.shape, shape);
          assertEqual(await module.weight?.grad?.data(), new Float32Array(3));
          assertEqual(await module.bias?.grad?.data(), new Float32Array(3));
          const { mean, variance, batches } = await runningOf(module);
          assertEqual(mean, [1, 2, 3]);
          assertEqual(variance, [1, 1, 1]);
          assertEqual(batches, 1);
          assertEqual(module.eval().forward(x).shape, shape);
          assertEqual((await runningOf(module)).batches, 1);
          module.destroy();
        }
      };
      await check(t.gpu);
      await asOnGpu(t.device, check);
    },
  },
  {
    name: 'batchNorm: training, evaluation, and without running statistics',
    async run(t) {
      const { gpu } = t;
      const shape = [4, 3, 5];
      const geometry = batchNormGeometry(shape, 'channels-first');
      const values = normal(60, { mean: 2 });
      const x = gpu.tensor(values, shape);
      const ofBatch = normReference(values, geometry, { eps: 1e-5, kind: 'moments' }).y;
      const close = async (y: Tensor, expected: Float64Array, what: string) => {
        const error = relativeError(await y.data(), expected);
        assert(error <= bounds.forward, `${what}: ${error}`);
      };
      const module = new BatchNorm1d(gpu, 3);
      assertEqual(module.training, true);
      await close(module.forward(x), ofBatch, 'training');
      module.eval();
      assertEqual(module.training, false);
      const { mean, variance, batches } = await runningOf(module);
      const frozen = { mean, variance };
      const ofRunning = normReference(values, geometry, { eps: 1e-5, kind: 'moments', frozen }).y;
      await close(module.forward(x), ofRunning, 'evaluation');
      assertEqual((await runningOf(module)).mean, mean, 'evaluation changes no running statistic');
      assertEqual((await runningOf(module)).batches, batches);

      // As PyTorch: switched off later, training leaves them alone and evaluation still uses them.
      module.train();
      module.trackRunningStats = false;
      await close(module.forward(x), ofBatch, 'training, switched off');
      assertEqual((await runningOf(module)).mean, mean, 'switched off');
      assertEqual((await runningOf(module)).batches, 1, 'switched off');
      await close(module.eval().forward(x), ofRunning, 'evaluation, switched off');
      module.resetRunningStats();
      assertEqual((await runningOf(module)).mean, mean, 'switched off, a reset leaves them alone');
      module.trackRunningStats = true;
      module.resetRunningStats();
      const reset = await runningOf(module);
      assertEqual([...reset.mean, ...reset.variance, reset.batches], [0, 0, 0, 1, 1, 1, 0]);
      await close(
        module.forward(x),
        Float64Array.from(values, (v) => v / Math.sqrt(1 + 1e-5)),
        'after reset',
      );

      const untracked = new BatchNorm1d(gpu, 3, { trackRunningStats: false, affine: false });
      assertEqual(
        [untracked.runningMean, untracked.runningVar, untracked.numBatchesTracked, untracked.weight],
        [null, null, null, null],
      );
      await close(untracked.forward(x), ofBatch, 'untracked, training');
      await close(untracked.eval().forward(x), ofBatch, 'untracked, evaluation');
      const single = gpu.zeros([1, 3]);
      refuses(gpu, 'shape', () => untracked.forward(single));
      untracked.train(false).resetRunningStats();
      for (const one of [module, untracked]) one.destroy();

      const weightOnly = new BatchNorm1d(gpu, 3, { bias: false });
      assertEqual(
        weightOnly.namedParameters().map(([name]) => name),
        ['weight'],
      );
      await close(weightOnly.forward(x), ofBatch, 'weight only');
      weightOnly.backward(x).destroy();
      assert(weightOnly.weight?.grad);
      weightOnly.destroy();
    },
  },
  {
    name: 'batchNorm: modules accumulate gradients of the mode they ran in',
    async run(t) {
      const { gpu } = t;
      const shape = [3, 4, 2, 5];
      const geometry = batchNormGeometry(shape, 'channels-first');
      const values = normal(120, { mean: 1 });
      const dyValues = normal(120, { seed: 2, mean: 1 });
      const [x, dy] = [gpu.tensor(values, shape), gpu.tensor(dyValues, shape)];
      const module = new BatchNorm2d(gpu, 4);
      const weight = normal(4, { seed: 3 });
      module.weight?.data.write(weight);
      module.forward(x);
      // The statistics that backward uses are forward's, whatever becomes of the mode and of the running ones.
      module.eval().resetRunningStats();
      const dx = module.backward(dy);
      const options = { eps: 1e-5, kind: 'moments', weight } as const;
      const trained = normBackwardReference(dyValues, values, geometry, options);
      assert(relativeError(await dx.data(), trained.dx, trained.scale.dx) <= bounds.backward, 'dx');
      module.forward(x);
      module.resetRunningStats();
      const dxEval = module.backward(dy);
      const frozen = { mean: new Float32Array(4), variance: new Float32Array(4).fill(1) };
      const evaluated = normBackwardReference(dyValues, values, geometry, { ...options, frozen });
      assert(relativeError(await dxEval.data(), evaluated.dx, evaluated.scale.dx) <= bounds.backward, 'dx');
      for (const name of ['dweight', 'dbias'] as const) {
        const parameter = name === 'dweight' ? module.weight : module.bias;
        const sum = trained[name].map((value, i) => value + (evaluated[name][i] as number));
        const error = relativeError((await parameter?.grad?.data()) ?? [], sum, trained.scale[name]);
        assert(error <= bounds.backward, `${name}: ${error}`);
      }
      module.destroy();
    },
  },
  {
    name: "batchNorm: in the caller's encoder and pass, twice before a submit",
    async run(t) {
      const { gpu, device } = t;
      const shape = [2, 3, 4, 4];
      const x = gpu.tensor(normal(96, { mean: 5 }), shape);
      const module = new BatchNorm2d(gpu, 3, { momentum: null });
      await module.prepare(shape);
      assert(module.workspaceBytes(shape) > 0);
      const encoder = device.createCommandEncoder();
      const y = module.forward(x, { encoder });
      const pass = encoder.beginComputePass();
      const again = module.forward(x, { pass });
      pass.end();
      assertEqual((await runningOf(module)).batches, 0, 'nothing was submitted');
      device.queue.submit([encoder.finish()]);
      const { mean, batches } = await runningOf(module);
      assertEqual(batches, 2);
      assertEqual(await again.data(), await y.data());
      const twin = new BatchNorm2d(gpu, 3, { momentum: 1 });
      twin.forward(x);
      assert(relativeError(mean, Float64Array.from((await runningOf(twin)).mean)) <= bounds.forward);
      module.destroy();
      twin.destroy();
    },
  },
];

const isolation: Case[] = [
  {
    name: 'batchNorm: NaN and infinities stay in their own channel',
    async run(t) {
      for (const layout of ['channels-first', 'channels-last'] as const) {
        const shape = layout === 'channels-first' ? [4, 3, 5] : [4, 5, 3];
        const channelOf = (i: number) => (layout === 'channels-first' ? Math.floor(i / 5) % 3 : i % 3);
        const clean = normal(60);
        const dyValues = normal(60, { seed: 2 });
        const runOn = async (values: Float32Array) => {
          const module = moduleFor(t.gpu, shape, { layout });
          const [x, dy] = [t.gpu.tensor(values, shape), t.gpu.tensor(dyValues, shape)];
          const y = await module.forward(x).data();
          const dx = await module.backward(dy).data();
          const dweight = (await module.weight?.grad?.data()) as Float32Array;
          const found = { y, dx, dweight, ...(await runningOf(module)) };
          module.destroy();
          return found;
        };
        const sound = await runOn(clean);
        const at = 31;
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const broken = await runOn(withElement(clean, at, value));
          const others = (a: Float32Array) => a.filter((_, i) => channelOf(i) !== channelOf(at));
          const beside = (a: Float32Array) => a.filter((_, channel) => channel !== channelOf(at));
          assertEqual(others(broken.y), others(sound.y), `y, ${value}`);
          assertEqual(others(broken.dx), others(sound.dx), `dx, ${value}`);
          for (const name of ['dweight', 'mean', 'variance'] as const) {
            assertEqual(beside(broken[name]), beside(sound[name]), `${name}, ${value}`);
          }
          if (!Number.isNaN(value)) continue;
          assert(broken.y.every((y, i) => channelOf(i) !== channelOf(at) || Number.isNaN(y)));
          assert(Number.isNaN(broken.mean[channelOf(at)]) && Number.isNaN(broken.variance[channelOf(at)]));
        }
      }
    },
  },
  {
    name: 'batchNorm: in evaluation dx does not depend on x',
    async run(t) {
      for (const layout of ['channels-first', 'channels-last'] as const) {
        for (const samples of [1, 4]) {
          const shape = layout === 'channels-first' ? [samples, 3, 5] : [samples, 5, 3];
          const module = moduleFor(t.gpu, shape, { layout }).eval();
          const dy = t.gpu.tensor(normal(15 * samples, { seed: 2 }), shape);
          const dxOf = (values: Float32Array) => {
            module.forward(t.gpu.tensor(values, shape)).destroy();
            return module.backward(dy).data();
          };
          const clean = normal(15 * samples);
          const broken = withElement(withElement(clean, 7, Number.NaN), 2, Number.POSITIVE_INFINITY);
          assertEqual(await dxOf(broken), await dxOf(clean), `[${shape}]`);
          module.destroy();
        }
      }
    },
  },
  {
    name: 'batchNorm: a constant channel gives exactly bias',
    async run(t) {
      for (const value of [0, 5, 123.456, -300.1, 10_000.1, 1e6]) {
        for (const layout of ['channels-first', 'channels-last'] as const) {
          for (const spatial of [[], [7], [8, 8]]) {
            const shape = layout === 'channels-first' ? [33, 3, ...spatial] : [33, ...spatial, 3];
            const count = shape.reduce((product, size) => product * size, 1);
            const bias = normal(3, { seed: 3 });
            const inner = layout === 'channels-first' ? count / 99 : 1;
            const channelOf = (i: number) => Math.floor(i / inner) % 3;
            const values = normal(count).map((v, i) => (channelOf(i) === 1 ? value : v));
            const x = t.gpu.tensor(values, shape);
            const tensors = { weight: t.gpu.tensor(normal(3), [3]), bias: t.gpu.tensor(bias, [3]) };
            const { y } = batchNorm(t.gpu, x, { training: true, layout, ...tensors });
            const found = (await y.data()).filter((_, i) => channelOf(i) === 1);
            assertEqual(
              found,
              new Float32Array(found.length).fill(bias[1] as number),
              `${value}, [${shape}]`,
            );
            for (const tensor of [x, y, ...Object.values(tensors)]) tensor.destroy();
          }
        }
      }
    },
  },
];

const errors: Case[] = [
  {
    name: 'batchNorm: errors leave running statistics as they were',
    async run({ gpu }) {
      const x = gpu.tensor(normal(24), [2, 3, 4]);
      const [three, four] = [gpu.zeros([3]), gpu.zeros([4])];
      const stats = () => ({
        runningMean: gpu.zeros([3]),
        runningVar: gpu.tensor([1, 1, 1], [3]),
        numBatchesTracked: gpu.zeros([], { dtype: 'u32' }),
      });
      const own = stats();
      const training = true;
      const single = gpu.zeros([1, 3]);
      const pixel = gpu.zeros([1, 3, 1, 1]);
      refuses(gpu, 'shape', () => batchNorm(gpu, three, { training }));
      refuses(gpu, 'shape', () => batchNorm(gpu, single, { training, ...own }));
      refuses(gpu, 'shape', () => batchNorm(gpu, pixel, { training, ...own }));
      const noChannels = gpu.zeros([2, 0]);
      refuses(gpu, 'shape', () => batchNorm(gpu, noChannels, { training }));
      refuses(gpu, 'value', () => batchNorm(gpu, x));
      for (const mode of [true, false]) {
        const { runningMean, runningVar, numBatchesTracked } = own;
        refuses(gpu, 'value', () => batchNorm(gpu, x, { training: mode, runningMean }));
        refuses(gpu, 'value', () => batchNorm(gpu, x, { training: mode, runningVar }));
        refuses(gpu, 'value', () => batchNorm(gpu, x, { training: mode, numBatchesTracked }));
        for (const name of ['runningMean', 'runningVar'] as const) {
          refuses(gpu, 'shape', () => batchNorm(gpu, x, { training: mode, ...own, [name]: four }));
        }
        refuses(gpu, 'shape', () => batchNorm(gpu, x, { training: mode, ...own, weight: four }));
        refuses(gpu, 'shape', () => batchNorm(gpu, x, { training: mode, ...own, bias: four }));
        refuses(gpu, 'value', () => batchNorm(gpu, x, { training: mode, ...own, eps: -1e-5 }));
        refuses(gpu, 'value', () => batchNorm(gpu, x, { training: mode, ...own, eps: Number.NaN }));
        refuses(gpu, 'value', () =>
          batchNorm(gpu, x, { training: mode, ...own, layout: 'NHWC' as 'channels-last' }),
        );
        const again = gpu.wrap(own.runningVar.buffer, [3]);
        refuses(gpu, 'aliasing', () =>
          batchNorm(gpu, x, { training: mode, ...own, weight: again, out: { rstd: again } }),
        );
        const out = { mean: gpu.zeros([3, 2]), rstd: own.runningVar };
        refuses(gpu, 'aliasing', () => batchNorm(gpu, x, { training: mode, ...own, out }));
      }
      refuses(gpu, 'value', () => batchNorm(gpu, x, { training, ...own, eps: 0 }));
      batchNorm(gpu, x, { ...own, eps: 0 });
      for (const momentum of [Number.NaN, Number.POSITIVE_INFINITY]) {
        refuses(gpu, 'value', () => batchNorm(gpu, x, { training, ...own, momentum }));
      }
      refuses(gpu, 'value', () =>
        batchNorm(gpu, x, { training, ...own, numBatchesTracked: null, momentum: null }),
      );
      refuses(gpu, 'aliasing', () => batchNorm(gpu, x, { training, ...own, runningVar: own.runningMean }));
      const count = gpu.zeros([1], { dtype: 'u32' });
      refuses(gpu, 'shape', () => batchNorm(gpu, x, { training, ...own, numBatchesTracked: count }));
      const float = gpu.zeros([]);
      refuses(gpu, 'dtype', () => batchNorm(gpu, x, { training, ...own, numBatchesTracked: float }));
      const gone = gpu.zeros([3]);
      gone.destroy();
      refuses(gpu, 'destroyed', () => batchNorm(gpu, x, { training, ...own, runningMean: gone }));
      refuses(gpu, 'value', () =>
        batchNorm(gpu, x, { training, ...own, schedule: { strategy: 'fast' as 'split' } }),
      );
      const { mean, rstd } = batchNorm(gpu, x, { training });
      refuses(gpu, 'shape', () => batchNormBackward(gpu, single, x, { training, mean, rstd }));
      refuses(gpu, 'shape', () => batchNormBackward(gpu, x, x, { training, mean: rstd, rstd }));
      refuses(gpu, 'shape', () => batchNormBackward(gpu, x, x, { training, mean, rstd: four }));
      assertEqual(await own.runningMean.data(), [0, 0, 0], 'runningMean after all that');
      assertEqual(await own.runningVar.data(), [1, 1, 1], 'runningVar after all that');
      assertEqual(await own.numBatchesTracked.data(), [0], 'numBatchesTracked after all that');
      // Without numBatchesTracked, the running statistics are updated all the same.
      batchNorm(gpu, x, { training, ...own, numBatchesTracked: null, momentum: 1 });
      assert((await own.runningMean.data()).every((value) => value !== 0));
      assertEqual(await own.numBatchesTracked.data(), [0]);
    },
  },
  {
    name: 'batchNorm: a tensor larger than a binding is refused in training',
    async run(t) {
      const gpu = await init({ device: t.device, facts: { maxBindingBytes: 65_536 } });
      for (const layout of ['channels-first', 'channels-last'] as const) {
        const x = gpu.zeros(layout === 'channels-first' ? [8, 3, 30, 30] : [8, 30, 30, 3]);
        const module = new BatchNorm2d(gpu, 3, { layout });
        refuses(gpu, 'limit', () => module.forward(x));
        assertEqual((await runningOf(module)).batches, 0);
        assertEqual(await module.eval().forward(x).data(), new Float32Array(x.size));
      }
      gpu.destroy();
    },
  },
  {
    name: 'batchNorm: errors of the modules',
    async run({ gpu }) {
      const two = gpu.zeros([2, 3]);
      const images = gpu.zeros([2, 3, 4, 5]);
      const volumes = gpu.zeros([2, 3, 2, 4, 5]);
      const [one, image, volume] = [
        new BatchNorm1d(gpu, 3),
        new BatchNorm2d(gpu, 3),
        new BatchNorm3d(gpu, 3),
      ];
      refuses(gpu, 'shape', () => one.forward(images));
      refuses(gpu, 'shape', () => image.forward(two));
      refuses(gpu, 'shape', () => image.forward(volumes));
      refuses(gpu, 'shape', () => volume.forward(images));
      const vector = gpu.zeros([3]);
      refuses(gpu, 'shape', () => one.forward(vector));
      const others = gpu.zeros([2, 4]);
      refuses(gpu, 'shape', () => one.forward(others));
      const single = gpu.zeros([1, 3]);
      refuses(gpu, 'shape', () => one.forward(single));
      refuses(gpu, 'order', () => one.backward(two));
      assertEqual((await runningOf(one)).batches, 0, 'a refused batch is not counted');
      one.eval().forward(single).destroy();
      one.train().momentum = Number.NaN;
      refuses(gpu, 'value', () => one.forward(two));
      for (const numFeatures of [0, -1, 1.5]) refuses(gpu, 'value', () => new BatchNorm2d(gpu, numFeatures));
      refuses(gpu, 'value', () => new BatchNorm2d(gpu, 3, { eps: -1 }));
      refuses(gpu, 'value', () => new BatchNorm2d(gpu, 3, { momentum: Number.NaN }));
      refuses(gpu, 'value', () => new BatchNorm2d(gpu, 3, { layout: 'NCHW' as 'channels-first' }));
      const zero = new BatchNorm1d(gpu, 3, { eps: 0 });
      refuses(gpu, 'value', () => zero.forward(two));
      zero.eval().forward(two).destroy();
      zero.destroy();
      refuses(gpu, 'destroyed', () => zero.forward(two));
      refuses(gpu, 'destroyed', () => zero.resetRunningStats());
      for (const module of [one, image, volume]) module.destroy();
    },
  },
  {
    name: 'batchNorm: destroying a module frees all that it made',
    run({ gpu }) {
      const x = gpu.zeros([4, 3, 2, 2]);
      const before = gpu.memory().tensors;
      const module = new BatchNorm2d(gpu, 3);
      const y = module.forward(x);
      module.backward(y).destroy();
      module.destroy();
      module.destroy();
      y.destroy();
      assertEqual(gpu.memory().tensors, before);
    },
  },
  {
    name: 'batchNorm: u32 tensors hold counts and are not normalized',
    async run({ gpu }) {
      const counts = gpu.tensor([1, 2, 3, 2 ** 32 - 1], [2, 2], { dtype: 'u32' });
      assertEqual(await counts.data(), Float32Array.of(1, 2, 3, 2 ** 32));
      for (const value of [-1, 0.5, Number.NaN, 2 ** 32]) {
        refuses(gpu, 'value', () => counts.write([0, 0, 0, value]));
      }
      const x = gpu.zeros([2, 2]);
      const pair = gpu.zeros([2], { dtype: 'u32' });
      refuses(gpu, 'dtype', () => layerNorm(gpu, counts, { normalizedShape: [2] }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { normalizedShape: [2], weight: pair }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { normalizedShape: [2], bias: pair }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { normalizedShape: [2], out: { y: counts } }));
      refuses(gpu, 'dtype', () => batchNorm(gpu, counts, { training: true }));
      refuses(gpu, 'dtype', () => new LayerNorm(gpu, 2, { dtype: 'u32' as 'f32' }));
      const { mean, rstd } = batchNorm(gpu, x, { training: true });
      refuses(gpu, 'dtype', () =>
        batchNormBackward(gpu, x, x, { training: true, mean, rstd, out: { dbias: pair } }),
      );
    },
  },
];

export const cases: Case[] = [...accuracy, ...running, ...isolation, ...errors];
