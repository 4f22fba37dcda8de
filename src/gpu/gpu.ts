import { BufferUsage, MapMode } from './constants.ts';
import { NormError } from './errors.ts';
import { type DeviceFacts, deviceFacts } from './facts.ts';
import { type Pipeline, PipelineCache } from './pipelines.ts';
import { alignUp, type Kernel, type Program } from './program.ts';
import { byteSize, checkShape, type DType, elementCount, Tensor } from './tensor.ts';

/** Counted memory of a context, in {@link Gpu.memory}. */
export interface MemoryUse {
  /** Tensors that own their buffer and are not destroyed. */
  tensors: number;
  /** Their bytes, padding included. */
  tensorBytes: number;
  /** Bytes of scratch for partial sums, shared by all operations. */
  scratchBytes: number;
}

const tensorUsage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
const uniformCapacity = 1024;
const placeholderWindow = 256;

/**
 * A GPU device and what this library keeps on it. Made by {@link init}.
 *
 * @remarks A context from `init({ device })` borrows the device: {@link destroy} leaves it alone.
 */
export class Gpu {
  readonly device: GPUDevice;
  readonly adapterInfo: GPUAdapterInfo | undefined;
  /** What strategies are chosen from. */
  readonly facts: DeviceFacts;
  /** Resolves when the context can no longer be used, with the reason. */
  readonly lost: Promise<string>;
  readonly #ownsDevice: boolean;
  readonly #pipelines: PipelineCache;
  readonly #uniforms = new Map<string, GPUBuffer>();
  readonly #scratch = new Map<string, GPUBuffer>();
  readonly #retired: GPUBuffer[] = [];
  readonly #placeholders: Record<'read' | 'write', GPUBuffer | undefined> = {
    read: undefined,
    write: undefined,
  };
  readonly #scopes: Set<Tensor>[] = [];
  readonly #checks = new Set<Promise<void>>();
  readonly #foreign = new WeakSet<GPUBuffer>();
  readonly #tensors = new Set<Tensor>();
  #tensorBytes = 0;
  #fault: NormError | undefined;
  #destroyed = false;

  /** @internal Use {@link init}. */
  constructor(
    device: GPUDevice,
    adapterInfo: GPUAdapterInfo | undefined,
    ownsDevice: boolean,
    facts: Partial<DeviceFacts> = {},
  ) {
    this.device = device;
    this.adapterInfo = adapterInfo;
    this.facts = { ...deviceFacts(device, adapterInfo), ...facts };
    this.#ownsDevice = ownsDevice;
    this.#pipelines = PipelineCache.of(device);
    this.lost = device.lost.then((info) => {
      const reason = `${info.reason ?? 'unknown'}${info.message ? `: ${info.message}` : ''}`;
      this.#fault = new NormError(
        'device-lost',
        `The GPU device was lost (${reason}).`,
        'Call init() again and restore your tensors.',
      );
      return reason;
    });
  }

  /** Features of the device, such as `shader-f16`. */
  get features(): ReadonlySet<string> {
    return this.device.features;
  }

  get destroyed(): boolean {
    return this.#destroyed;
  }

  /**
   * A tensor with a buffer of its own.
   *
   * @param values - row-major elements, or null for zeros. f16 rounds to nearest even.
   * @param shape - sizes; [] for one element.
   * @throws NormError `shape`, `dtype` (f16 without shader-f16), `limit` (larger than maxBufferSize).
   */
  tensor(
    values: ArrayLike<number> | null,
    shape: readonly number[],
    options: { dtype?: DType } = {},
  ): Tensor {
    checkShape(shape);
    if (values && values.length !== elementCount(shape)) {
      throw new NormError(
        'shape',
        `Shape [${shape}] has ${elementCount(shape)} elements, but ${values.length} values were given.`,
        'Pass as many values as the shape has elements.',
      );
    }
    const tensor = this.empty(shape, options);
    if (values && tensor.size > 0) tensor.write(values);
    return tensor;
  }

  /** A tensor of zeros. As {@link tensor} with null. */
  zeros(shape: readonly number[], options: { dtype?: DType } = {}): Tensor {
    return this.tensor(null, shape, options);
  }

  /** A tensor whose elements are yet to be written (zeros, as WebGPU clears new buffers). */
  empty(shape: readonly number[], { dtype = 'f32' }: { dtype?: DType } = {}): Tensor {
    this.checkAlive();
    checkShape(shape);
    this.checkDType(dtype);
    const bytes = alignUp(Math.max(elementCount(shape) * byteSize(dtype), 4), 16);
    if (bytes > this.device.limits.maxBufferSize) {
      throw new NormError(
        'limit',
        `A tensor of shape [${shape}] takes ${bytes} bytes; the device's maxBufferSize is ${this.device.limits.maxBufferSize}.`,
        'Split the tensor, or request a larger maxBufferSize if you made the device.',
      );
    }
    const buffer = this.#createBuffer({
      label: `tensor ${dtype} [${shape}]`,
      size: bytes,
      usage: tensorUsage,
    });
    const tensor = new Tensor(this, buffer, shape, dtype, 0, true);
    this.#tensors.add(tensor);
    this.#tensorBytes += bytes;
    this.#scopes.at(-1)?.add(tensor);
    return tensor;
  }

  /**
   * A view of a GPUBuffer of yours, never destroyed or resized here.
   *
   * @param options.offset - bytes, a multiple of the device's minStorageBufferOffsetAlignment (256 at most). Default 0.
   * @throws NormError `buffer` (too small, no STORAGE usage, misaligned offset), `shape`, `dtype`. That a buffer
   * belongs to another device is only known asynchronously; `wrong-device` is then thrown by the next use of the
   * tensor after that, at the latest by `data()`.
   */
  wrap(
    buffer: GPUBuffer,
    shape: readonly number[],
    { dtype = 'f32', offset = 0 }: { dtype?: DType; offset?: number } = {},
  ): Tensor {
    this.checkAlive();
    checkShape(shape);
    this.checkDType(dtype);
    const alignment = this.facts.offsetAlignment;
    if (!Number.isInteger(offset) || offset < 0 || offset % alignment !== 0) {
      throw new NormError('buffer', `Offset ${offset} is no multiple of ${alignment} bytes.`, 'Align it.');
    }
    if (!(buffer.usage & BufferUsage.STORAGE)) {
      throw new NormError(
        'buffer',
        'The buffer lacks the usage STORAGE.',
        'Create it with GPUBufferUsage.STORAGE.',
      );
    }
    // Bindings and copies are multiples of four bytes.
    const needed = offset + alignUp(Math.max(elementCount(shape) * byteSize(dtype), 4), 4);
    if (buffer.size < needed) {
      throw new NormError(
        'buffer',
        `Shape [${shape}] of ${dtype} at offset ${offset} needs a buffer of ${needed} bytes; this one has ${buffer.size}.`,
        'Make the buffer larger or the shape smaller.',
      );
    }
    this.#checkDevice(buffer);
    return new Tensor(this, buffer, shape, dtype, offset, false);
  }

  /**
   * Runs `body` and frees every tensor that was made inside it, but for those that it returns: a Tensor, or tensors in
   * an array or object. As tfjs's tidy. Submit what was recorded inside before it ends: a destroyed buffer makes the
   * submit fail.
   *
   * @throws NormError `order` if `body` returns a promise; what `body` throws, after freeing.
   */
  scope<T>(body: () => T): T {
    const made = new Set<Tensor>();
    this.#scopes.push(made);
    let kept: Set<Tensor> = new Set();
    try {
      const result = body();
      if (result instanceof Promise) {
        throw new NormError('order', 'scope() was given an async function.', 'Await outside of the scope.');
      }
      kept = tensorsIn(result);
      return result;
    } finally {
      this.#scopes.pop();
      for (const tensor of made) {
        if (kept.has(tensor)) this.#scopes.at(-1)?.add(tensor);
        else tensor.destroy();
      }
    }
  }

  /** Takes a tensor out of the scopes it was made in: it lives until it is destroyed. */
  keep<T extends Tensor>(tensor: T): T {
    for (const scope of this.#scopes) scope.delete(tensor);
    return tensor;
  }

  /** What is allocated now. */
  memory(): MemoryUse {
    let scratchBytes = 0;
    for (const buffer of [...this.#scratch.values(), ...this.#retired]) scratchBytes += buffer.size;
    return { tensors: this.#tensors.size, tensorBytes: this.#tensorBytes, scratchBytes };
  }

  /** Compiles a program's pipelines ahead, without blocking. */
  async prepare(program: Program): Promise<void> {
    this.checkAlive();
    await Promise.all(program.steps.map(({ kernel }) => this.#pipelines.prepare(kernel)));
  }

  /** Waits for all submitted work. @throws NormError `device-lost`, `shader`, `out-of-memory`. */
  async idle(): Promise<void> {
    this.checkAlive();
    await this.#orLost(this.device.queue.onSubmittedWorkDone());
    await this.#settle();
  }

  /**
   * Frees every tensor and buffer made here, and the device if `init` made it. Idempotent. Wrapped buffers and a
   * borrowed device stay as they are.
   */
  destroy(): void {
    if (this.#destroyed) return;
    for (const tensor of [...this.#tensors]) tensor.destroy();
    for (const buffer of [...this.#uniforms.values(), ...this.#scratch.values(), ...this.#retired])
      buffer.destroy();
    this.#placeholders.read?.destroy();
    this.#placeholders.write?.destroy();
    this.#uniforms.clear();
    this.#scratch.clear();
    this.#retired.length = 0;
    this.#destroyed = true;
    if (this.#ownsDevice) this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** @internal Throws if the context cannot be used any more, or an earlier call failed on the GPU. */
  checkAlive(): void {
    if (this.#destroyed) {
      throw new NormError('destroyed', 'This context was destroyed.', 'Make a new one with init().');
    }
    if (this.#fault) throw this.#fault;
  }

  /** @internal Throws unless the tensor can be used on this context now. */
  checkUsable(tensor: Tensor, name = 'tensor'): void {
    this.checkAlive();
    if (tensor.gpu !== this && tensor.gpu.device !== this.device) {
      throw new NormError(
        'wrong-device',
        `${name} belongs to another device.`,
        'Read it back and upload it here.',
      );
    }
    if (tensor.destroyed) {
      throw new NormError('destroyed', `${name} was destroyed.`, 'Use it before destroying it.');
    }
    if (this.#foreign.has(tensor.buffer)) {
      throw new NormError(
        'wrong-device',
        `The wrapped buffer of ${name} belongs to another device.`,
        'Wrap it in a context of its own device: init({ device }).',
      );
    }
  }

  /** @internal Throws `dtype` if the device cannot hold it. */
  checkDType(dtype: DType): void {
    if (dtype !== 'f32' && dtype !== 'f16') {
      throw new NormError('dtype', `There is no dtype '${dtype}'.`, "Use 'f32' or 'f16'.");
    }
    if (dtype === 'f16' && !this.facts.f16) {
      throw new NormError(
        'dtype',
        'The device has no shader-f16.',
        "Use 'f32', or request the feature 'shader-f16' if you made the device.",
      );
    }
  }

  /** @internal */
  pipeline(kernel: Kernel): Pipeline {
    return this.#pipelines.get(kernel, (check) => this.#watch(check));
  }

  /**
   * @internal A uniform buffer with these contents. It is never written again, so that recording needs no writeBuffer
   * whose order against the caller's submits could go wrong.
   */
  uniform(contents: ArrayBuffer): GPUBuffer {
    const key = String.fromCharCode(...new Uint16Array(contents));
    const known = this.#uniforms.get(key);
    if (known) return known;
    if (this.#uniforms.size >= uniformCapacity) {
      // Dropped, not destroyed: a pass that is not yet submitted may refer to it.
      const oldest = this.#uniforms.keys().next().value as string;
      this.#uniforms.delete(oldest);
    }
    const buffer = this.device.createBuffer({
      label: 'params',
      size: contents.byteLength,
      usage: BufferUsage.UNIFORM,
      mappedAtCreation: true,
    });
    new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(contents));
    buffer.unmap();
    this.#uniforms.set(key, buffer);
    return buffer;
  }

  /**
   * @internal Scratch of a role. Every operation writes it before reading it, so operations share it, in whatever
   * order their encoders are submitted.
   */
  scratch(role: string, bytes: number): GPUBuffer {
    const known = this.#scratch.get(role);
    if (known && known.size >= bytes) return known;
    // Kept until destroy(): a pass that is not yet submitted may refer to it. Doubling bounds what that can add up to.
    if (known) this.#retired.push(known);
    const size = alignUp(
      Math.max(bytes, 4096, Math.min(2 * (known?.size ?? 0), this.device.limits.maxBufferSize)),
      256,
    );
    const buffer = this.#createBuffer({ label: `scratch ${role}`, size, usage: BufferUsage.STORAGE });
    this.#scratch.set(role, buffer);
    return buffer;
  }

  /** @internal What is bound where an optional operand is absent; no kernel touches it. */
  placeholder(binding: number, writes: boolean): GPUBufferBinding {
    const kind = writes ? 'write' : 'read';
    let buffer = this.#placeholders[kind];
    if (!buffer) {
      const size = 32 * placeholderWindow;
      buffer = this.device.createBuffer({ label: `placeholder ${kind}`, size, usage: BufferUsage.STORAGE });
      this.#placeholders[kind] = buffer;
    }
    return { buffer, offset: binding * placeholderWindow, size: placeholderWindow };
  }

  /** @internal */
  async readBytes(tensor: Tensor): Promise<ArrayBuffer> {
    this.checkUsable(tensor);
    if (tensor.size === 0) return new ArrayBuffer(0);
    if (!(tensor.buffer.usage & BufferUsage.COPY_SRC)) {
      throw new NormError(
        'buffer',
        'The buffer lacks the usage COPY_SRC.',
        'Create it with COPY_SRC to read it.',
      );
    }
    const size = alignUp(tensor.byteLength, 4);
    const staging = this.device.createBuffer({
      label: 'read-back',
      size,
      usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST,
    });
    try {
      const encoder = this.device.createCommandEncoder({ label: 'read-back' });
      encoder.copyBufferToBuffer(tensor.buffer, tensor.offset, staging, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await this.#orLost(staging.mapAsync(MapMode.READ));
      await this.#settle();
      this.checkUsable(tensor);
      return staging.getMappedRange().slice(0, tensor.byteLength);
    } finally {
      staging.destroy();
    }
  }

  /** @internal Called by Tensor.destroy. */
  release(tensor: Tensor): void {
    for (const scope of this.#scopes) scope.delete(tensor);
    if (!this.#tensors.delete(tensor)) return;
    this.#tensorBytes -= tensor.buffer.size;
    tensor.buffer.destroy();
  }

  #createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer {
    this.device.pushErrorScope('out-of-memory');
    const buffer = this.device.createBuffer(descriptor);
    const scope = this.device.popErrorScope();
    this.#watch(
      scope.then((error) =>
        error
          ? new NormError(
              'out-of-memory',
              `No memory for ${descriptor.size} bytes (${descriptor.label}).`,
              'Free tensors.',
              error,
            )
          : undefined,
      ),
    );
    return buffer;
  }

  /** Binds the buffer in a group of its own: the only question that WebGPU answers about a buffer's device. */
  #checkDevice(buffer: GPUBuffer): void {
    this.device.pushErrorScope('validation');
    const layout = this.device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: 4, buffer: { type: 'read-only-storage' } }],
    });
    try {
      this.device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer, size: 4 } }] });
    } catch {
      this.#foreign.add(buffer); // some implementations throw
    }
    const scope = this.device.popErrorScope();
    this.#watch(
      scope.then((error) => {
        if (error) this.#foreign.add(buffer);
        return undefined;
      }),
    );
  }

  #watch(check: Promise<NormError | undefined>): void {
    const watched = check.then(
      (error) => {
        this.#fault ??= error;
        this.#checks.delete(watched);
      },
      () => {
        this.#checks.delete(watched); // the device went away; `lost` says so
      },
    );
    this.#checks.add(watched);
  }

  /** Waits for the asynchronous checks begun so far and throws what they found. */
  async #settle(): Promise<void> {
    await Promise.all(this.#checks);
    this.checkAlive();
  }

  /** The promise, or a typed error once the device is lost, whichever comes first: nothing hangs. */
  async #orLost<T>(promise: Promise<T>): Promise<T> {
    const lost = this.lost.then((): never => {
      throw this.#destroyed
        ? new NormError('destroyed', 'This context was destroyed.', 'Make a new one with init().')
        : (this.#fault as NormError);
    });
    lost.catch(() => {}); // whoever wins the race below, this rejection is handled
    try {
      return await Promise.race([promise, lost]);
    } catch (error) {
      if (error instanceof NormError) throw error;
      // What is waited for here fails only where the device is gone; some platforms reject it before `lost` resolves.
      await Promise.race([lost, new Promise((next) => setTimeout(next, 1000))]);
      throw new NormError(
        'device-lost',
        'The GPU device stopped answering.',
        'Call init() again and restore your tensors.',
        error,
      );
    }
  }
}

function tensorsIn(value: unknown, found = new Set<Tensor>()): Set<Tensor> {
  if (value instanceof Tensor) found.add(value);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found);
  }
  return found;
}
