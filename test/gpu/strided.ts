/** Tensors with strides: the bits of dense ones, on every strategy, with what lies beside them left alone. */
import {
  addRmsNorm,
  type FloatDType,
  type Gpu,
  groupNorm,
  init,
  LayerNorm,
  l2Norm,
  l2NormBackward,
  layerNorm,
  layerNormBackward,
  type NormErrorCode,
  rmsNorm,
  rmsNormBackward,
  type ScheduleOptions,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { asOnGpu } from '../support/subject.ts';

/** Where the elements of a shape lie, in elements. */
interface Placed {
  shape: number[];
  strides: number[];
  first: number;
  axes?: number[];
}

/** Quads stay quads in the first ones, not in those behind. */
const places: Record<string, Placed> = {
  'rows of a wider matrix': { shape: [7, 24], strides: [40, 1], first: 8 },
  'q of a packed qkv': { shape: [2, 5, 3, 16], strides: [5 * 144, 144, 16, 1], first: 48 },
  'heads before time': { shape: [2, 3, 5, 16], strides: [240, 16, 48, 1], first: 0 },
  'three axes that do not continue each other': {
    shape: [2, 3, 4, 8],
    strides: [500, 104, 16, 1],
    first: 4,
  },
  'a column less': { shape: [9, 23], strides: [24, 1], first: 1 },
  'every other element': { shape: [3, 4, 10], strides: [100, 22, 2], first: 0 },
  'runs shorter than a row': { shape: [5, 12], strides: [1, 7], first: 2 },
  'kept axes of a wider image': { shape: [2, 6, 4, 5], strides: [400, 60, 9, 1], first: 3, axes: [1] },
  'a dense tensor at an odd place': { shape: [4, 10], strides: [10, 1], first: 5 },
};

const schedules: ScheduleOptions[] = [
  {},
  { strategy: 'thread', workgroup: 8 },
  { strategy: 'registers', workgroup: 32, lanes: 8 },
  { strategy: 'workgroup', workgroup: 16 },
  { strategy: 'split', splits: 2, workgroup: 16 },
];

const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);

/** The place of each element. */
function placesOf({ shape, strides, first }: Placed): number[] {
  return Array.from({ length: product(shape) }, (_, i) => {
    let [rest, place] = [i, first];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      place += (rest % size) * (strides[axis] as number);
      rest = Math.floor(rest / size);
    }
    return place;
  });
}

/** A tensor within a larger one that holds 77 everywhere else. */
function within(gpu: Gpu, placed: Placed, dtype: FloatDType, values?: Float32Array) {
  const places = placesOf(placed);
  const all = new Float32Array(2 * Math.ceil((Math.max(...places) + 8) / 2)).fill(77);
  if (values) for (const [i, place] of places.entries()) all[place] = values[i] as number;
  const whole = gpu.tensor(all, [all.length], { dtype });
  const bytes = dtype === 'f32' ? 4 : 2;
  const { shape, strides, first } = placed;
  const tensor = gpu.wrap(whole.buffer, shape, { dtype, strides, offset: bytes * first });
  const own = new Set(places);
  return {
    tensor,
    whole,
    /** Its elements. Throws where one of the others has changed. */
    async data(name: string): Promise<Float32Array> {
      const found = await whole.data();
      for (const [place, value] of found.entries())
        if (!own.has(place)) assert(value === 77, `${name}: element ${place} beside the tensor is ${value}`);
      const data = Float32Array.from(places, (place) => found[place] as number);
      assertEqual(await tensor.data(), data, `${name}, read as a tensor`);
      return data;
    },
  };
}

/** Forward and backward, with all that can have strides, against dense tensors in the same schedule. */
async function compare(
  gpu: Gpu,
  name: string,
  placed: Placed,
  dtype: FloatDType,
  schedule: ScheduleOptions,
): Promise<void> {
  const { shape, axes = [shape.length - 1] } = placed;
  const random = (seed: number) => normal(product(shape), { seed, mean: 2 });
  const dense = (values: Float32Array) => gpu.tensor(values, shape, { dtype });
  const [xs, rs, dys] = [random(1), random(2), random(3)];
  const sizes = axes.map((axis) => shape[axis] as number);
  const weight = gpu.tensor(normal(product(sizes), { seed: 4 }), sizes, { dtype });
  // Where a quad is none of the buffer, elements are loaded one by one, in which order sums are others.
  const bytes = dtype === 'f32' ? 4 : 2;
  const first = placed.first % (gpu.facts.offsetAlignment / bytes);
  const quads = [...placed.strides.filter((stride) => stride > 1), first].every((place) => place % 4 === 0);
  const plain = quads ? schedule : { ...schedule, vec4: false };

  const [x, residual] = [dense(xs), dense(rs)];
  // A residual behind a norm has two passes back, which only a split is.
  const after = schedule.strategy === undefined || schedule.strategy === 'split';
  const options = { axes, weight, ...(after && { residual, activation: 'silu' as const }) };
  const expected = layerNorm(gpu, x, { ...options, schedule: plain });
  const statistics = { mean: expected.mean, rstd: expected.rstd };
  const back = layerNormBackward(gpu, dense(dys), x, { ...options, ...statistics, schedule: plain });

  const of = (values?: Float32Array) => within(gpu, placed, dtype, values);
  const [sx, sr, sdy, sy, sdx, sdr] = [of(xs), of(rs), of(dys), of(), of(), of()];
  const strided = { ...options, ...(after && { residual: sr.tensor }), schedule };
  const made = layerNorm(gpu, sx.tensor, { ...strided, out: { y: sy.tensor } });
  assertEqual(await sy.data(`${name}: y`), await expected.y.data(), `${name}: y`);
  for (const one of ['mean', 'rstd'] as const)
    assertEqual(await made[one].data(), await expected[one].data(), `${name}: ${one}`);
  const out = { dx: sdx.tensor, ...(after && { dresidual: sdr.tensor }) };
  const found = layerNormBackward(gpu, sdy.tensor, sx.tensor, { ...strided, ...statistics, out });
  assertEqual(await sdx.data(`${name}: dx`), await back.dx.data(), `${name}: dx`);
  if (after)
    assertEqual(await sdr.data(`${name}: dresidual`), await back.dresidual?.data(), `${name}: dresidual`);
  for (const one of ['dweight', 'dbias'] as const)
    assertEqual(await found[one]?.data(), await back[one]?.data(), `${name}: ${one}`);

  // In place, and one of two operands alone.
  const plainRms = rmsNorm(gpu, x, { axes, weight, schedule: plain });
  rmsNorm(gpu, sx.tensor, { axes, weight, schedule, out: { y: sx.tensor } });
  assertEqual(await sx.data(`${name}: in place`), await plainRms.y.data(), `${name}: in place`);
  const added = addRmsNorm(gpu, x, residual, { axes, weight, schedule: plain });
  const sum = of();
  const mixed = addRmsNorm(gpu, x, sr.tensor, { axes, weight, schedule, out: { sum: sum.tensor } });
  assertEqual(await sum.data(`${name}: sum`), await added.sum.data(), `${name}: sum`);
  assertEqual(await mixed.y.data(), await added.y.data(), `${name}: y of the sum`);
  const dsum = { axes, weight, rstd: added.rstd };
  const plainDx = rmsNormBackward(gpu, dense(dys), added.sum, { ...dsum, dsum: residual, schedule: plain });
  const stridedDx = rmsNormBackward(gpu, sdy.tensor, sum.tensor, { ...dsum, dsum: sr.tensor, schedule });
  assertEqual(await stridedDx.dx.data(), await plainDx.dx.data(), `${name}: dx of the sum`);
}

export const cases: Case[] = [
  ...Object.entries(places).map(
    ([name, placed]): Case => ({
      name: `strides: ${name}`,
      timeout: 240_000,
      run: (t) => compare(t.gpu, name, placed, 'f32', {}),
    }),
  ),
  ...schedules.slice(1).map(
    (schedule): Case => ({
      name: `strides: ${schedule.strategy}`,
      timeout: 240_000,
      async run(t) {
        for (const name of ['q of a packed qkv', 'a column less'])
          await compare(t.gpu, name, places[name] as Placed, 'f32', schedule);
      },
    }),
  ),
  {
    name: 'strides: f16 and bf16, with rows that begin within a word',
    timeout: 240_000,
    async run(t) {
      for (const dtype of ['f16', 'bf16'] as const) {
        for (const placed of [
          { shape: [5, 23], strides: [25, 1], first: 2 },
          { shape: [2, 5, 3, 16], strides: [720, 144, 16, 1], first: 48 },
        ])
          await compare(t.gpu, dtype, placed, dtype, {});
      }
    },
  },
  {
    name: 'strides: as on a GPU',
    timeout: 240_000,
    run: (t) =>
      asOnGpu(t.device, async (gpu) => {
        for (const name of ['q of a packed qkv', 'kept axes of a wider image'])
          await compare(gpu, name, places[name] as Placed, 'f32', {});
      }),
  },
  {
    name: 'strides: an axis that is broadcast, and what is dense after all',
    async run({ gpu }) {
      const values = normal(8);
      const row = gpu.tensor(values, [8]);
      const x = gpu.wrap(row.buffer, [6, 8], { strides: [0, 1] });
      assertEqual(x.strides, [0, 1], 'strides');
      const repeated = Float32Array.from({ length: 48 }, (_, i) => values[i % 8] as number);
      assertEqual(await x.data(), repeated, 'x');
      const expected = layerNorm(gpu, gpu.tensor(repeated, [6, 8]), { normalizedShape: 8 });
      assertEqual(
        await layerNorm(gpu, x, { normalizedShape: 8 }).y.data(),
        await expected.y.data(),
        'y of a row that is there six times',
      );
      const dense = gpu.wrap(row.buffer, [2, 1, 4], { strides: [4, 77, 1] });
      assertEqual(dense.strides, undefined, 'strides of a dense tensor');
      dense.write(values);
      assertEqual(groupNorm(gpu, dense, { numGroups: 1 }).y.shape, [2, 1, 4], 'a norm that has no strides');
      const empty = gpu.wrap(row.buffer, [0, 8], { strides: [100, 3] });
      assertEqual((await layerNorm(gpu, empty, { normalizedShape: 8 }).y.data()).length, 0, 'of nothing');
    },
  },
  {
    name: 'strides: lengths of one',
    async run({ gpu }) {
      const placed = places['q of a packed qkv'] as Placed;
      const { shape } = placed;
      const [xs, dys] = [normal(product(shape)), normal(product(shape), { seed: 2 })];
      const [x, dy] = [gpu.tensor(xs, shape), gpu.tensor(dys, shape)];
      const { y, rstd } = l2Norm(gpu, x, { normalizedShape: 16 });
      const { dx } = l2NormBackward(gpu, dy, x, { normalizedShape: 16, rstd });
      const [sx, sdy] = [within(gpu, placed, 'f32', xs), within(gpu, placed, 'f32', dys)];
      l2NormBackward(gpu, sdy.tensor, sx.tensor, { normalizedShape: 16, rstd, out: { dx: sdy.tensor } });
      assertEqual(await sdy.data('dx'), await dx.data(), 'dx');
      l2Norm(gpu, sx.tensor, { normalizedShape: 16, out: { y: sx.tensor } });
      assertEqual(await sx.data('y'), await y.data(), 'y');
    },
  },
  {
    name: 'strides: a module forward and backward',
    async run({ gpu }) {
      const placed = places['q of a packed qkv'] as Placed;
      const { shape } = placed;
      const values = normal(product(shape), { mean: 1 });
      const dy = gpu.tensor(normal(product(shape), { seed: 2 }), shape);
      const resultsOf = async (x: Tensor) => {
        const module = new LayerNorm(gpu, 16);
        const y = await module.forward(x).data();
        const dx = await module.backward(dy).data();
        return [y, dx, await module.weight?.grad?.data()];
      };
      const strided = within(gpu, placed, 'f32', values).tensor;
      assertEqual(await resultsOf(strided), await resultsOf(gpu.tensor(values, shape)), 'y, dx, dweight');
    },
  },
  {
    name: 'strides: what cannot be is refused',
    async run(t) {
      const { gpu } = t;
      const { buffer } = gpu.zeros([64]);
      const large = gpu.zeros([4096]).buffer;
      const codeOf = (code: NormErrorCode, body: () => unknown) => refuses(gpu, code, body);
      codeOf('shape', () => gpu.wrap(buffer, [2, 4], { strides: [4] }));
      codeOf('shape', () => gpu.wrap(buffer, [2, 4], { strides: [4, -1] }));
      codeOf('shape', () => gpu.wrap(buffer, [2, 4], { strides: 4 as unknown as number[] }));
      codeOf('buffer', () => gpu.wrap(buffer, [2, 4], { strides: [61, 1] }));
      codeOf('buffer', () => gpu.wrap(buffer, [2, 4], { strides: [5, 1], offset: 2 }));
      codeOf('buffer', () => gpu.wrap(buffer, [2, 4], { strides: [5, 1], offset: 240 }));
      for (const offset of [0, 4]) {
        const strides = [900, 300, 80, 20, 1];
        codeOf('unsupported', () => gpu.wrap(large, [2, 2, 2, 2, 2], { strides, offset }));
      }
      const x = gpu.wrap(buffer, [2, 4], { strides: [8, 1] });
      const dense = gpu.zeros([2, 4]);
      codeOf('unsupported', () => x.write(new Float32Array(8)));
      codeOf('unsupported', () => groupNorm(gpu, x, { numGroups: 2 }));
      codeOf('unsupported', () => layerNorm(gpu, dense, { normalizedShape: [2, 4], weight: x }));
      codeOf('aliasing', () =>
        layerNorm(gpu, dense, {
          normalizedShape: 4,
          out: { y: gpu.wrap(buffer, [2, 4], { strides: [2, 1] }) },
        }),
      );
      codeOf('aliasing', () =>
        layerNorm(gpu, x, {
          normalizedShape: 4,
          out: { y: gpu.wrap(buffer, [2, 4], { strides: [8, 1], offset: 16 }) },
        }),
      );
      const small = await init({ device: t.device, facts: { maxBindingBytes: 65_536 } });
      const wide = small.zeros([64, 512]);
      const half = small.wrap(wide.buffer, [64, 256], { strides: [512, 1] });
      refuses(small, 'limit', () => layerNorm(small, half, { normalizedShape: 256 }));
      small.destroy();
    },
  },
];
