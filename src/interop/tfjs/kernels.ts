/** The two kernels that serve every norm in tfjs: forward, and the backward that is its gradient. */
import type { NamedAttrMap, NamedTensorInfoMap, TensorInfo, Tensor as TfTensor } from '@tensorflow/tfjs-core';
import type { Tensor } from '../../gpu/tensor.ts';
import { batchNorm, batchNormBackward } from '../../ops/batch-norm.ts';
import { groupNorm, groupNormBackward } from '../../ops/group-norm.ts';
import { instanceNorm, instanceNormBackward } from '../../ops/instance-norm.ts';
import { layerNorm, layerNormBackward } from '../../ops/layer-norm.ts';
import { rmsNorm, rmsNormBackward } from '../../ops/rms-norm.ts';
import type { Layout } from '../../plan/geometry.ts';
import { type Named, record, type WebGpuBackend } from './backend.ts';
import type { TensorFlow } from './library.ts';

export const forwardKernel = 'WebGpuNorm';
export const backwardKernel = 'WebGpuNormBackward';

/** A norm as a kernel is told of it. */
export interface Call {
  norm: 'layerNorm' | 'rmsNorm' | 'groupNorm' | 'instanceNorm' | 'batchNorm';
  /** The shape that x is seen in. LayerNorm, RMSNorm: [rows, size]; else [N, C, ...] or [N, ..., C]. */
  view: number[];
  layout: Layout;
  groups: number;
  eps: number;
  /** Whether there is a weight, and whether there is a bias. */
  weight: boolean;
  bias: boolean;
  /** BatchNorm: whether the statistics are given, not those of x. */
  frozen: boolean;
  /** BatchNorm: whether the variance is wanted. */
  variance?: boolean;
}

const channelsOf = ({ norm, view, layout }: Call): number =>
  norm === 'layerNorm' || norm === 'rmsNorm' || layout === 'channels-last'
    ? (view.at(-1) as number)
    : (view[1] as number);

/** Shape of rstd. */
function setsOf(call: Call): number[] {
  const samples = call.view[0] as number;
  switch (call.norm) {
    case 'layerNorm':
    case 'rmsNorm':
      return [samples];
    case 'groupNorm':
      return [samples, call.groups];
    case 'instanceNorm':
      return [samples, channelsOf(call)];
    case 'batchNorm':
      return [channelsOf(call)];
  }
}

const size = (call: Call): number => call.view[1] as number;

/** Tensors by the names of the functional norms. */
type Tensors = Named<Tensor>;

function runForward(
  call: Call,
  gpu: Tensor['gpu'],
  inputs: Tensors,
  out: Tensors,
  pass: GPUComputePassEncoder,
) {
  const { layout, eps } = call;
  const x = inputs.x as Tensor;
  const { weight, bias, runningMean, runningVar } = inputs;
  const options = { weight, bias, eps, out, pass };
  switch (call.norm) {
    case 'layerNorm':
      return layerNorm(gpu, x, { ...options, normalizedShape: size(call) });
    case 'rmsNorm':
      return rmsNorm(gpu, x, { weight, eps, out, pass, normalizedShape: size(call) });
    case 'groupNorm':
      return groupNorm(gpu, x, { ...options, layout, numGroups: call.groups });
    case 'instanceNorm':
      return instanceNorm(gpu, x, { ...options, layout });
    case 'batchNorm':
      return batchNorm(gpu, x, { ...options, layout, training: !call.frozen, runningMean, runningVar });
  }
}

function runBackward(
  call: Call,
  gpu: Tensor['gpu'],
  inputs: Tensors,
  out: Tensors,
  pass: GPUComputePassEncoder,
) {
  const { layout } = call;
  const x = inputs.x as Tensor;
  const dy = inputs.dy as Tensor;
  const mean = inputs.mean as Tensor;
  const wants = { dweight: 'dweight' in out, dbias: 'dbias' in out };
  const options = { weight: inputs.weight, rstd: inputs.rstd as Tensor, wants, out, pass };
  switch (call.norm) {
    case 'layerNorm':
      return layerNormBackward(gpu, dy, x, { ...options, mean, normalizedShape: size(call) });
    case 'rmsNorm':
      return rmsNormBackward(gpu, dy, x, { ...options, normalizedShape: size(call) });
    case 'groupNorm':
      return groupNormBackward(gpu, dy, x, { ...options, mean, layout, numGroups: call.groups });
    case 'instanceNorm':
      return instanceNormBackward(gpu, dy, x, { ...options, mean, layout });
    case 'batchNorm':
      return batchNormBackward(gpu, dy, x, { ...options, mean, layout, training: !call.frozen });
  }
}

export const batchOf = (tf: TensorFlow): number => tf.env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE');

const view = (info: TensorInfo | undefined, shape: readonly number[]) => info && { info, shape };

/**
 * y, then the statistics: mean (not of RMSNorm), rstd and, where it is wanted, the biased variance.
 *
 * @param running - of frozen statistics.
 */
export function forward(
  tf: TensorFlow,
  backend: WebGpuBackend,
  call: Call,
  inputs: Named<TensorInfo>,
): TensorInfo[] {
  const x = inputs.x as TensorInfo;
  const channels = [channelsOf(call)];
  const sets = setsOf(call);
  const mean: Named<readonly number[]> = call.norm === 'rmsNorm' ? {} : { mean: [...sets, 2] };
  const views = {
    x: view(x, call.view),
    weight: view(inputs.weight, channels),
    bias: view(inputs.bias, channels),
    runningMean: view(inputs.runningMean, channels),
    runningVar: view(inputs.runningVar, channels),
  };
  const variance: Named<readonly number[]> = call.variance ? { variance: sets } : {};
  const outputs = {
    y: x.shape,
    ...(mean as { mean: number[] }),
    rstd: sets,
    ...(variance as { variance: number[] }),
  };
  const made = record(backend, views, outputs, { y: call.view }, batchOf(tf), ({ gpu, pass, ...tensors }) =>
    runForward(call, gpu, tensors.inputs, tensors.outputs, pass),
  );
  return Object.values(made);
}

/** dx, then dweight and dbias where the norm has a weight and a bias. */
function backward(
  tf: TensorFlow,
  backend: WebGpuBackend,
  call: Call,
  inputs: Named<TensorInfo>,
): TensorInfo[] {
  const x = inputs.x as TensorInfo;
  const channels = [channelsOf(call)];
  const sets = setsOf(call);
  const views = {
    dy: view(inputs.dy, call.view),
    x: view(x, call.view),
    weight: view(inputs.weight, channels),
    mean: view(inputs.mean, [...sets, 2]),
    rstd: view(inputs.rstd, sets),
  };
  const outputs: Record<string, readonly number[]> = { dx: x.shape };
  if (call.weight) outputs.dweight = channels;
  if (call.bias) outputs.dbias = channels;
  const made = record(backend, views, outputs, { dx: call.view }, batchOf(tf), ({ gpu, pass, ...tensors }) =>
    runBackward(call, gpu, tensors.inputs, tensors.outputs, pass),
  );
  return Object.values(made);
}

/** Inputs as tfjs takes them: an array, which its gradients can save whole whichever of them are there. */
export function listed(call: Call, tensors: Named<TfTensor>, names: readonly string[]): NamedTensorInfoMap {
  const there = names.filter((name) => isThere(call, name));
  return there.map((name) => tensors[name]) as unknown as NamedTensorInfoMap;
}

const isThere = (call: Call, name: string): boolean =>
  name === 'weight' ? call.weight : name === 'bias' ? call.bias : name !== 'mean' || call.norm !== 'rmsNorm';

function named<T>(call: Call, list: ArrayLike<T>, names: readonly string[]): Named<T> {
  const there = names.filter((name) => isThere(call, name));
  return Object.fromEntries(there.map((name, index) => [name, list[index] as T]));
}

const forwardInputs = ['x', 'weight', 'bias'];
const backwardInputs = ['dy', 'x', 'mean', 'rstd', 'weight'];

const callOf = (attributes: NamedAttrMap | undefined) => attributes as unknown as Call;

/** dx, dweight, dbias, the latter two where the norm has a weight and a bias. */
export function gradients(tf: TensorFlow, call: Call, tensors: Named<TfTensor>): Named<TfTensor> {
  const results = tf
    .engine()
    .runKernel(
      backwardKernel,
      listed(call, tensors, backwardInputs) as never,
      call as unknown as NamedAttrMap,
    ) as TfTensor[];
  const [dx, ...parameters] = results;
  const [dweight, dbias] = call.weight ? parameters : [undefined, ...parameters];
  return { dx, dweight, dbias };
}

/** y and the statistics of a norm. */
export function run(tf: TensorFlow, call: Call, tensors: Named<TfTensor>): TfTensor[] {
  const inputs = listed(call, tensors, forwardInputs);
  return tf
    .engine()
    .runKernel(forwardKernel, inputs as never, call as unknown as NamedAttrMap) as unknown as TfTensor[];
}

/** Registers both kernels and the gradient; returns what undoes it. */
export function registerNorms(tf: TensorFlow): () => void {
  const backendName = 'webgpu';
  for (const [kernelName, run, roles] of [
    [forwardKernel, forward, forwardInputs],
    [backwardKernel, backward, backwardInputs],
  ] as const) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc({ inputs, attrs, backend }) {
        const call = callOf(attrs);
        const given = named(call, Object.values(inputs) as TensorInfo[], roles);
        return run(tf, backend as WebGpuBackend, call, given);
      },
    });
  }
  tf.registerGradient({
    kernelName: forwardKernel,
    saveAllInputs: true,
    outputsToSave: [false, true, true],
    gradFunc(dys, saved, attrs) {
      const call = callOf(attrs);
      const dy = (dys as TfTensor[])[0] as TfTensor;
      const inputs = named(call, saved, forwardInputs);
      const count = Object.keys(inputs).length;
      const statistics = saved.slice(count);
      const rstd = statistics.at(-1);
      const mean = statistics[0];
      const result = gradients(tf, call, { ...inputs, dy, mean, rstd });
      const of = { x: result.dx, weight: result.dweight, bias: result.dbias } as Named<TfTensor>;
      return Object.fromEntries(
        Object.entries(inputs).map(([name, input], index) => [
          index,
          () => tf.reshape(of[name] as TfTensor, (input as TfTensor).shape),
        ]),
      );
    },
  });
  return () => {
    tf.unregisterKernel(forwardKernel, backendName);
    tf.unregisterKernel(backwardKernel, backendName);
    tf.unregisterGradient(forwardKernel);
  };
}
