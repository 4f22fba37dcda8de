import { ShaderStage } from './constants.ts';
import { NormError } from './errors.ts';
import type { Kernel } from './program.ts';
import { noteChange } from './replay.ts';
import { scoped } from './scoped.ts';

/** A compiled kernel. */
export interface Pipeline {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
  /** WebGPU has refused it. */
  broken?: boolean;
}

/**
 * The compiled kernels of one device. It hangs on the device, so that two contexts on one device compile once and a
 * dropped device drops its pipelines.
 */
export class PipelineCache {
  static readonly #caches = new WeakMap<GPUDevice, PipelineCache>();

  static of(device: GPUDevice): PipelineCache {
    let cache = PipelineCache.#caches.get(device);
    if (!cache) {
      cache = new PipelineCache(device);
      PipelineCache.#caches.set(device, cache);
    }
    return cache;
  }

  readonly #device: GPUDevice;
  readonly #ready = new Map<string, Pipeline>();
  readonly #inFlight = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  private constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Number of compiled kernels. */
  get size(): number {
    return this.#ready.size;
  }

  /**
   * The pipeline, compiled now if it is not yet. A compile error reaches `report` later: WebGPU validates
   * asynchronously.
   */
  get(kernel: Kernel, report: (check: Promise<NormError | undefined>) => void): Pipeline {
    const known = this.#ready.get(kernel.code);
    if (known) return known;
    const layout = this.#layout(kernel);
    // Pushed and popped without an await in between: error scopes belong to the device, which others may share.
    const [[module, pipeline], scope] = scoped(this.#device, 'validation', () => {
      const compiled = this.#module(kernel);
      return [
        compiled,
        this.#device.createComputePipeline(this.#descriptor(kernel, layout, compiled)),
      ] as const;
    });
    const made: Pipeline = { pipeline, layout };
    this.#ready.set(kernel.code, made);
    report(
      scope.then(async (error) => {
        if (!error) return undefined;
        this.#ready.delete(kernel.code);
        made.broken = true;
        noteChange();
        return compileError(kernel, module, error);
      }),
    );
    return made;
  }

  /** Compiles without blocking, once however often it is asked for meanwhile. */
  prepare(kernel: Kernel): Promise<Pipeline> {
    const known = this.#ready.get(kernel.code);
    if (known) return Promise.resolve(known);
    const begun = this.#inFlight.get(kernel.code);
    if (begun) return begun;
    const promise = this.#compile(kernel).finally(() => this.#inFlight.delete(kernel.code));
    this.#inFlight.set(kernel.code, promise);
    return promise;
  }

  async #compile(kernel: Kernel): Promise<Pipeline> {
    const layout = this.#layout(kernel);
    const [module, scope] = scoped(this.#device, 'validation', () => this.#module(kernel));
    const compiling = this.#device.createComputePipelineAsync(this.#descriptor(kernel, layout, module));
    const [error, pipeline] = await Promise.all([scope, compiling.catch((cause: unknown) => cause as Error)]);
    if (error || pipeline instanceof Error) throw await compileError(kernel, module, error ?? pipeline);
    const made = { pipeline, layout };
    this.#ready.set(kernel.code, made);
    return made;
  }

  #module(kernel: Kernel): GPUShaderModule {
    return this.#device.createShaderModule({ label: kernel.label, code: kernel.code });
  }

  #descriptor(
    kernel: Kernel,
    layout: GPUBindGroupLayout,
    module: GPUShaderModule,
  ): GPUComputePipelineDescriptor {
    return {
      label: kernel.label,
      layout: this.#device.createPipelineLayout({ label: kernel.label, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    };
  }

  #layout(kernel: Kernel): GPUBindGroupLayout {
    const uniform = kernel.fields.length > 0;
    const accesses = kernel.bindings.map(({ access }) => (access === 'read' ? 'r' : 'w'));
    const key = `${uniform ? 'u' : ''}${accesses.join('')}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = kernel.bindings.map(({ binding, access }) => ({
        binding,
        visibility: ShaderStage.COMPUTE,
        buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
      }));
      if (uniform)
        entries.unshift({ binding: 0, visibility: ShaderStage.COMPUTE, buffer: { type: 'uniform' } });
      layout = this.#device.createBindGroupLayout({ label: key, entries });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}

async function compileError(kernel: Kernel, module: GPUShaderModule, cause: unknown): Promise<NormError> {
  const info = await module.getCompilationInfo();
  const said = info.messages.map((m) => `${m.lineNum}:${m.linePos} ${m.type}: ${m.message}`).join('\n');
  const source = kernel.code
    .split('\n')
    .map((line, index) => `${String(index + 1).padStart(4)} ${line}`)
    .join('\n');
  const reason = (cause as { message?: string }).message ?? '';
  return new NormError(
    'shader',
    `The shader ${kernel.name} did not compile: ${reason}\n${said}\n${source}\n`,
    'Please report this with the name of your browser and adapter.',
    cause,
  );
}
