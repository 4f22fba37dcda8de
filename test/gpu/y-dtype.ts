/** y and dy in another type than x: every norm and family of kernels, the bits of a conversion beside, large tensors, modules, refusals. */
import {
  addLayerNorm,
  BatchNorm2d,
  type FloatDType,
  type Gpu,
  groupNorm,
  init,
  LayerNorm,
  layerNorm,
  layerNormBackward,
  type Tensor,
  workspaceBytes,
} from '../../src/index.ts';
import { cast } from '../../src/ops/cast.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { inEveryStrategy } from '../support/strategies.ts';
import { arraysOf, runBackward, runForward, type Subject, summary, verifyAll } from '../support/subject.ts';

/** The type of x and that of y. */
const pairs = [
  ['f32', 'f16'],
  ['f32', 'bf16'],
  ['f16', 'f32'],
  ['f16', 'bf16'],
  ['bf16', 'f32'],
  ['bf16', 'f16'],
] as const satisfies [FloatDType, FloatDType][];

/** Rows whose elements are loaded by four and one by one. */
const rows: Subject[] = [
  { op: 'layerNorm', shape: [9, 68] },
  { op: 'rmsNorm', shape: [7, 129], cast: 'gemma' },
];

const others: Subject[] = [
  { op: 'addLayerNorm', shape: [6, 33] },
  { op: 'addRmsNorm', shape: [6, 40], cast: 'llama' },
  { op: 'rmsNorm', shape: [12, 48], gate: true, activation: 'silu' },
  { op: 'l2Norm', shape: [5, 30] },
  { op: 'layerNorm', shape: [2, 6, 5, 4], axes: [1] },
  { op: 'layerNorm', shape: [8, 40], groups: 4, activation: 'gelu' },
  { op: 'groupNorm', shape: [2, 8, 5, 5], groups: 2, activation: 'silu' },
  { op: 'groupNorm', shape: [2, 6, 6, 8], groups: 4, layout: 'channels-last' },
  { op: 'instanceNorm', shape: [2, 3, 7, 9] },
  { op: 'batchNorm', shape: [4, 6, 5, 5], activation: 'relu' },
  { op: 'batchNorm', shape: [5, 7, 7, 8], layout: 'channels-last' },
  { op: 'batchNorm', shape: [4, 6, 4, 4], evaluation: true },
];

/** A pass of a subject, with y and dy in that type. The values of dy are those of the subject's own type of it. */
function pass(gpu: Gpu, subject: Subject, yDtype: FloatDType) {
  const { shape, dtype = 'f32' } = subject;
  const { x, dy, residual, gate, dsum, weight, bias } = arraysOf(subject);
  const like = (values: Float32Array | undefined, of: FloatDType = dtype) =>
    values && gpu.tensor(values, shape, { dtype: of });
  const parameter = (values: Float32Array | undefined) =>
    values && gpu.tensor(values, [values.length], { dtype });
  const of = { ...subject, yDtype };
  const input = like(x) as Tensor;
  const [w, b] = [parameter(weight), parameter(bias)];
  const forward = runForward(gpu, of, input, like(residual), w, b, undefined, undefined, like(gate));
  const { sum = input, mean, rstd } = forward;
  const backward = runBackward(
    gpu,
    of,
    like(dy, yDtype) as Tensor,
    sum,
    w,
    b,
    undefined,
    mean,
    rstd,
    like(dsum),
    undefined,
    like(gate),
  );
  const { y } = forward;
  assertEqual([y.dtype, backward.dx.dtype, sum.dtype], [yDtype, dtype, dtype], 'types of y, dx and sum');
  return { y, rstd, ...backward };
}

export const cases: Case[] = [
  {
    name: 'y in another type: every strategy, every pair of types',
    timeout: 300_000,
    async run(t) {
      const list = pairs.flatMap(([dtype, yDtype]) =>
        rows.flatMap((subject) => inEveryStrategy({ ...subject, dtype, yDtype })),
      );
      t.note('errors', summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: 'y in another type: every norm, on a layout of a GPU, too',
    timeout: 300_000,
    async run(t) {
      const list = others.map((subject, i) => {
        const [dtype, yDtype] = pairs[i % pairs.length] as (typeof pairs)[number];
        return { ...subject, dtype, yDtype };
      });
      t.note('errors', summary(await verifyAll(t.gpu, list)));
      const gpu = await init({ device: t.device, facts: { software: false } });
      t.note('as on a GPU', summary(await verifyAll(gpu, [...list, ...rows.map(narrowed)])));
      gpu.destroy();
    },
  },
  {
    name: 'y in another type: the bits of a conversion of y, and of a dy that was converted',
    timeout: 300_000,
    async run({ gpu }) {
      const list = [...rows.flatMap(inEveryStrategy), ...others.filter(({ evaluation }) => !evaluation)];
      for (const [i, subject] of list.entries()) {
        const yDtype = i % 2 === 0 ? 'bf16' : 'f16';
        const narrow: Subject = { ...subject, yDtype };
        const [own, beside] = [pass(gpu, narrow, yDtype), pass(gpu, narrow, 'f32')];
        const name = `${subject.op} ${subject.shape}`;
        assertEqual(await own.y.data(), await cast(gpu, beside.y, yDtype).data(), `y of ${name}`);
        assertEqual(await own.dx.data(), await beside.dx.data(), `dx of ${name}`);
        assertEqual(await own.dweight?.data(), await beside.dweight?.data(), `dweight of ${name}`);
      }
    },
  },
  {
    name: 'y in another type: tensors larger than a binding, cut at any element',
    timeout: 300_000,
    async run(t) {
      const gpu = await init({ device: t.device, facts: { maxBindingBytes: 4096 } });
      for (const [dtype, yDtype] of [
        ['f32', 'bf16'],
        ['bf16', 'f32'],
      ] as const) {
        for (const shape of [
          [90, 99],
          [40, 128],
          [33, 2, 5, 27],
        ]) {
          const x = normal(shape.reduce((all, size) => all * size, 1));
          const size = shape.length === 2 ? { normalizedShape: shape[1] as number } : undefined;
          const run = (on: Gpu) => {
            const tensor = on.tensor(x, shape, { dtype });
            if (!size) return groupNorm(on, tensor, { numGroups: 1, yDtype }).y;
            const { y, mean, rstd } = layerNorm(on, tensor, { ...size, yDtype });
            return layerNormBackward(on, y, tensor, { ...size, mean, rstd, yDtype }).dx;
          };
          const [whole, parts] = [await run(t.gpu).data(), await run(gpu).data()];
          assertEqual(parts, whole, `${shape} of ${dtype} to ${yDtype}`);
        }
      }
      gpu.destroy();
    },
  },
  {
    name: 'y in another type: beside strides, and in memory of the caller',
    async run({ gpu }) {
      const x = gpu.tensor(normal(5 * 16), [5, 16]);
      const wide = gpu.zeros([5, 40], { dtype: 'bf16' });
      const y = gpu.wrap(wide.buffer, [5, 16], { dtype: 'bf16', strides: [40, 1], offset: 16 });
      const options = { normalizedShape: 16, yDtype: 'bf16' } as const;
      const dense = layerNorm(gpu, x, options);
      const found = layerNorm(gpu, x, { ...options, out: { y } });
      assert(found.y === y, 'y is not where it should be');
      assertEqual(await y.data(), await dense.y.data(), 'y');
      const all = await wide.data();
      assert(
        all.every((value, i) => value === 0 || (i % 40 >= 8 && i % 40 < 24)),
        'what lies beside y',
      );
    },
  },
  {
    name: 'y in another type: modules',
    async run({ gpu }) {
      const x = gpu.tensor(normal(5 * 12), [5, 12]);
      const dy = gpu.tensor(normal(5 * 12, { seed: 2 }), [5, 12], { dtype: 'bf16' });
      const norm = new LayerNorm(gpu, 12);
      await norm.prepare([5, 12], { yDtype: 'bf16' });
      const options = { normalizedShape: 12, weight: norm.weight?.data, yDtype: 'bf16' } as const;
      const one = layerNorm(gpu, x, { ...options, bias: norm.bias?.data });
      const out = gpu.empty([5, 12], { dtype: 'bf16' });
      for (const target of [{}, { out }, { out }]) {
        const y = norm.forward(x, { yDtype: 'bf16', ...target });
        assertEqual([y.dtype, await y.data()], ['bf16', await one.y.data()], 'y');
      }
      const { dx } = layerNormBackward(gpu, dy, x, { ...options, mean: one.mean, rstd: one.rstd });
      assertEqual(await norm.backward(dy).data(), await dx.data(), 'dx');
      // The next forward is in the type of x again.
      assertEqual(norm.forward(x).dtype, 'f32', 'without yDtype');
      refuses(gpu, 'dtype', () => norm.backward(dy));
      const images = gpu.tensor(normal(96), [2, 3, 4, 4]);
      const batch = new BatchNorm2d(gpu, 3, { activation: 'relu' });
      const [whole, half] = [batch.forward(images), batch.forward(images, { yDtype: 'f16' })];
      assertEqual(await half.data(), await cast(gpu, whole, 'f16').data(), 'BatchNorm2d');
    },
  },
  {
    name: 'y in another type: what cannot be is refused',
    run({ gpu }) {
      const x = gpu.tensor(normal(24), [2, 12]);
      const half = gpu.zeros([2, 12], { dtype: 'bf16' });
      const options = { normalizedShape: 12 };
      const { mean, rstd } = layerNorm(gpu, x, options);
      const back = { ...options, mean, rstd };
      const norm = new LayerNorm(gpu, 12);
      const yDtype = 'bf16';
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { ...options, yDtype: 'u32' as never }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { ...options, out: { y: half } }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { ...options, yDtype, out: { y: x } }));
      refuses(gpu, 'dtype', () => layerNorm(gpu, x, { ...options, yDtype, residual: x }));
      refuses(gpu, 'dtype', () => addLayerNorm(gpu, x, x, { ...options, yDtype, out: { sum: half } }));
      refuses(gpu, 'dtype', () => layerNormBackward(gpu, half, x, back));
      refuses(gpu, 'dtype', () => layerNormBackward(gpu, x, x, { ...back, yDtype }));
      refuses(gpu, 'dtype', () => layerNormBackward(gpu, half, x, { ...back, yDtype, out: { dx: half } }));
      refuses(gpu, 'dtype', () => layerNormBackward(gpu, half, x, { ...back, yDtype, residual: x }));
      refuses(gpu, 'dtype', () => norm.workspaceBytes([2, 12], { yDtype: 'i8' as never }));
      refuses(gpu, 'value', () => workspaceBytes(gpu, 'localResponseNorm', [2, 3, 4], { yDtype }));
      refuses(gpu, 'value', () => workspaceBytes(gpu, 'dynamicTanh', [2, 12], { yDtype }));
      refuses(gpu, 'value', () => new LayerNorm(gpu, 12, { yDtype } as never));
    },
  },
];

/** A subject of f32 whose y is bf16. */
function narrowed(subject: Subject): Subject {
  return { ...subject, yDtype: 'bf16' };
}
