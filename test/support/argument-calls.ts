/** Calls of all that is public, each right as it stands, for arguments to be corrupted. */

import { autotune, loadTuned } from '../../src/autotune/index.ts';
import * as distributed from '../../src/distributed/index.ts';
import type { Gpu, Module, Tensor } from '../../src/index.ts';
import * as norms from '../../src/index.ts';
import { fromOnnxRuntime } from '../../src/interop/onnxruntime.ts';
import { fromTypeGpu, toTypeGpu } from '../../src/interop/typegpu.ts';
import * as kernels from '../../src/kernels.ts';
import * as optim from '../../src/optim/index.ts';
import { normal } from './data.ts';

/** A call and what it is right with. */
export interface CallCase {
  name: string;
  /** Whose method it is; absent for functions and constructors. */
  receiver?: object;
  args: () => unknown[];
  call: (receiver: never, args: never[]) => unknown;
  /** It works on things of its own, or changes what is there in a way that more than tensors must be restored from. */
  once?: boolean;
}

/** What calls are made on, and what of it must stay as it is when one fails. */
export interface World {
  calls: CallCase[];
  /** Tensors whose contents are the state. */
  state: readonly Tensor[];
  /** All state that JavaScript can see. */
  seen(): string;
}

/** Parameters that exist alike in all norms' options. */
const epilogue = { activation: 'relu', negativeSlope: 0.1 };

export function worldOf(gpu: Gpu): World {
  const tensor = (shape: number[], seed = 1): Tensor =>
    gpu.tensor(
      normal(
        shape.reduce((total, size) => total * size, 1),
        { seed },
      ),
      shape,
    );
  const [x, y, dy] = [tensor([2, 4]), tensor([2, 4], 2), tensor([2, 4], 3)];
  const image = tensor([2, 4, 3], 4);
  const [weight, bias] = [tensor([4], 5), tensor([4], 6)];
  const [runningMean, runningVar] = [tensor([4], 7), gpu.tensor([1, 2, 3, 4], [4])];
  const numBatchesTracked = gpu.zeros([], { dtype: 'u32' });
  const row = norms.layerNorm(gpu, x, { normalizedShape: 4 });
  const channel = norms.batchNorm(gpu, image, { training: true });
  const instance = norms.instanceNorm(gpu, image);
  const group = norms.groupNorm(gpu, image, { numGroups: 2 });
  const [local] = distributed.LocalProcessGroup.create(1) as [distributed.LocalProcessGroup];
  const layer = new norms.LayerNorm(gpu, 4);
  const batch = new norms.BatchNorm1d(gpu, 4);
  const rms = new norms.RMSNorm(gpu, 4);
  const tracked = new norms.InstanceNorm1d(gpu, 4, { affine: true, trackRunningStats: true });
  const groups = new norms.GroupNorm(gpu, 2, 4);
  const frozen = new norms.FrozenBatchNorm2d(gpu, 4);
  const response = new norms.LocalResponseNorm(gpu, 3);
  const identity = new norms.Identity(gpu);
  // What TypeGPU makes, as far as our functions look at it.
  const floats = { type: 'array', elementCount: 8, elementType: { type: 'f32' } };
  const typed = { $usage: () => typed };
  class TypeGpuRoot {
    readonly resourceType = 'root';
    readonly device = gpu.device;
    readonly createBuffer = () => typed;
  }
  const typeGpuRoot = new TypeGpuRoot();
  const chain = new norms.Sequential(gpu, new norms.BatchNorm1d(gpu, 4), new norms.LayerNorm(gpu, 4));
  const sync = new distributed.SyncBatchNorm(gpu, 4, { group: local });
  const pictures = gpu.zeros([2, 4, 1, 3]);
  const modules: [Module, Tensor, Tensor][] = [
    [layer, x, dy],
    [batch, x, dy],
    [rms, x, dy],
    [tracked, image, tensor([2, 4, 3], 8)],
    [groups, image, tensor([2, 4, 3], 9)],
    [frozen, pictures, pictures],
    [response, image, tensor([2, 4, 3], 10)],
    [identity, x, dy],
    [chain, x, dy],
    [sync, x, dy],
  ];
  for (const [module, input, gradient] of modules) {
    module.forward(input, { out: gpu.zeros(input.shape) });
    module.backward(gradient);
  }
  const all = modules.map(([module]) => module);
  const parameters = [...new Set(all.flatMap((module) => module.parameters()))];
  const sgd = new optim.SGD(layer.parameters(), { lr: 0.1, momentum: 0.9 });
  const adamw = new optim.AdamW([{ params: batch.parameters(), lr: 0.1 }], { amsgrad: true });
  const averaged = new optim.AveragedModel(layer, new norms.LayerNorm(gpu, 4));
  for (const one of [sgd, adamw]) one.step();
  averaged.updateParameters(layer);
  const savedSgd = sgd.stateDict();
  const savedAdamw = adamw.stateDict();
  // Of its own: schedules change its groups.
  const scheduled = new optim.SGD(rms.parameters(), { lr: 0.1, momentum: 0.9 });
  const stepLr = new optim.StepLR(scheduled, 3);
  const restarts = new optim.CosineAnnealingWarmRestarts(scheduled, 3);
  const plateau = new optim.ReduceLROnPlateau(scheduled);
  const zero = new distributed.ZeroRedundancyOptimizer(layer.parameters(), optim.SGD, local, {
    momentum: 0.9,
  });
  const scaler = new optim.GradScaler(gpu);
  scaler.step(scheduled);
  scaler.update();
  const paramGroups = JSON.stringify(sgd.stateDict().param_groups);
  const savedFile = norms.encodeSafetensors([], { param_groups: paramGroups });
  const savedScaler = {
    ...{ scale: 2, growth_factor: 2, backoff_factor: 0.5 },
    ...{ growth_interval: 5, _growth_tracker: 3 },
  };
  const file = norms.encodeSafetensors([['a', { dtype: 'f32', shape: [2], data: new Float32Array(2) }]]);
  const host = (...shape: number[]) => ({
    dtype: 'f32',
    shape,
    data: new Float32Array(shape.reduce((total, size) => total * size, 1)),
  });
  const own = (module: () => Module, body: (module: Module, args: unknown[]) => unknown) =>
    ((_: never, args: never[]) => body(module(), args)) as CallCase['call'];

  const fn = (name: string, body: (...args: never[]) => unknown, args: () => unknown[]): CallCase => ({
    name,
    args,
    call: (_, given) => body(...given),
  });
  const make = (name: string, made: new (...args: never[]) => unknown, args: () => unknown[]): CallCase => ({
    name: `new ${name}`,
    args,
    call: (_, given) => new made(...given),
  });
  const method = (
    name: string,
    receiver: object,
    key: string,
    args: () => unknown[] = () => [],
    once = false,
  ): CallCase => ({
    name: `${name}.${key}`,
    receiver,
    args,
    once,
    call: (on, given) => (on as Record<string, (...args: never[]) => unknown>)[key]?.(...given),
  });

  /** A call of a wrapped module that is gone then. */
  const wrapped = (
    key: 'forward' | 'backward' | 'noSync' | 'join' | 'synchronize',
    args: () => unknown[],
  ): CallCase =>
    fn(
      `ddp.${key}`,
      async (...given: never[]) => {
        const inner = new norms.LayerNorm(gpu, 4);
        const ddp = await distributed.DistributedDataParallel.wrap(inner, local);
        try {
          if (key === 'backward' || key === 'synchronize') inner.forward(x, { out: y });
          if (key === 'synchronize') inner.backward(dy).destroy();
          return await (ddp[key] as (...of: never[]) => Promise<unknown>)(...given);
        } finally {
          ddp.destroy();
        }
      },
      args,
    );

  const schedule = { strategy: 'split', workgroup: 64, splits: 2, vec4: false };
  const channels = { layout: 'channels-first', eps: 1e-5, weight, bias };
  const rows = { normalizedShape: [4], weight, bias, eps: 1e-5 };
  const one = gpu.tensor([0.5], [1]);
  const outs = () => ({ y, mean: gpu.zeros([2, 2]), rstd: gpu.zeros([2]) });
  const wants = { wants: { dweight: true, dbias: true }, accumulate: { dweight: false, dbias: false } };
  const statistics = { runningMean, runningVar };
  const calls: CallCase[] = [
    fn('describe', kernels.describe, () => [
      'batchNorm',
      { shape: [2, 4, 3], training: true, runningMean: true, runningVar: true, momentum: 0.1, schedule },
      { subgroup: 0, iterations: null, f16: false, maxBindingBytes: 65_536 },
    ]),
    fn('describe backward', kernels.describe, () => [
      'layerNorm',
      { shape: [2, 4], pass: 'backward', ...wants },
    ]),
    fn('layerNorm', norms.layerNorm, () => [gpu, x, { ...rows, ...epilogue, residual: dy, out: outs() }]),
    fn('layerNorm scheduled', norms.layerNorm, () => [gpu, x, { normalizedShape: 4, schedule }]),
    fn('layerNorm over axes', norms.layerNorm, () => [gpu, image, { axes: [1], weight, bias }]),
    fn('rmsNorm over axes', norms.rmsNorm, () => [gpu, image, { axes: 1, normalizedShape: 4, weight }]),
    fn('addLayerNorm', norms.addLayerNorm, () => [gpu, x, dy, { ...rows, out: { y } }]),
    fn('layerNormBackward', norms.layerNormBackward, () => [
      gpu,
      dy,
      x,
      { ...rows, mean: row.mean, rstd: row.rstd, ...wants, dsum: y, out: { dx: gpu.zeros([2, 4]) } },
    ]),
    fn('rmsNorm', norms.rmsNorm, () => [gpu, x, { normalizedShape: [4], weight, cast: 'llama', out: { y } }]),
    fn('rmsNorm without statistics', norms.rmsNorm, () => [
      gpu,
      x,
      { normalizedShape: 4, statistics: false },
    ]),
    fn('addRmsNorm', norms.addRmsNorm, () => [gpu, x, dy, { normalizedShape: [4], eps: 1e-5 }]),
    fn('rmsNormBackward', norms.rmsNormBackward, () => [
      gpu,
      dy,
      x,
      { normalizedShape: [4], weight, rstd: row.rstd, dsum: y },
    ]),
    fn('l2Norm', norms.l2Norm, () => [
      gpu,
      x,
      { normalizedShape: [4], weight, eps: 0.1, epsMode: 'add', activation: 'relu', out: { y } },
    ]),
    fn('l2NormBackward', norms.l2NormBackward, () => [
      gpu,
      dy,
      x,
      { normalizedShape: [4], weight, rstd: row.rstd, eps: 0.1, epsMode: 'max', gate: y },
    ]),
    fn('dynamicTanh', norms.dynamicTanh, () => [gpu, x, { alpha: one, weight, bias, out: { y } }]),
    fn('dynamicTanhBackward', norms.dynamicTanhBackward, () => [
      gpu,
      dy,
      x,
      {
        alpha: one,
        weight,
        wants: { dalpha: true, dbias: false },
        accumulate: { dweight: true },
        out: { dx: y },
      },
    ]),
    fn('groupNorm', norms.groupNorm, () => [gpu, image, { numGroups: 2, ...channels, ...epilogue }]),
    fn('groupNormBackward', norms.groupNormBackward, () => [
      gpu,
      image,
      image,
      { numGroups: 2, weight, mean: group.mean, rstd: group.rstd, ...wants },
    ]),
    fn('instanceNorm', norms.instanceNorm, () => [
      gpu,
      image,
      {
        ...channels,
        ...statistics,
        training: true,
        momentum: 0.1,
        runningVariance: 'biased',
        variance: true,
      },
    ]),
    fn('instanceNormBackward', norms.instanceNormBackward, () => [
      gpu,
      image,
      image,
      { weight, mean: instance.mean, rstd: instance.rstd },
    ]),
    fn('batchNorm', norms.batchNorm, () => [
      gpu,
      x,
      {
        ...channels,
        ...statistics,
        numBatchesTracked,
        training: true,
        momentum: 0.1,
        runningVariance: 'biased',
      },
    ]),
    fn('batchNormBackward', norms.batchNormBackward, () => [
      gpu,
      image,
      image,
      { weight, mean: channel.mean, rstd: channel.rstd, training: true, layout: 'channels-first' },
    ]),
    fn('localResponseNorm', norms.localResponseNorm, () => [
      gpu,
      image,
      { size: 3, alpha: 1e-4, beta: 0.75, k: 1, layout: 'channels-first', out: { y: gpu.zeros([2, 4, 3]) } },
    ]),
    fn('localResponseNormBackward', norms.localResponseNormBackward, () => [gpu, image, image, { size: 3 }]),
    fn('workspaceBytes', norms.workspaceBytes, () => [
      gpu,
      'groupNorm',
      [2, 4, 3],
      { numGroups: 2, dtype: 'f32', layout: 'channels-first', pass: 'backward', affine: true },
    ]),
    fn('foldBatchNorm', norms.foldBatchNorm, () => [tensor([4, 2]), bias, frozen, { axis: 0 }]),
    fn('fuseBatchNorm', norms.fuseBatchNorm, () => [new norms.Sequential(gpu).eval()]),
    fn('convertFrozenBatchNorm', norms.convertFrozenBatchNorm, () => [new norms.Sequential(gpu)]),
    fn('saveStateDict', norms.saveStateDict, () => [layer, { format: 'pt' }]),
    fn('encodeSafetensors', norms.encodeSafetensors, () => [[['a', host(2, 2)]], { format: 'pt' }]),
    fn('decodeSafetensors', norms.decodeSafetensors, () => [file.slice()]),
    fn('autotune', autotune, () => [
      gpu,
      'layerNorm',
      [2, 4],
      { pass: 'forward', dtype: 'f32', schedules: [], rounds: 1, sampleMs: 1, onProgress: () => {} },
    ]),
    fn('loadTuned', loadTuned, () => [gpu, { getItem: () => null, setItem: () => {} }]),
    fn('init', norms.init, () => [
      { device: gpu.device, facts: { f16: false }, powerPreference: 'low-power' },
    ]),
    fn('updateBatchNorm', optim.updateBatchNorm, () => [new norms.BatchNorm1d(gpu, 4), [x], {}]),
    fn('fromOnnxRuntime', fromOnnxRuntime, () => [
      gpu,
      { location: 'gpu-buffer', type: 'float32', gpuBuffer: x.buffer, dims: [2, 4] },
    ]),
    fn('fromTypeGpu', fromTypeGpu, () => [
      gpu,
      { resourceType: 'buffer', dataType: floats, destroyed: false, usableAsStorage: true, buffer: x.buffer },
      [2, 4],
    ]),
    fn('toTypeGpu', toTypeGpu, () => [typeGpuRoot, x, floats]),
    make('LayerNorm', norms.LayerNorm, () => [
      gpu,
      [4],
      { eps: 1e-5, bias: true, dtype: 'f32', ...epilogue },
    ]),
    make('RMSNorm', norms.RMSNorm, () => [gpu, [4], { eps: null, cast: 'gemma', elementwiseAffine: true }]),
    make('L2Norm', norms.L2Norm, () => [gpu, [4], { eps: 0.1, epsMode: 'max', elementwiseAffine: true }]),
    make('DynamicTanh', norms.DynamicTanh, () => [gpu, [4], { alphaInitValue: 0.5 }]),
    make('LayerNorm2d', norms.LayerNorm2d, () => [gpu, 4, { eps: 1e-6, bias: true }]),
    make('RMSNorm2d', norms.RMSNorm2d, () => [gpu, 4, { eps: 1e-6 }]),
    make('GroupNorm', norms.GroupNorm, () => [gpu, 2, 4, { affine: true, layout: 'channels-last' }]),
    make('BatchNorm2d', norms.BatchNorm2d, () => [gpu, 4, { momentum: null, trackRunningStats: true }]),
    make('InstanceNorm2d', norms.InstanceNorm2d, () => [gpu, 4, { affine: true, eps: 1e-3 }]),
    make('FrozenBatchNorm2d', norms.FrozenBatchNorm2d, () => [gpu, 4, { dtype: 'f32' }]),
    make('LocalResponseNorm', norms.LocalResponseNorm, () => [gpu, 5, { alpha: 1, beta: 0.5, k: 2 }]),
    make('Identity', norms.Identity, () => [gpu]),
    make('Sequential', norms.Sequential, () => [
      gpu,
      [
        ['a', layer],
        ['b', batch],
      ],
    ]),
    make('ModuleList', norms.ModuleList, () => [gpu, [layer, batch]]),
    make('ModuleDict', norms.ModuleDict, () => [gpu, { a: layer, b: batch }]),
    make('Parameter', norms.Parameter, () => [tensor([4]), { requiresGrad: true, sequenceParallel: false }]),
    make('SGD', optim.SGD, () => [
      [{ params: rms.parameters(), lr: 1 }],
      { lr: 0.1, momentum: 0.9, dampening: 0, weightDecay: 0, nesterov: true, maximize: false },
    ]),
    make('AdamW', optim.AdamW, () => [
      rms.parameters(),
      { lr: 0.1, betas: [0.9, 0.99], eps: 1e-8, amsgrad: true },
    ]),
    make('Adam', optim.Adam, () => [rms.parameters(), { weightDecay: 0.1, masterCopies: true }]),
    make('RMSprop', optim.RMSprop, () => [rms.parameters(), { alpha: 0.9, centered: true, momentum: 0.5 }]),
    make('Adagrad', optim.Adagrad, () => [rms.parameters(), { lrDecay: 0.1, initialAccumulatorValue: 1 }]),
    make('Adamax', optim.Adamax, () => [rms.parameters(), { betas: [0.9, 0.99], eps: 1e-8 }]),
    make('GradScaler', optim.GradScaler, () => [
      gpu,
      { initScale: 2, growthFactor: 3, backoffFactor: 0.3, growthInterval: 5, enabled: true },
    ]),
    make('MultiStepLR', optim.MultiStepLR, () => [scheduled, [3, 5], { gamma: 0.5, lastEpoch: -1 }]),
    make('ConstantLR', optim.ConstantLR, () => [scheduled, { factor: 0.5, totalIters: 3 }]),
    make('LinearLR', optim.LinearLR, () => [scheduled, { startFactor: 0.5, endFactor: 1, totalIters: 3 }]),
    make('ExponentialLR', optim.ExponentialLR, () => [scheduled, 0.9, {}]),
    make('PolynomialLR', optim.PolynomialLR, () => [scheduled, { totalIters: 3, power: 2 }]),
    make('LambdaLR', optim.LambdaLR, () => [scheduled, () => 1, {}]),
    make('CosineAnnealingLR', optim.CosineAnnealingLR, () => [scheduled, 5, { etaMin: 0 }]),
    make('OneCycleLR', optim.OneCycleLR, () => [
      scheduled,
      0.1,
      { totalSteps: 10, pctStart: 0.2, annealStrategy: 'linear', baseMomentum: 0.8, threePhase: true },
    ]),
    make('SWALR', optim.SWALR, () => [scheduled, 0.1, { annealEpochs: 3, annealStrategy: 'cos' }]),
    make('SequentialLR', optim.SequentialLR, () => [scheduled, [stepLr, restarts], [5]]),
    make('ChainedScheduler', optim.ChainedScheduler, () => [[stepLr, restarts]]),
    make('ReduceLROnPlateau', optim.ReduceLROnPlateau, () => [
      scheduled,
      { mode: 'max', factor: 0.5, patience: 3, thresholdMode: 'abs', minLr: [0.1], cooldown: 1 },
    ]),
    fn('clipGradNorm', optim.clipGradNorm, () => [layer.parameters(), 1, { normType: 1 }]),
    fn('clipGradValue', optim.clipGradValue, () => [layer.parameters(), 1, {}]),
    fn('parameterGroups', optim.parameterGroups, () => [layer, { weightDecay: 0.1 }]),
    fn('saveOptimizer', optim.saveOptimizer, () => [sgd]),
    fn('loadOptimizer', optim.loadOptimizer, () => [sgd, savedFile.slice()]),
    method('stepLr', stepLr, 'step'),
    method('stepLr', stepLr, 'loadStateDict', () => [stepLr.stateDict()]),
    method('restarts', restarts, 'step', () => [2.5]),
    method('plateau', plateau, 'step', () => [0.5]),
    method('plateau', plateau, 'loadStateDict', () => [plateau.stateDict()]),
    method('scaler', scaler, 'scale', () => [x, { out: y }]),
    method('scaler', scaler, 'step', () => [scheduled, {}]),
    method('scaler', scaler, 'unscale', () => [scheduled, {}]),
    method('scaler', scaler, 'update', () => [{}]),
    method('scaler', scaler, 'setScale', () => [1024]),
    method('scaler', scaler, 'loadStateDict', () => [{ ...savedScaler }]),
    make('AveragedModel', optim.AveragedModel, () => [
      layer,
      new norms.LayerNorm(gpu, 4),
      { average: { decay: 0.9 }, useBuffers: true },
    ]),
    make('SyncBatchNorm', distributed.SyncBatchNorm, () => [gpu, 4, { group: local, momentum: 0.1 }]),
    method('gpu', gpu, 'tensor', () => [[1, 2, 3, 4], [2, 2], { dtype: 'f32' }]),
    method('gpu', gpu, 'zeros', () => [[2, 2], { dtype: 'u32' }]),
    method('gpu', gpu, 'empty', () => [[2, 2], {}]),
    method('gpu', gpu, 'wrap', () => [x.buffer, [2, 4], { dtype: 'f32', offset: 0 }]),
    method('gpu', gpu, 'scope', () => [() => [gpu.zeros([2])]]),
    fn(
      'scope.run',
      (body: () => unknown) => gpu.scope((scope) => scope.run(body)),
      () => [() => [gpu.zeros([2])]],
    ),
    fn(
      'scope.add',
      (added: Tensor) => gpu.scope((scope) => [scope.add(added)]),
      () => [gpu.zeros([2])],
    ),
    method('gpu', gpu, 'keep', () => [x]),
    method('gpu', gpu, 'memory'),
    method('gpu', gpu, 'idle'),
    method('tensor', y, 'write', () => [[1, 2, 3, 4, 5, 6, 7, 8]]),
    method('tensor', y, 'data'),
    method('sgd', sgd, 'step', () => [{}]),
    method('sgd', sgd, 'zeroGrad', () => [{}]),
    method('sgd', sgd, 'loadStateDict', () => [savedSgd]),
    method('adamw', adamw, 'step', () => [{ encoder: undefined }]),
    method('adamw', adamw, 'loadStateDict', () => [savedAdamw]),
    method('adamw', adamw, 'addParamGroup', () => [{ params: rms.parameters(), betas: [0.5, 0.9] }], true),
    method('averaged', averaged, 'updateParameters', () => [layer, {}]),
    method('averaged', averaged, 'forward', () => [x, { out: y }]),
    method('averaged', averaged, 'forwardAsync', () => [x, { out: y }]),
    method('layer', layer, 'forwardResidual', () => [x, dy, { out: y, outSum: gpu.zeros([2, 4]) }]),
    method('chain', chain, 'forwardAsync', () => [x, { out: y }]),
    method('chain', chain, 'backwardAsync', () => [dy, {}]),
    method('chain', chain, 'at', () => [-1]),
    ...(['append', 'extend', 'insert', 'set', 'pop', 'at'] as const).map(
      (key): CallCase => ({
        name: `list.${key}`,
        args: () =>
          ({ append: [rms], extend: [[rms]], insert: [0, rms], set: [0, rms], pop: [0], at: [0] })[key],
        call: (_, args) => {
          const list = new norms.ModuleList(gpu, [layer, batch]) as unknown as Record<
            string,
            (...of: never[]) => unknown
          >;
          return list[key]?.(...args);
        },
      }),
    ),
    ...(['get', 'has', 'set', 'delete'] as const).map(
      (key): CallCase => ({
        name: `dict.${key}`,
        args: () => (key === 'set' ? ['b', rms] : ['a']),
        call: (_, args) => {
          const dict = new norms.ModuleDict(gpu, { a: layer }) as unknown as Record<
            string,
            (...of: never[]) => unknown
          >;
          return dict[key]?.(...args);
        },
      }),
    ),
    method('batch', batch, 'resetRunningStats'),
    method('group', local, 'allReduce', () => [new Float32Array(2), { timeout: 1000, label: 'sum' }]),
    method('group', local, 'allGather', () => [new Float32Array(2), {}]),
    method('group', local, 'broadcast', () => [new Float32Array(2), 0, {}]),
    method('group', local, 'barrier', () => [{ timeout: 1000 }]),
    fn('LocalProcessGroup.create', distributed.LocalProcessGroup.create, () => [
      1,
      { timeout: 1000, fanOut: 4 },
    ]),
    fn('syncGradients', distributed.syncGradients, () => [layer, local, { average: true, bucketBytes: 64 }]),
    fn('broadcastParameters', distributed.broadcastParameters, () => [[weight], local, { root: 0 }]),
    fn('broadcastState', distributed.broadcastState, () => [adamw, local, { root: 0 }]),
    fn(
      'DistributedDataParallel.wrap',
      async (...given: never[]) => {
        const wrap = distributed.DistributedDataParallel.wrap as (...of: never[]) => Promise<Module>;
        (await wrap(...given)).destroy();
      },
      () => [
        new norms.LayerNorm(gpu, 4),
        local,
        { bucketBytes: 64, broadcastBuffers: true, findUnusedParameters: true },
      ],
    ),
    wrapped('forward', () => [x, { out: y }]),
    wrapped('backward', () => [dy, {}]),
    wrapped('noSync', () => [() => 1]),
    wrapped('join', () => [() => 1, { divideByInitialWorldSize: true, enable: true, shadow: () => {} }]),
    wrapped('synchronize', () => []),
    make('ZeroRedundancyOptimizer', distributed.ZeroRedundancyOptimizer, () => [
      [{ params: rms.parameters() }],
      optim.AdamW,
      local,
      { lr: 0.1 },
    ]),
    method('zero', zero, 'step', () => [{}]),
    method('zero', zero, 'zeroGrad', () => [{}]),
    method('zero', zero, 'consolidateStateDict', () => [{ to: 0 }]),
    method('zero', zero, 'loadStateDict', () => [savedSgd]),
    method('zero', zero, 'addParamGroup', () => [{ params: groups.parameters(), lr: 0.5 }], true),
    method('parameter', layer.parameters()[0] as norms.Parameter, 'registerPostAccumulateGradHook', () => [
      () => {},
    ]),
    fn('convertSyncBatchNorm', distributed.convertSyncBatchNorm, () => [new norms.Sequential(gpu), local]),
    fn('revertSyncBatchNorm', distributed.revertSyncBatchNorm, () => [new norms.Sequential(gpu)]),
    fn('syncBatchNorm', distributed.syncBatchNorm, () => [
      gpu,
      x,
      { ...channels, ...statistics, training: true, group: local, timeout: 1000 },
    ]),
    {
      name: 'module.to',
      args: () => ['f32'],
      call: own(
        () => new norms.LayerNorm(gpu, 4),
        (module, args) => module.to(...(args as ['f32'])),
      ),
      once: true,
    },
    {
      name: 'module.register…',
      args: () => ['a', new norms.Parameter(tensor([2])), tensor([2]), { persistent: true }, layer],
      call: own(
        () => new norms.Sequential(gpu),
        (module, [name, parameter, buffer, options, child]) => {
          module.registerParameter(name as string, parameter as norms.Parameter);
          module.registerBuffer(`${String(name)}b`, buffer as Tensor, options as object);
          module.registerModule(`${String(name)}c`, child as Module);
        },
      ),
      once: true,
    },
  ];
  for (const [module, input, gradient] of modules) {
    const { name } = module.constructor;
    const shape = [...input.shape];
    calls.push(
      method(name, module, 'forward', () => [input, { out: gpu.zeros(shape) }]),
      method(name, module, 'forward', () => [input, {}]),
      method(name, module, 'backward', () => [gradient, { out: gpu.zeros(shape) }]),
      method(name, module, 'prepare', () => [shape, { dtype: 'f32' }]),
      method(name, module, 'loadStateDict', () => [module.stateDict(), { strict: true }]),
      method(name, module, 'zeroGrad', () => [{}]),
      method(name, module, 'train', () => [true]),
      method(name, module, 'requiresGrad', () => [true]),
      method(name, module, 'apply', () => [() => {}]),
      method(name, module, 'stateDict'),
    );
    if (!('workspaceBytes' in module)) continue;
    calls.push(method(name, module, 'workspaceBytes', () => [shape, { dtype: 'f32' }]));
  }
  const optimizers = [sgd, adamw, scheduled];
  const state = [
    ...parameters.flatMap(({ data, grad }) => (grad ? [data, grad] : [data])),
    ...new Set([...all, averaged].flatMap((module) => module.buffers())),
    ...averaged.parameters().map(({ data }) => data),
    ...optimizers.flatMap((one) => Object.values(one.stateDict().state).flatMap((of) => Object.values(of))),
    ...[x, dy, weight, bias, runningMean, runningVar, numBatchesTracked],
  ].filter((one): one is Tensor => one !== null);
  return {
    calls,
    state: [...new Set(state)],
    seen: () =>
      JSON.stringify([
        gpu.memory(),
        parameters.map(({ grad, requiresGrad }) => [grad !== null, requiresGrad]),
        all.map((module) => [module.training, module.namedModules().length, [...module.stateDict().keys()]]),
        optimizers.map(({ paramGroups }) =>
          paramGroups.map(({ params, ...settings }) => [params.length, settings]),
        ),
        optimizers.map((one) => Object.keys(one.stateDict().state)),
        state.map(({ destroyed }) => destroyed),
      ]),
  };
}
