import { NormError } from '../gpu/errors.ts';
import type { Call } from '../gpu/execute.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { adamwProgram, adamwSettings, countProgram } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { floatDType } from '../ops/check.ts';
import { remember } from '../ops/programs.ts';
import { checkNotNegative } from './check.ts';
import { Optimizer, type ParamGroup, type ParamGroupOptions, type Slot } from './optimizer.ts';

/** Settings of {@link AdamW}, of all parameters or of a group. */
export interface AdamWSettings {
  /** Learning rate, ≥ 0. Default 1e-3. */
  lr: number;
  /** β1 and β2, decay rates of the averages of the gradient and of its square, in [0, 1). Default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Added to the denominator, ≥ 0. Default 1e-8. */
  eps: number;
  /** Each step first takes lr·weightDecay of the parameter, ≥ 0. Default 1e-2. */
  weightDecay: number;
  /** Divides by the largest average of squares so far. Default false. */
  amsgrad: boolean;
  /** Climbs instead of descending. Default false. */
  maximize: boolean;
}

/** Options of {@link AdamW}. */
export type AdamWOptions = { [Name in keyof AdamWSettings]?: AdamWSettings[Name] | undefined };

const names = {
  lr: 'number',
  betas: 'other',
  eps: 'number',
  weightDecay: 'number',
  amsgrad: 'boolean',
  maximize: 'boolean',
} as const satisfies OptionNames<AdamWSettings>;

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), as torch.optim.AdamW: in step t,
 * param −= lr·weightDecay·param, exp_avg = β1·exp_avg + (1 − β1)·grad, exp_avg_sq = β2·exp_avg_sq + (1 − β2)·grad²,
 * param −= lr·(exp_avg / (1 − β1^t)) / (sqrt(exp_avg_sq / (1 − β2^t)) + eps); amsgrad: with the largest exp_avg_sq so far
 * (Reddi, Kale and Kumar 2018, arXiv 1904.09237).
 *
 * State: `step`, u32 [], counted on the GPU, and `exp_avg`, `exp_avg_sq`, `max_exp_avg_sq`, f32 whatever the parameter is:
 * in f16, as PyTorch keeps them, the squares of gradients below 2e-4 would be lost, and eps with them. An f16 parameter is
 * rounded once a step, so it stands still where a step is below half of its last bit: train with f32 parameters, which
 * take f16 inputs too.
 */
export class AdamW extends Optimizer<AdamWSettings> {
  protected override readonly name = 'adamw';
  /** @internal */
  protected override readonly stateNames = ['step', 'exp_avg', 'exp_avg_sq', 'max_exp_avg_sq'];
  /** The step counts of each group, in one buffer, so that one dispatch counts them all. */
  readonly #counts = new Map<ParamGroup<AdamWSettings>, Tensor>();

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @throws NormError `value`: no parameters, a parameter twice, settings out of range; `wrong-device`.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<AdamWSettings>>,
    options: AdamWOptions = {},
  ) {
    checkOptions('AdamW', options, names);
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8 } = options;
    const { weightDecay = 1e-2, amsgrad = false, maximize = false } = options;
    super(params, { lr, betas, eps, weightDecay, amsgrad, maximize }, names);
  }

  override destroy(): void {
    super.destroy();
    for (const counts of this.#counts.values()) counts.destroy();
  }

  /** @internal */
  protected override check({ lr, betas, eps, weightDecay }: AdamWSettings): void {
    checkNotNegative('lr', lr);
    checkNotNegative('eps', eps);
    checkNotNegative('weightDecay', weightDecay);
    const decay = (beta: unknown) => typeof beta === 'number' && beta >= 0 && beta < 1;
    if (!(Array.isArray(betas) && betas.length === 2 && betas.every(decay))) {
      throw new NormError(
        'value',
        `betas are ${shown(betas)}.`,
        'Use two numbers in [0, 1), such as [0.9, 0.999].',
      );
    }
  }

  /** @internal */
  protected override needs({ amsgrad }: AdamWSettings): readonly string[] {
    return amsgrad ? this.stateNames : this.stateNames.slice(0, 3);
  }

  /** @internal */
  protected override makeState(slot: Slot<AdamWSettings>, name: string): Tensor {
    if (name !== 'step') return super.makeState(slot, name);
    const { group, index } = slot;
    const { gpu } = this;
    let counts = this.#counts.get(group);
    if (!counts) {
      counts = gpu.keep(gpu.zeros([group.params.length * this.#stride], { dtype: 'u32' }));
      this.#counts.set(group, counts);
    }
    return gpu.wrap(counts.buffer, [], { dtype: 'u32', offset: 4 * index * this.#stride });
  }

  /** @internal */
  protected override numbers({ lr, betas, eps, weightDecay, maximize }: AdamWSettings): readonly number[] {
    const numbers = {
      lr,
      decay: lr * weightDecay,
      keep_avg: betas[0],
      take_avg: 1 - betas[0],
      keep_avg_sq: betas[1],
      take_avg_sq: 1 - betas[1],
      log_avg: logOf(betas[0]),
      log_avg_sq: logOf(betas[1]),
      eps,
      sign: maximize ? -1 : 1,
    };
    return adamwSettings.map((name) => numbers[name]);
  }

  /** @internal */
  protected override calls(
    slots: readonly Slot<AdamWSettings>[],
    settings: ReadonlyMap<ParamGroup<AdamWSettings>, Tensor>,
  ): Call[] {
    const counting = this.paramGroups.flatMap((group) => {
      const ranges = rangesOf(slots.filter((slot) => slot.group === group).map(({ index }) => index));
      const steps = this.#counts.get(group);
      if (ranges.length === 0) return [];
      const program = remember(this.gpu, 'steps', ranges, () => countProgram(ranges, this.#stride));
      return [{ program, operands: { steps } }];
    });
    return [...counting, ...slots.map((slot) => this.#update(slot, settings.get(slot.group)))];
  }

  #update({ parameter, group, state }: Slot<AdamWSettings>, settings: Tensor | undefined): Call {
    const { amsgrad } = group;
    const { data: param, grad } = parameter;
    const d = { size: param.size, dtype: floatDType(param, 'a parameter'), amsgrad };
    const program = remember(this.gpu, 'adamw', d, () => adamwProgram(d, this.gpu.facts));
    const operands = {
      param,
      grad: grad ?? undefined,
      steps: state.get('step'),
      exp_avg: state.get('exp_avg'),
      exp_avg_sq: state.get('exp_avg_sq'),
      max_exp_avg_sq: amsgrad ? state.get('max_exp_avg_sq') : undefined,
      settings,
    };
    return { program, operands };
  }

  /** Words from one count to the next: each is bound on its own. */
  get #stride(): number {
    return this.gpu.facts.offsetAlignment / 4;
  }
}

/** ln β, finite: e^-100 is no less than 0 beside 1. */
const logOf = (beta: number): number => Math.max(Math.log(beta), -100);

/** Consecutive numbers of an ascending list, as [first, count]. */
function rangesOf(indices: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const index of indices) {
    const last = ranges.at(-1);
    if (last && last[0] + last[1] === index) last[1] += 1;
    else ranges.push([index, 1]);
  }
  return ranges;
}
