/** tf.batchNorm and its gradient: tfjs's kernel FusedBatchNorm, whose mean and variance are given. */
import type { GradConfig, NamedAttrMap, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { NormError } from '../../gpu/errors.ts';
import type { Named, WebGpuBackend } from './backend.ts';
import { type Call, forward, gradients } from './kernels.ts';
import type { TensorFlow } from './library.ts';

const kernelName = 'FusedBatchNorm';
const backendName = 'webgpu';

const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1);

/** x as [outer, C, inner] about an axis, or as [outer, C] where that is the last. */
export function viewAbout(shape: readonly number[], axis: number): Pick<Call, 'view' | 'layout'> {
  const outer = product(shape.slice(0, axis));
  const channels = shape[axis] as number;
  if (axis === shape.length - 1) return { view: [outer, channels], layout: 'channels-last' };
  return { view: [outer, channels, product(shape.slice(axis + 1))], layout: 'channels-first' };
}

/** The call for statistics of that shape; undefined unless they are one number per place of a single axis of x. */
function callOf(x: TensorInfo, others: readonly TensorInfo[], eps: number): Call | undefined {
  if (x.dtype !== 'float32' || product(x.shape) === 0) return undefined;
  const shape = others[0]?.shape as number[];
  const padded = [...Array(Math.max(0, x.shape.length - shape.length)).fill(1), ...shape];
  const axis = padded.findLastIndex((length, at) => length === x.shape[at] && product(padded) === length);
  const alike = others.every(
    (other) => other.dtype === 'float32' && String(other.shape) === String(others[0]?.shape),
  );
  if (axis < 0 || !alike) return undefined;
  const about = viewAbout(x.shape, axis);
  return { norm: 'batchNorm', ...about, groups: 1, eps, weight: true, bias: true, frozen: true };
}

const there = (inputs: Named<TensorInfo>, names: readonly string[]) =>
  names.map((name) => inputs[name]).filter((info) => info !== undefined && info !== null);

/** Puts our kernel and gradient in the place of tfjs's; returns what undoes it. Broadcasts of other kinds stay tfjs's. */
export function replaceFusedBatchNorm(tf: TensorFlow): () => void {
  const original = tf.getKernel(kernelName, backendName);
  const originalGradient = tf.getGradient(kernelName) as GradConfig | undefined;
  if (!original) {
    throw new NormError(
      'order',
      `tfjs has no kernel ${kernelName} for the WebGPU backend.`,
      "Import '@tensorflow/tfjs-backend-webgpu' before registerWebGpuNorm(tf).",
    );
  }
  const onWebGpu = () => tf.getBackend() === backendName;
  const tfjsSaves = originalGradient?.inputsToSave ?? [];
  // What the call under way has of them: tfjs saves what a gradient names right after its kernel ran, and fails over
  // inputs that are absent.
  let saves = tfjsSaves;

  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({
    ...original,
    kernelFunc({ inputs, attrs, backend }) {
      // tfjs's tape looks at every key, and fails over those without a tensor.
      for (const name of Object.keys(inputs)) if (!inputs[name]) delete inputs[name];
      saves = tfjsSaves.filter((name) => name in inputs);
      const { x, mean, variance, scale, offset } = inputs as Named<TensorInfo>;
      const others = there(inputs, ['mean', 'variance', 'scale', 'offset']);
      const call = callOf(x as TensorInfo, others, (attrs as { varianceEpsilon: number }).varianceEpsilon);
      if (!call) return original.kernelFunc({ inputs, backend, ...(attrs ? { attrs } : {}) });
      const given = { x, weight: scale, bias: offset, runningMean: mean, runningVar: variance };
      const [y, ...statistics] = forward(tf, backend as WebGpuBackend, call, given) as [
        TensorInfo,
        TensorInfo,
      ];
      for (const { dataId } of statistics) (backend as WebGpuBackend).disposeData(dataId);
      return y;
    },
  });
  if (originalGradient) {
    tf.unregisterGradient(kernelName);
    tf.registerGradient({
      kernelName,
      get inputsToSave() {
        return onWebGpu() ? saves : tfjsSaves;
      },
      gradFunc(dy, saved, attrs) {
        const [x, mean, variance, scale] = saved as [Tensor, Tensor, Tensor, Tensor?];
        const eps = (attrs as { varianceEpsilon: number }).varianceEpsilon;
        const call = onWebGpu()
          ? callOf(x, there({ mean, variance, scale }, ['mean', 'variance', 'scale']), eps)
          : undefined;
        if (!call) return originalGradient.gradFunc(dy, saved, attrs as NamedAttrMap);
        return gradientOf(tf, call, dy as Tensor, { x, mean, variance, scale });
      },
    });
  }
  return () => {
    tf.unregisterKernel(kernelName, backendName);
    tf.registerKernel(original);
    if (!originalGradient) return;
    tf.unregisterGradient(kernelName);
    tf.registerGradient(originalGradient);
  };
}

/** Of y = (x − mean)·r·scale + offset with r = 1/√(variance + eps), where none of them depends on another. */
function gradientOf(
  tf: TensorFlow,
  call: Call,
  dy: Tensor,
  { x, mean, variance, scale }: { x: Tensor; mean: Tensor; variance: Tensor; scale: Tensor | undefined },
) {
  const { eps } = call;
  const shape = mean.shape;
  const flat = tf.reshape(mean, [-1]);
  const rstd = tf.rsqrt(tf.add(tf.reshape(variance, [-1]), eps));
  const pair = tf.stack([flat, tf.zerosLike(flat)], 1);
  // dweight and dbias are also Σ dy·x̂ and Σ dy, which the gradients of mean and variance are made of.
  const found = gradients(
    tf,
    { ...call, weight: true },
    {
      dy,
      x,
      mean: pair,
      rstd,
      weight: scale ?? tf.add(tf.zerosLike(flat), 1),
    },
  );
  const dweight = found.dweight as Tensor;
  const dbias = found.dbias as Tensor;
  const factor = scale ? tf.mul(rstd, tf.reshape(scale, [-1])) : rstd;
  return {
    x: () => found.dx as Tensor,
    mean: () => tf.reshape(tf.mul(tf.mul(dbias, factor), -1), shape),
    variance: () => tf.reshape(tf.mul(tf.mul(tf.mul(dweight, rstd), factor), -0.5), shape),
    scale: () => tf.reshape(dweight, shape),
    offset: () => tf.reshape(dbias, shape),
  };
}
