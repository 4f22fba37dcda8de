import { checkContext } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import { executeAll, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { scaledProgram, scaleGradientsProgram, updateScaleProgram } from '../kernels/gradients.ts';
import { countStride } from '../kernels/optim.ts';
import { checkCount, checkLike, checkOperands, checkTarget, floatDType } from '../ops/check.ts';
import { remember } from '../ops/programs.ts';
import { wayOf } from './clip.ts';
import { gradientTargets, parametersOf } from './gradients.ts';
import { Optimizer } from './optimizer.ts';

/** Options of {@link GradScaler}. */
export interface GradScalerOptions {
  /** The first scale, > 0. Default 65536. */
  initScale?: number | undefined;
  /** What the scale is multiplied by after growthInterval steps without an infinity or NaN, > 1. Default 2. */
  growthFactor?: number | undefined;
  /** What it is multiplied by after a step with one, < 1. Default 0.5. */
  backoffFactor?: number | undefined;
  /** How many steps in a row, an integer ≥ 1. Default 2000. */
  growthInterval?: number | undefined;
  /** Otherwise nothing is scaled, and every step is one of the optimizer. Default true. */
  enabled?: boolean | undefined;
}

const names = {
  initScale: 'number',
  growthFactor: 'number',
  backoffFactor: 'number',
  growthInterval: 'number',
  enabled: 'boolean',
} as const satisfies OptionNames<GradScalerOptions>;

/** Options of {@link GradScaler.scale}. */
export interface ScaleOptions extends RecordOptions {
  /** The tensor to write; not x. Default: a new one like x. */
  out?: Tensor | undefined;
}

/** The dictionary of a {@link GradScaler}, with PyTorch's names. Empty where it is not enabled. */
export interface GradScalerStateDict {
  scale?: number;
  growth_factor?: number;
  backoff_factor?: number;
  growth_interval?: number;
  _growth_tracker?: number;
}

/** How many optimizers a scaler can have. */
const mostOptimizers = 16;

type AnyOptimizer = Optimizer<{ lr: number }>;

/**
 * Scales the gradient of a loss so that what backward makes of it in f16 is neither too small nor too large:
 * torch.cuda.amp.GradScaler (Micikevicius et al. 2018, arXiv 1710.03740). Where a gradient of an optimizer is infinite or NaN, the GPU skips that
 * optimizer's step, and {@link update} lowers the scale; after growthInterval steps without that it grows. Nothing is read
 * back: scale, tracker and findings stay on the GPU.
 *
 * @example
 * const scaler = new GradScaler(gpu);
 * model.backward(scaler.scale(dy)); // dy is the gradient of the loss
 * scaler.unscale(optimizer); // only if you clip
 * clipGradNorm(model.parameters(), 1);
 * scaler.step(optimizer);
 * scaler.update();
 * optimizer.zeroGrad();
 */
export class GradScaler {
  readonly gpu: Gpu;
  #settings: { growth: number; backoff: number; growth_interval: number };
  readonly #enabled: boolean;
  /** f32 [], and 1 over it. */
  readonly #scale: Tensor;
  readonly #inverse: Tensor;
  /** u32 []: steps in a row without an infinity. */
  readonly #tracker: Tensor;
  /** u32, a word for each optimizer, so far apart that each can be bound: whether one of its gradients is not finite. */
  readonly #found: Tensor;
  /** What has happened to the gradients of each optimizer since the last update. */
  readonly #stages = new Map<AnyOptimizer, { found: Tensor; stage: 'scaled' | 'unscaled' | 'stepped' }>();
  #destroyed = false;

  /** @throws NormError `value`. */
  constructor(gpu: Gpu, options: GradScalerOptions = {}) {
    checkOptions('GradScaler', options, names);
    const { initScale = 65536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000 } = options;
    const settings = { growth: growthFactor, backoff: backoffFactor, growth_interval: growthInterval };
    checkContext(gpu);
    checkScale('initScale', initScale);
    checkSettings(settings);
    this.gpu = gpu;
    this.#settings = settings;
    this.#enabled = options.enabled ?? true;
    const stride = countStride(gpu.facts);
    this.#scale = gpu.keep(gpu.tensor([initScale], []));
    this.#inverse = gpu.keep(gpu.tensor([1 / initScale], []));
    this.#tracker = gpu.keep(gpu.zeros([], { dtype: 'u32' }));
    this.#found = gpu.keep(gpu.zeros([mostOptimizers * stride], { dtype: 'u32' }));
  }

  /** Whether it scales. */
  get isEnabled(): boolean {
    return this.#enabled;
  }

  /**
   * x times the scale, f32, f16 or bf16: the gradient of the loss that backward begins with, since gradients are linear in it. x
   * itself where the scaler is not enabled.
   *
   * @throws NormError `dtype`, `shape`, `aliasing`.
   */
  scale(x: Tensor, options: ScaleOptions = {}): Tensor {
    this.checkUsable();
    checkOptions('GradScaler.scale', options, { out: 'tensor', ...recordNames });
    checkTarget(options);
    const { gpu } = this;
    gpu.checkUsable(x, 'x');
    const dtype = floatDType(x, 'x');
    if (!this.#enabled) return x;
    if (options.out) {
      checkLike({ out: options.out }, x);
      checkOperands(gpu, { x }, { out: options.out });
    }
    return gpu.orNothing(() => {
      const y = options.out ?? gpu.empty(x.shape, { dtype });
      if (x.size === 0) return y;
      const make = () => scaledProgram(x.size, dtype, dtype, gpu.facts);
      const program = remember(gpu, 'scaled', { size: x.size, dtype }, make);
      executeAll(gpu, [{ program, operands: { x, factor: this.#scale, y } }], options, 'grad_scaler.scale');
      return y;
    });
  }

  /**
   * Divides the gradients of an optimizer's parameters by the scale, and finds what is infinite or NaN: PyTorch's unscale_. For what has to see
   * true gradients, such as clipping; {@link step} does it otherwise. Once per update.
   *
   * @throws NormError `order` if that was done, or stepped, since the last update; `value`.
   */
  unscale(optimizer: AnyOptimizer, options: RecordOptions = {}): void {
    this.checkUsable();
    checkOptions('GradScaler.unscale', options, recordNames);
    checkTarget(options);
    const of = this.#stageOf(optimizer);
    if (!this.#enabled) return;
    if (of.stage !== 'scaled') throw tooOften('unscale', of.stage);
    const { gpu } = this;
    const { parameters } = parametersOf(optimizer.paramGroups.flatMap(({ params }) => params));
    const { targets, before, after } = gradientTargets(gpu, parameters, options);
    if (targets.length > 0) {
      const calls = targets.map((target) => {
        const { d, operands } = wayOf(target);
        const make = () => scaleGradientsProgram(d, true, gpu.facts);
        const program = remember(gpu, 'unscale_gradients', { d }, make);
        return { program, operands: { factor: this.#inverse, found_inf: of.found, ...operands } };
      });
      executeAll(gpu, calls, options, 'grad_scaler.unscale', { before, after });
    }
    this.#stages.set(optimizer, { ...of, stage: 'unscaled' });
  }

  /**
   * A step of the optimizer, which the GPU skips if one of the gradients is infinite or NaN: then neither the parameters nor their
   * state nor the counts of steps change. Unscales first, unless {@link unscale} has. Once per update.
   *
   * @throws NormError `order` if it has stepped since the last update; as {@link Optimizer.step}.
   */
  step(optimizer: AnyOptimizer, options: RecordOptions = {}): void {
    this.checkUsable();
    checkOptions('GradScaler.step', options, recordNames);
    checkTarget(options);
    this.stepBy(optimizer, options, (skip) => optimizer.stepUnless(skip, options));
  }

  /** @internal {@link step}, by what makes the step of the optimizer's parameters unless the GPU is to skip it. */
  stepBy(optimizer: AnyOptimizer, options: RecordOptions, move: (skip: Tensor | undefined) => void): void {
    this.checkUsable();
    const { stage } = this.#stageOf(optimizer);
    if (!this.#enabled) {
      move(undefined);
      return;
    }
    if (stage === 'stepped') throw tooOften('step', stage);
    optimizer.checkStep();
    if (stage === 'scaled') this.unscale(optimizer, options);
    const of = this.#stageOf(optimizer);
    move(of.found);
    this.#stages.set(optimizer, { ...of, stage: 'stepped' });
  }

  /** The scale of the next step, after all optimizers have stepped. */
  update(options: RecordOptions = {}): void {
    this.checkUsable();
    checkOptions('GradScaler.update', options, recordNames);
    checkTarget(options);
    if (!this.#enabled) return;
    const { gpu } = this;
    const numbers = { optimizers: this.#stages.size, stride: countStride(gpu.facts), ...this.#settings };
    const program = remember(gpu, 'update_scale', numbers, () => updateScaleProgram(numbers));
    const operands = {
      found_inf: this.#found,
      loss_scale: this.#scale,
      inverse_scale: this.#inverse,
      growth_tracker: this.#tracker,
    };
    executeAll(gpu, [{ program, operands }], options, 'grad_scaler.update');
    for (const [optimizer, of] of this.#stages) this.#stages.set(optimizer, { ...of, stage: 'scaled' });
  }

  /** The scale; 1 where it is not enabled. Reads it back: not for every step. */
  async getScale(): Promise<number> {
    this.checkUsable();
    return this.#enabled ? ((await this.#scale.data())[0] as number) : 1;
  }

  /** Sets the scale at once: PyTorch's update(new_scale). Commands that are recorded but not yet submitted come after it. */
  setScale(scale: number): void {
    this.checkUsable();
    checkScale('The scale', scale);
    this.#scale.write([scale]);
    this.#inverse.write([1 / scale]);
  }

  /** Numbers under PyTorch's names, read back. Between {@link update} and the next {@link scale}. */
  async stateDict(): Promise<GradScalerStateDict> {
    this.checkUsable();
    if (!this.#enabled) return {};
    const [scale, tracker] = await Promise.all([this.#scale.data(), this.#tracker.data()]);
    const { growth, backoff, growth_interval } = this.#settings;
    return {
      scale: scale[0] as number,
      growth_factor: growth,
      backoff_factor: backoff,
      growth_interval,
      _growth_tracker: tracker[0] as number,
    };
  }

  /**
   * Takes over a dictionary, at once.
   *
   * @throws NormError `state` for an empty one or one that lacks something, `value` for what is out of range. Nothing has changed then.
   */
  loadStateDict(dict: GradScalerStateDict): void {
    this.checkUsable();
    if (!this.#enabled) return;
    const { scale, growth_factor, backoff_factor, growth_interval, _growth_tracker } = dict ?? {};
    const given = { scale, growth_factor, backoff_factor, growth_interval, _growth_tracker };
    const missing = Object.entries(given).filter(([, value]) => typeof value !== 'number');
    if (missing.length > 0) {
      throw new NormError(
        'state',
        `The dictionary lacks ${missing.map(([name]) => name).join(', ')}.`,
        'Load what stateDict() of a scaler that is enabled returned.',
      );
    }
    const settings = {
      growth: growth_factor as number,
      backoff: backoff_factor as number,
      growth_interval: growth_interval as number,
    };
    checkScale('scale', scale as number);
    checkSettings(settings);
    if (!(Number.isInteger(_growth_tracker) && (_growth_tracker as number) >= 0)) {
      throw new NormError('value', `_growth_tracker is ${_growth_tracker}.`, 'Use an integer ≥ 0.');
    }
    this.#settings = settings;
    this.setScale(scale as number);
    this.#tracker.write([_growth_tracker as number]);
  }

  /** Frees its tensors. Idempotent. */
  destroy(): void {
    if (!(#scale in this)) throw proxied('GradScaler');
    this.#destroyed = true;
    for (const tensor of [this.#scale, this.#inverse, this.#tracker, this.#found]) tensor.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws unless it can be used. No private method, which a Proxy does not have. */
  checkUsable(): void {
    if (!(#scale in this)) throw proxied('GradScaler');
    this.gpu.checkAlive();
    if (this.#destroyed) throw new NormError('destroyed', 'This scaler was destroyed.', 'Make a new one.');
  }

  #stageOf(optimizer: AnyOptimizer) {
    if (!(optimizer instanceof Optimizer)) {
      throw new NormError(
        'value',
        `${shown(optimizer)} is no Optimizer.`,
        'Pass an optimizer of this library.',
      );
    }
    optimizer.checkUsable();
    if (optimizer.gpu.device !== this.gpu.device) {
      throw new NormError(
        'wrong-device',
        'The optimizer is on another device.',
        'Make a scaler for each device.',
      );
    }
    const known = this.#stages.get(optimizer);
    if (known) return known;
    if (this.#stages.size === mostOptimizers) {
      throw new NormError(
        'unsupported',
        `A scaler has at most ${mostOptimizers} optimizers.`,
        'Make another scaler.',
      );
    }
    const found = this.#found.view([1], this.#stages.size * countStride(this.gpu.facts));
    const made = { found, stage: 'scaled' as const };
    this.#stages.set(optimizer, made);
    return made;
  }
}

function checkScale(name: string, scale: number): void {
  if (typeof scale === 'number' && Number.isFinite(scale) && scale > 0) return;
  throw new NormError('value', `${name} is ${shown(scale)}.`, 'Use a finite number > 0, such as 65536.');
}

/** PyTorch's conditions. */
function checkSettings({
  growth,
  backoff,
  growth_interval,
}: {
  growth: number;
  backoff: number;
  growth_interval: number;
}) {
  if (!(Number.isFinite(growth) && growth > 1)) {
    throw new NormError('value', `growthFactor is ${shown(growth)}.`, 'Use a number > 1.');
  }
  if (!(backoff > 0 && backoff < 1)) {
    throw new NormError('value', `backoffFactor is ${shown(backoff)}.`, 'Use a number > 0 and < 1.');
  }
  checkCount('growthInterval', growth_interval);
}

const tooOften = (call: string, stage: string): NormError =>
  new NormError(
    'order',
    `${call}() was called for an optimizer whose gradients were ${stage} since the last update().`,
    'Call update() after the steps of all optimizers.',
  );
