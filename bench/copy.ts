/** Copy kernels: what the device's memory allows, measured beside every row. */
import gridText from './copy_grid.wgsl?raw';
import rowsText from './copy_rows.wgsl?raw';

export interface Copies {
  /** Records one copy, by the kernel's name. */
  record: Record<string, (encoder: GPUCommandEncoder) => void>;
  /** Runs each once. @throws Error if one does not copy everything: a limit must be a true one. */
  check(): Promise<void>;
  destroy(): void;
}

interface Variant {
  name: string;
  code: string;
  constants: Record<string, number>;
  /** vec4s that a workgroup moves, so many of them that none is left over. */
  perWorkgroup: number;
}

const rowLength = 64;
const variants: Variant[] = [
  ...[64, 256].map((workgroup) => ({
    name: `grid ${workgroup}`,
    code: gridText,
    constants: { WORKGROUP: workgroup },
    perWorkgroup: 4 * workgroup,
  })),
  ...[8, 64].map((workgroup) => ({
    name: `rows ${workgroup}`,
    code: rowsText,
    constants: { WORKGROUP: workgroup, ROW: rowLength },
    perWorkgroup: rowLength * workgroup,
  })),
];

/** @param bytes - read and written together, as an op's ideal bytes are counted. */
export function makeCopies(device: GPUDevice, bytes: number): Copies {
  const quads = Math.ceil(bytes / 2 / 16 / rowLength) * rowLength;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const make = (label: string) => device.createBuffer({ label, size: 16 * quads, usage });
  const source = make('copy source');
  const destination = make('copy destination');
  // No zeros: a device may compress them, and a page of zeros may not even be there.
  const values = Uint32Array.from({ length: 4 * quads }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  device.queue.writeBuffer(source, 0, values);
  const record: Copies['record'] = {};
  for (const { name, code, constants, perWorkgroup } of variants) {
    const module = device.createShaderModule({ label: name, code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, constants } });
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [source, destination].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const workgroups = Math.ceil(quads / perWorkgroup);
    if (workgroups > 65535) continue;
    record[name] = (encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(workgroups);
      pass.end();
    };
  }
  return {
    record,
    async check() {
      for (const [name, copy] of Object.entries(record)) {
        const encoder = device.createCommandEncoder();
        encoder.clearBuffer(destination);
        copy(encoder);
        device.queue.submit([encoder.finish()]);
        const copied = await read(device, destination);
        if (copied.some((value, i) => value !== values[i]))
          throw new Error(`copy ${name} leaves something out`);
      }
    },
    destroy() {
      source.destroy();
      destination.destroy();
    },
  };
}

async function read(device: GPUDevice, buffer: GPUBuffer): Promise<Uint32Array> {
  const staging = device.createBuffer({
    size: buffer.size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Uint32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return values;
}
