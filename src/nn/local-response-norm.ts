import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { scratchBytes } from '../gpu/program.ts';
import { type FloatDType, sizesOf, type Tensor } from '../gpu/tensor.ts';
import { checkLike, floatDType, type Like } from '../ops/check.ts';
import {
  checkLocalResponseNorm,
  localResponseNorm,
  localResponseNormBackward,
  localResponseNormProgram,
} from '../ops/local-response-norm.ts';
import { checkRanges } from '../ops/shared-buffers.ts';
import type { Layout } from '../plan/geometry.ts';
import { LastForward } from './last-forward.ts';
import { Module, type PassOptions, passNames } from './module.ts';

/** Options of {@link LocalResponseNorm}. */
export interface LocalResponseNormModuleOptions {
  /** Factor of the window's sum of squares, which is divided by size. Default 1e-4. */
  alpha?: number | undefined;
  /** Exponent of the denominator. Default 0.75. */
  beta?: number | undefined;
  /** Added to the window's share. Default 1. */
  k?: number | undefined;
  /** Of the inputs. Default 'channels-first'. */
  layout?: Layout | undefined;
}

const names = {
  alpha: 'number',
  beta: 'number',
  k: 'number',
  layout: 'string',
} as const satisfies OptionNames<LocalResponseNormModuleOptions>;
const prepareNames = { dtype: 'string' } as const;

/**
 * torch.nn.LocalResponseNorm: see {@link localResponseNorm} for the formula. It has no parameters. forward keeps its
 * input (by reference) until the next forward or destroy(); backward uses that of the last forward.
 */
export class LocalResponseNorm extends Module {
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
  readonly k: number;
  readonly layout: Layout;
  readonly #last = new LastForward<{ x: Tensor }>();

  /**
   * @param size - channels in a window, an integer ≥ 1.
   * @throws NormError `value`.
   */
  constructor(gpu: Gpu, size: number, options: LocalResponseNormModuleOptions = {}) {
    checkOptions('LocalResponseNorm', options, names);
    super(gpu);
    const settings = checkLocalResponseNorm({ size, ...options });
    this.size = settings.size;
    this.alpha = settings.alpha;
    this.beta = settings.beta;
    this.k = settings.k;
    this.layout = settings.layout;
  }

  /**
   * y, shape and dtype of x.
   *
   * @throws NormError as {@link localResponseNorm}.
   */
  override forward(x: Tensor, options: PassOptions = {}): Tensor {
    this.checkUsable();
    checkOptions('forward', options, passNames);
    const { out, ...target } = options;
    const { y } = localResponseNorm(this.gpu, x, { ...this.#settings(), ...target, out: { y: out } });
    this.#last.keep({ x });
    return y;
  }

  /**
   * Backward of the last forward: dx, shape and dtype of x.
   *
   * @throws NormError `order` before forward, or a second time after forwards of several inputs; `destroyed` if forward's x was destroyed since; as the functions.
   */
  override backward(dy: Tensor, given: PassOptions = {}): Tensor {
    this.checkUsable();
    checkOptions('backward', given, passNames);
    const { out, ...target } = given;
    const { x } = this.#last.get();
    const options = { ...this.#settings(), ...target, out: { dx: out } };
    const { dx } = localResponseNormBackward(this.gpu, dy, x, options);
    this.#last.answer();
    return dx;
  }

  protected override accepts(input: Like, out?: Tensor): readonly number[] | null {
    if (this.forward !== LocalResponseNorm.prototype.forward) return super.accepts(input);
    this.#programs(input.shape, floatDType(input, 'x'));
    checkLike({ 'out.y': out }, input);
    return input.shape;
  }

  protected override acceptsBackward(output: Like, out?: Tensor): void {
    if (this.backward !== LocalResponseNorm.prototype.backward) return;
    const x = this.#last.get().x;
    this.gpu.checkUsable(x, 'x');
    checkRanges(this.gpu, { x }, { 'out.dx': out });
    checkLike({ dy: output, 'out.dx': out }, x);
  }

  /** Compiles the pipelines that forward and backward need for that shape, without blocking. */
  override async prepare(
    shape: readonly number[],
    options: { dtype?: FloatDType | undefined } = {},
  ): Promise<void> {
    this.checkUsable();
    checkOptions('prepare', options, prepareNames);
    const { dtype = 'f32' } = options;
    await Promise.all(this.#programs(sizesOf(shape), dtype).map((program) => this.gpu.prepare(program)));
  }

  /** Bytes of scratch that backward of that shape needs; forward needs none. */
  workspaceBytes(shape: readonly number[], options: { dtype?: FloatDType | undefined } = {}): number {
    this.checkUsable();
    checkOptions('workspaceBytes', options, prepareNames);
    const { dtype = 'f32' } = options;
    return Math.max(...this.#programs(sizesOf(shape), dtype).map(scratchBytes));
  }

  override destroy(): void {
    this.#last.keep(null);
    super.destroy();
  }

  #settings() {
    const { size, alpha, beta, k, layout } = this;
    return { size, alpha, beta, k, layout };
  }

  #programs(shape: readonly number[], dtype: FloatDType) {
    return (['forward', 'backward'] as const).map((direction) =>
      localResponseNormProgram(this.gpu, direction, shape, dtype, this.#settings()),
    );
  }
}
