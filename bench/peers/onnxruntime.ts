/**
 * onnxruntime-web's WebGPU execution provider: one session per row, the subject's own buffers as inputs, a buffer as
 * output, weight and bias as initializers. Nothing leaves the GPU.
 */
import type * as Ort from 'onnxruntime-web';
import { encodeHalf } from '../../src/gpu/float16.ts';
import { init, type Tensor } from '../../src/index.ts';
import { type OnnxDType, type OnnxNode, onnxModel } from '../onnx-model.ts';
import { eps } from '../recorder.ts';
import { isResidual, type Row } from '../rows.ts';
import type { Subject } from '../subject.ts';
import type { Peer, PeerRun, PeerSources } from './peer.ts';

const microsoft = { domain: 'com.microsoft', opset: 1 } as const;
const onnx17 = { domain: '', opset: 17 } as const;
const floats = { epsilon: eps };

/** The node that computes a row; undefined where onnxruntime-web has none. */
function nodeOf({ op, pass, layout, training, axes }: Row): OnnxNode | undefined {
  // Its LayerNormalization has trailing axes alone.
  if (pass !== 'forward' || layout === 'channels-last' || axes) return undefined;
  switch (op) {
    case 'layerNorm':
      return {
        ...onnx17,
        opType: 'LayerNormalization',
        inputs: ['x', 'weight', 'bias'],
        outputs: ['y'],
        ints: { axis: 1 },
        floats,
      };
    case 'rmsNorm':
      return {
        ...onnx17,
        opType: 'SimplifiedLayerNormalization',
        inputs: ['x', 'weight'],
        outputs: ['y'],
        ints: { axis: 1 },
        floats,
      };
    case 'addLayerNorm':
      return {
        ...microsoft,
        opType: 'SkipLayerNormalization',
        inputs: ['x', 'residual', 'weight', 'bias'],
        outputs: ['y', '', '', 'sum'],
        floats,
      };
    case 'addRmsNorm':
      return {
        ...microsoft,
        opType: 'SkipSimplifiedLayerNormalization',
        inputs: ['x', 'residual', 'weight'],
        outputs: ['y', '', '', 'sum'],
        floats,
      };
    case 'instanceNorm':
      return {
        ...onnx17,
        opType: 'InstanceNormalization',
        inputs: ['x', 'weight', 'bias'],
        outputs: ['y'],
        floats,
      };
    case 'batchNorm':
      // It refuses training_mode: "trainingMode is not supported yet".
      return training
        ? undefined
        : {
            ...onnx17,
            opType: 'BatchNormalization',
            inputs: ['x', 'weight', 'bias', 'runningMean', 'runningVar'],
            outputs: ['y'],
            floats,
          };
    case 'groupNorm':
      return undefined;
  }
}

async function bytesOf(tensor: Tensor, dtype: OnnxDType): Promise<Uint8Array> {
  const values = await tensor.data();
  if (dtype === 'f32') return new Uint8Array(values.buffer);
  return new Uint8Array(encodeHalf(values));
}

const only = (names: readonly string[], shape: readonly number[]) =>
  Object.fromEntries(names.map((name) => [name, shape]));

async function sessionFor(ort: typeof Ort, node: OnnxNode, shape: readonly number[], subject: Subject) {
  const { weight, bias, runningMean, runningVar } = subject.inputs;
  const { dtype } = subject.row;
  const all = { weight, bias, runningMean, runningVar };
  const parameters = Object.entries(all).filter(([name]) => node.inputs.includes(name));
  const initializers = Object.fromEntries(
    await Promise.all(
      parameters.map(async ([name, tensor]) => [
        name,
        { shape: tensor.shape, bytes: await bytesOf(tensor, dtype) },
      ]),
    ),
  );
  const model = onnxModel({
    node,
    inputs: only(
      node.inputs.filter((name) => !(name in initializers)),
      shape,
    ),
    outputs: only(node.outputs.filter(Boolean), shape),
    initializers,
    dtype,
  });
  return ort.InferenceSession.create(model, { executionProviders: ['webgpu'] });
}

async function prepare(ort: typeof Ort, device: GPUDevice, subject: Subject): Promise<PeerRun | undefined> {
  const { row, inputs } = subject;
  const node = nodeOf(row);
  if (!node) return undefined;
  // The Skip ops document three dimensions.
  const shape = isResidual(row.op) ? [1, ...row.shape] : row.shape;
  const session = await sessionFor(ort, node, shape, subject);
  const onGpu = (buffer: GPUBuffer): Ort.Tensor =>
    ort.Tensor.fromGpuBuffer(buffer, { dataType: row.dtype === 'f16' ? 'float16' : 'float32', dims: shape });
  const outputs = new Map(
    session.outputNames.map((name) => {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      return [name, device.createBuffer({ label: name, size: inputs.x.buffer.size, usage })];
    }),
  );
  const feeds: Record<string, Ort.Tensor> = { x: onGpu(inputs.x.buffer) };
  if (isResidual(row.op)) feeds.residual = onGpu(inputs.residual.buffer);
  const fetches = Object.fromEntries([...outputs].map(([name, buffer]) => [name, onGpu(buffer)]));
  return {
    async run(times) {
      for (let i = 0; i < times; i++) await session.run(feeds, fetches);
    },
    async results() {
      // A context that borrows the device; it only reads.
      const gpu = await init({ device });
      const y = await gpu.wrap(outputs.get('y') as GPUBuffer, row.shape, { dtype: row.dtype }).data();
      gpu.destroy();
      return { y };
    },
    async destroy() {
      await session.release();
      for (const buffer of outputs.values()) buffer.destroy();
    },
  };
}

/** Starts onnxruntime-web; its device exists only once a session does, hence a first, tiny one. */
export async function startOnnxRuntime({
  onnxRuntime: { module, wasm },
}: PeerSources): Promise<{ peer: Peer; device: GPUDevice }> {
  // Not bundled: the package loads its WebAssembly by itself.
  const ort: typeof Ort = await import(/* @vite-ignore */ module);
  ort.env.wasm.wasmPaths = wasm;
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? 0 : 1;
  ort.env.logLevel = 'error';
  const node: OnnxNode = {
    domain: '',
    opset: 17,
    opType: 'InstanceNormalization',
    inputs: ['x', 'weight', 'bias'],
    outputs: ['y'],
  };
  const shape = [1, 1, 4];
  const one = { shape: [1], bytes: new Uint8Array(new Float32Array([1]).buffer) };
  await ort.InferenceSession.create(
    onnxModel({
      node,
      inputs: { x: shape },
      outputs: { y: shape },
      initializers: { weight: one, bias: one },
      dtype: 'f32',
    }),
    { executionProviders: ['webgpu'] },
  );
  const device = (await ort.env.webgpu.device) as GPUDevice;
  const name = `onnxruntime-web ${ort.env.versions.web}`;
  return { peer: { name, prepare: (subject) => prepare(ort, device, subject) }, device };
}
