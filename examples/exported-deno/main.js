// LayerNorm, forward and backward, on Deno's own WebGPU: all that is read are the files that `npx webgpu-norm export` wrote.
import { check } from './check.js';

const adapter = await navigator.gpu.requestAdapter();
const device = await adapter.requestDevice();
const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
const buffers = {}; // tensors by name: backward reads what forward wrote

async function run(folder, given) {
  const text = (name) => Deno.readTextFile(new URL(`${folder}/${name}`, import.meta.url));
  const plan = JSON.parse(await text('manifest.json'));
  if (plan.abi !== 1) throw new Error(`abi ${plan.abi} is unknown`);
  for (const { name, bytes: size } of [...plan.inputs, ...plan.outputs])
    buffers[name] ??= device.createBuffer({ size, usage });
  for (const [name, values] of Object.entries(given))
    device.queue.writeBuffer(buffers[name], 0, Float32Array.from(values));
  const scratch = plan.scratch.map(({ name, bytes: size }) => [name, device.createBuffer({ size, usage })]);
  const all = { ...buffers, ...Object.fromEntries(scratch) };
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const { wgsl, entryPoint, bindings, uniform, workgroups } of plan.dispatches) {
    const module = device.createShaderModule({ code: await text(wgsl) });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint } });
    const entries = bindings.map(({ binding, resource, offset, bytes: size }) => ({
      binding,
      resource: { buffer: all[resource], offset, size },
    }));
    if (uniform) {
      const size = uniform.bytes;
      const buffer = device.createBuffer({ size, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
      device.queue.writeBuffer(buffer, 0, Uint32Array.from(uniform.data));
      entries.push({ binding: uniform.binding, resource: { buffer } });
    }
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...workgroups);
  }
  pass.end();
  const copies = plan.outputs.map(({ name, bytes: size }) => {
    const copy = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(buffers[name], 0, copy, 0, size);
    return [name, copy];
  });
  device.queue.submit([encoder.finish()]);
  for (const [, copy] of copies) await copy.mapAsync(GPUMapMode.READ);
  return Object.fromEntries(
    copies.map(([name, copy]) => [name, [...new Float32Array(copy.getMappedRange())]]),
  );
}

const inputs = { x: [1, 2, 3, 4, 10, 20, 30, 40], weight: [1, 2, 3, 4], bias: [1, 0, 0, -1] };
const dy = [1, 0, 0, 0, 0, 0, 2, 1];
const { y } = await run('forward', inputs);
const gradients = await run('backward', { dy });
check({ ...inputs, dy }, { y, ...gradients });
console.log(JSON.stringify({ y, ...gradients }));
