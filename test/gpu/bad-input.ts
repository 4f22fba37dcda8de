/** What JavaScript lets pass and no type allows: each is refused with a code and a fix, and nothing is done. */

import { autotune } from '../../src/autotune/index.ts';
import * as norms from '../../src/index.ts';
import { NormError, type NormErrorCode, type Tensor } from '../../src/index.ts';
import * as optim from '../../src/optim/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';

// biome-ignore lint/suspicious/noExplicitAny: that is what this file is about
type Anything = any;
const lib: Anything = { ...norms, ...optim, autotune };

/** Refuses each, with this code and, where it says so, these words in the message. */
function refusesAll(t: Context, calls: readonly (readonly [NormErrorCode, () => unknown, RegExp?])[]): void {
  for (const [code, call, words] of calls) {
    refuses(t.gpu, code, () => {
      try {
        call();
      } catch (error) {
        if (words && error instanceof NormError) assert(words.test(error.message), error.message);
        throw error;
      }
    });
  }
}

async function rejects(code: NormErrorCode, promise: Promise<unknown>): Promise<NormError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert(error instanceof NormError, `expected a NormError '${code}', got ${error}`);
  assertEqual(error.code, code, error.message);
  return error;
}

export const cases: Case[] = [
  {
    name: 'bad input: a context that is none',
    run(t) {
      const x = t.gpu.zeros([2, 4]);
      const promise = Promise.resolve(t.gpu);
      const calls: [(gpu: Anything) => unknown][] = [
        [(gpu) => new lib.LayerNorm(gpu, 8)],
        [(gpu) => new lib.BatchNorm2d(gpu, 8)],
        [(gpu) => new lib.LocalResponseNorm(gpu, 5)],
        [(gpu) => new lib.Sequential(gpu)],
        [(gpu) => lib.layerNorm(gpu, x, { normalizedShape: 4 })],
        [(gpu) => lib.layerNormBackward(gpu, x, x, { normalizedShape: 4, mean: x, rstd: x })],
        [(gpu) => lib.addLayerNorm(gpu, x, x, { normalizedShape: 4 })],
        [(gpu) => lib.rmsNorm(gpu, x, { normalizedShape: 4 })],
        [(gpu) => lib.groupNorm(gpu, x, { numGroups: 1 })],
        [(gpu) => lib.instanceNorm(gpu, x)],
        [(gpu) => lib.batchNorm(gpu, x, { training: true })],
        [(gpu) => lib.localResponseNorm(gpu, x, { size: 5 })],
        [(gpu) => lib.workspaceBytes(gpu, 'layerNorm', [2, 4])],
      ];
      for (const [call] of calls) {
        refusesAll(t, [
          ['value', () => call(undefined), /await init\(\)/],
          ['value', () => call(8), /not 8/],
          ['value', () => call(x), /context of init/],
          ['value', () => call(promise), /a promise.*Await it/],
          ['value', () => call(t.gpu.device), /a GPUDevice.*init\(\{ device \}\)/],
        ]);
      }
    },
  },
  {
    name: 'bad input: Proxies of what has private parts, such as reactive stores make',
    async run(t) {
      const { gpu } = t;
      const x = gpu.tensor(normal(8), [2, 4]);
      const module = new norms.LayerNorm(gpu, 4);
      const parameter = module.weight as norms.Parameter;
      const optimizer = new optim.SGD(module.parameters());
      const of = <T extends object>(target: T): T => new Proxy(target, {});
      for (const target of [gpu, x, module, parameter, optimizer]) {
        assertEqual((target as Anything).__v_skip, true, 'Vue leaves it alone');
        assert(!Object.keys(target).includes('__v_skip'), 'it does not show');
      }
      const markRaw = /Proxy of a (Gpu|Tensor|Module|Parameter|Optimizer).*markRaw/s;
      refusesAll(t, [
        ['value', () => new norms.LayerNorm(of(gpu), 4), markRaw],
        ['value', () => of(gpu).zeros([4]), markRaw],
        ['value', () => of(gpu).tensor([1], [1]), markRaw],
        ['value', () => of(gpu).wrap(x.buffer, [2, 4]), markRaw],
        ['value', () => of(gpu).scope(() => 1), markRaw],
        ['value', () => of(gpu).keep(x), markRaw],
        ['value', () => of(gpu).memory(), markRaw],
        ['value', () => of(gpu).destroy(), markRaw],
        ['value', () => of(gpu).destroyed, markRaw],
        ['value', () => norms.layerNorm(of(gpu), x, { normalizedShape: 4 }), markRaw],
        ['value', () => norms.layerNorm(gpu, of(x), { normalizedShape: 4 }), markRaw],
        ['value', () => norms.layerNorm(gpu, x, { normalizedShape: 4, weight: of(x) }), markRaw],
        ['value', () => norms.layerNorm(gpu, x, { normalizedShape: 4, out: { y: of(x) } }), markRaw],
        ['value', () => gpu.keep(of(x)), markRaw],
        ['value', () => of(x).write(normal(8)), markRaw],
        ['value', () => of(x).destroy(), markRaw],
        ['value', () => of(x).destroyed, markRaw],
        ['value', () => module.forward(of(x)), markRaw],
        ['value', () => of(module).forward(x), markRaw],
        ['value', () => of(module).backward(x), markRaw],
        ['value', () => of(module).parameters(), markRaw],
        ['value', () => of(module).weight, markRaw],
        ['value', () => of(module).stateDict(), markRaw],
        ['value', () => of(module).train(), markRaw],
        ['value', () => of(module).destroy(), markRaw],
        ['value', () => of(module).registerForwardHook(() => undefined), markRaw],
        ['value', () => new norms.Sequential(gpu, of(module)), markRaw],
        ['value', () => new norms.Sequential(gpu).registerModule('a', of(module)), markRaw],
        ['value', () => of(new norms.Sequential(gpu, module)).forward(x), markRaw],
        ['value', () => of(new norms.Identity(gpu)).forward(x), markRaw],
        ['value', () => norms.fuseBatchNorm(of(module)), markRaw],
        ['value', () => of(parameter).data, markRaw],
        ['value', () => of(parameter).grad, markRaw],
        ['value', () => of(parameter).zeroGrad(), markRaw],
        ['value', () => new optim.SGD([of(parameter)]), markRaw],
        ['value', () => of(optimizer).step(), markRaw],
        ['value', () => of(optimizer).destroy(), markRaw],
      ]);
      await rejects('value', of(x).data());
      await rejects('value', of(gpu).idle());
      await rejects('value', of(module).prepare([2, 4]));
    },
  },
  {
    name: 'bad input: shapes, and typed arrays as shapes',
    run(t) {
      const gpu: Anything = t.gpu;
      const x = gpu.zeros([2, 4]);
      for (const shape of [new Uint32Array([2, 4]), new Float64Array([2, 4])]) {
        assertEqual(gpu.zeros(shape).shape, [2, 4]);
        assertEqual(gpu.tensor(normal(8), shape).shape, [2, 4]);
        assertEqual(gpu.wrap(x.buffer, shape).shape, [2, 4]);
        assert(lib.workspaceBytes(gpu, 'layerNorm', shape) >= 0);
      }
      const sizes = new Int32Array([4]);
      assertEqual(lib.layerNorm(gpu, x, { normalizedShape: sizes }).y.shape, [2, 4]);
      assertEqual(new lib.LayerNorm(gpu, sizes).normalizedShape, [4]);
      assertEqual(new lib.RMSNorm(gpu, sizes).forward(x).shape, [2, 4]);
      const wrong = [
        undefined,
        null,
        4,
        '24',
        {},
        [2, '4'],
        [2, null],
        [-2, 4],
        [Number.NaN, 4],
        [1.5],
        [2n],
      ];
      for (const shape of [...wrong, new BigInt64Array(2), Symbol('4'), [Symbol('4')], new Array(2)]) {
        refusesAll(t, [
          ['shape', () => gpu.zeros(shape)],
          ['shape', () => gpu.empty(shape)],
          ['shape', () => gpu.tensor(normal(4), shape)],
          ['shape', () => gpu.wrap(x.buffer, shape)],
          ['shape', () => lib.workspaceBytes(gpu, 'layerNorm', shape)],
          ['shape', () => lib.workspaceBytes(gpu, 'localResponseNorm', shape)],
        ]);
        if (typeof shape === 'number') continue;
        refusesAll(t, [
          ['shape', () => new lib.LayerNorm(gpu, shape)],
          ['shape', () => lib.layerNorm(gpu, x, { normalizedShape: shape })],
        ]);
      }
      refusesAll(t, [
        ['limit', () => gpu.zeros([2 ** 53, 2 ** 53])],
        ['limit', () => gpu.zeros([1e308, 1e308, 0])],
        ['shape', () => lib.layerNorm(gpu, x, {}), /normalizedShape is undefined/],
        ['value', () => lib.layerNorm(gpu, x)],
      ]);
    },
  },
  {
    name: 'bad input: values and buffers',
    run(t) {
      const gpu: Anything = t.gpu;
      const x: Tensor = gpu.zeros([4]);
      const values = [new BigInt64Array(4), 'abcd', ['a', 'b', 'c', 'd'], [1, 2, 3, null], [1, 2, 3, 4n]];
      for (const wrong of [...values, new Array(4), new DataView(new ArrayBuffer(4)), {}, 4, undefined]) {
        refusesAll(t, [
          ['value', () => gpu.tensor(wrong, [4])],
          ['value', () => x.write(wrong as never)],
        ]);
      }
      for (const wrong of [undefined, null, 5, {}, x, gpu.device, { size: 16, usage: 128 }]) {
        refusesAll(t, [['buffer', () => gpu.wrap(wrong, [4]), /gpu.wrap takes a GPUBuffer/]]);
      }
      refusesAll(t, [
        ['value', () => gpu.scope(1), /scope\(\) was given 1/],
        ['value', () => gpu.scope()],
        ['value', () => gpu.keep(5)],
        ['value', () => gpu.zeros([4], { dtype: 5 })],
        ['value', () => gpu.wrap(x.buffer, [4], { offset: '0' })],
      ]);
    },
  },
  {
    name: 'bad input: options of the wrong kind',
    run(t) {
      const gpu: Anything = t.gpu;
      const x = gpu.tensor(normal(8), [2, 4]);
      const { mean, rstd } = lib.layerNorm(gpu, x, { normalizedShape: 4 });
      const backward = (more: object) => () =>
        lib.layerNormBackward(gpu, x, x, { normalizedShape: 4, mean, rstd, ...more });
      const module = new lib.LayerNorm(gpu, 4);
      const y = gpu.zeros([2, 4]);
      module.forward(x, { out: y }); // recorded again, from now on
      refusesAll(t, [
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, eps: '1e-5' }), /eps is 1e-5.*no number/],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, eps: Symbol('eps') })],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, weight: 5 }), /no tensor/],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, activation: 5 })],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, out: null })],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, out: { y: null } })],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, encoder: gpu.device }), /encoder is/],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, pass: null }), /pass is null/],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, schedule: { workgroup: 4n } })],
        ['value', () => lib.layerNorm(gpu, x, { normalizedShape: 4, schedule: null })],
        ['value', () => lib.batchNorm(gpu, x, { training: 'yes' }), /training/],
        ['value', () => lib.localResponseNorm(gpu, gpu.device, { size: 5 })],
        ['value', backward({ wants: { dweight: 1 } })],
        ['value', backward({ wants: true })],
        ['value', backward({ accumulate: 5 })],
        ['value', backward({ dsum: 'x' })],
        ['value', () => module.forward(x, null)],
        ['value', () => module.forward(x, 5)],
        ['value', () => module.forward(x, { out: null })],
        ['value', () => module.forward(x, { out: y, encoder: 5 })],
        ['value', () => module.forward(x, { out: y, pass: {} })],
        ['value', () => module.backward(x, null)],
        ['value', () => module.train('no')],
        ['value', () => module.requiresGrad(1)],
        ['value', () => module.apply()],
        ['value', () => module.registerForwardHook()],
        ['dtype', () => module.to('f64')],
        ['value', () => new lib.Identity(gpu).forward(x, null)],
        ['value', () => new lib.Sequential(gpu, module).forward(x, null)],
        ['value', () => new lib.Sequential(gpu, module).forward(x, { out: null })],
        ['value', () => new lib.LocalResponseNorm(gpu, 5).forward(gpu.device, null)],
        ['value', () => new lib.BatchNorm2d(gpu, 4, { affine: 1 })],
        ['value', () => new lib.BatchNorm2d(gpu, Symbol('4'))],
        ['value', () => new lib.GroupNorm(gpu, '2', 4)],
      ]);
    },
  },
  {
    name: 'bad input: sizes that no device has, before anything is filled',
    run(t) {
      const { gpu } = t;
      const fill = Float32Array.prototype.fill;
      let filled = 0;
      Float32Array.prototype.fill = function (...args) {
        filled += this.length;
        return fill.apply(this, args);
      };
      const most = Math.floor(gpu.device.limits.maxBufferSize / 4);
      try {
        refusesAll(t, [
          ['limit', () => new norms.BatchNorm2d(gpu, 2 ** 53)],
          ['limit', () => new norms.BatchNorm2d(gpu, most + 4)],
          ['limit', () => new norms.BatchNorm2d(gpu, most + 4, { affine: false })],
          ['limit', () => new norms.LayerNorm(gpu, [most + 4])],
          ['limit', () => new norms.RMSNorm(gpu, [most, 2])],
          ['limit', () => new norms.GroupNorm(gpu, 2, 2 ** 52)],
          ['limit', () => new norms.FrozenBatchNorm2d(gpu, most + 4)],
          ['limit', () => new norms.InstanceNorm1d(gpu, 2 ** 53, { affine: true })],
        ]);
        // Statistics are f32: a weight of f16, which would fit, is not made either.
        refuses(gpu, 'limit', () => new norms.BatchNorm1d(gpu, most + 4, { dtype: 'f16' }));
      } finally {
        Float32Array.prototype.fill = fill;
      }
      assertEqual(filled, 0, 'elements that were filled');
    },
  },
  {
    name: 'bad input: prepare and workspaceBytes',
    async run(t) {
      const gpu: Anything = t.gpu;
      const module = new lib.LayerNorm(gpu, 4);
      const response = new lib.LocalResponseNorm(gpu, 5);
      const whole = new lib.Sequential(gpu, module);
      for (const [shape, options, code] of [
        [[-2, 4], {}, 'shape'],
        [[Number.NaN, 4], {}, 'shape'],
        [4, {}, 'shape'],
        [[2, 4], { dtype: 'u32' }, 'dtype'],
        [[2, 4], { dtype: 'f64' }, 'dtype'],
        [[2, 4], { dtyp: 'f16' }, 'value'],
        [[2, 4], null, 'value'],
        [[2, 4], { residual: 'around' }, 'value'],
        [[2, 4], { schedule: { lane: 4 } }, 'value'],
      ] as const) {
        const own = options && !('residual' in options || 'schedule' in options);
        await rejects(code, module.prepare(shape, options));
        refuses(gpu, code, () => module.workspaceBytes(shape, options));
        refuses(gpu, code, () => lib.workspaceBytes(gpu, 'layerNorm', shape, options));
        await rejects(code, lib.autotune(gpu, 'layerNorm', shape, options));
        if (!own) continue;
        await rejects(code, response.prepare(Array.isArray(shape) ? [1, ...shape] : shape, options));
        await rejects(code, whole.prepare(shape, options));
      }
      refusesAll(t, [
        ['value', () => lib.workspaceBytes(gpu, 'layerNorms', [2, 4])],
        ['value', () => lib.workspaceBytes(gpu, 'layerNorm', [2, 4], { epsilon: 1 })],
        ['value', () => lib.workspaceBytes(gpu, 'layerNorm', [2, 4], { pass: 'sideways' })],
      ]);
      await rejects('value', lib.autotune(gpu, 'layerNorm', [2, 4], { round: 5 }));
      await rejects('value', lib.autotune(gpu, 'layerNorm', [2, 4], { signal: 5 }));
    },
  },
  {
    name: 'bad input: parameters, modules and optimizers',
    async run(t) {
      const gpu: Anything = t.gpu;
      const x = gpu.zeros([2, 4]);
      const module = new lib.LayerNorm(gpu, 4);
      const parameters = module.parameters();
      const copy = new lib.LayerNorm(gpu, 4);
      const { SGD, AdamW, AveragedModel, Parameter, Sequential } = lib;
      refusesAll(t, [
        ['value', () => new Parameter(5), /no tensor/],
        ['value', () => new Parameter()],
        ['value', () => new Parameter(x, { requiresgrad: true }), /Did you mean 'requiresGrad'/],
        ['value', () => new Sequential(gpu, 5), /0 is 5, which is no Module/],
        ['value', () => new Sequential(gpu, [module])],
        ['value', () => new Sequential(gpu).registerModule('a', {})],
        ['value', () => new Sequential(gpu).registerModule(Symbol('a'), module)],
        ['value', () => new Sequential(gpu).registerParameter('a', x)],
        ['value', () => new Sequential(gpu).registerBuffer('a', x, { persist: true })],
        ['value', () => new SGD()],
        ['value', () => new SGD(5)],
        ['value', () => new SGD([])],
        ['value', () => new SGD([x]), /new Parameter\(tensor\)/],
        ['value', () => new AdamW(module), /model.parameters\(\)/],
        ['value', () => new SGD(parameters, { momentun: 0.9 }), /Did you mean 'momentum'/],
        ['value', () => new AdamW(parameters, { beta: [0.9, 0.99] })],
        ['value', () => new AdamW(parameters, { betas: 5 })],
        ['value', () => new SGD(parameters, { lr: '0.1' })],
        ['value', () => new SGD([{ params: parameters, learningRate: 1 }])],
        ['value', () => new SGD(parameters).addParamGroup(5)],
        ['value', () => new SGD(parameters).step(5)],
        ['value', () => new SGD(parameters).step({ encoder: 5 })],
        ['value', () => new SGD(parameters).zeroGrad({ encoders: 5 })],
        ['value', () => new AveragedModel(5, module)],
        ['value', () => new AveragedModel(module, copy, { decay: 0.9 })],
        ['value', () => new AveragedModel(module, copy, { average: 5 })],
        ['value', () => lib.fuseBatchNorm(5)],
        ['value', () => lib.convertFrozenBatchNorm()],
        ['value', () => lib.foldBatchNorm(x, null, module, { axes: 1 })],
        ['value', () => lib.foldBatchNorm(x, null)],
      ]);
      const optimizer = new SGD(parameters, { lr: 0.5, momentum: 0.9 });
      const good = optimizer.stateDict();
      const [group] = good.param_groups;
      for (const dict of [
        undefined,
        5,
        {},
        { state: {}, param_groups: 5 },
        { state: 5, param_groups: good.param_groups },
        { state: {}, param_groups: [5] },
        { state: {}, param_groups: [{ ...group, params: 2 }] },
        { state: { 0: 5 }, param_groups: [group] },
        { state: { 0: { momentum_buffer: 5 } }, param_groups: [group] },
        { state: { 0: { momentum_buffer: { dtype: 'f32', shape: 4 } } }, param_groups: [group] },
      ]) {
        refuses(gpu, 'state', () => optimizer.loadStateDict(dict));
      }
      for (const wrong of [{ lr: Symbol('lr') }, { nesterov: 1 }, { momentum: '0.9' }]) {
        const param_groups = [{ ...group, ...wrong }];
        refuses(gpu, 'value', () => optimizer.loadStateDict({ state: {}, param_groups }));
      }
      assertEqual(optimizer.paramGroups[0].lr, 0.5);
      for (const dict of [undefined, null, 5, 'weight', {}, [1], new Proxy(new Map(), {})]) {
        refuses(gpu, 'state', () => module.loadStateDict(dict));
        refuses(gpu, 'state', () => module.loadStateDict(dict, { strict: false }));
      }
      for (const weight of [null, 5, {}, { dtype: 'f32', shape: [4n], data: new Float32Array(4) }]) {
        refuses(gpu, 'state', () => module.loadStateDict(new Map([['weight', weight]]), { strict: false }));
      }
      refuses(gpu, 'value', () => module.loadStateDict(module.stateDict(), { stric: false }));
      await rejects('value', lib.updateBatchNorm(5, []));
      await rejects('value', lib.updateBatchNorm(module, 5));
      await rejects('value', lib.updateBatchNorm(module, [], { on_progress: 5 }));
      await rejects('value', lib.updateBatchNorm(new lib.BatchNorm1d(gpu, 4), [5]));
    },
  },
  {
    name: 'bad input: files, contexts to be made',
    async run(t) {
      const { navigatorGpu } = t;
      const bytes = (...values: number[]) => new Uint8Array([...values, ...new Array(60).fill(0)]);
      refusesAll(t, [
        ['value', () => lib.encodeSafetensors(5), /no list of names and tensors/],
        ['value', () => lib.encodeSafetensors([5])],
        ['dtype', () => lib.encodeSafetensors([['a', 5]])],
        ['value', () => lib.encodeSafetensors(new Map(), { a: 5 })],
        ['format', () => lib.decodeSafetensors(5)],
        ['format', () => lib.decodeSafetensors(bytes(0x50, 0x4b, 3, 4)), /scripts\/pytorch_state.py/],
        ['format', () => lib.decodeSafetensors(bytes(0x50, 0x4b, 3, 4).buffer), /zip archive/],
      ]);
      await rejects('value', lib.saveStateDict(5));
      await rejects('value', lib.saveStateDict(new Map([['a', 5]])));
      await rejects('value', lib.init(5));
      await rejects('value', lib.init({ device: 5 }));
      await rejects('value', lib.init({ device: navigatorGpu }));
      await rejects('value', lib.init({ gpu: 5 }));
      await rejects('value', lib.init({ gpu: navigatorGpu, facts: { subgroups: 8 } }));
    },
  },
];
