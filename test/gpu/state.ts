/** State dicts: PyTorch's file and its outputs, what is refused, versions, conversions; PyTorch's hooks. */
import {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  decodeSafetensors,
  FrozenBatchNorm2d,
  type Gpu,
  GroupNorm,
  type HostTensor,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  init,
  LayerNorm,
  Module,
  Parameter,
  RMSNorm,
  Sequential,
  StateDict,
  saveStateDict,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError, roundToHalf } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { decode, type GoldenTensor } from '../support/golden.ts';
import { type GoldenState, savedGolden } from '../support/golden-state.ts';
import { bounds } from '../support/tolerances.ts';

/** Modules by name that are not called one after another. */
class Group extends Module {
  constructor(gpu: Gpu, modules: Record<string, Module>) {
    super(gpu);
    for (const [name, module] of Object.entries(modules)) this.registerModule(name, module);
  }
}

/** `tree` of scripts/golden_state.py. */
function tree(gpu: Gpu): Module {
  const affine = { affine: true };
  return new Group(gpu, {
    stem: new Sequential(
      gpu,
      new BatchNorm2d(gpu, 4),
      new GroupNorm(gpu, 2, 4),
      new InstanceNorm2d(gpu, 4, affine),
    ),
    body: new Group(gpu, {
      blocks: new Sequential(
        gpu,
        new Sequential(gpu, new BatchNorm1d(gpu, 5), new InstanceNorm1d(gpu, 5, affine)),
        new Sequential(gpu, new BatchNorm3d(gpu, 3, { eps: 0.5 }), new InstanceNorm3d(gpu, 3, affine)),
      ),
      untracked: new BatchNorm1d(gpu, 5, { trackRunningStats: false }),
      bare: new BatchNorm1d(gpu, 5, { affine: false }),
      tracking: new InstanceNorm2d(gpu, 4, { affine: true, trackRunningStats: true }),
      running: new InstanceNorm1d(gpu, 5, { trackRunningStats: true }),
    }),
    head: new Group(gpu, {
      layer_norm: new LayerNorm(gpu, [3, 5]),
      plain: new LayerNorm(gpu, 7, { elementwiseAffine: false }),
      rms_norm: new RMSNorm(gpu, 7, { eps: 1e-6 }),
    }),
    batch_norm: new BatchNorm1d(gpu, 6, { momentum: null }),
    frozen: new FrozenBatchNorm2d(gpu, 4),
  });
}

interface GoldenHooks {
  runs: {
    name: string;
    inputs: Record<'x' | 'dy' | 'other', GoldenTensor>;
    weights: GoldenTensor[];
    y: GoldenTensor;
    dx?: GoldenTensor;
    calls: [kind: string, module: string, ...tensors: GoldenTensor[]][];
  }[];
}

const f32 = (values: number[], shape = [values.length]): HostTensor => ({
  dtype: 'f32',
  shape,
  data: Float32Array.from(values),
});
const i64 = (value: bigint, shape: number[] = []): HostTensor => ({
  dtype: 'i64',
  shape,
  data: BigInt64Array.of(value),
});

/** All values of a module by name. */
async function valuesOf(module: Module): Promise<Map<string, Float32Array>> {
  const entries = [...module.stateDict()].map(async ([name, tensor]) => [name, await tensor.data()] as const);
  return new Map(await Promise.all(entries));
}

async function assertSame(module: Module, expected: Map<string, Float32Array>, what: string): Promise<void> {
  for (const [name, values] of await valuesOf(module)) {
    assertEqual(values, expected.get(name), `${what}: ${name}`);
  }
}

async function close(actual: Tensor, expected: GoldenTensor, bound: number, what: string): Promise<void> {
  const error = relativeError(await actual.data(), decode(expected));
  assert(error <= bound, `${what}: error ${error}`);
}

export const cases: Case[] = [
  {
    name: "state: PyTorch's file of all modules gives PyTorch's outputs, and is saved again as it was",
    async run(t) {
      const { gpu } = t;
      const golden = (await t.readJson('golden/state-dict.json')) as GoldenState;
      const original = await t.readBytes('golden/state-dict.safetensors');
      const file = decodeSafetensors(original);
      const net = tree(gpu);
      const dict = net.stateDict();
      assertEqual([...dict.keys()], golden.keys, 'keys');
      for (const [name, version] of Object.entries(golden.versions)) {
        assertEqual(dict.versions.get(name), version, `version of "${name}"`);
      }
      assertEqual(dict.versions.size, Object.keys(golden.versions).length);
      assertEqual(Object.values(net.loadStateDict(file)), [[], []]);
      net.eval();
      const modules = new Map(net.namedModules());
      for (const { name, x, y } of golden.modules) {
        const input = gpu.tensor(decode(x), x.shape);
        await close(await (modules.get(name) as Module).forward(input), y, bounds.forward, name);
      }
      const bytes = await saveStateDict(net);
      const saved = decodeSafetensors(bytes);
      assertEqual(bytes, savedGolden(original, golden), 'the file that Python reads');
      assertEqual([...saved.versions].flat(), [...dict.versions].flat(), 'versions');
      const twin = tree(gpu);
      twin.loadStateDict(saved);
      assertEqual(await saveStateDict(twin), bytes, 'byte by byte');
      net.destroy();
      twin.destroy();
    },
  },
  {
    name: 'state: from module to module on the GPU, and into itself',
    async run({ gpu, device }) {
      const [net, twin] = [tree(gpu), tree(gpu)];
      let seed = 0;
      for (const tensor of net.stateDict().values()) {
        seed += 1;
        tensor.write(tensor.dtype === 'u32' ? [3e9 + seed] : normal(tensor.size, { seed }));
      }
      const expected = await valuesOf(net);
      twin.loadStateDict(net.stateDict());
      await assertSame(twin, expected, 'loaded');
      const [again] = twin.parameters();
      again?.data.write(new Float32Array(again.data.size));
      assertEqual(await (net.parameters()[0] as Parameter).data.data(), [...expected.values()][0], 'copies');
      net.loadStateDict(net.stateDict());
      await assertSame(net, expected, 'into itself');
      const other = await init({ device });
      const far = tree(other);
      far.loadStateDict(net.stateDict());
      await assertSame(far, expected, 'another context of the device');
      for (const module of [net, twin, far]) module.destroy();
      other.destroy();
    },
  },
  {
    name: 'state: everything that does not fit is listed before anything is changed',
    async run({ gpu, navigatorGpu }) {
      const net = new Group(gpu, { norm: new LayerNorm(gpu, 3), batch: new BatchNorm1d(gpu, 2) });
      const before = await valuesOf(net);
      const dict = new Map<string, HostTensor>([
        ['norm.weight', f32([1, 2])],
        ['norm.bias', f32([1, 2, 3])],
        ['batch.weight', f32([1, 2], [2, 1])],
        ['batch.num_batches_tracked', i64(2n ** 32n)],
        ['batch.running_var', { dtype: 'f16', shape: [2], data: Uint16Array.of(0) }],
        ['batch.running_mean', { dtype: 'f32', shape: [2], data: new Float64Array(2) }],
        ['extra', f32([0])],
        ['norm.extra.deep', f32([0])],
      ]);
      for (const strict of [true, false]) {
        const { message } = await assertThrows(() => net.loadStateDict(dict, { strict }), { code: 'state' });
        const lines = message
          .split('\n  ')
          .slice(1)
          .map((line) => line.split('\n')[0]);
        assertEqual(
          lines,
          [
            ...(strict ? ['missing keys: "batch.bias"', 'unexpected keys: "extra", "norm.extra.deep"'] : []),
            'norm.weight: it has shape [2]; [3] is needed',
            'batch.weight: it has shape [2,1]; [2] is needed',
            'batch.running_mean: its data are no f32',
            'batch.running_var: of shape [2], it has 1 elements',
            'batch.num_batches_tracked: 4294967296 is beyond 0 to 2^32 - 1',
          ],
          `strict ${strict}`,
        );
      }
      await assertSame(net, before, 'unchanged');
      const one = (name: string, tensor: HostTensor | Tensor) =>
        assertThrows(() => net.loadStateDict(new Map([[name, tensor]]), { strict: false }), {
          code: 'state',
        });
      await one('batch.num_batches_tracked', i64(-1n));
      await one('batch.num_batches_tracked', f32([-1], []));
      await one('batch.num_batches_tracked', f32([Number.NaN], []));
      await one('batch.num_batches_tracked', gpu.zeros([]));
      await one('norm.weight', gpu.zeros([3], { dtype: 'u32' }));
      await one('norm.weight', gpu.zeros([4]));
      await one('norm.weight', { dtype: 'x' as 'f32', shape: [3], data: new Float32Array(3) });
      await one('norm.weight', {} as HostTensor);
      const far = await init({ gpu: navigatorGpu });
      const distant = new Map([['norm.weight', far.zeros([3])]]);
      await assertThrows(() => net.loadStateDict(distant, { strict: false }), { code: 'wrong-device' });
      far.destroy();
      const gone = gpu.zeros([3]);
      gone.destroy();
      const lost = new Map([['norm.weight', gone]]);
      await assertThrows(() => net.loadStateDict(lost, { strict: false }), { code: 'destroyed' });
      await assertSame(net, before, 'unchanged');

      const result = net.loadStateDict(
        new Map([
          ['norm.bias', f32([7, 8, 9])],
          ['extra', f32([0])],
        ]),
        {
          strict: false,
        },
      );
      assertEqual(result.unexpectedKeys, ['extra']);
      assertEqual(
        result.missingKeys,
        ['norm.weight', ...['weight', 'bias', 'running_mean', 'running_var'].map((name) => `batch.${name}`)],
        'without versions num_batches_tracked may be missing',
      );
      before.set('norm.bias', Float32Array.of(7, 8, 9));
      await assertSame(net, before, 'not strict');
      net.destroy();
    },
  },
  {
    name: "state: PyTorch's version rule for num_batches_tracked",
    async run({ gpu }) {
      const net = new Group(gpu, { batch: new BatchNorm1d(gpu, 2), none: new InstanceNorm1d(gpu, 2) });
      const batch = net.children()[0] as BatchNorm1d;
      batch.numBatchesTracked?.write([5]);
      const entries = ['weight', 'bias', 'running_mean', 'running_var'].map(
        (name, i) => [`batch.${name}`, f32([i, i + 0.5])] as const,
      );
      const saved = (version?: number) => {
        const dict = new StateDict<HostTensor>(entries);
        if (version !== undefined) dict.versions.set('batch', version);
        return dict;
      };
      for (const version of [undefined, 1]) {
        assertEqual(Object.values(net.loadStateDict(saved(version))), [[], []], `version ${version}`);
        assertEqual(await batch.numBatchesTracked?.data(), [5], "the module's own count");
      }
      assertEqual(await batch.runningVar?.data(), [3, 3.5]);
      await assertThrows(() => net.loadStateDict(saved(2)), {
        message: /missing keys: "batch.num_batches_tracked"/,
      });
      assertEqual(net.loadStateDict(saved(2), { strict: false }).missingKeys, ['batch.num_batches_tracked']);
      // Before PyTorch 0.4 a scalar was a list of one.
      net.loadStateDict(saved(2).set('batch.num_batches_tracked', i64(2n ** 32n - 1n, [1])));
      assertEqual(await batch.numBatchesTracked?.data(), [Math.fround(2 ** 32 - 1)]);
      batch.train().forward(gpu.tensor(normal(8), [4, 2]));

      const old = saved().set('none.running_mean', f32([0, 0]));
      await assertThrows(
        () => net.loadStateDict(old, { strict: false }),
        { code: 'state', message: /none.running_mean: this module has no running statistics/ },
        'statistics from before 0.4',
      );
      old.versions.set('none', 2);
      assertEqual(net.loadStateDict(old, { strict: false }).unexpectedKeys, ['none.running_mean']);
      net.destroy();
    },
  },
  {
    name: 'state: values are converted to the dtype of the module',
    async run({ gpu }) {
      const norm = new LayerNorm(gpu, 3);
      const load = async (weight: HostTensor) => {
        norm.loadStateDict(new Map([['weight', weight]]), { strict: false });
        return norm.weight?.data.data();
      };
      const shape = [3];
      assertEqual(await load({ dtype: 'f64', shape, data: Float64Array.of(0.1, -1e-3, 1e39) }), [
        Math.fround(0.1),
        Math.fround(-1e-3),
        Number.POSITIVE_INFINITY,
      ]);
      assertEqual(await load({ dtype: 'f16', shape, data: Uint16Array.of(0x3c00, 0x0001, 0xc000) }), [
        1,
        2 ** -24,
        -2,
      ]);
      assertEqual(
        await load({ dtype: 'bf16', shape, data: Uint16Array.of(0x3f80, 0xc000, 0x4049) }),
        [1, -2, 3.140625],
      );
      assertEqual(await load({ dtype: 'i64', shape, data: BigInt64Array.of(-5n, 0n, 2n ** 40n) }), [
        -5,
        0,
        2 ** 40,
      ]);
      assertEqual(await load({ dtype: 'bool', shape, data: Uint8Array.of(1, 0, 1) }), [1, 0, 1]);
      assertEqual(norm.weight?.data.dtype, 'f32');
      norm.destroy();
    },
  },
  {
    name: 'state: f16 modules save f16, load f32, and are loaded from',
    async run({ gpu, device }) {
      const values = Float32Array.of(0.1, 2049, -3e-8);
      const [single, half] = [new LayerNorm(gpu, 3), new LayerNorm(gpu, 3, { dtype: 'f16' })];
      single.weight?.data.write(values);
      half.loadStateDict(single.stateDict());
      const rounded = Float32Array.from(values, roundToHalf);
      assertEqual(await half.weight?.data.data(), rounded, 'rounded');
      const saved = decodeSafetensors(await saveStateDict(half));
      assertEqual([saved.get('weight')?.dtype, saved.get('bias')?.dtype], ['f16', 'f16']);
      single.loadStateDict(half.stateDict());
      assertEqual(await single.weight?.data.data(), rounded, 'exact');
      half.bias?.data.write([1, 2, 3]);
      half.loadStateDict(saved);
      assertEqual(await half.bias?.data.data(), [0, 0, 0], 'from the file');

      // Three f16 in the middle of a buffer of the caller's: what follows must stay.
      class Wrapped extends Module {
        constructor(buffer: GPUBuffer) {
          super(gpu);
          this.registerParameter('weight', new Parameter(gpu.wrap(buffer, [3], { dtype: 'f16' })));
        }
      }
      const buffer = device.createBuffer({ size: 256, usage: 0x80 | 4 | 8 });
      gpu.wrap(buffer, [4], { dtype: 'f16' }).write([9, 9, 9, 9]);
      const module = new Wrapped(buffer);
      const weight = half.weight?.data as Tensor;
      await assertThrows(() => module.loadStateDict(saved, { strict: false }), { code: 'state' });
      module.loadStateDict(new Map([['weight', weight]]));
      const around = await gpu.wrap(buffer, [4], { dtype: 'f16' }).data();
      assertEqual(around, [...rounded, 9]);
      const shifted = new Map([['weight', gpu.wrap(buffer, [3])]]);
      await assertThrows(() => module.loadStateDict(shifted), {
        code: 'state',
        message: /shares its GPUBuffer/,
      });
      module.destroy();
      buffer.destroy();
      for (const one of [single, half]) one.destroy();
    },
  },
  {
    name: "state: hooks are called as PyTorch's, with the same values",
    async run(t) {
      const { gpu } = t;
      const { runs } = (await t.readJson('golden/hooks.json')) as GoldenHooks;
      for (const { name, inputs, weights, y, dx, calls } of runs) {
        const net = new Sequential(
          gpu,
          new LayerNorm(gpu, 6),
          new Sequential(gpu, new LayerNorm(gpu, 6), new LayerNorm(gpu, 6)),
        );
        const norms = net.modules().filter((module) => module instanceof LayerNorm);
        norms.forEach((norm, i) => {
          norm.weight?.data.write(decode(weights[i] as GoldenTensor));
        });
        const tensor = ({ shape, ...rest }: GoldenTensor) => gpu.tensor(decode({ shape, ...rest }), shape);
        const [x, dy, other] = [tensor(inputs.x), tensor(inputs.dy), tensor(inputs.other)];
        const inner = net.at(1) as Sequential;
        if (name === 'input replaced') inner.registerForwardPreHook(() => other);
        if (name === 'output replaced') inner.at(0)?.registerForwardHook(() => other);
        if (name === 'gradient replaced') inner.registerBackwardHook(() => other);
        const log: [kind: string, module: string, ...values: Promise<Float32Array>[]][] = [];
        for (const [key, module] of net.namedModules()) {
          const logged = (kind: string, ...tensors: Tensor[]): undefined => {
            log.push([kind, key, ...tensors.map((one) => one.data())]);
          };
          module.registerForwardPreHook((_, input) => logged('forward-pre', input));
          module.registerForwardHook((_, input, output) => logged('forward', input, output));
          module.registerBackwardHook((_, gradInput, gradOutput) =>
            logged('backward', gradInput, gradOutput),
          );
        }
        await close(net.forward(x), y, bounds.forward, `${name}: y`);
        if (dx) await close(net.backward(dy), dx, bounds.backward, `${name}: dx`);
        assertEqual(
          log.map(([kind, key]) => `${kind} ${key}`),
          calls.map(([kind, key]) => `${kind} ${key}`),
          name,
        );
        for (const [i, [kind, key, ...values]] of log.entries()) {
          const expected = (calls[i] as GoldenHooks['runs'][number]['calls'][number]).slice(
            2,
          ) as GoldenTensor[];
          assertEqual(values.length, expected.length);
          for (const [j, value] of values.entries()) {
            const error = relativeError(await value, decode(expected[j] as GoldenTensor));
            assert(error <= bounds.backward, `${name}: ${kind} ${key}: error ${error}`);
          }
        }
        net.destroy();
      }
    },
  },
];
