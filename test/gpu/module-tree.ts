/** Trees of modules: conversions and the way back, hooks, what ranks compare, what is left alone. */
import {
  convertSyncBatchNorm,
  LocalProcessGroup,
  revertSyncBatchNorm,
  SyncBatchNorm,
  syncGradients,
} from '../../src/distributed/index.ts';
import {
  BatchNorm1d,
  BatchNorm2d,
  convertFrozenBatchNorm,
  decodeSafetensors,
  FrozenBatchNorm2d,
  foldBatchNorm,
  fuseBatchNorm,
  type Gpu,
  type HostTensor,
  Identity,
  InstanceNorm1d,
  LayerNorm,
  LocalResponseNorm,
  layerNorm,
  Module,
  ModuleDict,
  ModuleList,
  Parameter,
  type PassOptions,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { updateBatchNorm } from '../../src/optim/index.ts';
import { assert, assertClose, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';

/** Two ranks, of which this process plays the first in what needs no answer. */
const twoRanks = () => LocalProcessGroup.create(2) as [LocalProcessGroup, LocalProcessGroup];

/** Scales by 2 with weights that a norm can be folded into. */
class Scale extends Module {
  readonly foldTarget = { weight: 'weight', bias: 'bias' };
  constructor(gpu: Gpu, channels: number) {
    super(gpu);
    this.registerParameter(
      'weight',
      new Parameter(gpu.tensor(new Float32Array(channels).fill(2), [channels])),
    );
    this.registerParameter('bias', null);
  }
}

/** A module of a user's, by functions, whose backward asks nothing of forward. */
class ByFunctions extends Module {
  override forward(x: Tensor, { out = this.gpu.empty(x.shape) }: PassOptions = {}): Tensor {
    return layerNorm(this.gpu, x, { normalizedShape: 2, out: { y: out } }).y;
  }
  override backward(dy: Tensor): Tensor {
    return dy;
  }
}

const statistics = (norm: BatchNorm1d | BatchNorm2d | SyncBatchNorm, mean: number[], variance: number[]) => {
  norm.runningMean?.write(mean);
  norm.runningVar?.write(variance);
};

export const cases: Case[] = [
  {
    name: 'module tree: convertSyncBatchNorm again takes the new group',
    async run({ gpu }) {
      const [old] = twoRanks();
      const model = new Sequential(gpu, new BatchNorm1d(gpu, 2));
      convertSyncBatchNorm(model, old);
      const sync = model.at(0) as SyncBatchNorm;
      const [alone] = LocalProcessGroup.create(1);
      assert(convertSyncBatchNorm(model, alone as LocalProcessGroup) === model && model.at(0) === sync);
      assert(sync.group === alone && !model.asynchronous, 'the new group');
      const y = model.forward(gpu.tensor([1, 2, 3, 6], [2, 2]));
      assertClose(await y.data(), [-1, -1, 1, 1], 1e-4);
      refuses(gpu, 'value', () => convertSyncBatchNorm(model, undefined as never));
      model.destroy();
    },
  },
  {
    name: 'module tree: revertSyncBatchNorm gives the BatchNorm back, with its state and hooks',
    async run({ gpu }) {
      const [group] = twoRanks();
      const norm = new BatchNorm1d(gpu, 2);
      const model = new Sequential(gpu, norm, new SyncBatchNorm(gpu, 2, { group }));
      let calls = 0;
      const handle = norm.registerForwardHook((_module, _x, y) => {
        calls += 1;
        return y;
      });
      statistics(norm, [1, 2], [4, 9]);
      const { weight } = norm;
      convertSyncBatchNorm(model, group);
      model.eval();
      const x = gpu.tensor([3, 5, 1, -1], [2, 2]);
      const synced = await (model.at(0) as SyncBatchNorm).forward(x);
      assertEqual(calls, 1, 'the hook came along, once');
      assertClose(await synced.data(), [1, 1, 0, -1], 1e-4);
      assert(revertSyncBatchNorm(model) === model && model.at(0) === norm && norm.weight === weight);
      assert(model.at(1) !== norm && !(model.at(1) instanceof SyncBatchNorm));
      assert(!norm.training, 'the mode');
      assertEqual(await norm.forward(x).data(), await synced.data());
      assertEqual(calls, 2, 'the hook');
      handle.remove();
      norm.forward(x);
      assertEqual(calls, 2, 'removed with its first handle');
      const one = new SyncBatchNorm(gpu, 2, { group });
      const reverted = revertSyncBatchNorm(one) as BatchNorm1d;
      assert(reverted.runningMean === one.runningMean && reverted.training);
      assertClose(await reverted.forward(x).data(), [1, 1, -1, -1], 1e-4);
      for (const each of [model, one]) each.destroy();
    },
  },
  {
    name: 'module tree: SyncBatchNorm in evaluation is synchronous, recorded and folded',
    async run({ gpu, device }) {
      const [group] = twoRanks();
      const model = new Sequential(gpu, new SyncBatchNorm(gpu, 2, { group }), new Identity(gpu));
      const sync = model.at(0) as SyncBatchNorm;
      statistics(sync, [1, 2], [4, 9]);
      const x = gpu.tensor([3, 5, 1, -1], [2, 2]);
      await assertThrows(() => model.forward(x), { code: 'unsupported', message: /forwardAsync/ });
      const encoder = device.createCommandEncoder();
      await assertThrows(() => sync.forward(x, { encoder }), { code: 'unsupported', message: /recorded/ });
      model.eval();
      const out = gpu.empty([2, 2]);
      model.forward(x, { encoder, out });
      assertEqual(await out.data(), [0, 0, 0, 0], 'not yet submitted');
      device.queue.submit([encoder.finish()]);
      assertClose(await out.data(), [1, 1, 0, -1], 1e-4);
      const dx = model.backward(gpu.tensor([1, 1, 1, 1], [2, 2]));
      assertClose(await dx.data(), [1 / 2, 1 / 3, 1 / 2, 1 / 3], 1e-4);
      const folded = foldBatchNorm(gpu.tensor([2, 2], [2]), null, sync);
      assertClose(await folded.weight.data(), [1, 2 / 3], 1e-4);
      assertClose(await folded.bias.data(), [-1 / 2, -2 / 3], 1e-4);
      const fusing = new Sequential(gpu, new Scale(gpu, 2), sync).eval();
      fuseBatchNorm(fusing);
      assert(fusing.at(1) instanceof Identity, 'fused');
      for (const each of [model, fusing]) each.destroy();
    },
  },
  {
    name: 'module tree: conversions keep hooks, and fuseBatchNorm refuses to lose them',
    async run({ gpu }) {
      const model = new Sequential(gpu, new BatchNorm2d(gpu, 1)).eval();
      model.at(0)?.registerForwardHook((_module, _x, y) => {
        y.write([7]);
        return y;
      });
      convertFrozenBatchNorm(model);
      assert(model.at(0) instanceof FrozenBatchNorm2d);
      assertEqual(await (model.forward(gpu.tensor([1], [1, 1, 1, 1])) as Tensor).data(), [7], 'the hook ran');
      for (const hooked of [0, 1]) {
        const fusing = new Sequential(gpu, new Scale(gpu, 2), new BatchNorm1d(gpu, 2)).eval();
        const handle = fusing.at(hooked)?.registerForwardHook(() => undefined);
        const error = await assertThrows(() => fuseBatchNorm(fusing), { code: 'unsupported' });
        assert(error.message.includes(`"${hooked}" has hooks`), error.message);
        assert(fusing.at(1) instanceof BatchNorm1d, 'nothing is changed');
        handle?.remove();
        fuseBatchNorm(fusing);
        assert(fusing.at(1) instanceof Identity);
        fusing.destroy();
      }
      model.destroy();
    },
  },
  {
    name: 'module tree: norms in fields and lists are replaced, or named if they are not registered',
    async run({ gpu }) {
      class Block extends Module {
        readonly norms: (BatchNorm2d | SyncBatchNorm)[];
        readonly held = { norm: this.registerModule('one', new BatchNorm2d(this.gpu, 1)) };
        constructor(registered: boolean) {
          super(gpu);
          this.norms = [new BatchNorm2d(gpu, 1), new BatchNorm2d(gpu, 1)];
          if (registered)
            this.norms.forEach((norm, i) => void this.registerModule(`norm${i}`, norm as Module));
        }
      }
      const [group] = twoRanks();
      for (const convert of [convertFrozenBatchNorm, (model: Module) => convertSyncBatchNorm(model, group)]) {
        const block = new Block(true);
        convert(block);
        assert(block.norms[1] === block.registry.modules.get('norm1'), 'in the list');
        assert(
          !(block.norms[0] instanceof BatchNorm2d) && !(block.held.norm instanceof BatchNorm2d),
          'replaced',
        );
        const loose = new Block(false);
        const outer = new Sequential(gpu, loose);
        const error = await assertThrows(() => convert(outer), { code: 'value' });
        assert(
          /"0\.norms\.0" of Block .*registerModule .*ModuleList .*ModuleDict/.test(error.message),
          error.message,
        );
        assert(loose.held.norm instanceof BatchNorm2d, 'nothing is changed');
        for (const each of [...(loose.norms as Module[]), block, outer]) each.destroy();
      }
    },
  },
  {
    name: 'module tree: syncGradients refuses gradients of different parameters',
    async run({ gpu }) {
      const ranks = twoRanks();
      const of = (name: 'a' | 'b') => {
        const parameters = { a: new Parameter(gpu.zeros([2])), b: new Parameter(gpu.zeros([2])) };
        parameters[name].takeGradient().write([1, 2]);
        parameters[name].keepGradient();
        return [parameters.a, parameters.b];
      };
      const both = [of('a'), of('b')] as const;
      await Promise.all(
        ranks.map((group, i) =>
          assertThrows(() => syncGradients(both[i] as Parameter[], group), { code: 'mismatch' }),
        ),
      );
      assertEqual(await both[0][0]?.grad?.data(), [1, 2], 'left as it was');
      const named = twoRanks();
      const models = ['a', 'b'].map((name) => {
        const model = new Sequential(gpu, [[name, new LayerNorm(gpu, 2)]]);
        model.forward(gpu.tensor([1, 3], [1, 2]));
        model.backward(gpu.tensor([1, 1], [1, 2]));
        return model;
      });
      await Promise.all(
        named.map((group, i) =>
          assertThrows(() => syncGradients(models[i] as Module, group), { code: 'mismatch' }),
        ),
      );
      const alike = twoRanks();
      await Promise.all(alike.map((group) => syncGradients(models[0] as Module, group, { average: false })));
    },
  },
  {
    name: 'module tree: untracked running statistics are left by resets and updateBatchNorm',
    async run({ gpu }) {
      for (const norm of [
        new BatchNorm1d(gpu, 2),
        new InstanceNorm1d(gpu, 2, { trackRunningStats: true }),
        new SyncBatchNorm(gpu, 2, { group: LocalProcessGroup.create(1)[0] as LocalProcessGroup }),
      ]) {
        norm.runningMean?.write([3, 4]);
        norm.trackRunningStats = false;
        norm.resetRunningStats();
        assertEqual(await norm.runningMean?.data(), [3, 4], `${norm.constructor.name}: reset`);
        if (!(norm instanceof InstanceNorm1d)) await updateBatchNorm(norm, [gpu.tensor(normal(4), [2, 2])]);
        assertEqual(await norm.runningMean?.data(), [3, 4], `${norm.constructor.name}: updateBatchNorm`);
        norm.trackRunningStats = true;
        norm.resetRunningStats();
        assertEqual(await norm.runningMean?.data(), [0, 0], `${norm.constructor.name}: tracked again`);
        norm.destroy();
      }
    },
  },
  {
    name: 'module tree: counts of batches load from floats, and unreadable tensors are named',
    async run({ gpu }) {
      const norm = new BatchNorm1d(gpu, 2);
      const count = async (data: HostTensor) => {
        norm.loadStateDict(new Map([['num_batches_tracked', data]]), { strict: false });
        const [bytes] = await gpu.readBytes([norm.numBatchesTracked as Tensor]);
        return new Uint32Array(bytes as ArrayBuffer)[0];
      };
      assertEqual(await count({ dtype: 'f32', shape: [], data: Float32Array.of(7.75) }), 7);
      assertEqual(await count({ dtype: 'f64', shape: [], data: Float64Array.of(2 ** 32 - 1) }), 2 ** 32 - 1);
      assertEqual(await count({ dtype: 'f16', shape: [], data: Uint16Array.of(0x4500) }), 5);
      const text = JSON.stringify({ weight: { dtype: 'F8_E4M3', shape: [2], data_offsets: [0, 2] } });
      const header = new TextEncoder().encode(text);
      const file = new Uint8Array(8 + header.length + 2);
      file[0] = header.length;
      file.set(header, 8);
      const dict = decodeSafetensors(file);
      for (const strict of [true, false]) {
        const error = await assertThrows(() => norm.loadStateDict(dict, { strict }), { code: 'state' });
        assert(/weight: it is F8_E4M3/.test(error.message), error.message);
      }
      norm.destroy();
    },
  },
  {
    name: 'module tree: fields and names stay in step',
    async run({ gpu }) {
      const x = gpu.tensor([1, 3], [1, 2]);
      const norm = new LayerNorm(gpu, 2);
      const other = new Parameter(gpu.tensor([2, 3], [2]));
      norm.weight = other;
      assert(norm.parameters()[0] === other && norm.stateDict().get('weight') === other.data, 'weight = p');
      norm.bias = null;
      assertEqual([...norm.stateDict().keys()], ['weight'], 'bias = null');
      assertClose(await norm.forward(x).data(), [-2, 3], 1e-4);
      const tied = new LayerNorm(gpu, 2);
      tied.registerParameter('weight', other);
      assert(tied.weight === other, 'registerParameter');
      const model = new Sequential(gpu, norm, tied);
      assert(model.parameters().length === 2, 'tied: once');
      refuses(gpu, 'value', () => Object.assign(norm, { weight: 'p' }));
      refuses(gpu, 'value', () => Object.assign(norm, { weight: gpu }));
      assert(norm.weight === other, 'left');

      for (const counted of [new BatchNorm1d(gpu, 2), new SyncBatchNorm(gpu, 2, { group: twoRanks()[0] })]) {
        counted.eval();
        const out = gpu.empty([1, 2]);
        counted.forward(x, { out });
        counted.forward(x, { out });
        counted.runningMean = gpu.tensor([1, 2], [2]);
        assert(counted.stateDict().get('running_mean') === counted.runningMean, 'buffers');
        counted.forward(x, { out });
        assertClose(await out.data(), [0, 1], 1e-4);
        counted.weight = new Parameter(gpu.tensor([5, 5], [2]));
        assert(counted.parameters()[0] === counted.weight, counted.constructor.name);
        counted.forward(x, { out });
        assertClose(await out.data(), [0, 5], 1e-3);
        counted.destroy();
      }
      const frozen = new FrozenBatchNorm2d(gpu, 1);
      frozen.weight = new Parameter(gpu.tensor([4], [1]));
      assert(frozen.stateDict().get('weight') === frozen.weight.data && frozen.parameters().length === 0);
      frozen.registerBuffer('bias', gpu.tensor([1], [1]));
      assertClose(await frozen.forward(gpu.tensor([2], [1, 1, 1, 1])).data(), [9], 1e-4);
      const names = ['weight', 'bias', 'running_mean', 'running_var', 'runningMean', 'runningVar'];
      for (const name of names) {
        if (name.includes('_') || name in { weight: 1, bias: 1 }) {
          refuses(gpu, 'value', () => frozen.registerBuffer(name, null));
        }
        for (const wrong of [null, undefined, 3]) {
          refuses(gpu, 'value', () => Object.assign(frozen, { [name]: wrong }));
        }
      }
      assertClose(await frozen.forward(gpu.tensor([2], [1, 1, 1, 1])).data(), [9], 1e-4);
      assert(frozen.registerBuffer('of_mine', null) === null, 'a buffer of a class of the caller');
      const half = new BatchNorm1d(gpu, 2).eval();
      half.runningVar = null;
      refuses(gpu, 'value', () => half.forward(x));

      class Block extends Module {
        norm: LayerNorm | null = this.registerModule('norm', new LayerNorm(this.gpu, 2));
        scale = this.registerParameter('scale', new Parameter(this.gpu.zeros([1])));
        alias = this.norm;
        empty: LayerNorm | null = null;
      }
      const block = new Block(gpu);
      const next = new LayerNorm(gpu, 2);
      block.norm = next;
      assert(block.children()[0] === next, 'assigned to a class field');
      const last = new LayerNorm(gpu, 2);
      block.registerModule('norm', last);
      assert(block.norm === last, 'registered over a class field');
      block.registerModule('empty', next);
      assert(block.empty === next && block.children()[1] === next, 'a field that was null');
      block.norm = null;
      assertEqual(block.children().length, 1, 'null');
      refuses(gpu, 'value', () => block.registerModule('training', last));
      refuses(gpu, 'value', () => block.registerModule('gpu', last));
      refuses(gpu, 'value', () => Object.assign(block, { scale: 3 } as object));
      assert(block.alias instanceof LayerNorm && block.alias !== next, 'other fields are left');
    },
  },
  {
    name: 'module tree: ModuleList and ModuleDict, as torch names them, and conversions inside',
    async run({ gpu }) {
      const norm = () => new BatchNorm2d(gpu, 1, { affine: false, trackRunningStats: true });
      const [a, b, c, d] = [norm(), norm(), norm(), norm()] as const;
      const list = new ModuleList<Module>(gpu, [a, b]).append(d).insert(-1, c);
      assertEqual(
        [...list].map((one) => [a, b, c, d].indexOf(one as typeof a)),
        [0, 1, 2, 3],
        'order',
      );
      assert(list.length === 4 && list.at(-1) === d && list.at(4) === undefined);
      assertEqual(
        list.namedModules().map(([name]) => name),
        ['', '0', '1', '2', '3'],
      );
      assert(list.pop(0) === a && list.at(0) === b, 'pop');
      assertEqual(list.length, 3);
      list.set(-1, a);
      assert(list.at(2) === a, 'set');
      refuses(gpu, 'value', () => list.set(3, d));
      refuses(gpu, 'value', () => list.extend([d, 'x' as never]));
      refuses(gpu, 'value', () => list.append(null as never));
      refuses(gpu, 'value', () => list.insert(0.5, d));
      refuses(gpu, 'value', () => list.extend(d as never));
      refuses(gpu, 'value', () => new ModuleList(gpu, null as never));
      assertEqual(list.length, 3, 'nothing is changed');

      const dict = new ModuleDict<Module>(gpu, { first: d, list });
      assertEqual([...dict.keys()], ['first', 'list']);
      assert(dict.size === 2 && dict.get('first') === d && dict.has('list') && !dict.has('second'));
      assert([...dict.values()][1] === list && [...dict][0]?.[1] === d);
      assertEqual([...dict.stateDict().keys()].slice(0, 4), [
        'first.running_mean',
        'first.running_var',
        'first.num_batches_tracked',
        'list.0.running_mean',
      ]);
      const [group] = twoRanks();
      convertSyncBatchNorm(dict, group);
      assert(dict.get('first') instanceof SyncBatchNorm && list.at(1) instanceof SyncBatchNorm, 'converted');
      revertSyncBatchNorm(dict);
      assert(dict.get('first') === d && list.at(1) === c, 'reverted');
      convertFrozenBatchNorm(dict);
      assert(
        [...list].every((one) => one instanceof FrozenBatchNorm2d),
        'frozen',
      );
      assert(dict.delete('first') && !dict.delete('first'), 'delete');
      for (const wrong of [null, 'norm', [d], { norm: null }, d, list]) {
        refuses(gpu, 'value', () => new ModuleDict(gpu, wrong as never));
      }
      assertEqual(dict.size, 1);
      dict.destroy();
    },
  },
  {
    name: 'module tree: a second backward after forwards of several inputs is refused',
    async run({ gpu }) {
      const shape = [1, 2, 2, 2];
      const [first, second] = [gpu.tensor(normal(8), shape), gpu.tensor(normal(8, { seed: 2 }), shape)];
      const dy = gpu.tensor(normal(8, { seed: 3 }), shape);
      for (const norm of [
        new LayerNorm(gpu, 2),
        new BatchNorm2d(gpu, 2),
        new FrozenBatchNorm2d(gpu, 2),
        new LocalResponseNorm(gpu, 3),
      ]) {
        norm.forward(second);
        const expected = await norm.backward(dy).data();
        norm.forward(first);
        norm.forward(second);
        assertEqual(await norm.backward(dy).data(), expected, 'the last forward');
        refuses(gpu, 'order', () => norm.backward(dy));
        norm.forward(second);
        assertEqual(await norm.backward(dy).data(), expected, 'forward, backward');
        assertEqual(await norm.backward(dy).data(), expected, 'the same forward again');
        norm.destroy();
      }
      const twice = new LayerNorm(gpu, 2);
      const nested = new Sequential(gpu, twice, new Sequential(gpu, twice));
      nested.forward(first);
      refuses(gpu, 'unsupported', () => nested.backward(dy));
      assertEqual(twice.weight?.grad, null, 'nothing is added');
      const stack = new Sequential(gpu, new LayerNorm(gpu, 2), new LayerNorm(gpu, 2));
      stack.forward(first);
      stack.forward(second);
      stack.backward(dy);
      const added = await (stack.parameters()[3] as Parameter).grad?.data();
      refuses(gpu, 'order', () => stack.backward(dy));
      assertEqual(await (stack.parameters()[3] as Parameter).grad?.data(), added, 'nothing is added again');
      // Behind a module that says nothing of forwards, a norm gets the same tensor each time.
      const behind = new Sequential(gpu, new ByFunctions(gpu), new LayerNorm(gpu, 2));
      behind.forward(first);
      behind.forward(second);
      behind.backward(dy);
      refuses(gpu, 'order', () => behind.backward(dy));
      for (const each of [behind, stack, nested]) each.destroy();
    },
  },
];
