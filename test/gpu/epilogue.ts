/** What follows a norm in the same pass: residual and activation, forward and backward. */
import {
  type Activation,
  addLayerNorm,
  addRmsNorm,
  BatchNorm2d,
  batchNorm,
  batchNormBackward,
  GroupNorm,
  groupNorm,
  groupNormBackward,
  init,
  instanceNorm,
  instanceNormBackward,
  layerNorm,
  layerNormBackward,
  type NormErrorCode,
  type Tensor,
} from '../../src/index.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { activate, kinks } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import {
  asOnGpu,
  type DataOptions,
  geometryOf,
  type Op,
  type Subject,
  summary,
  verifyAll,
} from '../support/subject.ts';

type Datum = Subject & { data?: DataOptions };

const activations = Object.keys(kinks) as Activation[];

const shapes: Partial<Record<Op, Omit<Subject, 'op'>[]>> = {
  layerNorm: [{ shape: [9, 68] }, { shape: [5, 131] }],
  groupNorm: [
    { shape: [3, 8, 4, 4], groups: 2 },
    { shape: [2, 6, 5, 7], groups: 3 },
    { shape: [2, 5, 7, 6], groups: 3, layout: 'channels-last' },
  ],
  instanceNorm: [{ shape: [2, 3, 67] }, { shape: [2, 6, 6, 8], layout: 'channels-last' }],
  batchNorm: [
    { shape: [3, 8, 4, 4] },
    { shape: [4, 3, 17] },
    { shape: [70, 6] },
    { shape: [3, 5, 7, 8], layout: 'channels-last' },
  ],
};
const ops = Object.keys(shapes) as Op[];

/** Every shape of an op, and for BatchNorm both modes. */
function subjectsOf(op: Op): Subject[] {
  const all = (shapes[op] ?? []).map((shape): Subject => ({ op, ...shape }));
  return op === 'batchNorm' ? all.flatMap((one) => [one, { ...one, evaluation: true }]) : all;
}

const accuracy: Case[] = ops.flatMap((op) => [
  {
    name: `epilogue: ${op}, every activation, with and without residual`,
    async run(t) {
      const list = subjectsOf(op).flatMap((subject) =>
        activations.flatMap((activation) =>
          [false, true].map(
            (residual): Datum => ({
              ...subject,
              activation,
              ...(activation === 'leakyRelu' ? { negativeSlope: 0.2 } : {}),
              ...(residual ? { residual } : {}),
              data: residual ? { offset: 1e5 } : { offset: 1e2, dyMean: 1 },
            }),
          ),
        ),
      );
      t.note(op, summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: `epilogue: ${op}, every strategy`,
    async run(t) {
      const list = subjectsOf(op).flatMap((subject) =>
        strategiesOf(geometryOf(subject), 'forward').flatMap((strategy) =>
          [{}, { vec4: false }].flatMap((more) =>
            [false, true].map(
              (residual): Datum => ({
                ...subject,
                activation: 'silu',
                ...(residual ? { residual } : {}),
                schedule: {
                  strategy,
                  workgroup: 16,
                  ...(strategy === 'registers' ? { lanes: 16 } : {}),
                  ...more,
                },
                data: { offset: 1e4 },
              }),
            ),
          ),
        ),
      );
      t.note(op, summary(await verifyAll(t.gpu, list)));
      await asOnGpu(t.device, async (gpu) => {
        const few = subjectsOf(op).flatMap((subject): Datum[] => [
          { ...subject, activation: 'gelu' },
          { ...subject, activation: 'relu', residual: true },
        ]);
        t.note(`${op} as on a GPU`, summary(await verifyAll(gpu, few)));
      });
    },
  },
  {
    name: `epilogue: ${op} in f16`,
    async run(t) {
      const list = subjectsOf(op).flatMap((subject) =>
        (['f16', 'f32'] as const).flatMap((paramDtype) =>
          [false, true].map(
            (residual): Datum => ({
              ...subject,
              dtype: 'f16',
              paramDtype,
              activation: paramDtype === 'f16' ? 'relu' : 'silu',
              ...(residual ? { residual } : {}),
              data: { offset: 10 },
            }),
          ),
        ),
      );
      t.note(op, summary(await verifyAll(t.gpu, list)));
    },
  },
]);

/** Reads and writes of tensors of x's size, counted from the bind groups of what was recorded. */
function countPasses(device: GPUDevice, large: () => readonly (Tensor | undefined)[]) {
  const passes = { reads: 0, writes: 0 };
  const access = new WeakMap<GPUBindGroupLayout, Map<number, GPUBufferBindingType>>();
  const makeLayout = device.createBindGroupLayout.bind(device);
  device.createBindGroupLayout = (descriptor) => {
    const layout = makeLayout(descriptor);
    const types = [...descriptor.entries].map(
      ({ binding, buffer }) => [binding, buffer?.type ?? 'uniform'] as const,
    );
    access.set(layout, new Map(types));
    return layout;
  };
  const makeGroup = device.createBindGroup.bind(device);
  device.createBindGroup = (descriptor) => {
    const buffers = new Set(large().map((tensor) => tensor?.buffer));
    for (const { binding, resource } of descriptor.entries) {
      const buffer = 'buffer' in resource ? resource.buffer : resource;
      if (!buffers.has(buffer as GPUBuffer)) continue;
      const type = access.get(descriptor.layout)?.get(binding);
      if (type === 'storage') passes.writes += 1;
      else passes.reads += 1;
    }
    return makeGroup(descriptor);
  };
  return passes;
}

const passes: Case[] = (['channels-first', 'channels-last'] as const).map((layout) => ({
  name: `epilogue: passes over memory of batchNorm, ${layout}`,
  async run({ navigatorGpu, note }) {
    // A device of its own, all of whose layouts are seen.
    const adapter = await navigatorGpu.requestAdapter();
    const device = (await adapter?.requestDevice()) as GPUDevice;
    const shape = layout === 'channels-first' ? [4, 8, 6, 6] : [4, 6, 6, 8];
    const large: Tensor[] = [];
    const counted = countPasses(device, () => large);
    const gpu = await init({ device });
    const tensor = () => {
      const made = gpu.tensor(normal(4 * 8 * 36), shape);
      large.push(made);
      return made;
    };
    const [x, dy, residual, y, dx, dresidual] = [tensor(), tensor(), tensor(), tensor(), tensor(), tensor()];
    const weight = gpu.tensor(new Float32Array(8).fill(1), [8]);
    const bias = gpu.zeros([8]);
    const runningMean = gpu.zeros([8]);
    const runningVar = gpu.tensor(new Float32Array(8).fill(1), [8]);
    const count = (body: () => void): string => {
      counted.reads = 0;
      counted.writes = 0;
      body();
      return `${counted.reads}R+${counted.writes}W`;
    };
    const common = { weight, bias, layout, eps: 1e-5 };
    for (const [epilogue, expected] of [
      [{}, ['2R+1W', '1R+1W', '4R+1W']],
      [{ activation: 'relu' }, ['2R+1W', '1R+1W', '4R+1W']],
      // The residual's own: one read forward; one read and the write of its gradient backward.
      [{ activation: 'relu', residual }, ['3R+1W', '2R+1W', '5R+2W']],
    ] as const) {
      let statistics: { mean: Tensor; rstd: Tensor } | undefined;
      const training = count(() => {
        statistics = batchNorm(gpu, x, {
          ...common,
          ...epilogue,
          runningMean,
          runningVar,
          training: true,
          out: { y },
        });
      });
      const evaluation = count(() => {
        batchNorm(gpu, x, { ...common, ...epilogue, runningMean, runningVar, out: { y } });
      });
      const backward = count(() => {
        batchNormBackward(gpu, dy, x, {
          ...common,
          ...epilogue,
          ...(statistics as { mean: Tensor; rstd: Tensor }),
          training: true,
          out: { dx, ...('residual' in epilogue ? { dresidual } : {}) },
        });
      });
      assertEqual([training, evaluation, backward], [...expected], JSON.stringify(Object.keys(epilogue)));
      note(
        Object.keys(epilogue).join(' and ') || 'plain',
        `training ${training}, evaluation ${evaluation}, backward ${backward}`,
      );
    }
    await gpu.idle();
    gpu.destroy();
    device.destroy();
  },
}));

const behaviour: Case[] = [
  {
    name: 'epilogue: in f16 only what is stored of the gradient of a residual is rounded',
    async run({ gpu }) {
      const f16 = { dtype: 'f16' } as const;
      const x = gpu.tensor([1, 2, 4, 7], [1, 4], f16);
      const residual = gpu.tensor([0.5, -1, 2, 0.25], [1, 4], f16);
      const dy = gpu.tensor([1, 0.5, -0.75, 2], [1, 4], f16);
      const weight = gpu.tensor([1, 1, 1, 1], [4]);
      const bias = gpu.zeros([4]);
      const common = { normalizedShape: 4, weight, bias, residual, activation: 'silu' } as const;
      const { mean, rstd } = layerNorm(gpu, x, common);
      const { dweight } = layerNormBackward(gpu, dy, x, { ...common, mean, rstd });
      const [, , third = 0] = (await dweight?.data()) ?? [];
      assert(Math.abs(third - -0.179732) < 5e-7, `dweight[2] is ${third}`);
    },
  },
  {
    name: 'epilogue: modules, with a residual and its gradient',
    async run({ gpu }) {
      const shape = [2, 4, 3, 3];
      const x = gpu.tensor(normal(72), shape);
      const residual = gpu.tensor(normal(72, { seed: 2 }), shape);
      const dy = gpu.tensor(normal(72, { seed: 3 }), shape);
      for (const module of [
        new BatchNorm2d(gpu, 4, { activation: 'relu' }),
        new GroupNorm(gpu, 2, 4, { activation: 'leakyRelu', negativeSlope: 0.3 }),
      ]) {
        const y = await module.forward(x, { residual }).data();
        const { dx, dresidual } = module.backwardResidual(dy);
        const { activation, negativeSlope } = module;
        const plain = new (module instanceof BatchNorm2d ? PlainBatch : PlainGroup)(gpu);
        const z = (await plain.forward(x).data()).map(
          (value, i) => value + (normal(72, { seed: 2 })[i] as number),
        );
        const gradients = await dresidual.data();
        for (const [i, value] of z.entries()) {
          const wanted = activate(value, activation, negativeSlope);
          assert(Math.abs((y[i] as number) - wanted) < 1e-5, `y[${i}] is ${y[i]}, not ${wanted}`);
          const slope = value > 0 ? 1 : negativeSlope;
          const gradient =
            (normal(72, { seed: 3 })[i] as number) * (activation === 'relu' && value <= 0 ? 0 : slope);
          const got = gradients[i] as number;
          assert(Math.abs(got - gradient) < 1e-5, `dresidual[${i}] is ${got}, not ${gradient}`);
        }
        assertEqual(dx.shape, shape);
        assertEqual((await module.parameters()[0]?.grad?.data())?.length, 4);
        // A gradient that nobody would get.
        await throws('order', () => module.backward(dy));
        module.forward(x);
        await throws('order', () => module.backwardResidual(dy));
        module.backward(dy).destroy();
        module.destroy();
        plain.destroy();
      }
    },
  },
  {
    name: 'epilogue: backward computes the gradient of a bias without a weight, and knows the mode of forward',
    async run({ gpu }) {
      const shape = [2, 3, 4];
      const values = normal(24, { seed: 2 });
      const x = gpu.tensor(normal(24), shape);
      const dy = gpu.tensor(values, shape);
      const bias = gpu.tensor([0.5, -1, 2], [3]);
      const wanted = [0, 1, 2].map((c) =>
        values.reduce((sum, value, i) => sum + (Math.floor(i / 4) % 3 === c ? value : 0), 0),
      );
      const near = async (tensor: Tensor | null, expected: ArrayLike<number>, name: string) => {
        const got = (await tensor?.data()) ?? [];
        assertEqual(got.length, expected.length, name);
        for (const [i, value] of got.entries()) {
          assert(Math.abs(value - (expected[i] as number)) < 1e-5, `${name}[${i}] is ${value}`);
        }
      };
      const group = groupNormBackward(gpu, dy, x, {
        bias,
        numGroups: 1,
        ...groupNorm(gpu, x, { bias, numGroups: 1 }),
      });
      const instance = instanceNormBackward(gpu, dy, x, { bias, ...instanceNorm(gpu, x, { bias }) });
      const forward = batchNorm(gpu, x, { bias, training: true });
      // Without being told: the statistics are those of x.
      const batch = batchNormBackward(gpu, dy, x, { bias, ...forward });
      for (const [name, result] of Object.entries({ group, instance, batch })) {
        await near(result.dbias, wanted, `${name}: dbias`);
        assertEqual(result.dweight, null, name);
      }
      const beta = gpu.zeros([4]);
      const row = { normalizedShape: 4, bias: beta };
      const layer = layerNormBackward(gpu, dy, x, { ...row, ...layerNorm(gpu, x, row) });
      const columns = [0, 1, 2, 3].map((c) =>
        values.reduce((sum, value, i) => sum + (i % 4 === c ? value : 0), 0),
      );
      await near(layer.dbias, columns, 'layer: dbias');
      const told = batchNormBackward(gpu, dy, x, { ...forward, training: true });
      await near(batch.dx, await told.dx.data(), 'batch: dx');
      await throws('value', () => batchNormBackward(gpu, dy, x, { ...forward, training: false }));
      const statistics = { runningMean: gpu.zeros([3]), runningVar: gpu.tensor([1, 1, 1], [3]) };
      const frozen = batchNorm(gpu, x, { ...statistics, eps: 1e-12 });
      await near(batchNormBackward(gpu, dy, x, frozen).dx, values, 'frozen batch: dx');
      await throws('value', () => batchNormBackward(gpu, dy, x, { ...frozen, training: true }));
      const still = instanceNorm(gpu, x, { ...statistics, training: false, eps: 1e-12 });
      await near(instanceNormBackward(gpu, dy, x, still).dx, values, 'frozen instance: dx');
      await throws('value', () => instanceNormBackward(gpu, dy, x, { ...still, training: true }));
      // No bias is no bias, however it is said.
      const relu = { numGroups: 1, activation: 'relu', ...groupNorm(gpu, x, { numGroups: 1 }) } as const;
      const absent = groupNormBackward(gpu, dy, x, { ...relu, bias: undefined });
      await near(
        absent.dx,
        await groupNormBackward(gpu, dy, x, { ...relu, bias: null }).dx.data(),
        'no bias',
      );
    },
  },
  {
    name: 'epilogue: what cannot be is refused',
    async run({ gpu }) {
      const shape = [2, 4, 6];
      const x = gpu.tensor(normal(48), shape);
      const bias = gpu.zeros([4]);
      const dy = gpu.tensor(normal(48, { seed: 2 }), shape);
      const small = gpu.zeros([2, 4, 5]);
      const spare = gpu.zeros(shape);
      const common = { numGroups: 2, bias };
      const { mean, rstd } = groupNorm(gpu, x, common);
      const backward = { ...common, mean, rstd };
      await throws('value', () => groupNorm(gpu, x, { ...common, activation: 'swish' as Activation }));
      await throws('value', () =>
        groupNorm(gpu, x, { ...common, activation: 'leakyRelu', negativeSlope: Number.NaN }),
      );
      await throws('shape', () => groupNorm(gpu, x, { ...common, residual: small }));
      await throws('aliasing', () => groupNorm(gpu, x, { ...common, out: { mean: mean, rstd: mean } }));
      await throws('shape', () =>
        groupNormBackward(gpu, dy, x, { ...backward, activation: 'relu', residual: small }),
      );
      await throws('value', () => groupNormBackward(gpu, dy, x, { ...backward, out: { dresidual: spare } }));
      await throws('value', () =>
        groupNormBackward(gpu, dy, x, {
          ...backward,
          activation: 'relu',
          residual: x,
          schedule: { strategy: 'thread' },
        }),
      );
      const rows = gpu.tensor(normal(48), [8, 6]);
      const options = { normalizedShape: 6, activation: 'relu' } as const;
      await throws('value', () => addLayerNorm(gpu, rows, rows, options));
      await throws('value', () => addRmsNorm(gpu, rows, rows, options));
      // Without an activation a residual's gradient is dy.
      const { dresidual } = groupNormBackward(gpu, dy, x, { ...backward, residual: x });
      assert(dresidual === dy, 'dresidual is dy');
      assertEqual(layerNorm(gpu, rows, options).y.shape, [8, 6]);
    },
  },
];

class PlainBatch extends BatchNorm2d {
  constructor(gpu: ConstructorParameters<typeof BatchNorm2d>[0]) {
    super(gpu, 4);
  }
}
class PlainGroup extends GroupNorm {
  constructor(gpu: ConstructorParameters<typeof GroupNorm>[0]) {
    super(gpu, 2, 4);
  }
}

const throws = (code: NormErrorCode, body: () => unknown) => assertThrows(body, { code, fix: /./ });

export const cases: Case[] = [...accuracy, ...passes, ...behaviour];
