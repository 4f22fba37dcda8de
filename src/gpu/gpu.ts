import { BufferUsage } from './constants.ts';
import { deviceFacts } from './device-facts.ts';
import { isFloatDType } from './dtype.ts';
import { NormError } from './errors.ts';
import { type DeviceFacts, overrideFacts } from './facts.ts';
import { Faults } from './faults.ts';
import { bytesOf } from './filled.ts';
import { gathered, layoutOf, stridesFor } from './layout.ts';
import { LiveTensors } from './live-tensors.ts';
import { checkOptions } from './options.ts';
import { type Pipeline, PipelineCache } from './pipelines.ts';
import type { Kernel, Program } from './program.ts';
import { proxied } from './proxied.ts';
import { readBack } from './read-back.ts';
import { Scopes, type TensorScope } from './scopes.ts';
import { SharedBuffers } from './shared-buffers.ts';
import { shown } from './shown.ts';
import { byteSize, type DType, encode, sizesOf, Tensor } from './tensor.ts';
import { Watch } from './watch.ts';
import { checkBuffer } from './wrapped.ts';

/** Counted memory of a context, in {@link Gpu.memory}. */
export interface MemoryUse {
  /** Tensors that own their buffer and are neither destroyed nor collected. */
  tensors: number;
  /** Their bytes, padding included. */
  tensorBytes: number;
  /** Bytes of scratch for partial sums, shared by all operations. */
  scratchBytes: number;
}

const tensorNames = { dtype: 'string' } as const;
const wrapNames = { dtype: 'string', offset: 'number', strides: 'other' } as const;

const tensorUsage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

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
  readonly #watch: Watch;
  /** @internal What is wrong with buffers and tensors, as far as WebGPU has said. */
  readonly faults: Faults;
  /** @internal Numbers and scratch of dispatches. */
  readonly shared: SharedBuffers;
  readonly #scopes = new Scopes();
  readonly #tensors = new LiveTensors();
  #destroyed = false;
  #end: (reason: string) => void = () => {};

  /** @internal Use {@link init}. */
  constructor(
    device: GPUDevice,
    adapterInfo: GPUAdapterInfo | undefined,
    ownsDevice: boolean,
    facts: Partial<DeviceFacts> = {},
  ) {
    this.device = device;
    this.adapterInfo = adapterInfo;
    this.facts = overrideFacts(deviceFacts(device, adapterInfo), facts);
    this.#ownsDevice = ownsDevice;
    this.#pipelines = PipelineCache.of(device);
    this.#watch = new Watch(device);
    this.faults = new Faults(device, this.#watch);
    const end = new Promise<string>((resolve) => {
      this.#end = resolve;
    });
    this.lost = Promise.race([this.#watch.lost, end]);
    void this.lost.then(() => {
      this.faults.raiseEpoch();
    });
    this.shared = new SharedBuffers(device, this.faults);
  }

  /** Features of the device, such as `shader-f16`. */
  get features(): ReadonlySet<string> {
    return this.device.features;
  }

  get destroyed(): boolean {
    this.checkOwn();
    return this.#destroyed;
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws if this is a Proxy of a context. */
  checkOwn(): void {
    if (!(#destroyed in this)) throw proxied('Gpu');
  }

  /**
   * A tensor with a buffer of its own.
   *
   * @param values - row-major elements, or null for zeros. f16 and bf16 round to nearest even.
   * @param shape - sizes; [] for one element.
   * @throws NormError `shape`, `dtype`, `limit` (larger than maxBufferSize).
   */
  tensor(
    values: ArrayLike<number> | null,
    shape: ArrayLike<number>,
    options: { dtype?: DType } = {},
  ): Tensor {
    this.checkAlive();
    checkOptions('gpu.tensor', options, tensorNames);
    const { dtype = 'f32' } = options;
    const sizes = sizesOf(shape);
    bytesOf(this, sizes, dtype);
    // Before there is a tensor: u32 cannot hold all values.
    const bytes = values === null ? null : encode(values, sizes, dtype);
    const tensor = this.empty(sizes, { dtype });
    if (bytes && tensor.size > 0) tensor.upload(bytes);
    return tensor;
  }

  /** A tensor of zeros. As {@link tensor} with null. */
  zeros(shape: ArrayLike<number>, options: { dtype?: DType } = {}): Tensor {
    return this.tensor(null, shape, options);
  }

  /** A tensor whose elements are yet to be written (zeros, as WebGPU clears new buffers). */
  empty(shape: ArrayLike<number>, options: { dtype?: DType } = {}): Tensor {
    this.checkAlive();
    checkOptions('gpu.empty', options, tensorNames);
    const { dtype = 'f32' } = options;
    const sizes = sizesOf(shape);
    const bytes = bytesOf(this, sizes, dtype);
    const buffer = this.faults.createBuffer({
      label: `tensor ${dtype} [${sizes}]`,
      size: bytes,
      usage: tensorUsage,
    });
    const tensor = new Tensor(this, buffer, sizes, dtype, 0, true);
    this.#tensors.add(tensor, bytes);
    this.#scopes.add(tensor);
    return tensor;
  }

  /**
   * A view of a GPUBuffer of yours, never destroyed or resized here.
   *
   * With strides it is a part of a larger tensor, or an axis that is broadcast, or has its axes in another order: {@link layerNorm},
   * {@link rmsNorm}, {@link l2Norm}, their add and backward forms and their modules read and write it where it lies; everything else refuses
   * it. QK-norm in the packed output of one projection, [batch, time, 3, heads, 64], in place:
   *
   * ```ts
   * const width = 3 * heads * 64;
   * const shape = [batch, time, heads, 64];
   * const q = gpu.wrap(qkv.buffer, shape, { strides: [time * width, width, 64, 1] });
   * rmsNorm(gpu, q, { normalizedShape: 64, weight, out: { y: q } });
   * ```
   *
   * @param options.offset - bytes, a multiple of the device's minStorageBufferOffsetAlignment (256 at most), or with strides of 4. Default 0.
   * @param options.strides - for each axis the elements from one index to the next, 0 where all indices have the same; PyTorch's
   * `Tensor.stride()`. At most three axes, beside elements that lie side by side, may not continue each other. Default: dense.
   * @throws NormError `buffer` (too small, no STORAGE usage, misaligned offset), `shape`, `dtype`, `unsupported` (strides). That a buffer
   * belongs to another device is only known asynchronously: later uses of the tensor throw `wrong-device`, and data()
   * of what was computed with it before that rejects with `validation`.
   */
  wrap(
    buffer: GPUBuffer,
    shape: ArrayLike<number>,
    options: { dtype?: DType; offset?: number; strides?: ArrayLike<number> } = {},
  ): Tensor {
    this.checkAlive();
    checkOptions('gpu.wrap', options, wrapNames);
    const { dtype = 'f32', offset = 0 } = options;
    const sizes = sizesOf(shape);
    this.checkDType(dtype);
    const given = options.strides === undefined ? undefined : stridesFor(sizes, options.strides);
    // What turns out to be dense is an ordinary tensor.
    const apart = given && layoutOf(sizes, given) !== undefined;
    const strides = apart || offset % this.facts.offsetAlignment !== 0 ? given : undefined;
    checkBuffer(buffer, sizes, dtype, offset, strides, this.facts.offsetAlignment);
    this.faults.checkDevice(buffer);
    return new Tensor(this, buffer, sizes, dtype, offset, false, undefined, strides);
  }

  /**
   * Runs `body` and frees every tensor that was made inside it, but for those that it returns: a Tensor, or tensors in
   * arrays and plain objects. As tfjs's tidy. Submit what was recorded inside before it ends: a destroyed buffer makes the
   * submit fail. What modules own (parameters, gradients, buffers) is not freed.
   *
   * `body` may be async: the scope then ends when its promise settles. Tensors made before the first `await` belong to it. After that
   * other code may run and make tensors, too, so only those made inside `scope.run(() => …)` or handed to `scope.add` belong to it.
   *
   * @returns what `body` returns; of an async one a promise of that, once all else is freed.
   * @throws NormError `value` if `body` is no function; what `body` throws, after freeing.
   */
  scope<T>(body: (scope: TensorScope) => T): T {
    this.checkOwn();
    return this.#scopes.scope(body);
  }

  /** @internal Runs `body`, and frees the tensors that it made if it throws: a call that fails leaves none behind. */
  orNothing<T>(body: () => T): T {
    return this.#scopes.orNothing(body);
  }

  /** @internal Whether the innermost scope made one of the tensors: within {@link orNothing}, the call under way. */
  madeAny(tensors: readonly (Tensor | undefined)[]): boolean {
    return this.#scopes.madeAny(tensors);
  }

  /** Takes a tensor out of the scopes it was made in: it lives until it is destroyed. */
  keep<T extends Tensor>(tensor: T): T {
    this.checkOwn();
    this.checkTensor(tensor, 'what is to be kept');
    if (!tensor.destroyed) this.#scopes.take(tensor);
    return tensor;
  }

  /** What is allocated now. */
  memory(): MemoryUse {
    this.checkOwn();
    const { scratchBytes } = this.shared;
    return { tensors: this.#tensors.size, tensorBytes: this.#tensors.bytes, scratchBytes };
  }

  /** @internal Compiles a program's pipelines ahead, without blocking. */
  async prepare(program: Program): Promise<void> {
    this.checkAlive();
    await Promise.all(program.steps.map(({ kernel }) => this.#pipelines.prepare(kernel)));
  }

  /**
   * Waits for all submitted work.
   *
   * @throws NormError `device-lost`, or what WebGPU found wrong with earlier calls and nobody was told yet: `shader`,
   * `out-of-memory`, `validation`.
   */
  async idle(): Promise<void> {
    this.checkAlive();
    await this.#watch.orLost(this.device.queue.onSubmittedWorkDone());
    await this.#watch.settle();
    this.checkAlive();
  }

  /**
   * Frees every tensor and buffer made here, and the device if `init` made it. Idempotent. Wrapped buffers and a
   * borrowed device stay as they are.
   */
  destroy(): void {
    if (this.destroyed) return;
    for (const tensor of this.#tensors.all()) tensor.destroy();
    this.shared.destroy();
    this.#destroyed = true;
    this.faults.raiseEpoch();
    this.#watch.rejectWaiting(destroyedError());
    if (this.#ownsDevice) this.device.destroy();
    else this.#end('destroyed: this context was destroyed; its device is yours.');
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** @internal Throws if the context cannot be used any more. */
  checkAlive(): void {
    this.checkOwn();
    if (this.#destroyed) throw destroyedError();
    if (this.#watch.lostError) throw this.#watch.lostError;
  }

  /** @internal Throws `value` unless it is a tensor, usable or not. */
  checkTensor(tensor: Tensor, name: string): void {
    if (tensor instanceof Tensor) return;
    throw new NormError(
      'value',
      `${name} is ${shown(tensor)}, which is no Tensor.`,
      'Make one with gpu.tensor() or gpu.wrap().',
    );
  }

  /** @internal Throws unless the tensor can be used on this context now, where it must be dense unless it may be `strided`. */
  checkUsable(tensor: Tensor, name = 'tensor', strided = false): void {
    this.checkAlive();
    this.checkTensor(tensor, name);
    if (tensor.strides && !strided) {
      throw new NormError(
        'unsupported',
        `${name} has strides [${tensor.strides}]; a dense tensor is needed here.`,
        'Copy it into a buffer of its own.',
      );
    }
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
    const reason = this.faults.problemOf(tensor);
    if (reason) throw this.#watch.tell(reason);
  }

  /** @internal Whether nothing was found wrong with the tensor so far. */
  intact(tensor: Tensor): boolean {
    return this.faults.problemOf(tensor) === undefined;
  }

  /** @internal Throws `dtype` if there is none of that name. */
  checkDType(dtype: DType): void {
    if (isFloatDType(dtype) || dtype === 'u32') return;
    throw new NormError('dtype', `There is no dtype '${dtype}'.`, "Use 'f32', 'f16', 'bf16' or 'u32'.");
  }

  /** @internal */
  pipeline(kernel: Kernel): Pipeline {
    return this.#pipelines.get(kernel, (check) => this.faults.checking(check));
  }

  /** @internal The bytes of all tensors as they are now, in one submit. */
  async readBytes(tensors: readonly Tensor[]): Promise<ArrayBuffer[]> {
    for (const tensor of tensors) {
      this.checkUsable(tensor, 'tensor', true);
      if (tensor.size > 0 && !(tensor.buffer.usage & BufferUsage.COPY_SRC)) {
        throw new NormError(
          'buffer',
          'The buffer lacks the usage COPY_SRC.',
          'Create it with COPY_SRC to read it.',
        );
      }
    }
    const bytes = await readBack(this.device, tensors, this.faults, this.#watch);
    this.checkAlive();
    return bytes.map((all, i) => {
      const { shape, strides, dtype } = tensors[i] as Tensor;
      return strides ? gathered(all, shape, strides, byteSize(dtype)) : all;
    });
  }

  /** @internal Called by Tensor.destroy. */
  release(tensor: Tensor): void {
    this.#scopes.take(tensor);
    if (!this.#tensors.delete(tensor)) return;
    tensor.buffer.destroy();
  }
}

function destroyedError(): NormError {
  return new NormError('destroyed', 'This context was destroyed.', 'Make a new one with init().');
}
