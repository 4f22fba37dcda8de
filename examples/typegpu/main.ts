// TypeGPU makes x in a compute pass, layerNorm normalizes it where it lies, and TypeGPU scales the result in a pass of its own.
import tgpu, { d } from 'typegpu';
import { layerNorm } from 'webgpu-norm';
import { fromTypeGpu, initFromTypeGpu, toTypeGpu } from 'webgpu-norm/typegpu';

const [rows, columns] = [8, 64];
const schema = d.arrayOf(d.f32, rows * columns);

// The root owns the device; our context borrows it.
const root = await tgpu.init();
const gpu = await initFromTypeGpu(root);

// A pass that fills a typed buffer: element i becomes 10 + (i² mod 97).
const writing = tgpu.bindGroupLayout({ x: { storage: schema, access: 'mutable' } });
const fill = tgpu.computeFn({ in: { id: d.builtin.globalInvocationId }, workgroupSize: [64] })`{
  writing.$.x[in.id.x] = f32(10 + (in.id.x * in.id.x) % 97);
}`.$uses({ writing });

// A pass that reads one typed buffer and writes another: z = 2y + 1.
const mapping = tgpu.bindGroupLayout({ y: { storage: schema }, z: { storage: schema, access: 'mutable' } });
const scale = tgpu.computeFn({ in: { id: d.builtin.globalInvocationId }, workgroupSize: [64] })`{
  mapping.$.z[in.id.x] = 2 * mapping.$.y[in.id.x] + 1;
}`.$uses({ mapping });

const x = root.createBuffer(schema).$usage('storage');
const z = root.createBuffer(schema).$usage('storage');
root
  .createComputePipeline({ compute: fill })
  .with(root.createBindGroup(writing, { x }))
  .dispatchWorkgroups(rows);

// The tensor has the buffer of x, and the typed buffer has that of the result: nothing is copied.
const normalized = layerNorm(gpu, fromTypeGpu(gpu, x, [rows, columns]), { normalizedShape: columns });
const y = toTypeGpu(root, normalized.y, schema);

root
  .createComputePipeline({ compute: scale })
  .with(root.createBindGroup(mapping, { y, z }))
  .dispatchWorkgroups(rows);

// TypeGPU reads all three; the page shows them.
const shown = { x: await x.read(), y: await y.read(), z: await z.read() };
const output = document.querySelector('output');
if (output) output.textContent = JSON.stringify(shown);
gpu.destroy(); // frees what was made here
root.destroy(); // and the device
