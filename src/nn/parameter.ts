import { NormError } from '../gpu/errors.ts';
import { checkRecorder, type RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkKind, checkOptions, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import { noteChange } from '../gpu/replay.ts';
import { shown } from '../gpu/shown.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { cast } from '../ops/cast.ts';
import { floatDType } from '../ops/check.ts';
import type { HookHandle } from './hooks.ts';

/** Options of a {@link Parameter}. */
export interface ParameterOptions {
  /** Whether backward passes compute its gradient. Default true. */
  requiresGrad?: boolean | undefined;
  /** See {@link Parameter.sequenceParallel}. Default false. */
  sequenceParallel?: boolean | undefined;
}

/** Options of zeroGrad, of a parameter, a module or an optimizer. */
export interface ZeroGradOptions {
  /** An open command encoder to clear the gradients in. Default: they are cleared on the queue, at once. */
  encoder?: GPUCommandEncoder | undefined;
}

const names = {
  requiresGrad: 'boolean',
  sequenceParallel: 'boolean',
} as const satisfies OptionNames<ParameterOptions>;

const zeroGradNames = { encoder: 'other' } as const satisfies OptionNames<ZeroGradOptions>;

/**
 * Called when a backward pass has added to a parameter's gradient.
 *
 * @param submitted - whether the GPU has been given what adds to it, so that a read-back sees it. False where it is recorded in an
 * encoder of the caller's, and where the module did not say.
 */
export type PostAccumulateGradHook = (parameter: Parameter, submitted: boolean) => void;

/** A learned tensor and its gradient: torch.nn.Parameter. */
export class Parameter {
  /**
   * Whether the ranks of a sequence-parallel group each see a part of the sequence, so that `syncGradients` has to add up
   * their gradients: Megatron-LM's rule for the weights of norms. Default false.
   */
  sequenceParallel: boolean;
  #data: Tensor;
  #gradient: Tensor | null = null;
  #cleared = true;
  #requiresGrad: boolean;
  #hooks: Set<{ hook: PostAccumulateGradHook }> | undefined;

  /**
   * @param data - the values, f32, f16 or bf16; the parameter owns them from now on: destroy() destroys them, and no
   * `gpu.scope` does.
   * @throws NormError `dtype`, `destroyed`.
   */
  constructor(data: Tensor, options: ParameterOptions = {}) {
    checkKind('Parameter', 'data', data, 'tensor');
    checkOptions('Parameter', options, names);
    const { requiresGrad = true, sequenceParallel = false } = options;
    data.gpu.checkUsable(data, 'data');
    floatDType(data, 'data');
    this.#data = data.gpu.keep(data);
    this.#requiresGrad = requiresGrad;
    this.sequenceParallel = sequenceParallel;
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** The values. Another tensor after {@link Module.to}. */
  get data(): Tensor {
    if (!(#data in this)) throw proxied('Parameter');
    return this.#data;
  }

  /** Whether backward passes compute the gradient. Where not, they leave `grad` as it is. */
  get requiresGrad(): boolean {
    if (!(#requiresGrad in this)) throw proxied('Parameter');
    return this.#requiresGrad;
  }

  set requiresGrad(on: boolean) {
    if (!(#requiresGrad in this)) throw proxied('Parameter');
    this.#requiresGrad = on;
    noteChange();
  }

  /**
   * The gradient, like data; null until a backward pass after construction or zeroGrad(). It is the same tensor every
   * time: copy it to keep it beyond the next backward pass.
   */
  get grad(): Tensor | null {
    if (!(#cleared in this)) throw proxied('Parameter');
    return this.#cleared ? null : this.#gradient;
  }

  /**
   * Forgets the gradient, as PyTorch's zero_grad does: `grad` is null, and its tensor is cleared on the GPU. Every backward
   * pass adds to it, so gradients do not depend on the order in which passes are submitted. Passes that were recorded
   * but not yet submitted add after a clearing on the queue: submit them first, or clear in their encoder.
   */
  zeroGrad(options: ZeroGradOptions = {}): void {
    clearGradients(this.data.gpu, [this], options);
  }

  /** @internal Forgets the gradient; returns its tensor, which is to be cleared, if there is one. */
  forgetGradient(): Tensor | undefined {
    this.#cleared = true;
    const gradient = this.#gradient;
    return gradient && !gradient.destroyed && gradient.gpu.intact(gradient) ? gradient : undefined;
  }

  /**
   * For a module's backward: the tensor to add the gradient to, zeros at first. Call {@link keepGradient} once that is
   * recorded.
   */
  takeGradient(): Tensor {
    const { gpu, shape, dtype } = this.#data;
    if (this.#cleared && this.#gradient && !gpu.intact(this.#gradient)) {
      this.#gradient.destroy(); // there was no memory for it, or what should write it was refused
      this.#gradient = null;
    }
    if (!this.#gradient) {
      this.#gradient = gpu.keep(gpu.empty(shape, { dtype }));
      noteChange();
    }
    return this.#gradient;
  }

  /**
   * For a module's backward, after {@link takeGradient}: from now on `grad` is that tensor.
   *
   * @param target - the options that backward was given, with the encoder or pass that it recorded in, if any. With them
   * DistributedDataParallel can send the gradient while backward goes on; without, only when it has ended.
   */
  keepGradient(target?: RecordOptions): void {
    this.#cleared = this.#gradient === null;
    if (!this.#hooks) return;
    const submitted = target !== undefined && !target.encoder && !target.pass;
    for (const { hook } of [...this.#hooks]) hook(this, submitted);
  }

  /**
   * Calls a hook after every backward pass that adds to the gradient, as PyTorch's register_post_accumulate_grad_hook; in the order of
   * their registration.
   *
   * @throws NormError `value` for what is no function.
   *
   * @example
   * const handle = parameter.registerPostAccumulateGradHook(({ grad }) => console.log(grad?.shape));
   * handle.remove();
   */
  registerPostAccumulateGradHook(hook: PostAccumulateGradHook): HookHandle {
    if (!(#data in this)) throw proxied('Parameter');
    checkKind('registerPostAccumulateGradHook', 'hook', hook, 'function');
    const entry = { hook };
    this.#hooks ??= new Set();
    this.#hooks.add(entry);
    return { remove: () => void this.#hooks?.delete(entry) };
  }

  /** @internal What a backward pass depends on: what a {@link Replay} compares. */
  state(): readonly unknown[] {
    return [this, this.#data, this.#gradient, this.#requiresGrad];
  }

  /** @internal Other values in place of these, which are freed together with their gradient. */
  replace(data: Tensor): void {
    this.destroy();
    this.#data = data.gpu.keep(data);
    noteChange();
  }

  /** Frees the values and the gradient. Idempotent, so that modules can share a parameter. */
  destroy(): void {
    this.data.destroy();
    this.#gradient?.destroy();
    this.#gradient = null;
    this.#cleared = true;
  }
}

/** @internal zeroGrad of many parameters, in one submit. */
export function clearGradients(
  gpu: Gpu,
  parameters: Iterable<Parameter>,
  options: ZeroGradOptions = {},
): void {
  checkOptions('zeroGrad', options, zeroGradNames);
  checkRecorder(options);
  const { encoder } = options;
  gpu.checkAlive();
  const gradients = [...parameters].flatMap((parameter) => parameter.forgetGradient() ?? []);
  if (gradients.length === 0) return;
  const clear = (target: GPUCommandEncoder) => {
    for (const { buffer } of gradients) target.clearBuffer(buffer);
  };
  if (encoder) {
    clear(encoder);
    return;
  }
  const label = 'zero_grad';
  gpu.faults.submitting(label, gradients, () => {
    const own = gpu.device.createCommandEncoder({ label });
    clear(own);
    gpu.device.queue.submit([own.finish({ label })]);
  });
}

/** @internal Throws `value` unless it is a Parameter, or a Proxy of one. */
export function checkParameter(parameter: Parameter, fix: string): void {
  if (parameter instanceof Parameter) return;
  throw new NormError('value', `${shown(parameter)} is no Parameter.`, fix);
}

/** @internal Converts the parameters of another dtype: all of them, or none where one cannot be. */
export function convertParameters(gpu: Gpu, parameters: readonly Parameter[], dtype: FloatDType): void {
  const others = parameters.filter(({ data }) => data.dtype !== dtype);
  const converted: Tensor[] = [];
  try {
    for (const { data } of others) converted.push(cast(gpu, data, dtype));
  } catch (error) {
    for (const tensor of converted) tensor.destroy();
    throw error;
  }
  others.forEach((parameter, i) => {
    parameter.replace(converted[i] as Tensor);
  });
}
