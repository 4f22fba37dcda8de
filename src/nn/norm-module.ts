import { NormError } from '../gpu/errors.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { floatDType } from '../ops/check.ts';
import {
  type NormCall,
  normBackward,
  normForward,
  prepareNorm,
  type RunningTensors,
  scratchBytesOf,
} from '../ops/norm.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import { Module, type PassOptions } from './module.ts';
import type { Parameter } from './parameter.ts';
import { Reusable } from './reusable.ts';

/** Options of a module's forward. */
export interface ForwardOptions extends PassOptions {
  schedule?: ScheduleOptions | undefined;
}

/** Options of a module's backward. */
export interface ModuleBackwardOptions extends PassOptions {
  /** Gradient of the residual sum, after `forwardResidual`; added to dx. */
  dsum?: Tensor | undefined;
  schedule?: ScheduleOptions | undefined;
}

/** What a module is told of a call to come. */
export interface ModulePrepareOptions {
  /** Of the input. Default 'f32'. */
  dtype?: FloatDType | undefined;
  /**
   * Whether the call is forwardResidual, and backward gets dsum (`before`), or forward gets a residual (`after`).
   * Default 'none'.
   */
  residual?: 'none' | 'before' | 'after' | undefined;
  schedule?: ScheduleOptions | undefined;
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
  readonly #means = new Reusable(this.gpu);
  readonly #rstds = new Reusable(this.gpu);

  /** @internal How this module sees a tensor of that shape. Throws `shape` if it cannot. */
  protected abstract describe(shape: readonly number[]): NormCall;

  /** @internal The running statistics that a described call updates or uses. */
  protected running(_: NormCall): RunningTensors | undefined {
    return undefined;
  }

  /**
   * y = norm(x), shape and dtype of x.
   *
   * @throws NormError as the function of the same name.
   */
  override forward(x: Tensor, options: ForwardOptions = {}): Tensor {
    return this.#forward(x, undefined, options).y;
  }

  /**
   * Backward of the last forward: dx, shape and dtype of x. Adds to the gradients of weight and bias, where they require
   * one.
   *
   * @throws NormError `order` before forward; `destroyed` if forward's x was destroyed since; as the functions.
   */
  override backward(dy: Tensor, { out, dsum, ...rest }: ModuleBackwardOptions = {}): Tensor {
    this.checkUsable();
    const saved = this.#saved;
    if (!saved) {
      throw new NormError('order', 'backward() was called before forward().', 'Call forward() first.');
    }
    const { weight, bias } = this;
    const wants = this.#wants();
    const accumulates = (parameter: Parameter | null) => parameter !== null && parameter.grad !== null;
    const { dx } = normBackward(this.gpu, saved.call, dy, saved.x, saved.mean, dsum, bias !== null, {
      ...rest,
      weight: weight?.data,
      rstd: saved.rstd,
      wants,
      accumulate: { dweight: accumulates(weight), dbias: accumulates(bias) },
      out: { dx: out },
      newDweight: () => (weight as Parameter).takeGradient(),
      newDbias: () => (bias as Parameter).takeGradient(),
    });
    if (wants.dweight) weight?.keepGradient();
    if (wants.dbias) bias?.keepGradient();
    return dx;
  }

  /**
   * Compiles the pipelines that forward and backward need for that shape, without blocking, so that recording never
   * stalls.
   */
  override async prepare(shape: readonly number[], options: ModulePrepareOptions = {}): Promise<void> {
    this.checkUsable();
    const call = this.describe(shape);
    const common = { ...options, ...this.#parameterFacts(options.dtype) };
    await Promise.all([
      prepareNorm(this.gpu, call, { ...common, accumulate: false }),
      prepareNorm(this.gpu, call, { ...common, accumulate: true }),
    ]);
  }

  /** Bytes of scratch that forward or backward of that shape needs, whichever needs more. */
  workspaceBytes(shape: readonly number[], options: ModulePrepareOptions = {}): number {
    return scratchBytesOf(this.gpu, this.describe(shape), {
      ...options,
      ...this.#parameterFacts(options.dtype),
    });
  }

  override destroy(): void {
    this.#saved = null;
    this.#means.destroy();
    this.#rstds.destroy();
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
      newMean: (shape) => this.#means.take(shape),
      newRstd: (shape) => this.#rstds.take(shape),
      running: this.running(call),
    });
    this.#saved = { call, x: result.sum ?? x, mean: result.mean, rstd: result.rstd };
    return result;
  }

  #wants() {
    return { dweight: this.weight?.requiresGrad === true, dbias: this.bias?.requiresGrad === true };
  }

  #parameterFacts(dtype: FloatDType = 'f32') {
    const parameter = this.weight ?? this.bias;
    const paramDtype = parameter ? floatDType(parameter.data, 'weight') : dtype;
    return {
      paramDtype,
      weight: this.weight !== null,
      bias: this.bias !== null,
      wants: this.#wants(),
    };
  }
}
