/**
 * TensorFlow.js on these kernels: `registerWebGpuNorm(tf)`.
 *
 * @packageDocumentation
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import { NormError } from '../gpu/errors.ts';
import { rmsNormEps } from '../ops/rms-norm.ts';
import type { Layout } from '../plan/geometry.ts';
import { replaceFusedBatchNorm } from './tfjs/fused-batch-norm.ts';
import { type Call, forwardKernel, registerNorms, run } from './tfjs/kernels.ts';
import { replaceLayers } from './tfjs/layers.ts';
import type { TensorFlow } from './tfjs/library.ts';

export type { TensorFlow } from './tfjs/library.ts';

/** Parameters of a norm in tfjs. */
export interface TfNormOptions {
  /** γ. Absent: 1. */
  weight?: Tensor | undefined;
  /** β. Absent: 0. */
  bias?: Tensor | undefined;
  /** Added to the variance. Default 1e-5, as PyTorch's; tf.layers has 1e-3. */
  eps?: number | undefined;
}

/** Options of the norms over trailing dimensions. */
export interface TfRowNormOptions extends TfNormOptions {
  /** The trailing sizes that are normalized together. Default: the last one. */
  normalizedShape?: number | readonly number[] | undefined;
}

/** Options of the norms over channels. */
export interface TfChannelNormOptions extends TfNormOptions {
  /** Of x. Default 'channels-last', as everywhere in tfjs. */
  layout?: Layout | undefined;
}

/** The norms that tfjs lacks, with gradients for tf.grads and tf.variableGrads. Tensors are float32. */
export interface TfNorms {
  /** LayerNorm over the trailing dimensions; weight and bias have normalizedShape. */
  layerNorm<T extends Tensor>(x: T, options?: TfRowNormOptions): T;
  /** RMSNorm over the trailing dimensions; eps is 2^-23 by default. */
  rmsNorm<T extends Tensor>(x: T, options?: Omit<TfRowNormOptions, 'bias'>): T;
  /** GroupNorm of [N, ..., C]; weight and bias are [C]. */
  groupNorm<T extends Tensor>(x: T, options: TfChannelNormOptions & { numGroups: number }): T;
  /** InstanceNorm of [N, ..., C]; weight and bias are [C]. */
  instanceNorm<T extends Tensor>(x: T, options?: TfChannelNormOptions): T;
  /** Gives tfjs its own kernels, gradients and layers back. */
  unregister(): void;
}

/**
 * Puts these kernels to work in TensorFlow.js 4, on its WebGPU backend and device:
 *
 * - tf.batchNorm and its gradient (the kernel FusedBatchNorm), along any axis and without a scale too;
 * - tf.layers' BatchNormalization and LayerNormalization, in training and inference, of any rank;
 * - layerNorm, rmsNorm, groupNorm and instanceNorm as returned.
 *
 * Everything is recorded into tfjs's own compute passes: nothing is submitted, copied or read back. On other backends,
 * tfjs's own kernels run as before. Gradients of gradients are not to be had through these kernels.
 *
 * @param tf - `@tensorflow/tfjs`, or `@tensorflow/tfjs-core`, after `@tensorflow/tfjs-backend-webgpu` was imported.
 * @throws NormError `order` if the WebGPU backend was not imported, or this was called before.
 */
export function registerWebGpuNorm(tf: TensorFlow): TfNorms {
  if (tf.getKernel(forwardKernel, 'webgpu')) {
    throw new NormError(
      'order',
      'registerWebGpuNorm() was called before.',
      'Call it once, or unregister() first.',
    );
  }
  const undo = [replaceFusedBatchNorm(tf), registerNorms(tf), replaceLayers(tf)];

  function norm<T extends Tensor>(
    x: T,
    options: TfNormOptions,
    call: Pick<Call, 'norm' | 'view'> & Partial<Call>,
  ): T {
    if (tf.getBackend() !== 'webgpu') {
      throw new NormError(
        'unsupported',
        `tfjs runs on its backend ${tf.getBackend()}.`,
        "Call tf.setBackend('webgpu').",
      );
    }
    for (const [name, tensor] of Object.entries({ x, weight: options.weight, bias: options.bias })) {
      if (tensor && tensor.dtype !== 'float32') {
        throw new NormError('dtype', `${name} is ${tensor.dtype}; float32 is needed.`, 'Cast it.');
      }
    }
    const { weight, bias, eps = 1e-5 } = options;
    const whole: Call = {
      layout: 'channels-last',
      groups: 1,
      eps,
      frozen: false,
      ...call,
      weight: weight !== undefined,
      bias: bias !== undefined,
    };
    return tf.tidy(() => run(tf, whole, { x, weight, bias })[0] as T);
  }

  function rows<T extends Tensor>(x: T, normalizedShape: TfRowNormOptions['normalizedShape']): number[] {
    const sizes = [normalizedShape ?? x.shape.at(-1) ?? 1].flat() as number[];
    const first = x.rank - sizes.length;
    if (sizes.length === 0 || first < 0 || sizes.some((size, index) => size !== x.shape[first + index])) {
      throw new NormError(
        'shape',
        `normalizedShape [${sizes}] is not the end of x's shape [${x.shape}].`,
        'Make it the trailing sizes of x.',
      );
    }
    const size = sizes.reduce((total, one) => total * one, 1);
    return [x.size / size, size];
  }

  return {
    layerNorm: (x, options = {}) =>
      norm(x, options, { norm: 'layerNorm', view: rows(x, options.normalizedShape) }),
    rmsNorm: (x, options = {}) =>
      norm(x, { eps: rmsNormEps, ...options }, { norm: 'rmsNorm', view: rows(x, options.normalizedShape) }),
    groupNorm: (x, { layout = 'channels-last', numGroups, ...options }) =>
      norm(x, options, { norm: 'groupNorm', view: x.shape, layout, groups: numGroups }),
    instanceNorm: (x, { layout = 'channels-last', ...options } = {}) =>
      norm(x, options, { norm: 'instanceNorm', view: x.shape, layout }),
    unregister() {
      for (const one of undo) one();
    },
  };
}
