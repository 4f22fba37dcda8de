import { NormError } from '../gpu/errors.ts';
import type { RecordOptions } from '../gpu/execute.ts';
import type { DType, Tensor } from '../gpu/tensor.ts';
import { type NormCall, normBackward, normForward, prepareNorm, scratchBytesOf } from '../ops/norm.ts';
import type { ScheduleOptions } from '../plan/schedule.ts';
import { Module, type Parameter } from './module.ts';

/** Options of a module's forward. */
export interface ForwardOptions extends RecordOptions {
  /** Written to instead of a new tensor: shape and dtype of x, a GPUBuffer of its own. */
  out?: Tensor;
  schedule?: ScheduleOptions;
}

/** Options of a module's backward. */
export interface ModuleBackwardOptions extends RecordOptions {
  /** dx is written here instead of to a new tensor. */
  out?: Tensor;
  /** Gradient of the residual sum, after `forwardResidual`; added to dx. */
  dsum?: Tensor;
  schedule?: ScheduleOptions;
}

/** What forward keeps for backward. The statistics are the module's; x is the caller's. */
interface Saved {
  call: NormCall;
  x: Tensor;
  mean: Tensor | undefined;
  rstd: Tensor;
}

/**
 * A norm with parameters. forward keeps its input (by reference) and its statistics until the next forward or
 * destroy(); backward uses those of the last forward and adds to the gradients of the parameters.
 */
export abstract class NormModule extends Module {
  /** γ, or null without elementwise affine. */
  weight: Parameter | null = null;
  /** β, or null. */
  bias: Parameter | null = null;
  #saved: Saved | null = null;

  /** How this module sees a tensor of that shape. Throws `shape` if it cannot. */
  protected abstract describe(shape: readonly number[]): NormCall;

  /**
   * y = norm(x), shape and dtype of x.
   *
   * @throws NormError as the function of the same name.
   */
  forward(x: Tensor, options: ForwardOptions = {}): Tensor {
    return this.#forward(x, undefined, options).y;
  }

  /**
   * Backward of the last forward: dx, shape and dtype of x. Adds to the gradients of weight and bias.
   *
   * @throws NormError `order` before forward; `destroyed` if forward's x was destroyed since; as the functions.
   */
  backward(dy: Tensor, { out, dsum, encoder, pass, schedule }: ModuleBackwardOptions = {}): Tensor {
    this.checkUsable();
    const saved = this.#saved;
    if (!saved) {
      throw new NormError('order', 'backward() was called before forward().', 'Call forward() first.');
    }
    // Gradients appear only once all arguments are known to be good: a failed call changes nothing.
    this.gpu.checkUsable(dy, 'dy');
    const { weight, bias } = this;
    const first = weight ?? bias;
    const fresh = [weight, bias].filter((p) => p && p.grad === null);
    const gradients = { weight: weight?.gradient(), bias: bias?.gradient() };
    const accumulate = gradients.weight?.accumulate ?? gradients.bias?.accumulate ?? false;
    try {
      if (gradients.weight && gradients.bias && gradients.weight.accumulate !== gradients.bias.accumulate) {
        throw new NormError(
          'order',
          'One of the gradients of weight and bias was cleared and the other was not.',
          'Call zeroGrad() on the module.',
        );
      }
      const { dx } = normBackward(this.gpu, saved.call, dy, saved.x, saved.mean, dsum, bias !== null, {
        weight: weight?.data,
        rstd: saved.rstd,
        accumulate: first !== null && accumulate,
        out: {
          ...(out ? { dx: out } : {}),
          ...(gradients.weight ? { dweight: gradients.weight.grad } : {}),
          ...(gradients.bias ? { dbias: gradients.bias.grad } : {}),
        },
        ...(encoder ? { encoder } : {}),
        ...(pass ? { pass } : {}),
        ...(schedule ? { schedule } : {}),
      });
      return dx;
    } catch (error) {
      for (const parameter of fresh) parameter?.zeroGrad();
      throw error;
    }
  }

  /**
   * Compiles the pipelines that forward and backward need for that shape, without blocking, so that recording never
   * stalls.
   */
  async prepare(
    shape: readonly number[],
    options: { dtype?: DType; schedule?: ScheduleOptions } = {},
  ): Promise<void> {
    this.checkUsable();
    const call = this.describe(shape);
    const common = { ...options, ...this.#parameterFacts(options.dtype) };
    await Promise.all([
      prepareNorm(this.gpu, call, { ...common, accumulate: false }),
      prepareNorm(this.gpu, call, { ...common, accumulate: true }),
    ]);
  }

  /** Bytes of scratch that forward or backward of that shape needs, whichever needs more. */
  workspaceBytes(
    shape: readonly number[],
    options: { dtype?: DType; schedule?: ScheduleOptions } = {},
  ): number {
    return scratchBytesOf(this.gpu, this.describe(shape), {
      ...options,
      ...this.#parameterFacts(options.dtype),
    });
  }

  override destroy(): void {
    this.#forget();
    super.destroy();
  }

  /** forward of x + residual, for modules that have it. */
  protected addForward(x: Tensor, residual: Tensor, options: ForwardOptions & { outSum?: Tensor }) {
    const { y, sum } = this.#forward(x, residual, options);
    return { y, sum: sum as Tensor };
  }

  #forward(x: Tensor, residual: Tensor | undefined, options: ForwardOptions & { outSum?: Tensor }) {
    this.checkUsable();
    const { out, outSum, ...rest } = options;
    this.gpu.checkUsable(x, 'x');
    const call = this.describe(x.shape);
    const result = normForward(this.gpu, call, x, residual, this.bias?.data, {
      ...rest,
      weight: this.weight?.data,
      out: { ...(out ? { y: out } : {}), ...(outSum ? { sum: outSum } : {}) },
    });
    this.#forget();
    this.gpu.keep(result.rstd);
    if (result.mean) this.gpu.keep(result.mean);
    this.#saved = { call, x: result.sum ?? x, mean: result.mean, rstd: result.rstd };
    return result;
  }

  #forget(): void {
    this.#saved?.mean?.destroy();
    this.#saved?.rstd.destroy();
    this.#saved = null;
  }

  #parameterFacts(dtype: DType = 'f32') {
    const paramDtype = (this.weight ?? this.bias)?.data.dtype ?? dtype;
    return { paramDtype, weight: this.weight !== null, bias: this.bias !== null };
  }
}
