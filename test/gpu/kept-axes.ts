/** LayerNorm and RMSNorm over axes that others follow, such as the channels of [N, C, H, W]. */
import {
  addLayerNorm,
  addRmsNorm,
  type Gpu,
  init,
  LayerNorm,
  LayerNorm2d,
  layerNorm,
  layerNormBackward,
  type NormError,
  Parameter,
  RMSNorm,
  RMSNorm2d,
  rmsNorm,
  rmsNormBackward,
  type ScheduleOptions,
} from '../../src/index.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { axesGeometry, normReference, relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { asOnGpu, type DataOptions, type Subject, summary, verifyAll } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

type Listed = Subject & { data?: DataOptions };

/** Kept elements that come in fours and that do not, one set and many, short and long ones, axes in any order. */
const shapes: readonly { shape: readonly number[]; axes: readonly number[]; data?: DataOptions }[] = [
  { shape: [2, 5, 7], axes: [1] },
  { shape: [3, 24, 4, 6], axes: [1], data: { offset: 1e5 } },
  { shape: [2, 96, 5, 5], axes: [-3], data: { offset: 100, dyMean: 1 } },
  { shape: [67, 12], axes: [0] },
  { shape: [2, 4, 3, 6, 2], axes: [3, 1, 2], data: { offset: 1e5 } },
  { shape: [5, 1, 9, 1, 3], axes: [1, 2, 3] },
  ...[1, 2, 3, 5, 6, 7].map((kept) => ({ shape: [3, 33, kept], axes: [1] })),
];

/** Reduced axes from one element to 5000. */
const lengths: typeof shapes = [1, 2, 3, 63, 64, 65, 129, 200, 1000, 5000].map((length) => ({
  shape: [2, length, length < 100 ? 8 : 3],
  axes: [1],
  data: { offset: length % 2 === 0 ? 1e5 : 0 },
}));

/** Reduced axes with kept ones between them. */
const interleaved: typeof shapes = [
  { shape: [3, 4, 5], axes: [0, 2] },
  { shape: [2, 3, 4, 5], axes: [1, 3], data: { offset: 1e5 } },
  { shape: [4, 3, 2, 5, 8], axes: [1, 3] },
  { shape: [3, 2, 5, 4, 7], axes: [0, 1, 3] },
  { shape: [6, 5, 7, 12], axes: [0, 2], data: { offset: 30 } },
  { shape: [3, 2, 4, 3, 5], axes: [0, 2, 4] },
  { shape: [2, 3, 2, 4, 3, 5, 8], axes: [1, 3, 5] },
];

const forced: readonly ScheduleOptions[] = [
  { strategy: 'thread', fourRows: false },
  { strategy: 'thread', fourRows: true },
  { strategy: 'workgroup', workgroup: 16, lanes: 4 },
  { strategy: 'workgroup', workgroup: 64, lanes: 64, vec4: false },
];

const of = (op: Subject['op'], list: typeof shapes, more: Partial<Listed> = {}): Listed[] =>
  list.map((one) => ({ op, ...one, ...more }));

const checked = (name: string, list: () => Listed[]): Case => ({
  name: `kept axes: ${name}`,
  timeout: 180_000,
  async run(t) {
    t.note('errors', summary(await verifyAll(t.gpu, list())));
  },
});

const few = shapes.slice(0, 3);

export const cases: Case[] = [
  checked('layerNorm', () => of('layerNorm', [...shapes, ...lengths])),
  checked('rmsNorm', () => of('rmsNorm', [...shapes, ...lengths])),
  checked('with kept axes between reduced ones', () => [
    ...of('layerNorm', interleaved),
    ...of('rmsNorm', interleaved),
    ...of('layerNorm', interleaved.slice(0, 3), { schedule: forced[2] as ScheduleOptions }),
  ]),
  checked('every schedule', () =>
    forced.flatMap((schedule) => [
      ...of('layerNorm', [...few, ...lengths.slice(6)], { schedule }),
      ...of('rmsNorm', few.slice(1), { schedule }),
    ]),
  ),
  checked('a residual before', () =>
    [{}, forced[2] as ScheduleOptions].flatMap((schedule) => [
      ...of('addLayerNorm', few, { schedule }),
      ...of('addRmsNorm', few, { schedule }),
    ]),
  ),
  checked('a residual and an activation after', () =>
    [{}, forced[2] as ScheduleOptions].flatMap((schedule) => [
      ...of('layerNorm', few.slice(1), { schedule, activation: 'silu' }),
      ...of('layerNorm', few.slice(1), { schedule, activation: 'gelu', residual: true }),
      ...of('layerNorm', few.slice(1, 2), { schedule, residual: true }),
      ...of('rmsNorm', few.slice(1, 2), { schedule, activation: 'silu', gate: true }),
    ]),
  ),
  checked('without parameters', () => of('layerNorm', few, { affine: false })),
  checked('any magnitude', () =>
    [1e-30, 1e-20, 1e19, 1e30].flatMap((magnitude) => {
      const list = few.map(({ shape, axes }) => ({ shape, axes, data: { magnitude } }));
      const eps = magnitude < 1 ? 0 : 1e-5;
      return [{}, forced[2] as ScheduleOptions].flatMap((schedule) => [
        ...of('layerNorm', list, { eps, schedule }),
        ...of('rmsNorm', list, { eps, schedule }),
        ...of('addLayerNorm', list.slice(1), { eps, schedule }),
      ]);
    }),
  ),
  checked('f16', () =>
    [{}, forced[2] as ScheduleOptions].flatMap((schedule) => [
      ...of('layerNorm', few.slice(0, 2), { dtype: 'f16', schedule, data: {} }),
      ...of('layerNorm', few.slice(1, 2), { dtype: 'f16', paramDtype: 'f32', schedule, data: {} }),
      ...of('addLayerNorm', few.slice(1, 2), { dtype: 'f16', schedule, data: {} }),
      ...of('rmsNorm', few.slice(0, 1), { dtype: 'f16', schedule, data: {}, cast: 'llama' }),
      ...of('layerNorm', few.slice(0, 1), { dtype: 'bf16', schedule, data: {} }),
    ]),
  ),
  {
    name: 'kept axes: as on a GPU, in one dispatch forward and two backward',
    timeout: 180_000,
    async run(t) {
      await asOnGpu(t.device, async (gpu) => {
        const list = [
          ...of('layerNorm', [...few, ...lengths.slice(7), ...interleaved.slice(0, 2)]),
          ...of('rmsNorm', few.slice(1)),
          ...of('layerNorm', few.slice(1, 2), { activation: 'silu', residual: true }),
        ];
        t.note('errors', summary(await verifyAll(gpu, list)));
      });
    },
  },
  {
    name: 'kept axes: in parts, as on a GPU and as on a software adapter',
    timeout: 180_000,
    async run(t) {
      for (const software of [true, false]) {
        // 9 samples of 4,800 bytes; scratch has room for the partials of 96 rows, or of 25 at a time.
        for (const leastWorkspace of [32_768, 21_300]) {
          const gpu = await init({
            device: t.device,
            facts: { maxBindingBytes: 16_384, leastWorkspace, software },
          });
          const one = { shape: [9, 600, 2], axes: [1] };
          const list: Listed[] = [
            ...of('layerNorm', [one, { shape: [9, 24, 5, 10], axes: [1] }]),
            ...of('layerNorm', [one], { activation: 'silu', residual: true }),
            ...of('addRmsNorm', [{ shape: [9, 10, 12, 10], axes: [1, 3] }]),
          ];
          t.note(`software ${software}, ${leastWorkspace}`, summary(await verifyAll(gpu, list)));
          gpu.destroy();
        }
      }
    },
  },
  {
    name: 'kept axes: trailing ones are rows, with the same bits',
    async run({ gpu }) {
      const x = gpu.tensor(normal(6 * 20), [6, 4, 5]);
      const rows = layerNorm(gpu, x, { normalizedShape: [4, 5] });
      const axes = layerNorm(gpu, x, { axes: [-1, 1] });
      for (const name of ['y', 'mean', 'rstd'] as const) {
        assertEqual(await axes[name].data(), await rows[name].data(), name);
        assertEqual(axes[name].shape, rows[name].shape, `shape of ${name}`);
      }
    },
  },
  {
    name: 'kept axes: statistics have the sizes of the other axes, parameters those of the axes',
    async run({ gpu }) {
      const shape = [2, 3, 4, 5];
      const x = gpu.tensor(normal(120), shape);
      const weight = gpu.tensor(normal(15), [3, 5]);
      const axes = [3, 1];
      const { y, mean, rstd } = layerNorm(gpu, x, { axes, weight });
      assertEqual(
        [mean.shape, rstd.shape],
        [
          [2, 4, 2],
          [2, 4],
        ],
        'of layerNorm',
      );
      const { dx, dweight, dbias } = layerNormBackward(gpu, y, x, { axes, weight, mean, rstd });
      assertEqual([dx.shape, dweight?.shape, dbias?.shape], [shape, [3, 5], [3, 5]], 'of layerNormBackward');
      const rms = rmsNorm(gpu, x, { axes: 1 });
      assertEqual(rms.rstd.shape, [2, 4, 5], 'of rmsNorm');
      assertEqual(rmsNormBackward(gpu, y, x, { axes: 1, rstd: rms.rstd }).dx.shape, shape, 'of its dx');
    },
  },
  {
    name: 'kept axes: without statistics the same bits; accumulated gradients; wanted ones',
    async run({ gpu }) {
      const x = gpu.tensor(normal(2 * 12 * 20), [2, 12, 20]);
      const dy = gpu.tensor(normal(480, { seed: 2 }), [2, 12, 20]);
      const weight = gpu.tensor(normal(12, { seed: 3 }), [12]);
      const kept = layerNorm(gpu, x, { axes: 1, weight });
      const without = layerNorm(gpu, x, { axes: 1, weight, statistics: false });
      assertEqual([without.mean, without.rstd], [null, null], 'statistics');
      assertEqual(await without.y.data(), await kept.y.data(), 'y');
      const options = { axes: 1, weight, mean: kept.mean, rstd: kept.rstd };
      const { dx, dweight, dbias } = layerNormBackward(gpu, dy, x, options);
      const before = gpu.tensor(normal(12, { seed: 4 }), [12]);
      const start = await before.data();
      layerNormBackward(gpu, dy, x, { ...options, accumulate: true, out: { dweight: before } });
      const sums = (await dweight?.data())?.map((value, i) => value + (start[i] as number));
      assertEqual(await before.data(), sums, 'accumulated dweight');
      const alone = layerNormBackward(gpu, dy, x, { ...options, wants: { dweight: false, dbias: true } });
      assertEqual(alone.dweight, null, 'unwanted dweight');
      assertEqual(await alone.dbias?.data(), await dbias?.data(), 'dbias alone');
      const none = layerNormBackward(gpu, dy, x, { ...options, wants: { dweight: false, dbias: false } });
      assertEqual(await none.dx.data(), await dx.data(), 'dx alone');
    },
  },
  {
    name: 'kept axes: in place',
    async run(t) {
      const shape = [2, 40, 7];
      const values = { x: normal(560), residual: normal(560, { seed: 2 }) };
      const check = async (gpu: Gpu) => {
        const of = () => ({ x: gpu.tensor(values.x, shape), residual: gpu.tensor(values.residual, shape) });
        const { x, residual } = of();
        const options = { axes: 1, statistics: false } as const;
        const y = await layerNorm(gpu, x, { ...options, residual, activation: 'relu' }).y.data();
        const over = of();
        layerNorm(gpu, over.x, {
          ...options,
          residual: over.residual,
          activation: 'relu',
          out: { y: over.x },
        });
        assertEqual(await over.x.data(), y, 'y over x');
        const beside = of();
        const out = { y: beside.residual };
        layerNorm(gpu, beside.x, { ...options, residual: beside.residual, activation: 'relu', out });
        assertEqual(await beside.residual.data(), y, 'y over the residual');
        // Over an input the sum needs a thread by itself.
        const schedule = { strategy: 'thread' } as const;
        const apart = addRmsNorm(gpu, x, residual, { ...options, schedule, cast: 'gemma' });
        for (const name of ['x', 'residual'] as const) {
          const inputs = of();
          const sum = inputs[name];
          const made = addRmsNorm(gpu, inputs.x, inputs.residual, {
            ...options,
            cast: 'gemma',
            out: { sum },
          });
          assertEqual(await sum.data(), await apart.sum.data(), `sum over ${name}`);
          assertEqual(await made.y.data(), await apart.y.data(), `y with the sum over ${name}`);
        }
        const refused = of();
        await assertThrows(
          () =>
            addLayerNorm(gpu, refused.x, refused.residual, {
              ...options,
              schedule: { strategy: 'workgroup' },
              out: { sum: refused.x },
            }),
          { code: 'aliasing' },
        );
      };
      await check(t.gpu);
      await asOnGpu(t.device, check);
    },
  },
  {
    name: 'kept axes: NaN and infinities stay in their own set',
    async run(t) {
      const [rows, kept] = [70, 10];
      const clean = normal(2 * rows * kept);
      const dyValues = normal(2 * rows * kept, { seed: 2, mean: 1 });
      const check = async (gpu: Gpu, schedule: ScheduleOptions) => {
        const of = async (values: Float32Array) => {
          const x = gpu.tensor(values, [2, rows, kept]);
          const dy = gpu.tensor(dyValues, [2, rows, kept]);
          const { y, mean, rstd } = layerNorm(gpu, x, { axes: 1, schedule });
          const { dx } = layerNormBackward(gpu, dy, x, { axes: 1, mean, rstd, schedule });
          return Promise.all([y.data(), dx.data()]);
        };
        const whole = await of(clean);
        const own = (i: number) => i >= rows * kept && i % kept === 5;
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const broken = clean.slice();
          broken[rows * kept + 33 * kept + 5] = value;
          const found = await of(broken);
          for (const [which, values] of found.entries()) {
            const others = (all: Float32Array) => all.filter((_, i) => !own(i));
            assertEqual(others(values), others(whole[which] as Float32Array), `beside a set with ${value}`);
          }
          const [y] = found;
          assert(y.filter((_, i) => own(i)).some(Number.isNaN), `a set with ${value} must not look sound`);
        }
      };
      for (const schedule of [{}, ...forced]) await check(t.gpu, schedule);
    },
  },
  {
    name: 'kept axes: constant sets are bias, far ones beside others',
    async run({ gpu }) {
      const x = new Float32Array(2 * 150 * 5).map((_, i) => 1e6 + (i % 5));
      const bias = normal(150);
      const made = layerNorm(gpu, gpu.tensor(x, [2, 150, 5]), { axes: 1, bias: gpu.tensor(bias, [150]) });
      assertEqual(
        await made.y.data(),
        x.map((_, i) => bias[Math.floor(i / 5) % 150] as number),
        'y',
      );
    },
  },
  {
    name: 'kept axes: of nothing',
    async run({ gpu }) {
      for (const [shape, axes] of [
        [[0, 3, 4], [1]],
        [[2, 3, 0], [1]],
        [[2, 0, 4], [1]],
      ] as const) {
        const x = gpu.zeros(shape);
        const size = shape[1];
        const weight = gpu.tensor(new Float32Array(size).fill(1), [size]);
        const { y, mean, rstd } = layerNorm(gpu, x, { axes, weight });
        const { dx, dweight, dbias } = layerNormBackward(gpu, y, x, { axes, weight, mean, rstd });
        assertEqual([y.shape, dx.shape, rstd.shape], [shape, shape, [shape[0], shape[2]]], 'shapes');
        for (const gradient of [dweight, dbias]) {
          assertEqual(await gradient?.data(), new Float32Array(size), 'gradients');
        }
      }
    },
  },
  {
    name: 'kept axes: LayerNorm2d and RMSNorm2d do what the functions do',
    async run({ gpu }) {
      const shape = [2, 12, 5, 6];
      const x = gpu.tensor(normal(720, { mean: 3 }), shape);
      const dy = gpu.tensor(normal(720, { seed: 2 }), shape);
      const module = new LayerNorm2d(gpu, 12);
      const rms = new RMSNorm2d(gpu, 12);
      assertEqual([module.eps, rms.eps], [1e-6, 1e-6], 'eps');
      assertEqual(
        module.namedParameters().map(([name]) => name),
        ['weight', 'bias'],
        'state of LayerNorm2d',
      );
      assertEqual(
        rms.namedParameters().map(([name]) => name),
        ['weight'],
        'state of RMSNorm2d',
      );
      module.weight = new Parameter(gpu.tensor(normal(12, { seed: 3 }), [12]));
      module.bias = new Parameter(gpu.tensor(normal(12, { seed: 4 }), [12]));
      const { weight, bias } = module;
      const options = { axes: 1, weight: weight?.data, bias: bias?.data, eps: 1e-6 };
      const made = layerNorm(gpu, x, options);
      assertEqual(await module.forward(x).data(), await made.y.data(), 'y');
      const { dx, dweight, dbias } = layerNormBackward(gpu, dy, x, { ...options, ...made });
      assertEqual(await module.backward(dy).data(), await dx.data(), 'dx');
      assertEqual(await weight?.grad?.data(), await dweight?.data(), 'dweight');
      assertEqual(await bias?.grad?.data(), await dbias?.data(), 'dbias');
      const root = rmsNorm(gpu, x, { axes: 1, eps: 1e-6 });
      assertEqual(await rms.forward(x).data(), await root.y.data(), 'RMSNorm2d');
      const { y } = normReference(normal(720, { mean: 3 }), axesGeometry(shape, [1]), {
        eps: 1e-6,
        kind: 'rms',
      });
      assert(relativeError(await root.y.data(), y) <= bounds.forward, 'PixelNorm by the reference');
      const some = new LayerNorm(gpu, [12, 6], { axes: [-1, 1] });
      assertEqual(
        await some.forward(x).data(),
        await layerNorm(gpu, x, { axes: [1, 3] }).y.data(),
        'LayerNorm',
      );
      const other = new RMSNorm(gpu, 5, { axes: 2, elementwiseAffine: false });
      assertEqual(await other.forward(x).data(), await rmsNorm(gpu, x, { axes: [2] }).y.data(), 'RMSNorm');
    },
  },
  {
    name: 'kept axes: what cannot be is refused',
    run({ gpu }) {
      const x = gpu.tensor(normal(120), [2, 3, 4, 5]);
      const codeOf = (body: () => unknown) => {
        try {
          body();
        } catch (error) {
          return (error as NormError).code;
        }
        return 'none';
      };
      const list = [[], [4], [-5], [1, 1], [1, -3], [0.5], ['1'], {}, null, Number.NaN];
      for (const axes of list as number[][]) {
        assertEqual(
          codeOf(() => layerNorm(gpu, x, { axes })),
          'value',
          `layerNorm over ${axes}`,
        );
        assertEqual(
          codeOf(() => rmsNorm(gpu, x, { axes })),
          'value',
          `rmsNorm over ${axes}`,
        );
      }
      const long = gpu.tensor(normal(256), new Array(8).fill(2));
      assertEqual(
        codeOf(() => layerNorm(gpu, long, { axes: [0, 2, 4, 6] })),
        'value',
        'four runs',
      );
      assertEqual(
        codeOf(() => layerNorm(gpu, x, { axes: 1, normalizedShape: 5 })),
        'shape',
        'other sizes',
      );
      assertEqual(
        codeOf(() => layerNorm(gpu, x, { axes: 1, numGroups: 3 })),
        'value',
        'groups',
      );
      assertEqual(
        codeOf(() => layerNorm(gpu, x, { axes: 1, weight: gpu.zeros([5]) })),
        'shape',
        'weight',
      );
      for (const schedule of [
        { strategy: 'registers' },
        { strategy: 'split' },
        { strategy: 'workgroup', workgroup: 512 },
        { batchInvariant: true },
      ] as const) {
        assertEqual(
          codeOf(() => layerNorm(gpu, x, { axes: 1, schedule })),
          'value',
          JSON.stringify(schedule),
        );
      }
      assertEqual(
        codeOf(() => new LayerNorm(gpu, [3, 5], { axes: 1 })),
        'value',
        'an axis for two sizes',
      );
      assertEqual(
        codeOf(() => new LayerNorm2d(gpu, 0)),
        'value',
        'no channels',
      );
      assertEqual(
        codeOf(() => new LayerNorm2d(gpu, 4).forward(x)),
        'shape',
        'other channels',
      );
    },
  },
];
