/** Runs descriptions with WebGPU alone: it knows their JSON, and nothing of the library. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** WebGPU's flags, whose globals not every engine has. */
const usage = { mapRead: 0x1, copySource: 0x4, copyTarget: 0x8, uniform: 0x40, storage: 0x80 };

interface Plan {
  inputs: { name: string; bytes: number }[];
  outputs: { name: string; bytes: number; inPlace: boolean }[];
  scratch: { name: string; bytes: number }[];
  dispatches: {
    wgsl: string;
    entryPoint: string;
    bindings: { binding: number; resource: string; offset: number; bytes: number }[];
    uniform: { binding: number; bytes: number; data: number[] } | null;
    workgroups: [number, number, number];
  }[];
}

export class RawRunner {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  /** Descriptions share their scratch by name, as the library does. */
  readonly #scratch = new Map<string, GPUBuffer>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The bytes of each output. What a description need not find, outputs and scratch, is full of NaN before. */
  async run(json: string, given: Readonly<Record<string, Bytes>>): Promise<Record<string, Bytes>> {
    const plan: Plan = JSON.parse(json);
    const device = this.#device;
    const buffers = new Map<string, GPUBuffer>();
    const flags = usage.storage | usage.copySource | usage.copyTarget;
    for (const { name, bytes } of [...plan.inputs, ...plan.outputs.filter(({ inPlace }) => inPlace)]) {
      const contents = given[name];
      if (!contents) throw new Error(`${name} is not given.`);
      const padded = new Uint8Array(bytes);
      padded.set(contents.subarray(0, bytes));
      buffers.set(name, this.#buffer(padded, flags));
    }
    for (const { name, bytes, inPlace } of plan.outputs) {
      if (!inPlace) buffers.set(name, this.#buffer(new Uint8Array(bytes).fill(255), flags));
    }
    for (const { name, bytes } of plan.scratch) {
      const known = this.#scratch.get(name);
      if (known && known.size >= bytes) continue;
      known?.destroy();
      this.#scratch.set(name, this.#buffer(new Uint8Array(bytes).fill(255), usage.storage));
    }
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { wgsl, entryPoint, bindings, uniform, workgroups } of plan.dispatches) {
      const pipeline = this.#pipelines.get(wgsl) ?? this.#pipeline(wgsl, entryPoint);
      const entries: GPUBindGroupEntry[] = bindings.map(({ binding, resource, offset, bytes }) => {
        const buffer = buffers.get(resource) ?? this.#scratch.get(resource);
        if (!buffer) throw new Error(`There is no ${resource}.`);
        return { binding, resource: { buffer, offset, size: bytes } };
      });
      if (uniform) {
        const buffer = this.#buffer(new Uint8Array(Uint32Array.from(uniform.data).buffer), usage.uniform);
        entries.push({ binding: uniform.binding, resource: { buffer } });
      }
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
    const copies = plan.outputs.map(({ name, bytes }) => {
      const copy = device.createBuffer({ size: Math.max(4, bytes), usage: usage.mapRead | usage.copyTarget });
      encoder.copyBufferToBuffer(buffers.get(name) as GPUBuffer, 0, copy, 0, bytes);
      return [name, copy] as const;
    });
    device.queue.submit([encoder.finish()]);
    const found: Record<string, Bytes> = {};
    for (const [name, copy] of copies) {
      await copy.mapAsync(usage.mapRead);
      found[name] = new Uint8Array(copy.getMappedRange().slice(0));
      copy.destroy();
    }
    for (const buffer of buffers.values()) buffer.destroy();
    return found;
  }

  destroy(): void {
    for (const buffer of this.#scratch.values()) buffer.destroy();
  }

  #buffer(contents: Bytes, flags: number): GPUBuffer {
    const buffer = this.#device.createBuffer({
      size: Math.max(16, contents.byteLength),
      usage: flags,
      mappedAtCreation: true,
    });
    new Uint8Array(buffer.getMappedRange()).set(contents);
    buffer.unmap();
    return buffer;
  }

  #pipeline(code: string, entryPoint: string): GPUComputePipeline {
    const module = this.#device.createShaderModule({ code });
    const pipeline = this.#device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint } });
    this.#pipelines.set(code, pipeline);
    return pipeline;
  }
}
