/** L2 normalization: both conventions of eps, every strategy, geometry and storage, lengths of every size. */
import { init, L2Norm, l2Norm, l2NormBackward } from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { decode, type GoldenTensor } from '../support/golden.ts';
import { refuses } from '../support/refuses.ts';
import { inEveryStrategy } from '../support/strategies.ts';
import { arraysOf, type DataOptions, type Subject, summary, verify, verifyAll } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

const op = 'l2Norm';

type Listed = Subject & { data?: DataOptions };

interface Golden {
  name: string;
  shape: number[];
  axes: number[];
  eps: number;
  epsMode: 'max' | 'add';
  inputs: { x: GoldenTensor; dy: GoldenTensor; weight?: GoldenTensor };
  outputs: { y: GoldenTensor; dx: GoldenTensor; dweight?: GoldenTensor };
}

const plain: Subject[] = [
  { op, shape: [9, 68] },
  { op, shape: [7, 129], epsMode: 'add' },
  { op, shape: [2, 3, 4, 5], trailing: 2, eps: 4 },
  { op, shape: [3, 769], affine: false },
];

/** Over other axes, in groups, with several weights, and with what may follow a norm. */
const others: Listed[] = [
  { op, shape: [2, 6, 5, 4], axes: [1] },
  { op, shape: [3, 7, 6], axes: [0, 1], eps: 3 },
  { op, shape: [2, 5, 3, 6, 2], axes: [1, 3], affine: false, epsMode: 'add' },
  { op, shape: [9, 40], groups: 4 },
  { op, shape: [3, 5, 24], apart: 1, zeroCentered: true },
  { op, shape: [12, 48], gate: true, activation: 'silu', data: { dyMean: 1 } },
  { op, shape: [12, 44], residual: true, activation: 'relu' },
];

const magnitudes: DataOptions[] = [
  {},
  { offset: 1e2, dyMean: 1 },
  { magnitude: 1e-10 },
  { magnitude: 1e19, dyMean: 1 },
  { magnitude: 1e30 },
  { magnitude: 3e38, dyMean: 1 },
];

export const cases: Case[] = [
  {
    name: 'l2Norm: every strategy, from 1e-10 to 3e38',
    timeout: 300_000,
    async run(t) {
      const list = plain
        .flatMap(inEveryStrategy)
        .flatMap((subject) =>
          magnitudes.map((data) => ({ ...subject, data, ...(data.magnitude === 1e-10 && { eps: 0 }) })),
        );
      t.note('errors', summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: 'l2Norm: axes, groups, weights of samples, gates, activations',
    timeout: 300_000,
    async run(t) {
      t.note(
        'errors',
        summary(
          await verifyAll(
            t.gpu,
            others.flatMap((one) => inEveryStrategy(one)),
          ),
        ),
      );
      const gpu = await init({ device: t.device, facts: { software: false } });
      t.note('as on a GPU', summary(await verifyAll(gpu, [...plain, ...others])));
      gpu.destroy();
    },
  },
  {
    name: 'l2Norm: f16 and bf16',
    timeout: 300_000,
    async run(t) {
      const half = plain
        .slice(0, 2)
        .flatMap((subject) => [
          ...inEveryStrategy({ ...subject, dtype: 'bf16' }),
          { ...subject, dtype: 'f16' as const },
          { ...subject, dtype: 'f16' as const, paramDtype: 'f32' as const },
        ]);
      t.note('errors', summary(await verifyAll(t.gpu, half)));
    },
  },
  {
    name: 'l2Norm: lengths below eps, of rows of zeros, and from 1e-38 up',
    timeout: 300_000,
    async run(t) {
      for (const eps of [1e-12, 0.5, 1e-30, 1e20]) {
        for (const subject of [
          ...inEveryStrategy({ op, shape: [12, 40], eps }),
          ...inEveryStrategy({ op, shape: [2, 10, 6], axes: [1], eps }),
          ...inEveryStrategy({ op, shape: [12, 40], eps, epsMode: 'add' }),
        ]) {
          const arrays = arraysOf(subject);
          // Some rows shorter than eps and some longer, by far and by little: never so little that rounding decides.
          const kept = subject.axes !== undefined;
          const sizes = [
            0,
            1e-38,
            1e-30,
            1e-13,
            eps * 1e-8,
            eps * 0.01,
            eps * 0.1,
            eps,
            eps * 10,
            1,
            1e10,
            1e30,
          ];
          const x = arrays.x.map((value, i) => {
            const row = kept ? 6 * Math.floor(i / 60) + (i % 6) : Math.floor(i / 40);
            return value * (sizes[row] as number);
          });
          // What is added under the root is f32, and so is its share of a row.
          if (subject.epsMode === 'add' && eps < 1e-20) continue;
          const dy = arrays.dy.map((value) => value * (eps > 1 ? eps : 1));
          await verify(t.gpu, subject, {}, { ...arrays, x, dy });
        }
      }
    },
  },
  {
    name: "l2Norm: PyTorch's values",
    async run({ gpu, readJson }) {
      const { cases: list } = (await readJson('golden/l2-norm.json')) as { cases: Golden[] };
      for (const { name, axes, eps, epsMode, inputs, outputs } of list) {
        const tensor = (one: GoldenTensor) => gpu.tensor(decode(one) as Float32Array, one.shape);
        const [x, dy] = [tensor(inputs.x), tensor(inputs.dy)];
        const options = { axes, eps, epsMode, weight: inputs.weight && tensor(inputs.weight) };
        const { y, rstd } = l2Norm(gpu, x, options);
        const { dx, dweight } = l2NormBackward(gpu, dy, x, { ...options, rstd });
        assertEqual(dweight === null, !outputs.dweight, `dweight of ${name}`);
        for (const [output, found] of Object.entries({ y, dx, dweight })) {
          const expected = outputs[output as keyof typeof outputs];
          if (!found || !expected) continue;
          const error = relativeError(await found.data(), decode(expected) as Float64Array);
          // Of a gradient that cancels, error against value is larger than against terms.
          const bound = output === 'y' ? bounds.forward : 10 * bounds.backward;
          assert(error <= bound, `${output} of ${name}: off by ${error.toExponential(1)}`);
        }
      }
      assert(list.length >= 9, 'There are hardly any cases.');
    },
  },
  {
    name: 'l2Norm: values by hand, and in place',
    async run({ gpu }) {
      const options = { normalizedShape: 2 };
      const x = gpu.tensor([3, 4, 0, 0, 0, -2], [3, 2]);
      const { y, rstd } = l2Norm(gpu, x, options);
      assert(
        relativeError(await y.data(), [0.6, 0.8, 0, 0, 0, -1]) <= bounds.forward,
        `y: ${await y.data()}`,
      );
      const expected = [Math.SQRT2 / 5, Math.SQRT2 * 1e12, Math.SQRT1_2];
      assert(relativeError(await rstd.data(), expected) <= bounds.forward, `rstd: ${await rstd.data()}`);
      const dy = gpu.tensor([1, 0, 1, 2, 1, 1], [3, 2]);
      const { dx, dweight } = l2NormBackward(gpu, dy, x, { ...options, rstd });
      assertEqual(dweight, null, 'dweight without a weight');
      // (g − x̂·Σ(g·x̂)) / length; for a row of zeros g / eps.
      const gradients = [0.128, -0.096, 1e12, 2e12, 0.5, 0];
      assert(relativeError(await dx.data(), gradients) <= bounds.backward, `dx: ${await dx.data()}`);
      const vector = gpu.tensor([3, 4], [2]);
      const one = l2Norm(gpu, vector, { ...options, statistics: false, out: { y: vector } });
      assertEqual(one.rstd, null, 'rstd');
      assert(one.y === vector, 'y is x');
      assert(relativeError(await vector.data(), [0.6, 0.8]) <= bounds.forward, 'in place');
    },
  },
  {
    name: 'l2Norm: the module',
    async run({ gpu }) {
      const data = normal(60);
      const x = gpu.tensor(data, [5, 12]);
      const dy = gpu.tensor(normal(60, { seed: 3 }), [5, 12]);
      for (const epsMode of ['max', 'add'] as const) {
        const norm = new L2Norm(gpu, 12, { epsMode, elementwiseAffine: true });
        assertEqual(norm.eps, epsMode === 'max' ? 1e-12 : 1e-6, 'eps');
        assertEqual([...norm.stateDict().keys()], ['weight'], 'state');
        const weight = norm.weight?.data;
        const options = { normalizedShape: 12, weight, epsMode };
        const one = l2Norm(gpu, x, options);
        assertEqual(await norm.forward(x).data(), await one.y.data(), 'y');
        const two = l2NormBackward(gpu, dy, x, { ...options, rstd: one.rstd });
        assertEqual(await norm.backward(dy).data(), await two.dx.data(), 'dx');
        assertEqual(await norm.weight?.grad?.data(), await two.dweight?.data(), 'dweight');
      }
      assertEqual([...new L2Norm(gpu, 12).stateDict().keys()], [], 'state without a weight');
    },
  },
  {
    name: 'l2Norm: what cannot be is refused',
    run({ gpu }) {
      const x = gpu.tensor(normal(24), [2, 12]);
      const rstd = gpu.zeros([2]);
      const given = (options: object) => options as never;
      for (const options of [
        { eps: -1 },
        { eps: Number.NaN },
        { epsMode: 'least' },
        { bias: x },
        { cast: 'llama' },
      ]) {
        refuses(gpu, 'value', () => l2Norm(gpu, x, given({ normalizedShape: 12, ...options })));
        refuses(gpu, 'value', () =>
          l2NormBackward(gpu, x, x, given({ normalizedShape: 12, rstd, ...options })),
        );
        refuses(gpu, 'value', () => new L2Norm(gpu, 12, given(options)));
      }
      refuses(gpu, 'shape', () => l2Norm(gpu, x, { normalizedShape: 5 }));
      refuses(gpu, 'shape', () => l2Norm(gpu, x, { normalizedShape: 12, weight: rstd }));
      refuses(gpu, 'shape', () => l2NormBackward(gpu, x, x, { normalizedShape: 12, rstd: x }));
    },
  },
];
