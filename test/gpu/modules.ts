/** Modules in modules: names and order, modes, hooks, Sequential, conversion, who frees what. */
import {
  BatchNorm1d,
  type Gpu,
  GroupNorm,
  InstanceNorm1d,
  init,
  LayerNorm,
  Module,
  NormError,
  Parameter,
  type PassOptions,
  RMSNorm,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertClose, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { roundToHalf } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { bounds } from '../support/tolerances.ts';

/** Modules inside that are not called: for names. */
class Tree extends Module {
  readonly stem: BatchNorm1d;
  readonly blocks: Sequential;

  constructor(gpu: Gpu) {
    super(gpu);
    this.registerParameter('scale', new Parameter(gpu.tensor([1, 2], [2])));
    this.registerParameter('shift', null);
    this.registerBuffer('seen', gpu.zeros([], { dtype: 'u32' }));
    this.registerBuffer('cache', gpu.zeros([3]), { persistent: false });
    this.stem = this.registerModule('stem', new BatchNorm1d(gpu, 3));
    this.blocks = this.registerModule(
      'blocks',
      new Sequential(gpu, new GroupNorm(gpu, 1, 3), new InstanceNorm1d(gpu, 3), new RMSNorm(gpu, 4)),
    );
    this.registerModule('none', null);
    this.registerModule('again', this.stem);
  }
}

const namesOf = (entries: [string, unknown][]) => entries.map(([name]) => name);

/** A module as a user writes it: a stack of norms without options.out, of its own. */
class Doubled extends Module {
  readonly norm: LayerNorm;
  #y: Tensor | undefined;

  constructor(gpu: Gpu, cols: number) {
    super(gpu);
    this.norm = this.registerModule('norm', new LayerNorm(gpu, cols));
  }

  override forward(x: Tensor, { encoder }: PassOptions = {}): Tensor {
    this.#y ??= this.gpu.keep(this.gpu.empty(x.shape));
    return this.norm.forward(x, { encoder, out: this.#y });
  }

  override backward(dy: Tensor, options: PassOptions = {}): Tensor {
    return this.norm.backward(dy, options);
  }

  override destroy(): void {
    this.#y?.destroy();
    super.destroy();
  }
}

const threeNorms = (gpu: Gpu) =>
  new Sequential(gpu, new LayerNorm(gpu, 6), new RMSNorm(gpu, 6), new LayerNorm(gpu, 6));

/** Forward and backward of the modules of a Sequential, one by one. */
async function oneByOne(modules: Iterable<Module>, x: Tensor, dy: Tensor) {
  const all = [...modules];
  let y = x;
  for (const module of all) y = await module.forward(y);
  let dx = dy;
  for (const module of all.reverse()) dx = await module.backward(dx);
  return { y: await y.data(), dx: await dx.data() };
}

export const cases: Case[] = [
  {
    name: "modules: names, order and sharing are PyTorch's",
    run({ gpu }) {
      const tree = new Tree(gpu);
      assertEqual(namesOf(tree.namedParameters()), [
        'scale',
        'stem.weight',
        'stem.bias',
        'blocks.0.weight',
        'blocks.0.bias',
        'blocks.2.weight',
      ]);
      assertEqual(namesOf(tree.namedBuffers()), [
        'seen',
        'cache',
        'stem.running_mean',
        'stem.running_var',
        'stem.num_batches_tracked',
      ]);
      assertEqual(namesOf(tree.namedModules()), ['', 'stem', 'blocks', 'blocks.0', 'blocks.1', 'blocks.2']);
      assertEqual(namesOf(tree.namedChildren()), ['stem', 'blocks']);
      assertEqual(tree.parameters().length, 6);
      assertEqual(tree.buffers().length, 5);
      assertEqual(tree.children(), [tree.stem, tree.blocks]);
      const dict = tree.stateDict();
      const stem = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'];
      assertEqual(
        [...dict.keys()],
        [
          'scale',
          'seen',
          ...stem.map((name) => `stem.${name}`),
          'blocks.0.weight',
          'blocks.0.bias',
          'blocks.2.weight',
          ...stem.map((name) => `again.${name}`),
        ],
      );
      assert(dict.get('stem.weight') === tree.stem.weight?.data, 'live tensors');
      assert(dict.get('again.weight') === dict.get('stem.weight'), 'shared');
      assertEqual(
        [dict.versions.get(''), dict.versions.get('stem'), dict.versions.get('blocks.1')],
        [1, 2, 2],
      );
      const visited: Module[] = [];
      tree.apply((module) => visited.push(module));
      assertEqual(visited, [tree.stem, ...tree.blocks, tree.blocks, tree]);
      tree.eval();
      assert(
        tree.modules().every(({ training }) => !training),
        'eval reaches all',
      );
      tree.train();
      assert(
        tree.modules().every(({ training }) => training),
        'train reaches all',
      );
      tree.requiresGrad(false);
      assert(tree.parameters().every(({ requiresGrad }) => !requiresGrad));
      const before = gpu.memory().tensors;
      tree.destroy();
      tree.destroy();
      assertEqual(before - gpu.memory().tensors, 6 + 5, 'all is freed, what is shared once');
    },
  },
  {
    name: 'modules: a buffer that is assigned to its field is registered in place, and saved or not as before',
    async run({ gpu }) {
      const tree = new Tree(gpu) as Tree & { seen: Tensor; cache: Tensor };
      const [seen, cache] = [gpu.tensor([7], [], { dtype: 'u32' }), gpu.tensor([1, 2, 3], [3])];
      const before = [tree.seen, tree.cache];
      tree.seen = seen;
      tree.cache = cache;
      assert(tree.seen === seen && tree.cache === cache, 'the fields');
      assert(tree.buffers().includes(seen) && tree.buffers().includes(cache), 'the registry');
      assert(tree.stateDict().get('seen') === seen && !tree.stateDict().has('cache'), 'the state dict');
      tree.destroy();
      for (const tensor of before) tensor.destroy();
    },
  },
  {
    name: 'modules: names that PyTorch refuses, and what cannot be registered',
    async run({ gpu, navigatorGpu }) {
      const tree = new Tree(gpu);
      const parameter = new Parameter(gpu.zeros([1]));
      for (const name of ['', 'a.b', 'seen', 'stem']) {
        await assertThrows(() => tree.registerParameter(name, parameter), { code: 'value' }, name);
      }
      for (const name of ['', 'a.b', 'scale', 'shift', 'stem']) {
        await assertThrows(() => tree.registerBuffer(name, null), { code: 'value' }, name);
      }
      for (const name of ['', 'a.b', 'scale', 'seen']) {
        await assertThrows(() => tree.registerModule(name, null), { code: 'value' }, name);
      }
      await assertThrows(() => tree.stem.registerModule('up', tree), { code: 'value' });
      await assertThrows(() => new Parameter(gpu.zeros([1], { dtype: 'u32' })), { code: 'dtype' });
      await assertThrows(() => tree.forward(parameter.data), { code: 'unsupported' });
      await assertThrows(() => tree.backward(parameter.data), { code: 'unsupported' });
      const other = await init({ gpu: navigatorGpu });
      await assertThrows(() => tree.registerModule('far', new Tree(other)), { code: 'wrong-device' });
      await assertThrows(() => tree.registerBuffer('far', other.zeros([1])), { code: 'wrong-device' });
      other.destroy();
      tree.registerParameter('shift', parameter);
      assertEqual(namesOf(tree.namedParameters()).slice(0, 2), ['scale', 'shift'], 'in its old place');
      tree.destroy();
      await assertThrows(() => tree.stateDict(), { code: 'destroyed' });
      await assertThrows(() => tree.stem.forward(gpu.zeros([2, 3])), { code: 'destroyed' });
    },
  },
  {
    name: 'modules: a parameter that requires no gradient gets none',
    async run({ gpu }) {
      const norm = new LayerNorm(gpu, 6);
      const x = gpu.tensor(normal(24), [4, 6]);
      const dy = gpu.tensor(normal(24, { seed: 2 }), [4, 6]);
      norm.forward(x);
      const dx = await norm.backward(dy).data();
      const [weight, bias] = [norm.weight as Parameter, norm.bias as Parameter];
      const once = await weight.grad?.data();
      bias.requiresGrad = false;
      bias.zeroGrad();
      await norm.prepare(x.shape);
      assertEqual(await norm.backward(dy).data(), dx, 'dx without dbias');
      assertEqual(bias.grad, null);
      assertEqual(
        await weight.grad?.data(),
        once?.map((v) => 2 * v),
      );
      norm.requiresGrad(false);
      assertEqual(await norm.backward(dy).data(), dx, 'dx alone');
      assertEqual(
        await weight.grad?.data(),
        once?.map((v) => 2 * v),
        'left as it was',
      );
      norm.requiresGrad().zeroGrad();
      norm.backward(dy);
      assertEqual(await weight.grad?.data(), once, 'after zeroGrad');
      norm.destroy();
    },
  },
  {
    name: 'modules: hooks run in order, may replace, and can be removed',
    async run({ gpu }) {
      const norm = new LayerNorm(gpu, 6);
      const [x, x2, y2, dy, dy2, dx2] = [1, 2, 3, 4, 5, 6].map((seed) =>
        gpu.tensor(normal(24, { seed }), [4, 6]),
      ) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
      const calls: unknown[] = [];
      const handles = [
        norm.registerForwardPreHook((module, input) => {
          calls.push('pre 1', module, input);
          return x2;
        }),
        norm.registerForwardPreHook((_, input) => {
          calls.push('pre 2', input);
          return undefined;
        }),
        norm.registerForwardHook((module, input, output) => {
          calls.push('forward 1', module, input, output === y2);
          return y2;
        }),
        norm.registerForwardHook((_, input, output) => {
          calls.push('forward 2', input, output);
          return undefined;
        }),
        norm.registerBackwardPreHook((module, gradOutput) => {
          calls.push('backward pre', module, gradOutput);
          return dy2;
        }),
        norm.registerBackwardHook((module, gradInput, gradOutput) => {
          calls.push('backward', module, gradInput === dx2, gradOutput);
          return dx2;
        }),
        norm.registerBackwardHook((_, gradInput) => {
          calls.push('backward 2', gradInput);
          return undefined;
        }),
      ];
      assert(norm.forward(x) === y2, 'the output is replaced');
      assert(norm.backward(dy) === dx2, 'the gradient is replaced');
      assertEqual(calls, [
        ...['pre 1', norm, x, 'pre 2', x2, 'forward 1', norm, x2, false, 'forward 2', x2, y2],
        ...['backward pre', norm, dy, 'backward', norm, false, dy2, 'backward 2', dx2],
      ]);
      const plain = new LayerNorm(gpu, 6);
      plain.forward(x2);
      plain.backward(dy2);
      assertEqual(await norm.weight?.grad?.data(), await plain.weight?.grad?.data(), 'of x2 and dy2');
      for (const handle of handles) handle.remove();
      handles[0]?.remove();
      calls.length = 0;
      assertEqual(await norm.forward(x).data(), await plain.forward(x).data(), 'without hooks');
      assertEqual(calls, []);
      norm.registerForwardHook((() => 3) as never);
      await assertThrows(() => norm.forward(x), { code: 'value' });
      norm.destroy();
      plain.destroy();
    },
  },
  {
    name: 'modules: Sequential is its modules one after another, and hooks of theirs run',
    async run({ gpu }) {
      const x = gpu.tensor(normal(24), [4, 6]);
      const dy = gpu.tensor(normal(24, { seed: 2 }), [4, 6]);
      const net = threeNorms(gpu);
      assertEqual([net.length, net.at(1) instanceof RMSNorm, net.at(-1) === net.at(2)], [3, true, true]);
      await assertThrows(() => net.backward(dy), { code: 'order' });
      await net.prepare([4, 6]);
      const seen: Tensor[] = [];
      const hook = net.at(1)?.registerForwardHook((_, input, output) => {
        seen.push(input, output);
        return undefined;
      });
      const first = await net.forward(x).data();
      const firstDx = await net.backward(dy).data();
      assertEqual(seen.length, 2);
      hook?.remove();
      const apart = await oneByOne(threeNorms(gpu), x, dy);
      assertEqual(first, apart.y, 'y');
      assertEqual(firstDx, apart.dx, 'dx');
      const held = gpu.memory();
      const [y, dx] = [gpu.empty([4, 6]), gpu.empty([4, 6])];
      for (let i = 0; i < 5; i++) {
        net.forward(x, { out: y });
        net.backward(dy, { out: dx });
      }
      assertEqual(await y.data(), apart.y, 'out of forward');
      assertEqual(await dx.data(), apart.dx, 'out of backward');
      assertEqual(gpu.memory().tensors, held.tensors + 2, 'five passes make nothing');

      const named = new Sequential(
        gpu,
        new Map<string, Module>([
          ['first', new Sequential(gpu)],
          ['second', new Doubled(gpu, 6)],
          ['third', new RMSNorm(gpu, 6)],
        ]),
      );
      assertEqual(namesOf(named.namedParameters()), [
        'second.norm.weight',
        'second.norm.bias',
        'third.weight',
      ]);
      const values = await named.forward(x).data();
      const gradient = await named.backward(dy).data();
      const expected = await oneByOne([new LayerNorm(gpu, 6), new RMSNorm(gpu, 6)], x, dy);
      assertEqual(values, expected.y, 'a module without options.out');
      assertEqual(gradient, expected.dx, 'a module without options.out, dx');
      assert(new Sequential(gpu).forward(x) === x, 'nothing inside');

      const shared = new LayerNorm(gpu, 6);
      const twice = new Sequential(gpu, shared, shared);
      twice.forward(x);
      await assertThrows(() => twice.backward(dy), { code: 'unsupported' });
      assertEqual([twice.length, twice.modules().length], [2, 2]);
      for (const module of [net, named, twice]) module.destroy();
    },
  },
  {
    name: 'modules: a Sequential in encoders that are submitted late, at growing sizes',
    async run({ gpu, device }) {
      const net = threeNorms(gpu);
      const recorded = [2, 9, 4].map((rows, seed) => {
        const x = gpu.tensor(normal(rows * 6, { seed }), [rows, 6]);
        const dy = gpu.tensor(normal(rows * 6, { seed: seed + 7 }), [rows, 6]);
        const encoder = device.createCommandEncoder();
        const [y, dx] = gpu.scope(() => {
          const pair = [net.forward(x, { encoder }), net.backward(dy, { encoder })];
          return pair;
        });
        return { x, dy, y: y as Tensor, dx: dx as Tensor, commands: encoder.finish() };
      });
      net.zeroGrad();
      device.queue.submit(recorded.map(({ commands }) => commands));
      for (const { x, dy, y, dx } of recorded) {
        const apart = await oneByOne(threeNorms(gpu), x, dy);
        assertEqual(await y.data(), apart.y, 'y');
        assertEqual(await dx.data(), apart.dx, 'dx');
      }
      net.destroy();
    },
  },
  {
    name: 'modules: destroy frees everything that a Sequential made',
    run({ gpu }) {
      const x = gpu.tensor(normal(24), [4, 6]);
      const before = gpu.memory();
      const net = threeNorms(gpu);
      const result = [net.forward(x), net.backward(x)];
      net.destroy();
      for (const tensor of result) tensor.destroy();
      assertEqual(gpu.memory().tensors, before.tensors);
      assertEqual(gpu.memory().tensorBytes, before.tensorBytes);
    },
  },
  {
    name: 'modules: a parameter of two modules is one parameter',
    async run({ gpu }) {
      const before = gpu.memory().tensors;
      const [first, second] = [new LayerNorm(gpu, 3), new LayerNorm(gpu, 3)];
      second.weight?.destroy();
      second.weight = second.registerParameter('weight', first.weight);
      const net = new Sequential(gpu, first, second);
      assertEqual(namesOf(net.namedParameters()), ['0.weight', '0.bias', '1.bias']);
      assertEqual([...net.stateDict().keys()], ['0.weight', '0.bias', '1.weight', '1.bias']);
      const [x, y, dx] = [gpu.tensor(normal(6), [2, 3]), gpu.empty([2, 3]), gpu.empty([2, 3])];
      net.forward(x, { out: y });
      net.backward(x, { out: dx });
      const [one, two] = [new LayerNorm(gpu, 3), new LayerNorm(gpu, 3)];
      await oneByOne([one, two], x, x);
      const expected = await two.weight?.grad?.data();
      const more = await one.weight?.grad?.data();
      assertClose(
        (await first.weight?.grad?.data()) ?? [],
        expected?.map((v, i) => v + (more?.[i] as number)) ?? [],
        bounds.backward,
        'mixed',
      );
      for (const module of [net, one, two]) module.destroy();
      net.destroy();
      for (const tensor of [x, y, dx]) tensor.destroy();
      assertEqual(gpu.memory().tensors, before + 4, 'what forward and backward of the two returned');
    },
  },
  {
    name: 'modules: to converts in parts where a binding cannot hold all',
    async run({ device }) {
      const gpu = await init({ device, facts: { maxBindingBytes: 4096 } });
      const values = normal(3000);
      class Table extends Module {
        readonly table = this.registerParameter('table', new Parameter(gpu.tensor(values, [3000])));
      }
      const module = new Table(gpu).to('f16');
      const halves = Float32Array.from(values, roundToHalf);
      assertEqual(await module.table.data.data(), halves);
      assertEqual(await module.to('f32').table.data.data(), halves);
      gpu.destroy();
    },
  },
  {
    name: 'modules: to converts parameters to f16 and back',
    async run({ gpu }) {
      const net = new Sequential(gpu, new BatchNorm1d(gpu, 65), new LayerNorm(gpu, 65));
      const values = normal(65, { mean: 3 });
      values.set([1e-7, 6e-5, 2049, 2051, -0, 65504]);
      const norm = net.at(0) as BatchNorm1d;
      norm.weight?.data.write(values);
      net.forward(gpu.tensor(normal(130), [2, 65]));
      net.backward(gpu.tensor(normal(130), [2, 65]));
      const before = gpu.memory().tensors;
      assert(net.to('f16') === net);
      assertEqual(gpu.memory().tensors, before - 4, 'the gradients are gone');
      assertEqual(
        net.parameters().map(({ data, grad }) => [data.dtype, grad].join()),
        ['f16,', 'f16,', 'f16,', 'f16,'],
      );
      const halves = Float32Array.from(values, roundToHalf);
      assertEqual(await norm.weight?.data.data(), halves, 'rounded to nearest');
      assertEqual([norm.runningMean?.dtype, norm.numBatchesTracked?.dtype], ['f32', 'u32']);
      const x = gpu.tensor(normal(130), [2, 65], { dtype: 'f16' });
      net.backward(net.forward(x));
      const gradient = norm.weight?.grad;
      assertEqual(gradient?.dtype, 'f16');
      net.to('f16');
      assert(norm.weight?.grad === gradient, 'nothing to convert');
      norm.to('f32');
      const [single, half] = [norm.weight?.data, net.parameters()[2]?.data];
      net.to('f32');
      assert(norm.weight?.data === single, 'what is f32 already stays');
      assert(half?.destroyed && net.parameters()[2]?.data.dtype === 'f32', 'the others are converted');
      assertEqual(await norm.weight?.data.data(), halves, 'exact');
      assertClose(await norm.forward(gpu.zeros([2, 65])).data(), new Float32Array(130), 0);
      net.destroy();
    },
  },
  {
    name: 'modules: to refuses before it changes anything',
    async run({ gpu }) {
      const norm = new LayerNorm(gpu, 6);
      const weight = norm.weight?.data;
      await assertThrows(() => norm.to('u32' as 'f32'), { code: 'dtype' });
      await assertThrows(() => norm.to('bf8' as 'f32'), { code: 'dtype' });
      assert(norm.weight?.data === weight);
      const free = gpu.memory().tensors;
      gpu.scope(() => norm.to('f32').registerBuffer('kept', gpu.zeros([2])));
      assertEqual(gpu.memory().tensors, free + 1, 'a scope does not free buffers');
      norm.destroy();
      assert((await assertThrows(() => norm.to('f32'))) instanceof NormError);
    },
  },
];
