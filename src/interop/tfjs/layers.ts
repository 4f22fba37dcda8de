/** tf.layers' BatchNormalization and LayerNormalization, whose statistics tfjs composes of many ops. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { viewAbout } from './fused-batch-norm.ts';
import { type Call, run } from './kernels.ts';
import type { TensorFlow } from './library.ts';

interface LayerVariable {
  read(): Tensor;
  write(value: Tensor): unknown;
}

/** What is used of a layer. */
interface NormLayer {
  axis: number | number[];
  epsilon: number;
  momentum: number;
  gamma?: LayerVariable | null;
  beta?: LayerVariable | null;
  movingMean: LayerVariable;
  movingVariance: LayerVariable;
}

type LayerCall = (this: NormLayer, inputs: Tensor | Tensor[], kwargs: { training?: boolean }) => Tensor;

const parametersOf = ({ gamma, beta }: NormLayer) => ({
  ...(gamma ? { weight: gamma.read() } : {}),
  ...(beta ? { bias: beta.read() } : {}),
});

function batchNormalization(
  tf: TensorFlow,
  layer: NormLayer,
  x: Tensor,
  training: boolean,
): Tensor | undefined {
  const [given = -1] = [layer.axis].flat(); // models saved by Keras hold [axis]
  const axis = given >= 0 ? given : given + x.rank;
  const about = viewAbout(x.shape, axis);
  const parameters = parametersOf(layer);
  const eps = layer.epsilon;
  if (!training) {
    // By way of tf.batchNorm, which this library has replaced.
    const shape = about.layout === 'channels-last' ? [-1] : [1, -1, 1];
    const along = (tensor: Tensor | undefined) => tensor && tf.reshape(tensor, shape);
    const [mean, variance] = [along(layer.movingMean.read()), along(layer.movingVariance.read())];
    const y = tf.batchNorm(
      tf.reshape(x, about.view) as never,
      mean as never,
      variance as never,
      along(parameters.bias) as never,
      along(parameters.weight) as never,
      eps,
    );
    return tf.reshape(y as Tensor, x.shape);
  }
  // A single value per channel has no variance: tfjs takes 0, this library refuses it.
  const count = x.size / (x.shape[axis] as number);
  if (count <= 1 || !(eps > 0)) return undefined;
  const call: Call = {
    norm: 'batchNorm',
    ...about,
    groups: 1,
    eps,
    weight: 'weight' in parameters,
    bias: 'bias' in parameters,
    frozen: false,
    variance: true,
  };
  const [y, mean, , variance] = run(tf, call, { x, ...parameters }) as [Tensor, Tensor, Tensor, Tensor];
  for (const [variable, value] of [
    [layer.movingMean, tf.sum(mean, 1)],
    [layer.movingVariance, variance],
  ] as const) {
    const old = variable.read();
    variable.write(tf.add(tf.mul(old, layer.momentum), tf.mul(value, 1 - layer.momentum)));
  }
  return y;
}

function layerNormalization(tf: TensorFlow, layer: NormLayer, x: Tensor): Tensor | undefined {
  const axes = layer.axis as number[];
  const first = x.rank - axes.length;
  if (x.size === 0 || axes.some((axis, index) => axis !== first + index)) return undefined;
  const size = x.shape.slice(first).reduce((total, length) => total * length, 1);
  const parameters = parametersOf(layer);
  const call: Call = {
    norm: 'layerNorm',
    view: [x.size / size, size],
    layout: 'channels-last',
    groups: 1,
    eps: layer.epsilon,
    weight: 'weight' in parameters,
    bias: 'bias' in parameters,
    frozen: false,
  };
  return run(tf, call, { x, ...parameters })[0];
}

/**
 * Has the two layers run on these kernels, where tf.layers is loaded, on the WebGPU backend; returns what undoes it. What
 * our kernels do not take (a single value per channel, axes that are not the last ones) stays tfjs's.
 */
export function replaceLayers(tf: TensorFlow): () => void {
  const undo = [
    replaceCall(tf, 'BatchNormalization', (layer, x, training) => batchNormalization(tf, layer, x, training)),
    replaceCall(tf, 'LayerNormalization', (layer, x) => layerNormalization(tf, layer, x)),
  ];
  return () => {
    for (const one of undo) one();
  };
}

function replaceCall(
  tf: TensorFlow,
  className: string,
  ours: (layer: NormLayer, x: Tensor, training: boolean) => Tensor | undefined,
): () => void {
  // tf.layers exports functions that make layers; its classes are in the map that models are loaded by.
  const found = tf.serialization.SerializationMap.getMap().classNameMap[className];
  if (!found) return () => {};
  const prototype = found[0].prototype as unknown as { call: LayerCall };
  const original = prototype.call;
  prototype.call = function (inputs, kwargs) {
    const x = Array.isArray(inputs) ? inputs[0] : inputs;
    const able = tf.getBackend() === 'webgpu' && x?.dtype === 'float32' && x.size > 0;
    const y = able ? tf.tidy(() => ours(this, x, kwargs.training ?? false) as Tensor) : undefined;
    return y ?? original.call(this, inputs, kwargs);
  };
  return () => {
    prototype.call = original;
  };
}
