/**
 * TensorFlow.js on its WebGPU backend, on the bench's device and the subject's own buffers. It has one norm kernel, a
 * batchNorm that is given its statistics; all else is composed of its ops, the way tf.layers does: tf.moments, then
 * tf.batchNorm. Statistics of any set broadcast against x, so that kernel serves every norm that subtracts a mean.
 * Gradients are those of tf.grads. Moving averages are left out, in tfjs's favour.
 */
import type { Tensor1D, Tensor as TfTensor } from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/index.ts';
import type { Results } from '../compare.ts';
import type { Inputs } from '../inputs.ts';
import { eps } from '../recorder.ts';
import { isResidual, type Row } from '../rows.ts';
import type { Subject } from '../subject.ts';
import type { Peer, PeerRun, PeerSources } from './peer.ts';

type Library = typeof import('./tfjs-library.ts');
type Tf = Library['tf'];
type Backend = InstanceType<Library['WebGPUBackend']>;
type TfInputs = Record<Exclude<keyof Inputs, 'numBatchesTracked'>, TfTensor>;
/** y of x, weight and bias. */
type Norm = (x: TfTensor, weight: TfTensor, bias: TfTensor) => TfTensor;

/** The axes that a row's statistics are taken over. */
function axesOf({ op, layout, shape, axes }: Row): number[] {
  if (axes) return [...axes];
  const channelAxis = layout === 'channels-first' ? 1 : shape.length - 1;
  const others = shape.map((_, axis) => axis).filter((axis) => axis !== channelAxis);
  if (op === 'batchNorm') return others;
  return op === 'instanceNorm' ? others.slice(1) : [shape.length - 1];
}

/** The row's norm as tfjs's ops; undefined where a composition would be anybody's guess. */
function normOf(tf: Tf, row: Row, inputs: TfInputs): Norm | undefined {
  const { op, pass, layout, training, relu, shape } = row;
  // tf.layers keeps no dimensions where a batch's channels are last, and all elsewhere; tf.batchNorm wants equal ranks.
  const kept = op !== 'batchNorm' || layout === 'channels-first';
  const channelAxis = layout === 'channels-first' ? 1 : shape.length - 1;
  const broadcast = shape.map((_, axis) => (axis === channelAxis ? -1 : 1));
  const along = (parameter: TfTensor): TfTensor => (kept ? tf.reshape(parameter, broadcast) : parameter);
  const given = (x: TfTensor, mean: TfTensor, variance: TfTensor, weight: TfTensor, bias: TfTensor) =>
    tf.batchNorm(x, mean as Tensor1D, variance as Tensor1D, bias as Tensor1D, weight as Tensor1D, eps);
  const fused: Norm = (x, weight, bias) => {
    const { mean, variance } = tf.moments(x, axesOf(row), kept);
    const y = given(x, mean, variance, along(weight), along(bias));
    return relu ? tf.relu(y) : y;
  };
  switch (op) {
    case 'batchNorm':
      if (!training) {
        const { runningMean, runningVar } = inputs;
        return (x, weight, bias) =>
          given(x, along(runningMean), along(runningVar), along(weight), along(bias));
      }
      if (pass === 'forward' || layout === 'channels-last' || shape.length < 4) return fused;
      // The gradient of batchNorm with channels first throws, so whoever trains so transposes.
      return (x, weight, bias) => {
        const moved = tf.transpose(x, [0, 2, 3, 1]);
        const { mean, variance } = tf.moments(moved, [0, 1, 2]);
        return tf.transpose(given(moved, mean, variance, weight, bias), [0, 3, 1, 2]);
      };
    case 'layerNorm':
      if (row.axes) {
        return (x, weight, bias) => {
          const { mean, variance } = tf.moments(x, axesOf(row), true);
          return given(x, mean, variance, tf.reshape(weight, broadcast), tf.reshape(bias, broadcast));
        };
      }
      return fused;
    case 'instanceNorm':
      return fused;
    case 'addLayerNorm':
      return (x, weight, bias) => fused(tf.add(x, inputs.residual), weight, bias);
    case 'rmsNorm':
    case 'addRmsNorm':
      return (x, weight) => {
        const summed = isResidual(op) ? tf.add(x, inputs.residual) : x;
        const meanSquare = tf.mean(tf.square(summed), -1, true);
        return tf.mul(tf.mul(summed, tf.rsqrt(tf.add(meanSquare, eps))), weight);
      };
    case 'groupNorm':
      return undefined;
  }
}

/** One run: what a caller would keep of it. */
function runner(tf: Tf, row: Row, inputs: TfInputs): (() => Record<string, TfTensor>) | undefined {
  const norm = normOf(tf, row, inputs);
  if (!norm || row.dtype !== 'f32') return undefined;
  const { x, weight, bias, dy } = inputs;
  if (row.pass === 'forward') return () => ({ y: norm(x, weight, bias) });
  // tfjs has no backward pass without the forward one, and the gradient of a broadcast batchNorm is none.
  if (row.pass === 'backward' || row.op !== 'batchNorm') return undefined;
  const gradients = tf.grads((...of: TfTensor[]) =>
    norm(of[0] as TfTensor, of[1] as TfTensor, of[2] as TfTensor),
  );
  return () => {
    const [dx, dweight, dbias] = gradients([x, weight, bias], dy) as [TfTensor, TfTensor, TfTensor];
    return { dx, dweight, dbias };
  };
}

function prepare(tf: Tf, backend: Backend, { row, inputs }: Subject): PeerRun | undefined {
  const wrap = ({ buffer, shape }: Tensor): TfTensor =>
    tf.tensor({ buffer, zeroCopy: true }, [...shape], 'float32');
  const { numBatchesTracked: _, ...wrapped } = inputs;
  const tensors = Object.fromEntries(
    Object.entries(wrapped).map(([name, tensor]) => [name, wrap(tensor)]),
  ) as TfInputs;
  const once = runner(tf, row, tensors);
  let last: Record<string, TfTensor> = {};
  const run: PeerRun = {
    async run(times) {
      for (let i = 0; i < times; i++) {
        tf.dispose(last);
        last = tf.tidy(once as () => Record<string, TfTensor>);
      }
      // What is still in its encoder: the backend submits every so many dispatches.
      backend.endComputePassEncoder();
      backend.ensureCommandEncoderReady();
      backend.submitQueue();
    },
    async results() {
      const entries = Object.entries(last).map(async ([name, tensor]) => [name, await tensor.data()]);
      return Object.fromEntries(await Promise.all(entries)) as Results;
    },
    async destroy() {
      tf.dispose(last);
      tf.dispose(tensors);
    },
  };
  if (once) return run;
  tf.dispose(tensors);
  return undefined;
}

/** Starts TensorFlow.js on a device. */
export async function startTfjs(device: GPUDevice, sources: PeerSources): Promise<Peer> {
  const { tf, WebGPUBackend } = await sources.tfjs();
  const backend = new WebGPUBackend(device, device.adapterInfo);
  tf.removeBackend('webgpu'); // the one that would request a device
  tf.registerBackend('webgpu', () => backend);
  if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs has no WebGPU backend here');
  return {
    name: `tfjs ${tf.version_core}`,
    prepare: async (subject) => prepare(tf, backend, subject),
  };
}
