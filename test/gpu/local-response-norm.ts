/** LocalResponseNorm: accuracy, exponents, golden values, chunks, recording, errors. */
import {
  type FloatDType,
  type Gpu,
  init,
  type Layout,
  LocalResponseNorm,
  localResponseNorm,
  localResponseNormBackward,
  type NormErrorCode,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import {
  groupNormGeometry,
  localResponseNormBackwardReference,
  localResponseNormReference,
  relativeError,
  roundAllTo,
} from '../reference/index.ts';
import { normal, stored, withElement } from '../support/data.ts';
import { decode } from '../support/golden.ts';
import { refuses } from '../support/refuses.ts';
import { RESPONSE_GOLDEN, type ResponseGoldenFile } from '../support/response.ts';
import { asOnGpu } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

interface Subject {
  shape: number[];
  layout?: Layout;
  size: number;
  alpha?: number;
  beta?: number;
  k?: number;
  dtype?: FloatDType;
  /** Standard deviation of x. Default 1. */
  std?: number;
}

interface Arrays {
  x: Float32Array;
  dy: Float32Array;
}

const product = (sizes: readonly number[]) => sizes.reduce((total, size) => total * size, 1);

function arraysOf({ shape, dtype = 'f32', std = 1 }: Subject): Arrays {
  const count = product(shape);
  return {
    x: stored(dtype, normal(count, { std })),
    dy: stored(dtype, normal(count, { mean: 0.5, seed: 2 })),
  };
}

/** Forward and backward, twice with equal bits. */
async function run(gpu: Gpu, { shape, dtype = 'f32', std: _, ...options }: Subject, { x, dy }: Arrays) {
  const [xTensor, dyTensor] = [gpu.tensor(x, shape, { dtype }), gpu.tensor(dy, shape, { dtype })];
  const once = async () => {
    const { y } = localResponseNorm(gpu, xTensor, options);
    const { dx } = localResponseNormBackward(gpu, dyTensor, xTensor, options);
    const result = { y: await y.data(), dx: await dx.data() };
    y.destroy();
    dx.destroy();
    return result;
  };
  const result = await once();
  const again = await once();
  assertEqual(again.y, result.y, 'y of a second run');
  assertEqual(again.dx, result.dx, 'dx of a second run');
  xTensor.destroy();
  dyTensor.destroy();
  return result;
}

function referenceOf({ shape, layout = 'channels-first', ...options }: Subject, { x, dy }: Arrays) {
  const geometry = groupNormGeometry(shape, 1, layout);
  const settings = { alpha: 1e-4, beta: 0.75, k: 1, ...options };
  const y = localResponseNormReference(x, geometry, settings);
  return { y, ...localResponseNormBackwardReference(dy, x, geometry, settings) };
}

type Errors = { y: number; dx: number };

const show = ({ y, dx }: Errors) => `y ${y.toExponential(1)}, dx ${dx.toExponential(1)}`;

/** Throws unless y and dx are as near to float64 as the bounds want. Returns their largest errors. */
async function verify(gpu: Gpu, subjects: readonly Subject[]): Promise<Errors> {
  const worst = { y: 0, dx: 0 };
  for (const subject of subjects) {
    const arrays = arraysOf(subject);
    const actual = await run(gpu, subject, arrays);
    const { y, dx, scale } = referenceOf(subject, arrays);
    const { dtype = 'f32' } = subject;
    const once = (exact: Float64Array, against: Float64Array) =>
      bounds.halfFactor * relativeError(roundAllTo(dtype, exact), exact, against) + bounds.halfSlack;
    const errors = { y: relativeError(actual.y, y), dx: relativeError(actual.dx, dx, scale) };
    const allowed =
      dtype !== 'f32' ? { y: once(y, y), dx: once(dx, scale) } : { y: bounds.forward, dx: bounds.backward };
    for (const output of ['y', 'dx'] as const) {
      const what = `${output} of ${JSON.stringify(subject)}`;
      assert(errors[output] <= allowed[output], `${what}: ${errors[output]} > ${allowed[output]}`);
      worst[output] = Math.max(worst[output], errors[output]);
    }
  }
  return worst;
}

/** Channels with and without tails, planes likewise, one to four spatial dimensions. */
const shapes: Pick<Subject, 'shape' | 'layout'>[] = [
  { shape: [2, 1, 9] },
  { shape: [3, 3, 4, 4] },
  { shape: [2, 5, 3, 7] },
  { shape: [1, 96, 5, 5] },
  { shape: [1, 255, 6] },
  { shape: [2, 8, 2, 3, 4] },
  { shape: [2, 7, 1] },
  { shape: [2, 6, 2, 2, 1, 3] },
  { shape: [2, 9, 1], layout: 'channels-last' },
  { shape: [2, 4, 4, 3], layout: 'channels-last' },
  { shape: [2, 3, 7, 5], layout: 'channels-last' },
  { shape: [1, 5, 5, 96], layout: 'channels-last' },
  { shape: [1, 6, 255], layout: 'channels-last' },
  { shape: [2, 2, 3, 4, 8], layout: 'channels-last' },
];

/** Odd and even, one channel, more than there are channels, more than a block. */
const sizes = [1, 2, 3, 4, 5, 9, 40, 255];

// alpha of 1 and x of 3 standard deviations: the window's share is what d consists of.
const strong = { alpha: 1, std: 3 };

const accuracy: Case[] = [
  ...(['channels-first', 'channels-last'] as const).map(
    (wanted): Case => ({
      name: `localResponseNorm: shapes and sizes, ${wanted}`,
      async run(t) {
        const some = shapes.filter(({ layout = 'channels-first' }) => layout === wanted);
        const list = some.flatMap((shape) => sizes.map((size): Subject => ({ ...shape, size, ...strong })));
        t.note(`${list.length} subjects`, show(await verify(t.gpu, list)));
        const plain = some.flatMap((shape) => [5, 12].map((size): Subject => ({ ...shape, size })));
        t.note('defaults', show(await verify(t.gpu, plain)));
      },
    }),
  ),
  {
    name: 'localResponseNorm: exponents',
    async run(t) {
      for (const beta of [0.5, 0.75, 1, 0.6, 2, -0.5]) {
        // Where beta is 2, d of 1e20 leaves nothing that f32 can hold.
        const list = [0.01, 1, 1e3, ...(beta > 1 ? [] : [1e10])].flatMap((std): Subject[] => [
          { shape: [2, 5, 3, 7], size: 5, beta, std, alpha: 1 },
          { shape: [2, 3, 7, 5], layout: 'channels-last', size: 4, beta, std, k: 2 },
          { shape: [2, 5, 3, 7], size: 11, beta, std, alpha: 0.3, k: 0.5 },
        ]);
        t.note(`beta ${beta}`, show(await verify(t.gpu, list)));
      }
    },
  },
  ...(['f16', 'bf16'] as const).map(
    (dtype): Case => ({
      name: `localResponseNorm: ${dtype}`,
      async run(t) {
        const list = shapes.flatMap((shape): Subject[] => [
          { ...shape, size: 5, dtype, ...strong },
          { ...shape, size: 12, dtype, ...strong, beta: 0.6 },
          { ...shape, size: 3, dtype, alpha: 1, std: 10_000 },
        ]);
        t.note(dtype, show(await verify(t.gpu, list)));
      },
    }),
  ),
  {
    name: 'localResponseNorm: in bindings of 64 KiB, and as a GPU would run it',
    async run(t) {
      const tiny = await init({ device: t.device, facts: { maxBindingBytes: 65_536 } });
      const list = [4, 5, 12].flatMap((size): Subject[] => [
        { shape: [300, 5, 3, 7], size, ...strong },
        { shape: [300, 8, 4, 4], size, ...strong },
        { shape: [300, 7, 11, 3], layout: 'channels-last', size, ...strong },
        { shape: [3, 4, 3_333], size, ...strong },
        { shape: [2, 4, 4096], size, ...strong },
      ]);
      t.note('chunked', show(await verify(tiny, list)));
      const x = tiny.zeros([2, 20, 1000]);
      refuses(tiny, 'limit', () => localResponseNorm(tiny, x, { size: 5 }));
      tiny.destroy();
      await asOnGpu(t.device, async (gpu) => {
        t.note('as on a GPU', show(await verify(gpu, list)));
      });
    },
  },
  {
    name: 'localResponseNorm: more workgroups than a dimension has',
    async run(t) {
      const narrow = await init({ device: t.device, facts: { maxWorkgroupsPerDimension: 20 } });
      const list = [5, 12].flatMap((size): Subject[] => [
        { shape: [40, 9, 3, 7], size, ...strong },
        { shape: [40, 3, 7, 9], layout: 'channels-last', size, ...strong },
      ]);
      t.note('folded', show(await verify(narrow, list)));
      narrow.destroy();
    },
  },
];

const golden: Case[] = (['f32', 'f16'] as const).map(
  (dtype): Case => ({
    name: `localResponseNorm: golden values, ${dtype}`,
    async run(t) {
      const file = (await t.readJson(`golden/${RESPONSE_GOLDEN}.json`)) as ResponseGoldenFile | null;
      assert(file, `test/golden/${RESPONSE_GOLDEN}.json is missing`);
      let worst = 0;
      const chosen = file.cases.filter((one) => one.dtype === dtype);
      assert(chosen.length > 0);
      for (const { name, inputs, outputs, ...subject } of chosen) {
        const arrays = { x: Float32Array.from(decode(inputs.x)), dy: Float32Array.from(decode(inputs.dy)) };
        const actual = await run(t.gpu, subject, arrays);
        const { scale } = referenceOf(subject, arrays);
        for (const output of ['y', 'dx'] as const) {
          const expected = Float64Array.from(decode(outputs[output]));
          const against = output === 'y' ? expected : scale;
          const rounding = relativeError(roundAllTo(dtype, expected), expected, against);
          const exact = output === 'y' ? bounds.forward : bounds.backward;
          const bound = dtype === 'f16' ? bounds.halfFactor * rounding + bounds.halfSlack : exact;
          const error = relativeError(actual[output], expected, against);
          assert(error <= bound, `${name}: ${output} ${error} > ${bound}`);
          worst = Math.max(worst, error);
        }
      }
      t.note(`${chosen.length} cases of PyTorch ${file.torch}`, worst.toExponential(1));
    },
  }),
);

const isolation: Case[] = [
  {
    name: 'localResponseNorm: NaN reaches the windows that it lies in, and nothing else',
    async run(t) {
      const shape = [2, 9, 5];
      const arrays = arraysOf({ shape, size: 1 });
      for (const size of [3, 4, 9, 10]) {
        for (const layout of ['channels-first', 'channels-last'] as const) {
          const subject = { shape, size, layout };
          const sound = await run(t.gpu, subject, arrays);
          const at = 47;
          const broken = await run(t.gpu, subject, { ...arrays, x: withElement(arrays.x, at, Number.NaN) });
          const { y, dx } = referenceOf(subject, { ...arrays, x: withElement(arrays.x, at, Number.NaN) });
          for (const [actual, clean, expected] of [
            [broken.y, sound.y, y],
            [broken.dx, sound.dx, dx],
          ] as const) {
            assert(Number.isNaN(actual[at]), 'the element itself');
            actual.forEach((value, i) => {
              if (Number.isNaN(expected[i])) return;
              assertEqual(value, clean[i], `size ${size}, ${layout}, element ${i}`);
            });
          }
        }
      }
    },
  },
  {
    name: 'localResponseNorm: one huge channel leaves no trace outside of its windows',
    async run(t) {
      // A sum that slides over the channels would keep the rounding of 1e12 for all that follow.
      const shape = [1, 64, 4];
      const { x } = arraysOf({ shape, size: 5 });
      const huge = x.map((value, i) => (Math.floor(i / 4) === 7 ? 1e6 : value));
      for (const size of [5, 12]) {
        const options = { size, alpha: 1, k: 1e-3 };
        const y = await localResponseNorm(t.gpu, t.gpu.tensor(huge, shape), options).y.data();
        const clean = await localResponseNorm(t.gpu, t.gpu.tensor(x, shape), options).y.data();
        assertEqual(y.subarray(4 * 20), clean.subarray(4 * 20), `size ${size}`);
      }
    },
  },
];

const recording: Case[] = [
  {
    name: 'localResponseNorm: module, encoder, pass, wrapped buffers, prepare',
    async run({ gpu, device }) {
      const shape = [2, 6, 3, 5];
      const arrays = arraysOf({ shape, size: 1 });
      const [x, dy] = [gpu.tensor(arrays.x, shape), gpu.tensor(arrays.dy, shape)];
      for (const size of [3, 10]) {
        const module = new LocalResponseNorm(gpu, size, { alpha: 1, beta: 0.5, k: 2 });
        assertEqual([module.size, module.alpha, module.beta, module.k], [size, 1, 0.5, 2]);
        assertEqual(module.parameters().length, 0);
        refuses(gpu, 'order', () => module.backward(dy));
        await module.prepare(shape);
        assertEqual(module.workspaceBytes(shape), 4096, 'scratch: the least that a buffer has');
        const now = { y: await module.forward(x).data(), dx: await module.backward(dy).data() };
        const target = gpu.wrap(device.createBuffer({ size: 1024, usage: 0x84 }), shape, { offset: 256 });
        const encoder = device.createCommandEncoder();
        assert(module.forward(x, { encoder, out: target }) === target);
        const pass = encoder.beginComputePass();
        const dx = module.backward(dy, { pass });
        pass.end();
        device.queue.submit([encoder.finish()]);
        assertEqual(await target.data(), now.y, 'y into the encoder');
        assertEqual(await dx.data(), now.dx, 'dx into the pass');
        const expected = referenceOf({ shape, size, alpha: 1, beta: 0.5, k: 2 }, arrays);
        assert(relativeError(now.y, expected.y) <= bounds.forward);
        assert(relativeError(now.dx, expected.dx, expected.scale) <= bounds.backward);
        module.destroy();
        refuses(gpu, 'destroyed', () => module.forward(x));
        target.buffer.destroy();
      }
    },
  },
  {
    name: 'localResponseNorm: empty tensors',
    async run({ gpu }) {
      for (const shape of [
        [0, 3, 4],
        [2, 0, 4],
        [2, 3, 0, 2],
      ]) {
        const x = gpu.zeros(shape);
        for (const size of [5, 12]) {
          for (const layout of ['channels-first', 'channels-last'] as const) {
            const { y } = localResponseNorm(gpu, x, { size, layout });
            assertEqual(y.shape, shape);
            assertEqual(localResponseNormBackward(gpu, y, x, { size, layout }).dx.shape, shape);
          }
        }
      }
      await gpu.idle();
    },
  },
];

const errors: Case[] = [
  {
    name: 'localResponseNorm: errors',
    run({ gpu, device }) {
      const x = gpu.zeros([2, 3, 4]);
      const flat = gpu.zeros([2, 3]);
      const other = gpu.zeros([2, 3, 5]);
      const counts = gpu.zeros([2, 3, 4], { dtype: 'u32' });
      const gone = gpu.zeros([2, 3, 4]);
      gone.destroy();
      const both = (code: NormErrorCode, on: Tensor, options: object, out?: Tensor) => {
        const all = { size: 5, ...options };
        refuses(gpu, code, () => localResponseNorm(gpu, on, { ...all, out: { y: out } }));
        refuses(gpu, code, () => localResponseNormBackward(gpu, on, on, { ...all, out: { dx: out } }));
      };
      both('shape', flat, {});
      both('dtype', counts, {});
      both('destroyed', gone, {});
      for (const size of [0, -1, 2.5, Number.NaN]) {
        both('value', x, { size });
        refuses(gpu, 'value', () => new LocalResponseNorm(gpu, size));
      }
      for (const name of ['alpha', 'beta', 'k']) {
        both('value', x, { [name]: Number.NaN });
        refuses(gpu, 'value', () => new LocalResponseNorm(gpu, 5, { [name]: Number.POSITIVE_INFINITY }));
      }
      both('value', x, { layout: 'NCHW' });
      both('shape', x, {}, other);
      both('dtype', x, {}, counts);
      both('aliasing', x, {}, x);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      both('value', x, { encoder, pass });
      pass.end();
      refuses(gpu, 'shape', () => localResponseNormBackward(gpu, other, x, { size: 5 }));
      refuses(gpu, 'dtype', () => localResponseNormBackward(gpu, counts, x, { size: 5 }));
    },
  },
];

export const cases: Case[] = [...accuracy, ...golden, ...isolation, ...recording, ...errors];
