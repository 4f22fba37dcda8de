/** What the tests of webgpu-norm/onnxruntime run in a page: sessions of onnxruntime-web with our norms between them. */
import type * as Ort from 'onnxruntime-web';
import { type OnnxNode, onnxModel } from '../../../bench/onnx-model.ts';
import { type Gpu, init, instanceNorm, layerNorm, type Tensor } from '../../../src/index.ts';
import { fromOnnxRuntime, initFromOnnxRuntime, toOnnxRuntime } from '../../../src/interop/onnxruntime.ts';
import { normal } from '../../support/data.ts';

type Shape = readonly number[];

let ort: typeof Ort;
let gpu: Gpu;

/** What moves data between CPU and GPU, or copies it on the GPU. */
const counted = {
  mapAsync: 0,
  copyBufferToBuffer: 0,
  writeBuffer: 0,
  getMappedRange: 0,
};

function count<Name extends keyof typeof counted>(prototype: object, name: Name): void {
  const methods = prototype as Record<Name, (...given: unknown[]) => unknown>;
  const original = methods[name];
  methods[name] = function (this: unknown, ...given) {
    counted[name]++;
    return original.apply(this, given);
  };
}

const node = (opType: string, inputs: string[], outputs: string[]): OnnxNode => ({
  domain: '',
  opset: 17,
  opType,
  inputs,
  outputs,
  ...(opType === 'InstanceNormalization' ? { floats: { epsilon: 1e-5 } } : {}),
});

async function session(nodes: OnnxNode[], shape: Shape, initializers: Record<string, Float32Array> = {}) {
  const first = (nodes[0] as OnnxNode).inputs[0] as string;
  const last = (nodes.at(-1) as OnnxNode).outputs[0] as string;
  const model = onnxModel({
    node: nodes,
    inputs: { [first]: shape },
    outputs: { [last]: shape },
    initializers: Object.fromEntries(
      Object.entries(initializers).map(([name, values]) => [
        name,
        { shape: [values.length], bytes: new Uint8Array(values.buffer) },
      ]),
    ),
    dtype: 'f32',
  });
  return ort.InferenceSession.create(model, {
    executionProviders: ['webgpu'],
    preferredOutputLocation: 'gpu-buffer',
  });
}

async function start() {
  const folder = '/onnxruntime-web/';
  ort = await import(/* @vite-ignore */ `${location.origin}${folder}ort.webgpu.min.mjs`);
  ort.env.wasm.wasmPaths = folder;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const tooEarly = await initFromOnnxRuntime(ort).then(
    () => 'none',
    (error) => error.code,
  );
  await session([node('Relu', ['x'], ['y'])], [1, 4]);
  gpu = await initFromOnnxRuntime(ort);
  count(GPUBuffer.prototype, 'mapAsync');
  count(GPUBuffer.prototype, 'getMappedRange');
  count(GPUCommandEncoder.prototype, 'copyBufferToBuffer');
  count(GPUQueue.prototype, 'writeBuffer');
  return { tooEarly, same: gpu.device === (await ort.env.webgpu.device) };
}

const size = (shape: Shape) => shape.reduce((product, length) => product * length, 1);

/** x → Relu by onnxruntime → LayerNorm by us → Sigmoid by onnxruntime, all on the GPU, `times` times in a row. */
async function betweenSessions(shape: Shape, times: number) {
  const head = await session([node('Relu', ['x'], ['h'])], shape);
  const tail = await session([node('Sigmoid', ['n'], ['y'])], shape);
  const columns = shape.at(-1) as number;
  const rounds = [];
  let counts: typeof counted | undefined;
  for (let round = 0; round < times; round++) {
    const values = normal(size(shape), { mean: 1, seed: round + 1 });
    const x = gpu.tensor(values, shape);
    const before = { ...counted };
    const { h } = await head.run({ x: toOnnxRuntime(ort, x) });
    const { y: normalized } = layerNorm(gpu, fromOnnxRuntime(gpu, h as Ort.Tensor), {
      normalizedShape: columns,
    });
    const { y } = await tail.run({ n: toOnnxRuntime(ort, normalized) });
    h?.dispose();
    if (round > 0) {
      counts = { ...counted };
      for (const name of Object.keys(counted) as (keyof typeof counted)[]) counts[name] -= before[name];
    }
    rounds.push({ values, y: y as Ort.Tensor });
  }
  const results = [];
  for (const { values, y } of rounds) {
    results.push({ x: [...values], y: [...(await fromOnnxRuntime(gpu, y).data())], location: y.location });
  }
  return { results, counts };
}

/** A model with an InstanceNormalization, whole, and cut in two about one of ours; what each gives. */
async function replaceInstanceNorm(shape: Shape) {
  const channels = shape[1] as number;
  const weight = normal(channels, { mean: 1, seed: 2 });
  const bias = normal(channels, { seed: 3 });
  const relu = node('Relu', ['x'], ['h']);
  const sigmoid = node('Sigmoid', ['n'], ['y']);
  const whole = await session(
    [relu, node('InstanceNormalization', ['h', 'weight', 'bias'], ['n']), sigmoid],
    shape,
    { weight, bias },
  );
  const head = await session([relu], shape);
  const tail = await session([sigmoid], shape);
  const x = gpu.tensor(normal(size(shape), { mean: 2, seed: 4 }), shape);

  const expected = (await whole.run({ x: toOnnxRuntime(ort, x) })).y as Ort.Tensor;

  const { h } = await head.run({ x: toOnnxRuntime(ort, x) });
  const encoder = gpu.device.createCommandEncoder();
  const n = instanceNorm(gpu, fromOnnxRuntime(gpu, h as Ort.Tensor), {
    weight: gpu.tensor(weight, [channels]),
    bias: gpu.tensor(bias, [channels]),
    encoder,
  }).y;
  gpu.device.queue.submit([encoder.finish()]);
  // Into a tensor of ours, as a fetch.
  const y = gpu.empty(shape);
  await tail.run({ n: toOnnxRuntime(ort, n) }, { y: toOnnxRuntime(ort, y) });
  return { expected: [...(await fromOnnxRuntime(gpu, expected).data())], y: [...(await y.data())] };
}

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
  const x: Tensor = gpu.tensor([1, 2, 3], [3]);
  code(() => fromOnnxRuntime(gpu, new ort.Tensor('float32', [1], [1])));
  const ints = ort.Tensor.fromGpuBuffer(x.buffer, { dataType: 'int32', dims: [3] });
  code(() => fromOnnxRuntime(gpu, ints));
  const buffer = gpu.device.createBuffer({ size: 512, usage: GPUBufferUsage.STORAGE });
  code(() => toOnnxRuntime(ort, gpu.wrap(buffer, [4], { offset: 256 })));
  code(() => toOnnxRuntime(ort, gpu.zeros([4], { dtype: 'bf16' })));
  x.destroy();
  code(() => toOnnxRuntime(ort, x));
  const other = await init();
  code(() => layerNorm(gpu, other.tensor([1, 2], [1, 2]), { normalizedShape: 2 }));
  other.destroy();
  return codes;
}

export const page = { start, betweenSessions, replaceInstanceNorm, misuse };
