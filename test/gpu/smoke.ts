/** Proof that the engine runs WGSL at all, f16 and subgroups included, without the library's help. */
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';

const double = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&data)) { data[id.x] *= 2.0; }
}`;

const doubleHalf = /* wgsl */ `
enable f16;
@group(0) @binding(0) var<storage, read_write> data: array<f16>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&data)) { data[id.x] *= 2.0h; }
}`;

const subgroupTotal = /* wgsl */ `
enable subgroups;
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64) fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(subgroup_size) size: u32,
) {
  // Every lane of a full subgroup holds 1, so the sum is the subgroup's size.
  data[id.x] = select(0.0, 1.0, subgroupAdd(1.0) == f32(size));
}`;

async function runKernel(
  device: GPUDevice,
  code: string,
  input: Uint32Array<ArrayBuffer>,
): Promise<ArrayBuffer> {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: input.byteLength, usage });
  const staging = device.createBuffer({
    size: input.byteLength,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, input);
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer } }],
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, input.byteLength);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const result = staging.getMappedRange().slice(0);
  staging.destroy();
  buffer.destroy();
  return result;
}

export const cases: Case[] = [
  {
    name: 'smoke: a kernel doubles an f32 array',
    async run({ device }) {
      const input = Float32Array.from({ length: 64 }, (_, i) => i / 8);
      const result = await runKernel(device, double, new Uint32Array(input.buffer));
      assertEqual(
        new Float32Array(result),
        input.map((v) => 2 * v),
      );
    },
  },
  {
    name: 'smoke: a kernel doubles an f16 array',
    requires: ['f16'],
    async run({ device }) {
      const one = 0x3c00;
      const two = 0x4000;
      const input = new Uint16Array(64).fill(one);
      const result = await runKernel(device, doubleHalf, new Uint32Array(input.buffer));
      assertEqual(new Uint16Array(result), new Uint16Array(64).fill(two));
    },
  },
  {
    name: 'smoke: subgroupAdd sums a whole subgroup',
    requires: ['subgroups'],
    async run({ device }) {
      const result = await runKernel(device, subgroupTotal, new Uint32Array(64));
      assertEqual(new Float32Array(result), new Float32Array(64).fill(1));
    },
  },
];
