/** DyT: y = tanh(alpha·x)·weight + bias, and the gradients of all four. */
import {
  DynamicTanh,
  dynamicTanh,
  dynamicTanhBackward,
  type FloatDType,
  type Gpu,
  init,
  type Tensor,
  workspaceBytes,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { tanhReference } from '../reference/dynamic-tanh.ts';
import { relativeError, roundAllTo } from '../reference/index.ts';
import { normal, stored } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { bounds } from '../support/tolerances.ts';

interface Subject {
  shape: number[];
  /** Trailing sizes that weight and bias have. Default 1. */
  trailing?: number;
  alpha?: number;
  dtype?: FloatDType;
  paramDtype?: FloatDType;
  weight?: false;
  bias?: false;
  /** Times x. */
  times?: number;
}

const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);

/** Runs both passes and throws where an error exceeds its bound, or where two runs differ in a bit. */
async function verify(gpu: Gpu, subject: Subject): Promise<void> {
  const { shape, trailing = 1, alpha: wanted = 0.7, dtype = 'f32', paramDtype = dtype, times = 1 } = subject;
  const sizes = shape.slice(shape.length - trailing);
  const [count, cols] = [product(shape), product(sizes)];
  const x = stored(
    dtype,
    normal(count, { seed: 1 }).map((value) => value * times),
  );
  const dy = stored(dtype, normal(count, { seed: 2, mean: 0.5 }));
  const [alpha = 0] = stored(paramDtype, Float32Array.of(wanted));
  const weight = subject.weight ?? stored(paramDtype, normal(cols, { seed: 3, mean: 1, std: 0.5 }));
  const bias = subject.bias ?? stored(paramDtype, normal(cols, { seed: 4 }));
  const given = { weight: weight || undefined, bias: bias || undefined };
  const expected = tanhReference({ x, dy, cols, alpha, ...given });
  const tensors = { x: gpu.tensor(x, shape, { dtype }), dy: gpu.tensor(dy, shape, { dtype }) };
  const parameters = {
    alpha: gpu.tensor([alpha], [1], { dtype: paramDtype }),
    weight: weight ? gpu.tensor(weight, sizes, { dtype: paramDtype }) : null,
    bias: bias ? gpu.tensor(bias, sizes, { dtype: paramDtype }) : null,
  };
  const run = async () => {
    const { y } = dynamicTanh(gpu, tensors.x, parameters);
    const gradients = dynamicTanhBackward(gpu, tensors.dy, tensors.x, parameters);
    const all = Object.entries({ y, ...gradients }).filter((one) => one[1]);
    return Promise.all(
      all.map(async ([name, tensor]) => [name, (await tensor?.data()) as Float32Array] as const),
    );
  };
  const [once, again] = [await run(), await run()];
  const names = ['y', 'dx', 'dalpha', ...(weight ? ['dweight'] : []), ...(bias ? ['dbias'] : [])];
  assertEqual(
    once.map(([name]) => name),
    names,
    'outputs',
  );
  for (const [i, [name, values]] of once.entries()) {
    const what = `${name} of ${JSON.stringify(subject)}`;
    assertEqual(again[i]?.[1], values, `${what}, again`);
    const right = expected[name as 'y'];
    const scale = expected.scale[name as 'y'];
    const type = name === 'y' || name === 'dx' ? dtype : paramDtype;
    const rounding = relativeError(roundAllTo(type, right), right, scale);
    const bound = name === 'y' ? bounds.forward : bounds.backward;
    const limit = type === 'f32' ? bound : bounds.halfFactor * rounding + bounds.halfSlack;
    const error = relativeError(values, right, scale);
    assert(error <= limit, `${what}: ${error.toExponential(2)} > ${limit.toExponential(2)}`);
  }
}

const subjects: Subject[] = [
  { shape: [9, 68] },
  { shape: [7, 129], bias: false },
  { shape: [2, 3, 4, 5], trailing: 2 },
  { shape: [3, 769], weight: false },
  { shape: [5, 33], weight: false, bias: false },
  { shape: [40], alpha: -1.5 },
  { shape: [12, 40], alpha: 0 },
  { shape: [12, 40], times: 1e-12 },
  { shape: [12, 40], times: 20 },
  { shape: [1, 3000], times: 3 },
  { shape: [3000, 3] },
];

export const cases: Case[] = [
  {
    name: 'dynamicTanh: f32, on a software adapter and as on a GPU',
    timeout: 180_000,
    async run({ gpu, device }) {
      const other = await init({ device, facts: { software: false } });
      for (const subject of subjects) {
        await verify(gpu, subject);
        await verify(other, subject);
      }
      await verify(gpu, { shape: [1, 100_000] });
      other.destroy();
    },
  },
  {
    name: 'dynamicTanh: f16 and bf16',
    timeout: 180_000,
    async run({ gpu }) {
      for (const dtype of ['f16', 'bf16'] as const) {
        for (const subject of [subjects[0], subjects[1], subjects[2]]) {
          await verify(gpu, { ...(subject as Subject), dtype });
          await verify(gpu, { ...(subject as Subject), dtype, paramDtype: 'f32' });
        }
      }
    },
  },
  {
    name: 'dynamicTanh: in parts, where bindings are small',
    timeout: 180_000,
    async run({ device }) {
      const gpu = await init({ device, facts: { maxBindingBytes: 65_536, leastWorkspace: 32_768 } });
      await verify(gpu, { shape: [300, 256] });
      await verify(gpu, { shape: [6, 5000] });
      gpu.destroy();
    },
  },
  {
    name: 'dynamicTanh: values by hand, infinities, accumulation, what is wanted, and nothing',
    async run({ gpu }) {
      const alpha = gpu.tensor([0.5], [1]);
      const x = gpu.tensor([0, 2, -2, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38], [2, 3]);
      const found = await dynamicTanh(gpu, x, { alpha }).y.data();
      const t = Math.tanh(1);
      assert(relativeError(found, [0, t, -t, 1, -1, 1]) <= bounds.forward, `y: ${found}`);
      const lost = await dynamicTanh(gpu, gpu.tensor([Number.NaN, 1], [2]), { alpha }).y.data();
      assert(Number.isNaN(lost[0]) && Number.isFinite(lost[1]), `NaN: ${lost}`);

      const weight = gpu.tensor([2, 3], [2]);
      const two = gpu.tensor([1, -1, 0, 4], [2, 2]);
      const dy = gpu.tensor([1, 2, 3, 4], [2, 2]);
      const out = { dalpha: gpu.tensor([10], [1]), dweight: gpu.tensor([10, 20], [2]) };
      const once = dynamicTanhBackward(gpu, dy, two, { alpha, weight });
      const { dalpha, dweight, dbias } = dynamicTanhBackward(gpu, dy, two, {
        alpha,
        weight,
        out,
        accumulate: { dalpha: true },
      });
      const [first = 0] = (await once.dalpha?.data()) ?? [];
      assert(Math.abs(((await dalpha?.data())?.[0] ?? 0) - (10 + first)) < 1e-5, 'dalpha is added');
      assertEqual(await dweight?.data(), await once.dweight?.data(), 'dweight is not');
      assertEqual(dbias, null, 'dbias without a bias');
      const none = { dalpha: false, dweight: false, dbias: false };
      const alone = dynamicTanhBackward(gpu, dy, two, { alpha, weight, wants: none });
      assertEqual([alone.dalpha, alone.dweight, alone.dbias], [null, null, null], 'what is not wanted');
      assertEqual(await alone.dx.data(), await once.dx.data(), 'dx alone');

      const empty = gpu.zeros([0, 2]);
      assertEqual(dynamicTanh(gpu, empty, { alpha, weight }).y.shape, [0, 2], 'y of nothing');
      const zeros = dynamicTanhBackward(gpu, empty, empty, { alpha, weight });
      assertEqual([...((await zeros.dalpha?.data()) ?? [])], [0], 'dalpha of nothing');
      assertEqual([...((await zeros.dweight?.data()) ?? [])], [0, 0], 'dweight of nothing');
    },
  },
  {
    name: 'dynamicTanh: the module',
    async run({ gpu }) {
      const x = gpu.tensor(normal(60), [5, 12]);
      const dy = gpu.tensor(normal(60, { seed: 3 }), [5, 12]);
      const norm = new DynamicTanh(gpu, 12);
      assertEqual([...norm.stateDict().keys()], ['alpha', 'weight', 'bias'], 'state');
      assertEqual([...((await norm.alpha?.data.data()) ?? [])], [0.5], 'alpha');
      const parameters = {
        alpha: norm.alpha?.data as Tensor,
        weight: norm.weight?.data,
        bias: norm.bias?.data,
      };
      assertEqual(await norm.forward(x).data(), await dynamicTanh(gpu, x, parameters).y.data(), 'y');
      const { dx, dalpha, dweight, dbias } = dynamicTanhBackward(gpu, dy, x, parameters);
      assertEqual(await norm.backward(dy).data(), await dx.data(), 'dx');
      assertEqual(await norm.alpha?.grad?.data(), await dalpha?.data(), 'dalpha');
      assertEqual(await norm.weight?.grad?.data(), await dweight?.data(), 'dweight');
      assertEqual(await norm.bias?.grad?.data(), await dbias?.data(), 'dbias');
      norm.backward(dy);
      const twice = ((await dalpha?.data())?.[0] ?? 0) * 2;
      assert(Math.abs(((await norm.alpha?.grad?.data())?.[0] ?? 0) - twice) < 1e-5, 'gradients add up');
      await norm.prepare([5, 12]);
      assert(norm.workspaceBytes([5, 12]) > 0, 'scratch');
      assertEqual(workspaceBytes(gpu, 'dynamicTanh', [5, 12]), norm.workspaceBytes([5, 12]), 'its scratch');
      assertEqual(norm.expects(x), [5, 12], 'the shape of y');
      refuses(gpu, 'shape', () => norm.expects({ shape: [5, 11], dtype: 'f32' }));
      refuses(gpu, 'value', () => new DynamicTanh(gpu, 12, { alphaInitValue: Number.NaN }));
      const turned = gpu.zeros([12, 5]);
      const fresh = new DynamicTanh(gpu, 12);
      refuses(gpu, 'order', () => fresh.backward(dy));
      refuses(gpu, 'shape', () => fresh.forward(turned));
    },
  },
  {
    name: 'dynamicTanh: what cannot be is refused',
    run({ gpu }) {
      const x = gpu.tensor(normal(24), [2, 12]);
      const alpha = gpu.tensor([0.5], [1]);
      const given = (options: object) => options as never;
      for (const [code, options] of [
        ['value', { colour: 1 }],
        ['value', {}],
        ['shape', { alpha: gpu.zeros([2]) }],
        ['shape', { alpha, weight: gpu.zeros([5]) }],
        ['shape', { alpha, weight: gpu.zeros([12]), bias: gpu.zeros([2, 12]) }],
        ['dtype', { alpha: gpu.zeros([1], { dtype: 'bf16' }) }],
        ['dtype', { alpha, weight: gpu.zeros([12], { dtype: 'bf16' }) }],
        ['aliasing', { alpha, out: { y: x, dx: x } }],
      ] as const) {
        const { out, ...others } = { out: undefined, ...options };
        const own = (name: 'y' | 'dx') => out && { [name]: out[name] };
        refuses(gpu, code, () => dynamicTanh(gpu, x, given({ ...others, out: own('y') })));
        refuses(gpu, code, () => dynamicTanhBackward(gpu, x, x, given({ ...others, out: own('dx') })));
      }
      const spare = gpu.zeros([12]);
      refuses(gpu, 'value', () => dynamicTanhBackward(gpu, x, x, { alpha, out: { dbias: spare } }));
      refuses(gpu, 'value', () => dynamicTanhBackward(gpu, x, x, { alpha, wants: given({ dx: true }) }));
      refuses(gpu, 'shape', () => dynamicTanhBackward(gpu, spare, x, { alpha }));
    },
  },
];
