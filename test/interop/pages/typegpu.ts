/** What the tests of webgpu-norm/typegpu run in a page: typed buffers and tensors on the device of one root. */
import tgpu, { d, type TgpuRoot } from 'typegpu';
import { type Gpu, init, layerNorm, rmsNorm } from '../../../src/index.ts';
import { fromTypeGpu, initFromTypeGpu, toTypeGpu } from '../../../src/interop/typegpu.ts';
import { normal } from '../../support/data.ts';

let root: TgpuRoot;
let gpu: Gpu;

/** What moves data between CPU and GPU, copies it on the GPU, or makes or destroys buffers. */
const counted = { mapAsync: 0, copyBufferToBuffer: 0, writeBuffer: 0, createBuffer: 0, destroy: 0 };

function count<Name extends keyof typeof counted>(prototype: object, name: Name): void {
  const methods = prototype as Record<Name, (...given: unknown[]) => unknown>;
  const original = methods[name];
  methods[name] = function (this: unknown, ...given) {
    counted[name]++;
    return original.apply(this, given);
  };
}

async function start(requiredFeatures: GPUFeatureName[]) {
  root = await tgpu.init({ device: { requiredFeatures } });
  gpu = await initFromTypeGpu(root);
  count(GPUBuffer.prototype, 'mapAsync');
  count(GPUBuffer.prototype, 'destroy');
  count(GPUCommandEncoder.prototype, 'copyBufferToBuffer');
  count(GPUQueue.prototype, 'writeBuffer');
  count(GPUDevice.prototype, 'createBuffer');
  return { same: gpu.device === root.device, f16: gpu.facts.f16 };
}

/** Schemas of 8 rows of 64 numbers. */
const schemas = {
  f32: d.arrayOf(d.f32, 512),
  nested: d.arrayOf(d.arrayOf(d.f32, 64), 8),
  vec2f: d.arrayOf(d.vec2f, 256),
  vec4f: d.arrayOf(d.arrayOf(d.vec4f, 16), 8),
  f16: d.arrayOf(d.f16, 512),
  vec2h: d.arrayOf(d.vec2h, 256),
  vec4h: d.arrayOf(d.arrayOf(d.vec4h, 16), 8),
};

/** The numbers of what TypeGPU read: lists of lists of numbers or vectors. */
const flat = (read: unknown): number[] =>
  typeof read === 'number' ? [read] : [...(read as Iterable<unknown>)].flatMap(flat);

/** A typed buffer that TypeGPU filled → LayerNorm by us → a typed buffer that TypeGPU reads. */
async function normalize(name: keyof typeof schemas) {
  const schema = schemas[name] as (typeof schemas)['f32'];
  const half = /h$|f16/.test(name);
  const input = root.createBuffer(schema).$usage('storage');
  const source = gpu.tensor(normal(512, { mean: 1, seed: 5 }), [8, 64], { dtype: half ? 'f16' : 'f32' });
  input.copyFrom(toTypeGpu(root, source, schema));
  const output = root.createBuffer(schema).$usage('storage');
  const shapes = [fromTypeGpu(gpu, input), fromTypeGpu(gpu, output)].map(({ shape }) => shape);
  const [x, y] = [fromTypeGpu(gpu, input, [8, 64]), fromTypeGpu(gpu, output, [8, 64])];
  const call = () => layerNorm(gpu, x, { normalizedShape: 64, statistics: false, out: { y } });
  call(); // makes what is made once
  const before = { ...counted };
  call();
  const seen = toTypeGpu(root, y, schema);
  const counts = { ...counted };
  for (const key of Object.keys(counted) as (keyof typeof counted)[]) counts[key] -= before[key];
  return {
    shapes,
    shared: x.buffer === input.buffer && seen.buffer === output.buffer,
    dtype: y.dtype,
    x: [...(await x.data())],
    y: flat(await seen.read()),
    counts,
  };
}

/** A pass of TypeGPU and two of ours in one command encoder. */
async function oneEncoder() {
  const schema = d.arrayOf(d.f32, 512);
  const layout = tgpu.bindGroupLayout({ x: { storage: schema, access: 'mutable' } });
  const fill = tgpu.computeFn({ in: { id: d.builtin.globalInvocationId }, workgroupSize: [64] })`{
    layout.$.x[in.id.x] = 3 + cos(f32(in.id.x));
  }`.$uses({ layout });
  const x = root.createBuffer(schema).$usage('storage');
  const pipeline = root.createComputePipeline({ compute: fill }).with(root.createBindGroup(layout, { x }));
  const encoder = gpu.device.createCommandEncoder();
  pipeline.with(encoder).dispatchWorkgroups(8);
  const normalized = rmsNorm(gpu, fromTypeGpu(gpu, x, [8, 64]), { normalizedShape: 64, encoder }).y;
  const { y } = layerNorm(gpu, normalized, { normalizedShape: 64, encoder });
  gpu.device.queue.submit([encoder.finish()]);
  return { x: flat(await x.read()), y: flat(await toTypeGpu(root, y, schema).read()) };
}

/** Destroying on either side leaves what the other owns. */
async function ownership() {
  const schema = d.arrayOf(d.f32, 4);
  const typed = root.createBuffer(schema, [1, 2, 3, 4]).$usage('storage');
  const wrapped = fromTypeGpu(gpu, typed);
  const tensors = gpu.memory().tensors;
  wrapped.destroy();
  const owned = gpu.tensor([5, 6, 7, 8], [4]);
  const view = toTypeGpu(root, owned, schema);
  view.destroy();
  const kept = { typed: flat(await typed.read()), owned: [...(await owned.data())] };
  // What is wrapped is no tensor of the context's own; one was made since.
  return { ...kept, grown: gpu.memory().tensors - tensors };
}

/** The code of the error that has a fix, or what else was thrown. */
async function codeOf(body: () => unknown): Promise<string | undefined> {
  try {
    await body();
    return 'none';
  } catch (error) {
    const { code, fix, message } = error as { code?: string; fix?: string; message: string };
    return fix && message.endsWith(fix) ? code : message;
  }
}

/** TypeGPU would bind and copy 6 bytes, which WebGPU refuses. */
function oddHalf() {
  const odd = gpu.tensor([1, 2, 3], [3], { dtype: 'f16' });
  return codeOf(() => toTypeGpu(root, odd, d.arrayOf(d.f16, 3)));
}

async function misuse() {
  const seen: Record<string, unknown> = {};
  const attempt = async (name: string, body: () => unknown) => {
    seen[name] = await codeOf(body);
  };
  const floats = d.arrayOf(d.f32, 8);
  const storage = (schema: unknown) => root.createBuffer(schema as typeof floats).$usage('storage');
  const x = gpu.tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
  await attempt('no root', () => initFromTypeGpu(gpu as never));
  await attempt('no buffer', () => fromTypeGpu(gpu, x.buffer as never));
  await attempt('a binding', () => fromTypeGpu(gpu, root.createMutable(floats) as never));
  const bare = root.createBuffer(floats);
  await attempt('no usage', () => fromTypeGpu(gpu, bare as never));
  // The refusal made nothing, so that the usage can still be added.
  await attempt('the usage added', () => fromTypeGpu(gpu, bare.$usage('storage')));
  const late = root.createBuffer(floats);
  late.write([1, 2, 3, 4, 5, 6, 7, 8]);
  await attempt('the usage too late', () => fromTypeGpu(gpu, late.$usage('storage')));
  const gone = root.createBuffer(floats).$usage('storage');
  gone.destroy();
  await attempt('destroyed', () => fromTypeGpu(gpu, gone));
  await attempt('u32', () => fromTypeGpu(gpu, storage(d.arrayOf(d.u32, 8))));
  await attempt('vec3f', () => fromTypeGpu(gpu, storage(d.arrayOf(d.vec3f, 8))));
  await attempt('a struct', () => fromTypeGpu(gpu, storage(d.struct({ a: d.f32 }))));
  await attempt('no array', () => fromTypeGpu(gpu, storage(d.f32)));
  await attempt('another size', () => fromTypeGpu(gpu, storage(floats), [3, 3]));
  await attempt('no shape', () => fromTypeGpu(gpu, storage(floats), 8 as never));
  await attempt('to another dtype', () => toTypeGpu(root, x, d.arrayOf(d.f16, 8)));
  await attempt('to another size', () => toTypeGpu(root, x, d.arrayOf(d.f32, 9)));
  await attempt('to vec3f', () => toTypeGpu(root, x, d.arrayOf(d.vec3f, 2)));
  await attempt('to no schema', () => toTypeGpu(root, x, undefined as never));
  await attempt('no tensor', () => toTypeGpu(root, x.buffer as never, floats));
  const large = gpu.device.createBuffer({ size: 512, usage: GPUBufferUsage.STORAGE });
  await attempt('offset', () => toTypeGpu(root, gpu.wrap(large, [8], { offset: 256 }), floats));
  const other = await init();
  await attempt('another device', () => toTypeGpu(root, other.tensor([1, 2], [2]), d.arrayOf(d.f32, 2)));
  await attempt('bf16', () => toTypeGpu(root, gpu.zeros([8], { dtype: 'bf16' }), d.arrayOf(d.f16, 8)));
  x.destroy();
  await attempt('destroyed tensor', () => toTypeGpu(root, x, floats));
  other.destroy();
  return seen;
}

export const page = { start, normalize, oneEncoder, ownership, oddHalf, misuse };
