import { ShaderStage } from './constants.ts';
import { NormError } from './errors.ts';
import { noteChange } from './replay.ts';
import { scoped } from './scoped.ts';
import type { Tensor } from './tensor.ts';
import type { Watch } from './watch.ts';

/** What WebGPU will have found wrong with something compiled or allocated. */
export type Check = Promise<NormError | undefined>;

/**
 * What is wrong with buffers and tensors of a device, as far as WebGPU has said: memory that was missing, buffers of other devices,
 * outputs of submits that it refused. It says so asynchronously, to the {@link Watch} and here.
 */
export class Faults {
  #epoch = 0;
  readonly #device: GPUDevice;
  readonly #watch: Watch;
  /** Tensors that a refused submit was to write, and why it was refused. */
  readonly #failed = new WeakMap<Tensor, NormError>();
  /** Those of them that it was to update, not to make. */
  readonly #updated = new WeakSet<Tensor>();
  /** Checks of what is compiled and allocated now, while {@link checked} wants to know. */
  #causes: Check[] | undefined;
  /** Buffers that cannot be used, and why. */
  readonly #unusable = new WeakMap<GPUBuffer, NormError>();
  readonly #probed = new WeakSet<GPUBuffer>();
  #probeLayout: GPUBindGroupLayout | undefined;

  constructor(device: GPUDevice, watch: Watch) {
    this.#device = device;
    this.#watch = watch;
  }

  /** Another number whenever earlier checks have become worthless. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Refusals, missing memory, loss, destroy(), what must not be recorded again: earlier checks are worthless. */
  raiseEpoch(): void {
    this.#epoch += 1;
    noteChange();
  }

  /**
   * Runs `body`, which submits. What WebGPU finds wrong with that later is thrown by every use of the outputs, and once
   * by idle().
   *
   * @param updates - those of the outputs that are as they were if it is refused.
   * @param checks - of what was compiled and allocated for it before: see {@link checked}.
   */
  submitting(
    label: string,
    outputs: readonly (Tensor | undefined)[],
    body: () => void,
    updates: readonly Tensor[] = [],
    checks: readonly Check[] = [],
  ): void {
    for (const output of outputs) {
      if (!output) continue;
      this.#failed.delete(output);
      this.#updated.delete(output);
    }
    for (const tensor of updates) this.#updated.add(tensor);
    const [[, refused], during] = this.checked(() => scoped(this.#device, 'validation', body));
    const causes = [...checks, ...during];
    const check = refused.then(async (cause) => {
      if (!cause) return undefined;
      // A shader that did not compile, or an output or scratch without memory, if there is one.
      const known = outputs.map((output) => output && this.#unusable.get(output.buffer));
      const deeper = [...(await Promise.all(causes)), ...known].find((error) => error !== undefined);
      const failure = deeper ?? validationError(label, cause);
      this.raiseEpoch();
      for (const output of outputs) if (output) this.#failed.set(output, failure);
      return failure;
    });
    this.#watch.add(check);
  }

  /** Runs `body`, and returns the checks of what it compiles and allocates: what may be the cause where commands are refused. */
  checked<T>(body: () => T): [result: T, checks: Check[]] {
    const outer = this.#causes;
    const checks: Check[] = [];
    this.#causes = checks;
    try {
      return [body(), checks];
    } finally {
      this.#causes = outer;
    }
  }

  /** Keeps what a check of something compiled or allocated finds. */
  checking(check: Check): void {
    this.#causes?.push(check);
    this.#watch.add(check);
  }

  /** Why a tensor cannot be used. One that was to be updated can, as it was, once somebody knows that it was not. */
  problemOf(tensor: Tensor): NormError | undefined {
    const failure = this.#failed.get(tensor);
    if (failure && this.#updated.has(tensor) && this.#watch.wasTold(failure)) this.#failed.delete(tensor);
    return this.#unusable.get(tensor.buffer) ?? this.#failed.get(tensor);
  }

  /** A buffer, whose memory may turn out to be missing: then `forget` is called. */
  createBuffer(descriptor: GPUBufferDescriptor, forget: () => void = () => {}): GPUBuffer {
    const [buffer, error] = scoped(this.#device, 'out-of-memory', () =>
      this.#device.createBuffer(descriptor),
    );
    const check = error.then((cause) => {
      if (!cause) return undefined;
      const failure = new NormError(
        'out-of-memory',
        `No memory for ${descriptor.size} bytes (${descriptor.label}).`,
        'Free tensors and make it again.',
        cause,
      );
      this.raiseEpoch();
      this.#unusable.set(buffer, failure);
      forget();
      return failure;
    });
    this.checking(check);
    return buffer;
  }

  /** Binds the buffer in a group of its own: the only question that WebGPU answers about a buffer's device. */
  checkDevice(buffer: GPUBuffer): void {
    if (this.#probed.has(buffer)) return;
    this.#probed.add(buffer);
    this.#probeLayout ??= this.#device.createBindGroupLayout({
      label: 'probe',
      entries: [{ binding: 0, visibility: ShaderStage.COMPUTE, buffer: { type: 'read-only-storage' } }],
    });
    const layout = this.#probeLayout;
    const foreign = (cause: unknown) => {
      const failure = new NormError(
        'wrong-device',
        'A wrapped buffer belongs to another device.',
        'Wrap it in a context of its own device: init({ device }).',
        cause,
      );
      this.raiseEpoch();
      this.#unusable.set(buffer, failure);
    };
    const [, error] = scoped(this.#device, 'validation', () => {
      try {
        const entries = [{ binding: 0, resource: { buffer, size: 4 } }];
        this.#device.createBindGroup({ label: 'probe', layout, entries });
      } catch (cause) {
        foreign(cause); // some implementations throw
      }
    });
    this.#watch.add(
      error.then((cause) => {
        if (cause) foreign(cause);
        return undefined;
      }),
    );
  }
}

/** WebGPU's refusal of commands. */
export function validationError(label: string, cause: GPUError): NormError {
  return new NormError(
    'validation',
    `WebGPU refused the commands of ${label}: ${cause.message}`,
    'Check that no buffer or encoder given to it was destroyed, mapped or finished.',
    cause,
  );
}
