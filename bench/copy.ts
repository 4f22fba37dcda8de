/** Copy kernels: what the device's memory allows, measured beside every row. */
import gridText from './copy_grid.wgsl?raw';
import rowsText from './copy_rows.wgsl?raw';

export interface Copies {
  /** Bytes that one copy moves, read and written together. */
  bytes: number;
  /** Records one copy, by the kernel's name. */
  record: Record<string, (pass: GPUComputePassEncoder) => void>;
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

/** A larger copy is no faster: more would only cost memory. */
const mostBytes = 2 ** 29;

/** What is copied, over and over. No zeros: a device may compress them, and a page of zeros may not even be there. */
const pattern = Uint32Array.from({ length: 2 ** 20 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));

/** @param bytes - read and written together, as an op's ideal bytes are counted; fewer where the device binds no more. */
export function makeCopies(device: GPUDevice, bytes: number): Copies {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const most = Math.min(mostBytes / 2, maxBufferSize, maxStorageBufferBindingSize);
  const quads =
    Math.floor(Math.min(Math.ceil(bytes / 2 / 16 / rowLength), most / 16 / rowLength)) * rowLength;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const make = (label: string) => device.createBuffer({ label, size: 16 * quads, usage });
  const source = make('copy source');
  const destination = make('copy destination');
  for (let offset = 0; offset < source.size; offset += pattern.byteLength) {
    const length = Math.min(pattern.length, (source.size - offset) / 4);
    device.queue.writeBuffer(source, offset, pattern, 0, length);
  }
  const record: Copies['record'] = {};
  for (const { name, code, constants, perWorkgroup } of variants) {
    const module = device.createShaderModule({ label: name, code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, constants } });
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [source, destination].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const workgroups = Math.ceil(quads / perWorkgroup);
    if (workgroups > 65535 && code !== gridText) continue;
    record[name] = (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(Math.min(workgroups, 65535)); // those of a grid stride on
    };
  }
  return {
    bytes: 32 * quads,
    record,
    async check() {
      for (const [name, copy] of Object.entries(record)) {
        const encoder = device.createCommandEncoder();
        encoder.clearBuffer(destination);
        const pass = encoder.beginComputePass();
        copy(pass);
        pass.end();
        device.queue.submit([encoder.finish()]);
        if (!(await holdsPattern(device, destination))) throw new Error(`copy ${name} leaves something out`);
      }
    },
    destroy() {
      source.destroy();
      destination.destroy();
    },
  };
}

/** Looks at both ends of every part as large as the pattern. */
async function holdsPattern(device: GPUDevice, buffer: GPUBuffer): Promise<boolean> {
  const piece = Math.min(buffer.size, 2 ** 16);
  const parts = Math.ceil(buffer.size / pattern.byteLength);
  const starts = Array.from({ length: parts }, (_, i) => {
    const end = Math.min((i + 1) * pattern.byteLength, buffer.size);
    return [i * pattern.byteLength, end - piece];
  }).flat();
  const staging = device.createBuffer({
    size: piece * starts.length,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  for (const [i, start] of starts.entries()) {
    encoder.copyBufferToBuffer(buffer, Math.max(0, start), staging, i * piece, piece);
  }
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Uint32Array(staging.getMappedRange());
  const held = starts.every((start, i) => {
    const first = Math.max(0, start) / 4;
    for (let j = 0; j < piece / 4; j++) {
      if (values[(i * piece) / 4 + j] !== pattern[(first + j) % pattern.length]) return false;
    }
    return true;
  });
  staging.destroy();
  return held;
}
