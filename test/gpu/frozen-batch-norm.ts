/** FrozenBatchNorm2d, BatchNorm folded into what comes before it, and the converters of models. */
import { LocalProcessGroup, SyncBatchNorm } from '../../src/distributed/index.ts';
import {
  BatchNorm1d,
  BatchNorm2d,
  batchNorm,
  batchNormBackward,
  convertFrozenBatchNorm,
  type FloatDType,
  FrozenBatchNorm2d,
  foldBatchNorm,
  fuseBatchNorm,
  type Gpu,
  GroupNorm,
  Identity,
  init,
  LayerNorm,
  Module,
  Parameter,
  type PassOptions,
  Sequential,
  StateDict,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import {
  batchNormGeometry,
  normBackwardReference,
  normReference,
  relativeError,
  roundAllToHalf,
} from '../reference/index.ts';
import { normal, stored, toHalf } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { bounds } from '../support/tolerances.ts';

/** Statistics and parameters of C channels, none of them special. */
function valuesOf(channels: number, seed = 1) {
  return {
    weight: normal(channels, { mean: 1, std: 0.5, seed }),
    bias: normal(channels, { seed: seed + 1 }),
    mean: normal(channels, { mean: 2, seed: seed + 2 }),
    variance: normal(channels, { seed: seed + 3 }).map((value) => 0.1 + value * value),
  };
}

type Values = ReturnType<typeof valuesOf>;

function fill(module: BatchNorm1d | BatchNorm2d | SyncBatchNorm | FrozenBatchNorm2d, values: Values): void {
  module.weight?.data.write(values.weight);
  module.bias?.data.write(values.bias);
  module.runningMean?.write(values.mean);
  module.runningVar?.write(values.variance);
}

const frozen: Case[] = [
  {
    name: 'frozenBatchNorm: forward and backward, both layouts, dx alone',
    async run({ gpu, note }) {
      let worst = 0;
      for (const layout of ['channels-first', 'channels-last'] as const) {
        const shape = layout === 'channels-first' ? [2, 5, 3, 7] : [2, 3, 7, 5];
        const values = valuesOf(5);
        const module = new FrozenBatchNorm2d(gpu, 5, { layout, eps: 1e-3 });
        fill(module, values);
        const [x, dy] = [normal(210, { mean: 3 }), normal(210, { seed: 9, mean: 1 })];
        const y = module.train().forward(gpu.tensor(x, shape));
        const dx = module.backward(gpu.tensor(dy, shape));
        const geometry = batchNormGeometry(shape, layout);
        const options = { kind: 'moments', eps: 1e-3, ...values, frozen: values } as const;
        const yError = relativeError(await y.data(), normReference(x, geometry, options).y);
        const gradients = normBackwardReference(dy, x, geometry, options);
        const dxError = relativeError(await dx.data(), gradients.dx, gradients.scale.dx);
        assert(yError <= bounds.forward, `y ${yError}`);
        assert(dxError <= bounds.backward, `dx ${dxError}`);
        worst = Math.max(worst, yError, dxError);
        assertEqual([module.weight.grad, module.bias.grad], [null, null], 'gradients');
        assertEqual(module.parameters().length, 0, 'parameters');
        // In eval() and train() alike, and nothing is counted or updated.
        assertEqual(await module.eval().forward(gpu.tensor(x, shape)).data(), await y.data());
        assertEqual(await module.runningMean.data(), values.mean);
        module.destroy();
      }
      note('frozen', worst.toExponential(1));
    },
  },
  {
    name: 'frozenBatchNorm: f16 inputs with f32 and f16 parameters',
    async run({ gpu }) {
      for (const dtype of ['f32', 'f16'] as const) {
        const module = new FrozenBatchNorm2d(gpu, 3, { dtype });
        const values = valuesOf(3);
        if (dtype === 'f16')
          Object.assign(values, { weight: toHalf(values.weight), bias: toHalf(values.bias) });
        fill(module, values);
        const x = toHalf(normal(120));
        const y = await module.forward(gpu.tensor(x, [2, 3, 4, 5], { dtype: 'f16' })).data();
        const geometry = batchNormGeometry([2, 3, 4, 5], 'channels-first');
        const options = { kind: 'moments', eps: 1e-5, ...values, frozen: values } as const;
        const exact = normReference(x, geometry, options).y;
        const bound = bounds.halfFactor * relativeError(roundAllToHalf(exact), exact) + bounds.halfSlack;
        assert(relativeError(y, exact) <= bound);
        module.destroy();
      }
    },
  },
  {
    name: 'frozenBatchNorm: state dicts of BatchNorm2d, torchvision and detectron2',
    async run({ gpu }) {
      const names = ['weight', 'bias', 'running_mean', 'running_var'];
      const module = new FrozenBatchNorm2d(gpu, 3);
      assertEqual([...module.stateDict().keys()], names);
      assertEqual(module.stateDict().versions.get(''), 3);
      const batchNorm2d = new BatchNorm2d(gpu, 3);
      fill(batchNorm2d, valuesOf(3));
      const { missingKeys, unexpectedKeys } = module.loadStateDict(batchNorm2d.stateDict());
      assertEqual([...missingKeys, ...unexpectedKeys], [], 'with num_batches_tracked');
      assertEqual(await module.runningVar.data(), valuesOf(3).variance);
      assertEqual(await module.bias.data.data(), valuesOf(3).bias);

      // Inside of a model, without a version and without running statistics: those of an identity.
      const model = new Sequential(gpu, module);
      const old = new StateDict();
      old.set('0.weight', gpu.tensor([4, 5, 6], [3]));
      old.set('0.bias', gpu.tensor([7, 8, 9], [3]));
      model.loadStateDict(old);
      assertEqual(await module.runningVar.data(), [1, 1, 1]);
      assertEqual(await module.runningMean.data(), [0, 0, 0]);
      assertEqual(await module.weight.data.data(), [4, 5, 6]);
      for (const version of [2, 3]) {
        old.versions.set('0', version);
        refuses(gpu, 'state', () => model.loadStateDict(old));
      }
      model.destroy();
      batchNorm2d.destroy();
    },
  },
  {
    name: 'frozenBatchNorm: errors, encoder, prepare, nothing left behind',
    async run({ gpu, device }) {
      const x = gpu.tensor(normal(24), [2, 3, 2, 2]);
      const flat = gpu.zeros([2, 3]);
      const other = gpu.zeros([2, 4, 2, 2]);
      const before = gpu.memory().tensors;
      for (const numFeatures of [0, 1.5])
        refuses(gpu, 'value', () => new FrozenBatchNorm2d(gpu, numFeatures));
      refuses(gpu, 'value', () => new FrozenBatchNorm2d(gpu, 3, { eps: -1 }));
      refuses(gpu, 'value', () => new FrozenBatchNorm2d(gpu, 3, { layout: 'NCHW' as 'channels-last' }));
      refuses(gpu, 'dtype', () => new FrozenBatchNorm2d(gpu, 3, { dtype: 'u32' as 'f32' }));
      const module = new FrozenBatchNorm2d(gpu, 3);
      refuses(gpu, 'order', () => module.backward(x));
      refuses(gpu, 'shape', () => module.forward(flat));
      refuses(gpu, 'shape', () => module.forward(other));
      await module.prepare(x.shape);
      const encoder = device.createCommandEncoder();
      const y = module.forward(x, { encoder });
      const dx = module.backward(x, { encoder });
      device.queue.submit([encoder.finish()]);
      assertEqual(await y.data(), await module.forward(x).data());
      assertEqual(await dx.data(), await module.backward(x).data());
      module.destroy();
      module.destroy();
      assertEqual(gpu.memory().tensors, before + 4, 'only the four results');
    },
  },
];

/** Σ W·x + b of a linear map with `inner` kernel elements, in float64: [out, inner]. */
function linear(
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  x: ArrayLike<number>,
  { out, inner, at }: { out: number; inner: number; at: (o: number, i: number) => number },
): Float64Array {
  const y = new Float64Array(out * inner);
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < inner; k++) {
      let sum = bias?.[o] ?? 0;
      for (let i = 0; i < x.length; i++) {
        const place = at(o, i);
        if (place >= 0) sum += (weight[place * inner + k] as number) * (x[i] as number);
      }
      y[o * inner + k] = sum;
    }
  }
  return y;
}

interface Shapes {
  name: string;
  shape: number[];
  axis?: number;
  out: number;
  inputs: number;
  inner: number;
  /** Which run of the weights takes input i to output o; −1 for none. */
  at: (o: number, i: number) => number;
}

const shapes: Shapes[] = [
  { name: 'linear', shape: [6, 5], out: 6, inputs: 5, inner: 1, at: (o, i) => o * 5 + i },
  { name: 'convolution', shape: [6, 4, 3, 3], out: 6, inputs: 4, inner: 9, at: (o, i) => o * 4 + i },
  {
    name: 'grouped convolution',
    shape: [6, 2, 5],
    out: 6,
    inputs: 4,
    inner: 5,
    at: (o, i) => (Math.floor(o / 3) === Math.floor(i / 2) ? o * 2 + (i % 2) : -1),
  },
  {
    name: 'transposed convolution',
    shape: [4, 6, 3, 3],
    axis: 1,
    out: 6,
    inputs: 4,
    inner: 9,
    at: (o, i) => i * 6 + o,
  },
  {
    name: 'grouped transposed convolution',
    shape: [4, 3, 7],
    axis: 1,
    out: 6,
    inputs: 4,
    inner: 7,
    at: (o, i) => (Math.floor(o / 3) === Math.floor(i / 2) ? i * 3 + (o % 3) : -1),
  },
  {
    name: 'channels-last filter',
    shape: [3, 4, 6],
    axis: 2,
    out: 6,
    inputs: 12,
    inner: 1,
    at: (o, i) => i * 6 + o,
  },
];

async function checkFold(gpu: Gpu, one: Shapes, dtype: FloatDType, variant: 'all' | 'plain' | 'frozen') {
  const { name, shape, axis, out, inputs, inner } = one;
  const store = (values: Float32Array) => stored(dtype, values);
  const values = valuesOf(out);
  const eps = 1e-3;
  const bn =
    variant === 'frozen'
      ? new FrozenBatchNorm2d(gpu, out, { eps })
      : new BatchNorm2d(gpu, out, { eps, affine: variant !== 'plain' }).eval();
  fill(bn, values);
  const weightValues = store(
    normal(
      shape.reduce((product, size) => product * size, 1),
      { seed: 5 },
    ),
  );
  const biasValues = variant === 'plain' ? null : store(normal(out, { seed: 6 }));
  const weight = gpu.tensor(weightValues, shape, { dtype });
  const bias = biasValues && gpu.tensor(biasValues, [out], { dtype });
  const folded = foldBatchNorm(weight, bias, bn, { axis });
  assertEqual([folded.weight.dtype, folded.bias.dtype], [dtype, dtype]);
  assertEqual(folded.weight.shape, shape);

  const x = normal(inputs, { seed: 7 });
  const plain = linear(weightValues, biasValues, x, one);
  const geometry = { samples: 1, positions: 1, channels: out, inner, groups: out };
  const parameters = variant === 'plain' ? {} : { weight: values.weight, bias: values.bias };
  const options = { kind: 'moments', eps, ...parameters, frozen: values } as const;
  const after = normReference(plain, geometry, options).y;
  const found = linear(await folded.weight.data(), await folded.bias.data(), x, one);
  // What is summed may cancel: the terms are the scale.
  const absolute = linear(
    (await folded.weight.data()).map(Math.abs),
    (await folded.bias.data()).map(Math.abs),
    x.map(Math.abs),
    one,
  );
  const error = relativeError(found, after, absolute);
  const bound = { f32: bounds.forward, f16: 2 ** -11, bf16: 2 ** -8 }[dtype];
  assert(error <= bound, `${name}, ${dtype}, ${variant}: ${error}`);
  bn.destroy();
  for (const tensor of [weight, bias, folded.weight, folded.bias]) tensor?.destroy();
  return error;
}

/** A depthwise 1×1 convolution: y = x·weight + bias per channel. BatchNorm without statistics of its own computes it. */
class Depthwise extends Module {
  readonly foldTarget = { weight: 'weight', bias: 'bias' };
  readonly weight: Parameter;
  bias: Parameter | null = null;
  readonly #zeros: Tensor;
  readonly #ones: Tensor;
  #saved: { x: Tensor; mean: Tensor; rstd: Tensor } | undefined;

  constructor(gpu: Gpu, channels: number, hasBias: boolean, seed: number) {
    super(gpu);
    const values = (more: number) => gpu.tensor(normal(channels, { mean: 1, seed: seed + more }), [channels]);
    const weight = gpu.tensor(normal(channels, { mean: 1, seed }), [channels, 1, 1, 1]);
    this.weight = this.registerParameter('weight', new Parameter(weight));
    this.bias = this.registerParameter('bias', hasBias ? new Parameter(values(1)) : null);
    this.#zeros = this.registerBuffer('zeros', gpu.zeros([channels]), { persistent: false });
    const ones = gpu.tensor(new Float32Array(channels).fill(1), [channels]);
    this.#ones = this.registerBuffer('ones', ones, { persistent: false });
  }

  override forward(x: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    const { y, mean, rstd } = batchNorm(this.gpu, x, {
      ...target,
      eps: 0,
      weight: this.weight.data.view(this.#ones.shape),
      bias: this.bias?.data,
      runningMean: this.#zeros,
      runningVar: this.#ones,
      out: { y: out },
    });
    this.#saved = { x, mean, rstd };
    return y;
  }

  override backward(dy: Tensor, { out, ...target }: PassOptions = {}): Tensor {
    assert(this.#saved);
    const { x, mean, rstd } = this.#saved;
    const weight = this.weight.data.view(this.#ones.shape);
    const wants = { dweight: false, dbias: false };
    return batchNormBackward(this.gpu, dy, x, { ...target, mean, rstd, weight, wants, out: { dx: out } }).dx;
  }
}

const fold: Case[] = [
  {
    name: 'foldBatchNorm: linear maps, convolutions, transposed ones, groups',
    async run({ gpu, note }) {
      let worst = 0;
      for (const one of shapes) {
        for (const variant of ['all', 'plain', 'frozen'] as const) {
          worst = Math.max(worst, await checkFold(gpu, one, 'f32', variant));
        }
      }
      note('folded', worst.toExponential(1));
    },
  },
  {
    name: 'foldBatchNorm: f16, bf16',
    async run({ gpu, note }) {
      for (const dtype of ['f16', 'bf16'] as const) {
        let worst = 0;
        for (const one of shapes) worst = Math.max(worst, await checkFold(gpu, one, dtype, 'all'));
        note(`folded, ${dtype}`, worst.toExponential(1));
      }
    },
  },
  {
    name: 'foldBatchNorm: weights larger than a binding, and into an encoder',
    async run({ gpu, device }) {
      const tiny = await init({ device, facts: { maxBindingBytes: 16_384 } });
      const weight = gpu.tensor(normal(70 * 333), [70, 333]);
      const [bn, tinyBn] = [gpu, tiny].map((context) => {
        const module = new BatchNorm1d(context, 70);
        fill(module, valuesOf(70));
        return module.eval();
      }) as [BatchNorm1d, BatchNorm1d];
      const whole = await foldBatchNorm(weight, null, bn).weight.data();
      const parts = foldBatchNorm(weight, null, tinyBn);
      assertEqual(await parts.weight.data(), whole, 'in parts');
      const encoder = device.createCommandEncoder();
      const later = foldBatchNorm(weight, null, bn, { encoder });
      device.queue.submit([encoder.finish()]);
      assertEqual(await later.weight.data(), whole, 'recorded');
      assertEqual(await later.bias.data(), await parts.bias.data(), 'bias');
      bn.destroy();
      tiny.destroy();
    },
  },
  {
    name: 'foldBatchNorm: errors',
    run({ gpu }) {
      const bn = new BatchNorm2d(gpu, 4).eval();
      const activated = new BatchNorm2d(gpu, 4, { activation: 'relu' }).eval();
      const untracked = new BatchNorm2d(gpu, 4, { trackRunningStats: false }).eval();
      const weight = gpu.zeros([4, 3]);
      const [four, three] = [gpu.zeros([4]), gpu.zeros([3])];
      const counts = gpu.zeros([4, 3], { dtype: 'u32' });
      for (const other of [activated, untracked])
        refuses(gpu, 'value', () => foldBatchNorm(weight, four, other));
      refuses(gpu, 'shape', () => foldBatchNorm(weight, four, bn, { axis: 1 }));
      refuses(gpu, 'shape', () => foldBatchNorm(three, null, bn));
      refuses(gpu, 'shape', () => foldBatchNorm(weight, three, bn));
      refuses(gpu, 'dtype', () => foldBatchNorm(counts, null, bn));
      for (const axis of [-1, 2, 0.5]) refuses(gpu, 'value', () => foldBatchNorm(weight, null, bn, { axis }));
      bn.train();
      refuses(gpu, 'order', () => foldBatchNorm(weight, four, bn));
    },
  },
];

class Block extends Module {
  readonly norm: BatchNorm2d | FrozenBatchNorm2d;

  constructor(gpu: Gpu) {
    super(gpu);
    this.norm = this.registerModule('norm', new BatchNorm2d(gpu, 4));
  }

  override forward(x: Tensor, options: PassOptions = {}): Tensor {
    return this.norm.forward(x, options);
  }

  override backward(dy: Tensor, options: PassOptions = {}): Tensor {
    return this.norm.backward(dy, options);
  }
}

async function outputsOf(model: Module, x: Tensor, dy: Tensor) {
  const y = await (await model.forward(x)).data();
  return { y, dx: await (await model.backward(dy)).data() };
}

const converters: Case[] = [
  {
    name: 'convertFrozenBatchNorm: every BatchNorm2d of a tree, in place, with equal outputs',
    async run({ gpu }) {
      const shared = new BatchNorm2d(gpu, 4, { affine: false, eps: 0.1 });
      const model = new Sequential(gpu, [
        ['stem', new BatchNorm2d(gpu, 4, { activation: 'relu' })],
        ['group', new GroupNorm(gpu, 2, 4)],
        ['block', new Block(gpu)],
        ['inner', new Sequential(gpu, shared, new LayerNorm(gpu, [4, 3, 3]))],
      ]);
      model.registerModule('again', new Identity(gpu));
      model
        .modules()
        .filter((module) => module instanceof BatchNorm2d)
        .forEach((module, i) => {
          fill(module, valuesOf(4, i + 1));
        });
      model.eval();
      const shape = [2, 4, 3, 3];
      const [x, dy] = [gpu.tensor(normal(72), shape), gpu.tensor(normal(72, { seed: 2 }), shape)];
      const before = await outputsOf(model, x, dy);
      assert(before.dx.filter((value) => value !== 0).length > 10, 'gradients reach x');
      const keys = [...model.stateDict().keys()].filter((key) => !key.endsWith('num_batches_tracked'));
      const { tensors } = gpu.memory();
      assert(convertFrozenBatchNorm(model) === model);
      // Two affine ones: weight, bias, mean, variance, count to four; one without parameters: three to four.
      assertEqual(model.modules().filter((module) => module instanceof FrozenBatchNorm2d).length, 3);
      assertEqual(model.modules().filter((module) => module instanceof BatchNorm2d).length, 0);
      const block = model.at(2) as Block;
      assert(block.norm instanceof FrozenBatchNorm2d, 'the field of a module');
      assert(gpu.memory().tensors < tensors + 4, 'what was replaced is freed');
      const affine = keys.toSpliced(
        keys.indexOf('inner.0.running_mean'),
        0,
        'inner.0.weight',
        'inner.0.bias',
      );
      assertEqual([...model.stateDict().keys()], affine);
      const after = await outputsOf(model.train(), x, dy);
      assertEqual(after.y, before.y, 'y');
      assertEqual(after.dx, before.dx, 'dx');
      model.destroy();
    },
  },
  {
    name: 'convertFrozenBatchNorm: a BatchNorm2d itself; errors change nothing',
    async run({ gpu }) {
      const module = new BatchNorm2d(gpu, 3);
      const result = convertFrozenBatchNorm(module);
      assert(result instanceof FrozenBatchNorm2d);
      const x = gpu.zeros([1, 3, 2, 2]);
      refuses(gpu, 'destroyed', () => module.forward(x));
      const one = new BatchNorm1d(gpu, 3);
      assert(convertFrozenBatchNorm(one) === one, 'BatchNorm1d stays');
      const untracked = new BatchNorm2d(gpu, 3, { trackRunningStats: false });
      const model = new Sequential(gpu, new BatchNorm2d(gpu, 3), untracked);
      refuses(gpu, 'value', () => convertFrozenBatchNorm(model));
      assert(model.at(0) instanceof BatchNorm2d);
      const shared = new BatchNorm2d(gpu, 3);
      const twice = new Sequential(gpu, shared, new Identity(gpu), shared);
      convertFrozenBatchNorm(twice);
      assert(twice.at(0) instanceof FrozenBatchNorm2d && twice.at(0) === twice.at(2), 'shared');
      for (const each of [result, one, model, twice]) each.destroy();
    },
  },
  {
    name: 'convertFrozenBatchNorm: SyncBatchNorm too',
    async run({ gpu }) {
      const [group] = LocalProcessGroup.create(1);
      const options = { group: group as LocalProcessGroup, eps: 0.1, activation: 'relu' as const };
      const sync = new SyncBatchNorm(gpu, 4, options);
      fill(sync, valuesOf(4, 3));
      const model = new Sequential(gpu, sync).eval();
      const x = gpu.tensor(normal(72), [2, 4, 3, 3]);
      const before = await (await sync.forward(x)).data();
      convertFrozenBatchNorm(model);
      assert(model.at(0) instanceof FrozenBatchNorm2d && !model.asynchronous, 'it is frozen');
      assertEqual(await model.forward(x).data(), before, 'y');
      refuses(gpu, 'destroyed', () => sync.resetRunningStats());
      model.destroy();
    },
  },
  {
    name: 'fuseBatchNorm: outputs and gradients are what they were',
    async run({ gpu, note }) {
      const depthwise = (hasBias: boolean, seed: number) => new Depthwise(gpu, 4, hasBias, seed);
      const frozenNorm = new FrozenBatchNorm2d(gpu, 4);
      fill(frozenNorm, valuesOf(4, 31));
      const activated = new BatchNorm2d(gpu, 4, { activation: 'silu' });
      const alone = new BatchNorm2d(gpu, 4);
      const model = new Sequential(
        gpu,
        alone,
        depthwise(true, 11),
        new BatchNorm2d(gpu, 4),
        new Sequential(gpu, depthwise(false, 21), new BatchNorm2d(gpu, 4, { affine: false })),
        depthwise(true, 41),
        activated,
        depthwise(false, 51),
        frozenNorm,
      );
      model
        .modules()
        .filter((module) => module instanceof BatchNorm2d)
        .forEach((module, i) => {
          fill(module, valuesOf(4, i + 61));
        });
      const shape = [2, 4, 3, 3];
      const [x, dy] = [gpu.tensor(normal(72), shape), gpu.tensor(normal(72, { seed: 2 }), shape)];
      refuses(gpu, 'order', () => fuseBatchNorm(model));
      model.eval();
      const before = await outputsOf(model, x, dy);
      assert(before.dx.filter((value) => value !== 0).length > 10, 'gradients reach x');
      const weights = model.parameters();
      assert(fuseBatchNorm(model) === model);
      const identities = model.modules().filter((module) => module instanceof Identity);
      assertEqual(identities.length, 3, 'three are folded');
      assert(model.at(0) === alone && model.at(5) === activated, 'the others stay');
      assert(model.at(2) instanceof Identity && model.at(7) instanceof Identity);
      const inner = (model.at(3) as Sequential).at(0) as Depthwise;
      assert(inner.bias instanceof Parameter, 'a bias where there was none');
      assertEqual(
        inner.namedParameters().map(([name]) => name),
        ['weight', 'bias'],
      );
      assert(weights.includes(inner.weight), 'the parameters are the same objects');
      const after = await outputsOf(model, x, dy);
      const errors = [relativeError(after.y, before.y), relativeError(after.dx, before.dx)];
      note('fused', errors.map((error) => error.toExponential(1)).join(', '));
      // Five maps one after another, each rounded on both sides.
      for (const error of errors) assert(error <= 4 * bounds.forward, `fused: ${error}`);
      const once = await outputsOf(fuseBatchNorm(model), x, dy);
      assertEqual(once.y, after.y, 'there is nothing left to fuse');
      // The last module is an Identity: what forward returns is the caller's all the same.
      const first = model.forward(x);
      const copy = await first.data();
      model.forward(dy);
      assertEqual(await first.data(), copy, 'y after the next forward');
      const out = gpu.empty(shape);
      assert(model.forward(x, { out }) === out);
      assertEqual(await out.data(), copy, 'into out');
      model.destroy();
    },
  },
  {
    name: 'fuseBatchNorm: what is there twice stays; errors change nothing',
    async run({ gpu }) {
      const conv = new Depthwise(gpu, 4, true, 1);
      const twice = new Sequential(gpu, conv, new BatchNorm2d(gpu, 4), conv, new BatchNorm2d(gpu, 4)).eval();
      fuseBatchNorm(twice);
      assert(twice.at(1) instanceof BatchNorm2d && twice.at(3) instanceof BatchNorm2d);
      const tied = new Depthwise(gpu, 4, true, 2);
      const other = new Depthwise(gpu, 4, true, 3);
      other.registerParameter('bias', tied.bias);
      const model = new Sequential(gpu, tied, new BatchNorm2d(gpu, 4), other).eval();
      fuseBatchNorm(model);
      assert(model.at(1) instanceof BatchNorm2d, 'a shared parameter');
      const norm = new BatchNorm2d(gpu, 4);
      const sharing = new Sequential(gpu, new Depthwise(gpu, 4, true, 7), norm, new GroupNorm(gpu, 2, 4));
      sharing.at(2)?.registerParameter('weight', norm.weight);
      fuseBatchNorm(sharing.eval());
      assert(sharing.at(1) === norm && !norm.weight?.data.destroyed, 'a parameter that another norm has');
      const wrong = new Sequential(
        gpu,
        new Depthwise(gpu, 4, true, 4),
        new BatchNorm2d(gpu, 4),
        new Depthwise(gpu, 4, true, 5),
        new BatchNorm2d(gpu, 5),
      ).eval();
      refuses(gpu, 'shape', () => fuseBatchNorm(wrong));
      const named = new Depthwise(gpu, 4, true, 6);
      Object.assign(named, { foldTarget: { weight: 'kernel', bias: 'bias' } });
      const misnamed = new Sequential(gpu, named, new BatchNorm2d(gpu, 4)).eval();
      refuses(gpu, 'value', () => fuseBatchNorm(misnamed));
      assert(wrong.at(1) instanceof BatchNorm2d);
      await gpu.idle();
      for (const each of [twice, model, sharing, wrong, misnamed]) each.destroy();
    },
  },
  {
    name: 'identity: returns its input, or copies it to out',
    async run({ gpu, device }) {
      const module = new Identity(gpu);
      const x = gpu.tensor(normal(6), [2, 3]);
      assert(module.forward(x) === x && module.backward(x) === x);
      const [out, gradient, shape] = [gpu.empty([2, 3]), gpu.empty([2, 3]), gpu.empty([6])];
      const encoder = device.createCommandEncoder();
      assert(module.forward(x, { out, encoder }) === out);
      const pass = encoder.beginComputePass();
      module.backward(x, { out: gradient, pass });
      pass.end();
      device.queue.submit([encoder.finish()]);
      assertEqual(await out.data(), await x.data());
      assertEqual(await gradient.data(), await x.data());
      refuses(gpu, 'shape', () => module.forward(x, { out: shape }));
      refuses(gpu, 'aliasing', () => module.forward(x, { out: x }));

      const nothing = new Sequential(gpu, module);
      assert(nothing.forward(x) === x && nothing.backward(x) === x);
      const [copy, back] = [gpu.empty([2, 3]), gpu.empty([2, 3])];
      assert(nothing.forward(x, { out: copy }) === copy && nothing.backward(x, { out: back }) === back);
      assertEqual(await copy.data(), await x.data());
      assertEqual(await back.data(), await x.data());
      let calls = 0;
      class Tap extends Identity {
        override forward(x: Tensor, options?: PassOptions): Tensor {
          calls += 1;
          return super.forward(x, options);
        }
      }
      new Sequential(gpu, new Tap(gpu)).forward(x);
      assertEqual(calls, 1, 'a class of its own that extends Identity');
    },
  },
];

export const cases: Case[] = [...frozen, ...fold, ...converters];
