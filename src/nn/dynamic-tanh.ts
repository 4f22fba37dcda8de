import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { scratchBytes } from '../gpu/program.ts';
import { shown } from '../gpu/shown.ts';
import { type FloatDType, sizesOf, type Tensor } from '../gpu/tensor.ts';
import { checkLike, type Like } from '../ops/check.ts';
import {
  dynamicTanh,
  recordTanhBackward,
  tanhBackwardDescriptor,
  tanhBackwardProgram,
  tanhCall,
  tanhForwardProgram,
} from '../ops/dynamic-tanh.ts';
import { normalizedSizes } from '../ops/normalized.ts';
import { checkRanges } from '../ops/shared-buffers.ts';
import { LastForward } from './last-forward.ts';
import { Module, type PassOptions, passNames } from './module.ts';
import type { Parameter } from './parameter.ts';

/** Options of {@link DynamicTanh}. */
export interface DynamicTanhModuleOptions {
  /** What alpha is at first. Default 0.5. */
  alphaInitValue?: number | undefined;
  /** Of the parameters. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

const names = {
  alphaInitValue: 'number',
  dtype: 'string',
} as const satisfies OptionNames<DynamicTanhModuleOptions>;
const prepareNames = { dtype: 'string' } as const;

/**
 * DyT, which takes the place of a LayerNorm: see {@link dynamicTanh} for the formula. Names, defaults and the keys of the state are those of
 * the authors' DynamicTanh (https://github.com/jiachenzhu/DyT): `alpha` [1], `weight` and `bias`. forward keeps its input (by reference) until
 * the next forward or destroy(); backward uses that of the last forward and adds to the gradients of the parameters.
 *
 * @example
 * ```ts
 * const norm = new DynamicTanh(gpu, 768);
 * const y = norm.forward(x);
 * const dx = norm.backward(dy);
 * ```
 */
export class DynamicTanh extends Module {
  readonly normalizedShape: readonly number[];
  readonly #last = new LastForward<{ x: Tensor }>();

  /**
   * @param normalizedShape - the trailing sizes that weight and bias have; a number stands for one size.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, normalizedShape: number | ArrayLike<number>, options: DynamicTanhModuleOptions = {}) {
    checkOptions('DynamicTanh', options, names);
    super(gpu);
    const { alphaInitValue = 0.5, dtype = 'f32' } = options;
    if (!Number.isFinite(alphaInitValue)) {
      throw new NormError(
        'value',
        `alphaInitValue is ${shown(alphaInitValue)}.`,
        'Use a finite number such as 0.5.',
      );
    }
    this.normalizedShape = normalizedSizes(normalizedShape);
    this.alpha = this.register('alpha', [1], dtype, alphaInitValue);
    this.weight = this.register('weight', this.normalizedShape, dtype, 1);
    this.bias = this.register('bias', this.normalizedShape, dtype, 0);
  }

  /** α, [1]. Assigning registers another. */
  get alpha(): Parameter | null {
    return this.parameterOf('alpha');
  }

  set alpha(parameter: Parameter | null) {
    this.registerParameter('alpha', parameter);
  }

  /** γ, or null. Assigning registers another. */
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

  /**
   * y, shape and dtype of x.
   *
   * @throws NormError as {@link dynamicTanh}.
   */
  override forward(x: Tensor, options: PassOptions = {}): Tensor {
    this.checkUsable();
    checkOptions('forward', options, passNames);
    const { out, ...target } = options;
    const { y } = dynamicTanh(this.gpu, x, { ...this.#parameters(), ...target, out: { y: out } });
    this.#last.keep({ x });
    return y;
  }

  /**
   * Backward of the last forward: dx, shape and dtype of x. Adds to the gradients of alpha, weight and bias, where they require one.
   *
   * @throws NormError `order` before forward, or a second time after forwards of several inputs; `destroyed` if forward's x was destroyed
   * since; as the functions.
   */
  override backward(dy: Tensor, options: PassOptions = {}): Tensor {
    this.checkUsable();
    checkOptions('backward', options, passNames);
    const { out, ...target } = options;
    const { x } = this.#last.get();
    const wants = this.#wants();
    const taken = (wanted: boolean, parameter: Parameter | null) =>
      wanted ? parameter?.takeGradient() : undefined;
    const { dx } = recordTanhBackward(
      this.gpu,
      dy,
      x,
      { ...this.#parameters(), ...target, wants, accumulate: true, out: { dx: out } },
      () => ({
        dalpha: taken(wants.dalpha, this.alpha),
        dweight: taken(wants.dweight, this.weight),
        dbias: taken(wants.dbias, this.bias),
      }),
    );
    this.#last.answer();
    if (wants.dalpha) this.alpha?.keepGradient(target);
    if (wants.dweight) this.weight?.keepGradient(target);
    if (wants.dbias) this.bias?.keepGradient(target);
    return dx;
  }

  protected override accepts(input: Like, out?: Tensor): readonly number[] | null {
    if (this.forward !== DynamicTanh.prototype.forward) return super.accepts(input);
    checkRanges(this.gpu, this.#parameters(), { 'out.y': out });
    tanhCall(input, this.#parameters());
    checkLike({ 'out.y': out }, input);
    return input.shape;
  }

  protected override acceptsBackward(output: Like, out?: Tensor): void {
    if (this.backward !== DynamicTanh.prototype.backward) return;
    const { x } = this.#last.get();
    this.gpu.checkUsable(x, 'x');
    checkRanges(this.gpu, { x, ...this.#parameters() }, { 'out.dx': out });
    checkLike({ dy: output, 'out.dx': out }, x);
  }

  /** Compiles the pipelines that forward and backward need for that shape, without blocking. */
  override async prepare(
    shape: readonly number[],
    options: { dtype?: FloatDType | undefined } = {},
  ): Promise<void> {
    await Promise.all(this.#programs('prepare', shape, options).map((program) => this.gpu.prepare(program)));
  }

  /** Bytes of scratch that backward of that shape needs; forward needs none. */
  workspaceBytes(shape: readonly number[], options: { dtype?: FloatDType | undefined } = {}): number {
    return Math.max(...this.#programs('workspaceBytes', shape, options).map(scratchBytes));
  }

  override destroy(): void {
    this.#last.keep(null);
    super.destroy();
  }

  #parameters() {
    const { alpha, weight, bias } = this;
    return { alpha: alpha?.data as Tensor, weight: weight?.data, bias: bias?.data };
  }

  #wants() {
    const wanted = (parameter: Parameter | null) => parameter?.requiresGrad === true;
    return { dalpha: wanted(this.alpha), dweight: wanted(this.weight), dbias: wanted(this.bias) };
  }

  #programs(name: string, shape: readonly number[], options: { dtype?: FloatDType | undefined }) {
    this.checkUsable();
    checkOptions(name, options, prepareNames);
    const parameters = this.#parameters();
    const call = tanhCall({ shape: sizesOf(shape), dtype: options.dtype ?? 'f32' }, parameters);
    const d = tanhBackwardDescriptor(call, { ...parameters, wants: this.#wants(), accumulate: true });
    return [tanhForwardProgram(this.gpu, call, parameters), tanhBackwardProgram(this.gpu, d)];
  }
}
