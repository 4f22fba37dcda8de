/** What the tests of webgpu-norm/tfjs run in a page. Everything here returns plain data; the tests judge it. */
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { registerWebGpuNorm, type TfNorms } from '../../../src/interop/tfjs.ts';
import { normal } from '../../support/data.ts';

type Layer = tfl.layers.Layer;

let norms: TfNorms | undefined;

/** Runs `body` with our kernels registered, or with tfjs's own. */
async function having<T>(ours: boolean, body: () => T | Promise<T>): Promise<T> {
  await tf.setBackend('webgpu');
  await tf.ready();
  if (ours) norms = registerWebGpuNorm(tf);
  try {
    return await body();
  } finally {
    if (ours) norms?.unregister();
    norms = undefined;
  }
}

const data = async (tensor: tf.Tensor): Promise<number[]> => [...(await tensor.data())];

async function train(layers: Layer[], x: tf.Tensor, y: tf.Tensor, epochs: number, rate = 0.01) {
  const model = tfl.sequential({ layers });
  model.compile({ loss: 'meanSquaredError', optimizer: tf.train.sgd(rate) });
  const { history } = await model.fit(x, y, { epochs, batchSize: x.shape[0] as number, shuffle: false });
  const weights = await Promise.all(model.getWeights().map((weight) => data(weight as tf.Tensor)));
  const predicted = await data(model.predict(x) as tf.Tensor);
  return { loss: history.loss as number[], weights, predicted };
}

const ones = { kernelInitializer: 'ones' as const };

/** Models whose numbers tfjs's own layer tests assert (tfjs-layers/src/layers/normalization_test.ts, from Keras). */
const published = {
  batchNorm2d: () =>
    train(
      [tfl.layers.batchNormalization({ inputShape: [4] })],
      tf.tensor2d([1, 2, 3, 4, 2, 4, 6, 8, 12, 11, 10, 9], [3, 4]),
      tf.zeros([3, 4]),
      2,
    ),
  batchNorm3d: () =>
    train(
      [tfl.layers.batchNormalization({ inputShape: [2, 2] })],
      tf.tensor3d([1, 2, 3, 4, 2, 4, 6, 8, 12, 11, 10, 9], [3, 2, 2]),
      tf.zeros([3, 2, 2]),
      2,
    ),
  batchNormBetween: () =>
    train(
      [
        tfl.layers.dense({ units: 4, useBias: false, inputShape: [4], ...ones }),
        tfl.layers.batchNormalization(),
        tfl.layers.dense({ units: 1, useBias: false, ...ones }),
      ],
      tf.tensor2d([1, 2, 3, 4, 2, 4, 6, 8, 12, 11, 10, 9], [3, 4]),
      tf.zeros([3, 1]),
      3,
      0.1,
    ),
  batchNormConv: () =>
    train(
      [
        tfl.layers.conv2d({ filters: 4, kernelSize: 2, inputShape: [5, 5, 1], ...ones }),
        tfl.layers.batchNormalization(),
        tfl.layers.flatten(),
        tfl.layers.dense({ units: 1, ...ones }),
      ],
      tf.tensor4d([...Array(50).keys()], [2, 5, 5, 1]),
      tf.tensor2d([0, 1], [2, 1]),
      2,
    ),
  layerNorm2d: () =>
    train(
      [tfl.layers.layerNormalization({ inputShape: [3] }), tfl.layers.dense({ units: 1, ...ones })],
      tf.tensor2d([1, 2, 3, 3, 6, 24, 10, 5, 0], [3, 3]),
      tf.tensor2d([0, -1, 2], [3, 1]),
      5,
    ),
  layerNormBetween: () =>
    train(
      [
        tfl.layers.dense({ units: 10, inputShape: [3], ...ones }),
        tfl.layers.layerNormalization(),
        tfl.layers.dense({ units: 1, ...ones }),
      ],
      tf.tensor2d([1, 2, 3, 3, 6, 24, 10, 5, 0, 2, 7, 8], [4, 3]),
      tf.tensor2d([0, -1, 2, 3], [4, 1]),
      5,
    ),
  layerNormTwoAxes: () =>
    train(
      [
        tfl.layers.layerNormalization({ inputShape: [2, 3], axis: [-2, -1] }),
        tfl.layers.flatten(),
        tfl.layers.dense({ units: 1, ...ones }),
      ],
      tf.tensor3d([1, 2, 3, 3, 6, 24, 10, 5, 0, 2, 7, 8], [2, 2, 3]),
      tf.tensor2d([0, -1], [2, 1]),
      5,
    ),
};

/** A BatchNormalization layer in training: y, the gradients of Σ y·dy, and the moving statistics. */
async function batchNormLayer(
  ours: boolean,
  shape: number[],
  axis: number,
  { std = 2, ...options }: { scale?: boolean; center?: boolean; momentum?: number; std?: number } = {},
) {
  return having(ours, async () => {
    const count = shape.reduce((product, size) => product * size, 1);
    const x = tf.tensor(normal(count, { mean: 3, std, seed: 1 }), shape);
    const dy = tf.tensor(normal(count, { seed: 2 }), shape);
    const layer = tfl.layers.batchNormalization({ axis, ...options });
    layer.build([null, ...shape.slice(1)]);
    const run = (input: tf.Tensor) => layer.apply(input, { training: true }) as tf.Tensor;
    const y = await data(run(x));
    const moving = await Promise.all(layer.nonTrainableWeights.map((one) => data(one.read())));
    const dx = await data(tf.grad((input: tf.Tensor) => tf.sum(tf.mul(run(input), dy)) as tf.Scalar)(x));
    const trained = layer.trainableWeights.length > 0; // tfjs refuses to differentiate by nothing
    const { grads } = trained
      ? tf.variableGrads(() => tf.sum(tf.mul(run(x), dy)) as tf.Scalar)
      : { grads: {} as Record<string, tf.Tensor> };
    const parameters = await Promise.all(Object.values(grads).map(data));
    const inference = await data(layer.apply(x, { training: false }) as tf.Tensor);
    return { x: await data(x), dy: await data(dy), y, dx, parameters, moving, inference };
  });
}

/** The norms that tfjs lacks. */
async function customOps() {
  return having(true, async () => {
    const { layerNorm, rmsNorm, groupNorm, instanceNorm } = norms as TfNorms;
    const x = tf.tensor(normal(2 * 3 * 5 * 8, { mean: 1, seed: 3 }), [2, 3, 5, 8]);
    const dy = tf.tensor(normal(x.size, { seed: 4 }), x.shape);
    const weight = tf.tensor1d(normal(8, { mean: 1, seed: 5 }));
    const bias = tf.tensor1d(normal(8, { seed: 6 }));
    const ops = {
      layerNorm: (a: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => layerNorm(a, { weight: w, bias: b }),
      rmsNorm: (a: tf.Tensor, w: tf.Tensor) => rmsNorm(a, { weight: w }),
      groupNorm: (a: tf.Tensor, w: tf.Tensor, b: tf.Tensor) =>
        groupNorm(a, { numGroups: 4, weight: w, bias: b }),
      instanceNorm: (a: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => instanceNorm(a, { weight: w, bias: b }),
    };
    const results: Record<string, number[][]> = {};
    for (const [name, op] of Object.entries(ops)) {
      const given = name === 'rmsNorm' ? [x, weight] : [x, weight, bias];
      const call = (...of: tf.Tensor[]) => op(...(of as [tf.Tensor, tf.Tensor, tf.Tensor]));
      const gradients = tf.grads(call)(given, dy);
      results[name] = await Promise.all([call(...given), ...gradients].map(data));
    }
    const inputs = await Promise.all([x, dy, weight, bias].map(data));
    return { inputs, results };
  });
}

/** tf.batchNorm and its gradients, with statistics given, along the last axis and along axis 1. */
async function fusedBatchNorm(ours: boolean, channelsFirst: boolean, scaled = true) {
  return having(ours, async () => {
    const shape: [number, number, number, number] = [2, 4, 4, 4];
    const stats: number[] = channelsFirst ? [1, 4, 1, 1] : [4];
    const x = tf.tensor4d(normal(128, { mean: 2, seed: 7 }), shape);
    const dy = tf.tensor4d(normal(128, { seed: 8 }), shape);
    const of = (mean: number, seed: number) => tf.tensor(normal(4, { mean, std: 0.1, seed }), stats);
    const given = [x, of(2, 9), of(1, 10), of(0, 11), ...(scaled ? [of(1, 12)] : [])];
    const call = (...[a, mean, variance, offset, scale]: tf.Tensor[]) =>
      tf.batchNorm(
        a as tf.Tensor4D,
        mean as tf.Tensor1D,
        variance as tf.Tensor1D,
        offset as tf.Tensor1D,
        scale as tf.Tensor1D,
        1e-3,
      );
    const gradients = tf.grads(call)(given, dy);
    return Promise.all([call(...given), ...gradients].map(data));
  });
}

/** What our kernels do not take, and tfjs's go on with: y and dx of each. */
async function leftToTfjs(ours: boolean) {
  return having(ours, async () => {
    const results: number[][] = [];
    const both = async (x: tf.Tensor, call: (input: tf.Tensor) => tf.Tensor) => {
      const dx = tf.grad((input: tf.Tensor) => tf.sum(tf.square(call(input))))(x);
      results.push(await data(call(x)), await data(dx));
    };
    const cube = tf.tensor3d(normal(24, { mean: 1, seed: 20 }), [2, 3, 4]);
    const middle = tfl.layers.layerNormalization({ axis: 1 });
    await both(cube, (input) => middle.apply(input) as tf.Tensor); // not the last axes
    const single = tfl.layers.batchNormalization();
    const row = tf.tensor2d(normal(4, { seed: 21 }), [1, 4]);
    await both(row, (input) => single.apply(input, { training: true }) as tf.Tensor); // one value per channel
    const [mean, variance] = [tf.zerosLike(cube), tf.onesLike(cube)];
    const given = [mean, variance, mean, variance] as [never, never, never, never];
    await both(cube, (input) => tf.batchNorm(input, ...given)); // statistics like x; offset and scale, or tfjs fails
    return results;
  });
}

/** Tensors and bytes that a step of training leaves behind. */
async function leaks() {
  return having(true, async () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({ units: 8, inputShape: [4] }),
        tfl.layers.batchNormalization(),
        tfl.layers.layerNormalization(),
        tfl.layers.dense({ units: 1 }),
      ],
    });
    model.compile({ loss: 'meanSquaredError', optimizer: 'sgd' });
    const x = tf.tensor2d(normal(32), [8, 4]);
    const y = tf.tensor2d(normal(8), [8, 1]);
    const counts: number[] = [];
    for (let step = 0; step < 4; step++) {
      await model.fit(x, y, { epochs: 1 });
      tf.dispose(model.predict(x));
      counts.push(tf.memory().numTensors);
    }
    return counts;
  });
}

/** What registering where it cannot work says. */
async function misuse() {
  const codes: unknown[] = [];
  const code = (body: () => unknown) => {
    try {
      body();
      codes.push('none');
    } catch (error) {
      codes.push((error as { code?: unknown }).code);
    }
  };
  await having(true, () => {
    code(() => registerWebGpuNorm(tf));
    code(() => norms?.layerNorm(tf.tensor2d([1, 2], [1, 2], 'int32')));
    code(() => norms?.layerNorm(tf.tensor2d([1, 2], [1, 2]), { normalizedShape: 3 }));
    code(() => norms?.groupNorm(tf.zeros([2, 3, 4]), { numGroups: 3 }));
    // The backend goes on after a refused call.
    code(() => norms?.layerNorm(tf.tensor2d([1, 2], [1, 2])));
  });
  return codes;
}

export const page = {
  published: (ours: boolean, name: keyof typeof published) => having(ours, published[name]),
  batchNormLayer,
  customOps,
  fusedBatchNorm,
  leftToTfjs,
  leaks,
  misuse,
};
