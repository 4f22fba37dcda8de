import { NormError } from '../gpu/errors.ts';
import { type Bound, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { noteChange, Replay } from '../gpu/replay.ts';
import { type FloatDType, sizesOf, type Tensor } from '../gpu/tensor.ts';
import type { Activation } from '../kernels/activation.ts';
import { checkLike, floatDType, type Like } from '../ops/check.ts';
import type { CallOptions } from '../ops/descriptors.ts';
import { checkActivation } from '../ops/epilogue.ts';
import {
  type BackwardResult,
  type BothCalls,
  checkParameters,
  type NormCall,
  type RunningTensors,
} from '../ops/norm.ts';
import { type NormBackwardOptions, normBackward } from '../ops/norm-backward.ts';
import {
  checkRunning,
  type NormForwardOptions,
  type NormForwardResult,
  normForward,
} from '../ops/norm-forward.ts';
import { prepareNorm, scratchBytesOf } from '../ops/prepare-norm.ts';
import { checkRanges } from '../ops/shared-buffers.ts';
import type { ScheduleOptions } from '../plan/strategy.ts';
import { LastForward } from './last-forward.ts';
import { Module, type PassOptions } from './module.ts';
import type { Parameter } from './parameter.ts';
import { Reusable } from './reusable.ts';

/** What may follow a norm in the same pass. */
export interface EpilogueModuleOptions {
  /** Default 'none'. */
  activation?: Activation | undefined;
  /** Factor of negative values, for 'leakyRelu'. Default 0.01. */
  negativeSlope?: number | undefined;
}

/** @internal */
export const epilogueModuleNames = {
  activation: 'string',
  negativeSlope: 'number',
} as const satisfies OptionNames<EpilogueModuleOptions>;

/** Options of a module's forward. */
export interface ForwardOptions extends PassOptions {
  /**
   * Like x; added to the norm's result, before the activation. backwardResidual then gives its gradient.
   */
  residual?: Tensor | undefined;
  /**
   * Like x; its activation, which is then the module's, multiplies the norm's result: {@link GateOptions}. backwardGate then gives its
   * gradient. Not beside a residual.
   */
  gate?: Tensor | undefined;
  schedule?: ScheduleOptions | undefined;
  /** Of y, as the function has it; backward then takes a dy of that type. Not beside a residual. Default: that of x. */
  yDtype?: FloatDType | undefined;
}

/** @internal */
export const forwardNames = {
  ...recordNames,
  out: 'tensor',
  outSum: 'tensor',
  residual: 'tensor',
  gate: 'tensor',
  schedule: 'other',
  yDtype: 'string',
} as const satisfies OptionNames<ForwardOptions & { outSum?: Tensor }>;

/** Options of a module's backward. */
export interface ModuleBackwardOptions extends PassOptions {
  /** Gradient of the residual sum, after `forwardResidual`; added to dx. */
  dsum?: Tensor | undefined;
  schedule?: ScheduleOptions | undefined;
}

/** Options of a module's backwardResidual. */
export interface ResidualBackwardOptions extends Omit<ModuleBackwardOptions, 'dsum'> {
  /** dresidual is written here instead of to a new tensor. Not without an activation. */
  outResidual?: Tensor | undefined;
}

/** Options of a module's backwardGate. */
export interface GateBackwardOptions extends Omit<ModuleBackwardOptions, 'dsum'> {
  /** dgate is written here instead of to a new tensor. */
  outGate?: Tensor | undefined;
}

type AnyBackwardOptions = ModuleBackwardOptions & ResidualBackwardOptions & GateBackwardOptions;

/** @internal */
export const backwardNames = {
  ...recordNames,
  out: 'tensor',
  outResidual: 'tensor',
  outGate: 'tensor',
  dsum: 'tensor',
  schedule: 'other',
} as const satisfies OptionNames<AnyBackwardOptions>;

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
  /** Of y and dy. Default: that of the input. */
  yDtype?: FloatDType | undefined;
}

const prepareNames = {
  dtype: 'string',
  residual: 'string',
  schedule: 'other',
  yDtype: 'string',
} as const satisfies OptionNames<ModulePrepareOptions>;

/** @internal What forward keeps for backward. The statistics are the module's; x is the caller's. */
export interface Saved {
  call: BothCalls;
  x: Tensor;
  mean: Tensor | undefined;
  rstd: Tensor;
  residual: Tensor | undefined;
  gate?: Tensor | undefined;
  /** Undefined where it is that of x. */
  yDtype?: FloatDType | undefined;
}

/** A pass, to be recorded again. */
interface Recorded<Result> {
  bound: Bound;
  result: Result;
}

/**
 * A norm with parameters. forward keeps its input (by reference) and its statistics until the next forward or
 * destroy(); backward uses those of the last forward and adds to the gradients of the parameters.
 */
export abstract class NormModule extends Module {
  /** What follows the norm. */
  readonly activation: Activation;
  /** Of leakyRelu. */
  readonly negativeSlope: number;
  readonly #last = new LastForward<Saved>();
  readonly #means = new Reusable(this.gpu);
  readonly #rstds = new Reusable(this.gpu);
  #replicas = 1;
  readonly #forwards = new Replay<Recorded<NormForwardResult> & { saved: Saved }>(({ bound }) => [
    bound.current,
    ...this.#state(),
  ]);
  readonly #backwards = new Replay<Recorded<BackwardResult>>(({ bound }) => [
    bound.current,
    ...this.#state(),
    ...(this.weight?.state() ?? [null]),
    ...(this.bias?.state() ?? [null]),
  ]);
  /** The output for which an input was last found acceptable. */
  readonly #accepted = new Replay<{ out: Tensor | undefined }>(({ out }) => [
    ...this.#state(),
    ...[out, ...this.registeredTensors()].map((tensor) => tensor?.destroyed),
  ]);

  constructor(gpu: Gpu, { activation = 'none', negativeSlope = 0.01 }: EpilogueModuleOptions = {}) {
    super(gpu);
    checkActivation(activation, negativeSlope);
    this.activation = activation;
    this.negativeSlope = negativeSlope;
  }

  /** γ, or null without elementwise affine. Assigning registers another. */
  get weight(): Parameter | null {
    return this.parameterOf('weight');
  }

  set weight(parameter: Parameter | null) {
    this.registerParameter('weight', parameter);
  }

  /** β, or null, likewise. */
  get bias(): Parameter | null {
    return this.parameterOf('bias');
  }

  set bias(parameter: Parameter | null) {
    this.registerParameter('bias', parameter);
  }

  /** @internal How many inputs like x are normalized together: SyncBatchNorm's. */
  get replicas(): number {
    return this.#replicas;
  }

  set replicas(count: number) {
    if (count !== this.#replicas) noteChange();
    this.#replicas = count;
  }

  /** All that passes of this module depend on beside their arguments and the running key. */
  #state(): readonly unknown[] {
    return [this.gpu.faults.epoch, this.#replicas, ...this.registeredTensors()];
  }

  /** @internal How this module sees a tensor of that shape. Throws `shape` if it cannot. */
  protected abstract describe(shape: readonly number[]): BothCalls;

  /** @internal The running statistics that a described call updates or uses. */
  protected running(_: NormCall): RunningTensors | undefined {
    return undefined;
  }

  /** @internal A value that differs wherever what forward does with running statistics does; undefined without any. */
  protected runningKey(): unknown {
    return undefined;
  }

  /**
   * y = activation(norm(x) + residual), shape of x, and its dtype unless `yDtype` is another.
   *
   * @throws NormError as the function of the same name.
   */
  override forward(x: Tensor, options: ForwardOptions = {}): Tensor {
    this.checkOwn();
    return this.#forward(x, undefined, options).y;
  }

  /**
   * Backward of the last forward: dx, shape and dtype of x. Adds to the gradients of weight and bias, where they require
   * one.
   *
   * @throws NormError `order` before forward, after one with a residual, or a second time after forwards of several
   * inputs, of which the last is kept; `destroyed` if forward's x was destroyed since; as the functions.
   */
  override backward(dy: Tensor, options: ModuleBackwardOptions = {}): Tensor {
    this.checkOwn();
    return this.#backward(this.#savedWithout(), dy, options).dx;
  }

  /** The last forward, which had neither residual nor gate. Throws `order` unless there is one. */
  #savedWithout(): Saved {
    const saved = this.lastForward();
    if (!saved.residual && !saved.gate) return saved;
    const [what, method] = saved.gate ? ['gate', 'backwardGate'] : ['residual', 'backwardResidual'];
    throw new NormError(
      'order',
      `forward() had a ${what}, whose gradient backward() would lose.`,
      `Call ${method}().`,
    );
  }

  /**
   * Backward of a forward with a residual: dx and, likewise, dresidual. Without an activation dresidual is dy itself.
   *
   * @throws NormError `order` before such a forward; else as {@link backward}.
   */
  backwardResidual(dy: Tensor, options: ResidualBackwardOptions = {}): { dx: Tensor; dresidual: Tensor } {
    const saved = this.lastForward();
    if (!saved.residual) {
      throw new NormError('order', 'The last forward() had no residual.', 'Call backward().');
    }
    const { dx, dresidual } = this.#backward(saved, dy, options);
    return { dx, dresidual: dresidual as Tensor };
  }

  /**
   * Backward of a forward with a gate: dx and the gradient of the gate, both like x.
   *
   * @throws NormError `order` before such a forward; else as {@link backward}.
   */
  backwardGate(dy: Tensor, options: GateBackwardOptions = {}): { dx: Tensor; dgate: Tensor } {
    const saved = this.lastForward();
    if (!saved.gate) throw new NormError('order', 'The last forward() had no gate.', 'Call backward().');
    const { dx, dgate } = this.#backward(saved, dy, options);
    return { dx, dgate: dgate as Tensor };
  }

  protected override accepts(input: Like, out?: Tensor): readonly number[] | null {
    const own = this.forward === NormModule.prototype.forward;
    return own ? this.acceptsInput(input, out) : super.accepts(input);
  }

  /** @internal What forward of a norm accepts, whoever calls it. */
  acceptsInput(input: Like, out?: Tensor): readonly number[] {
    const weight = this.weight?.data;
    const bias = this.bias?.data;
    const { shape, dtype } = input;
    const key = [shape, out, this.runningKey(), { dtype }] as const;
    if (this.#accepted.find(...key)) return shape;
    const call = this.describe(shape);
    const running = this.running(call);
    checkRanges(this.gpu, { weight, bias, ...running }, { 'out.y': out });
    checkRunning(call, running);
    checkParameters(call, input, weight, bias);
    checkLike({ 'out.y': out }, input);
    this.#accepted.keep(...key, { out });
    return shape;
  }

  protected override acceptsBackward(output: Like, out?: Tensor): void {
    if (this.backward === NormModule.prototype.backward) this.acceptsGradient(output, out);
  }

  /** @internal What backward of a norm accepts, likewise. */
  acceptsGradient(output: Like, out?: Tensor): void {
    const { x, mean, rstd, yDtype = x.dtype } = this.#savedWithout();
    this.gpu.checkUsable(x, 'x');
    const inputs = { x, weight: this.weight?.data, mean, rstd };
    checkRanges(this.gpu, inputs, { 'out.dx': out });
    checkLike({ dy: output }, { shape: x.shape, dtype: yDtype });
    checkLike({ 'out.dx': out }, x);
  }

  /** @internal What backward goes with. Throws `order` before forward. */
  lastForward(): Saved {
    this.checkUsable();
    return this.#last.get();
  }

  /** @internal backward is to go with this; with nothing, if null. */
  keepForward(saved: Saved | null): void {
    this.#last.keep(saved);
  }

  #backward(saved: Saved, dy: Tensor, options: AnyBackwardOptions) {
    const known = options?.out && this.#backwards.find(dy, saved, undefined, options);
    if (known && !(options.encoder && options.pass)) {
      known.bound.record(options);
      this.keepGradients(options);
      return known.result;
    }
    checkOptions('backward', options, backwardNames);
    const { out, outResidual, outGate, dsum, ...rest } = options;
    this.gpu.checkUsable(saved.x, 'x', true);
    let bound: Bound | undefined;
    const result = normBackward(this.gpu, saved.call, dy, saved.x, saved.mean, dsum, this.bias !== null, {
      ...rest,
      ...this.backwardOptions(saved, out, outResidual, outGate),
      keeps: 'x',
      keepBound: (one) => {
        bound = one;
      },
    });
    this.keepGradients(options);
    if (bound) this.#backwards.keep(dy, saved, undefined, options, { bound, result });
    else this.#backwards.forget();
    return result;
  }

  /** @internal What backward tells the function, and where it writes. */
  backwardOptions(saved: Saved, dx?: Tensor, dresidual?: Tensor, dgate?: Tensor): NormBackwardOptions {
    const { weight, bias } = this;
    return {
      weight: weight?.data,
      rstd: saved.rstd,
      yDtype: saved.yDtype,
      epilogue: this.#epilogue(saved.residual, saved.gate, bias?.data ?? null),
      wants: this.#wants(),
      accumulate: true,
      out: { dx, dresidual, dgate },
      newDweight: () => (weight as Parameter).takeGradient(),
      newDbias: () => (bias as Parameter).takeGradient(),
    };
  }

  /** @internal backward has gone with the last forward, and the gradients of the parameters are written. */
  keepGradients(target: RecordOptions): void {
    this.#last.answer();
    const wants = this.#wants();
    if (wants.dweight) this.weight?.keepGradient(target);
    if (wants.dbias) this.bias?.keepGradient(target);
  }

  /**
   * Compiles the pipelines that forward and backward need for that shape, without blocking, so that recording never
   * stalls.
   */
  override async prepare(shape: readonly number[], options: ModulePrepareOptions = {}): Promise<void> {
    this.checkUsable();
    checkOptions('prepare', options, prepareNames);
    await prepareNorm(this.gpu, this.describe(sizesOf(shape)), this.prepareOptions(options));
  }

  /** Bytes of scratch that forward or backward of that shape needs, whichever needs more. */
  workspaceBytes(shape: readonly number[], options: ModulePrepareOptions = {}): number {
    this.checkUsable();
    checkOptions('workspaceBytes', options, prepareNames);
    return scratchBytesOf(this.gpu, this.describe(sizesOf(shape)), this.prepareOptions(options));
  }

  override destroy(): void {
    this.checkOwn();
    this.#last.keep(null);
    this.#forwards.forget();
    this.#backwards.forget();
    this.#accepted.forget();
    this.#means.destroy();
    this.#rstds.destroy();
    super.destroy();
  }

  /** forward of x + residual, for modules that have it. */
  protected addForward(x: Tensor, residual: Tensor, options: ForwardOptions & { outSum?: Tensor }) {
    this.checkOwn();
    const { y, sum } = this.#forward(x, residual, options);
    return { y, sum: sum as Tensor };
  }

  #forward(x: Tensor, addend: Tensor | undefined, options: ForwardOptions & { outSum?: Tensor }) {
    const known = options?.out && this.#forwards.find(x, addend, this.runningKey(), options);
    if (known && !(options.encoder && options.pass)) {
      known.bound.record(options);
      this.#last.keep(known.saved);
      return known.result;
    }
    checkOptions('forward', options, forwardNames);
    const { out, outSum, residual, gate, schedule, yDtype } = options;
    this.checkUsable();
    // Whether it may have strides is known behind its shape.
    this.gpu.checkUsable(x, 'x', true);
    const call = this.describe(x.shape);
    this.gpu.checkUsable(x, 'x', call.strided);
    if (addend) this.gpu.checkUsable(addend, 'residual', call.strided);
    let bound: Bound | undefined;
    const result = normForward(this.gpu, call, x, addend, this.bias?.data, {
      encoder: options.encoder,
      pass: options.pass,
      schedule,
      yDtype,
      ...this.forwardOptions(residual, out, outSum, gate),
      running: this.running(call),
      keepsInputs: true,
      keepBound: (one) => {
        bound = one;
      },
    });
    const rstd = result.rstd as Tensor; // statistics are wanted
    const saved = { call, x: result.sum ?? x, mean: result.mean, rstd, residual, gate, yDtype };
    this.#last.keep(saved);
    if (bound?.current) this.#forwards.keep(x, addend, this.runningKey(), options, { bound, result, saved });
    else this.#forwards.forget();
    return result;
  }

  /** @internal What forward tells the function, and where it writes. */
  forwardOptions(
    residual: Tensor | undefined,
    out: Tensor | undefined,
    outSum?: Tensor | undefined,
    gate?: Tensor | undefined,
  ): NormForwardOptions {
    return {
      epilogue: this.#epilogue(residual, gate),
      weight: this.weight?.data,
      out: { ...(out ? { y: out } : {}), ...(outSum ? { sum: outSum } : {}) },
      newMean: (shape) => this.#means.take(shape),
      newRstd: (shape) => this.#rstds.take(shape),
    };
  }

  #epilogue(residual: Tensor | undefined, gate?: Tensor, bias?: Tensor | null) {
    const { activation, negativeSlope } = this;
    return { residual, gate, activation, negativeSlope, bias };
  }

  #wants() {
    return { dweight: this.weight?.requiresGrad === true, dbias: this.bias?.requiresGrad === true };
  }

  /** @internal What prepare tells the function. */
  prepareOptions(options: ModulePrepareOptions): CallOptions {
    const { weight, bias, activation, negativeSlope } = this;
    const parameter = weight ?? bias;
    return {
      ...options,
      paramDtype: parameter ? floatDType(parameter.data, 'weight') : options.dtype,
      weight: weight !== null,
      bias: bias !== null,
      activation,
      negativeSlope,
      wants: this.#wants(),
    };
  }
}
