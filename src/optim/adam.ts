import adam from '../../shaders/kernels/optim/adam.wgsl';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { UpdateKernel } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { checkAllNotNegative, checkBetas, logOf } from './check.ts';
import { Optimizer, type OptimizerSettings, type ParamGroupOptions, settingNames } from './optimizer.ts';

/** Settings of {@link Adam}, of all parameters or of a group. `lr` is 1e-3 by default. */
export interface AdamSettings extends OptimizerSettings {
  /** β1 and β2, decay rates of the averages of the gradient and of its square, in [0, 1). Default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Added to the denominator, ≥ 0. Default 1e-8. */
  eps: number;
  /** Of Adam: adds weightDecay times the parameter to its gradient, default 0. Of AdamW: each step first takes
   * lr·weightDecay of the parameter, default 1e-2. ≥ 0. */
  weightDecay: number;
  /** Divides by the largest average of squares so far. Default false. */
  amsgrad: boolean;
}

/** Options of {@link Adam}. */
export type AdamOptions = { [Name in keyof AdamSettings]?: AdamSettings[Name] | undefined };

/** Settings of {@link AdamW}, of all parameters or of a group: those of {@link Adam}. */
export type AdamWSettings = AdamSettings;

/** Options of {@link AdamW}. */
export type AdamWOptions = AdamOptions;

const names = {
  ...settingNames,
  betas: 'other',
  eps: 'number',
  weightDecay: 'number',
  amsgrad: 'boolean',
} as const satisfies OptionNames<AdamSettings>;

/** The numbers of {@link Adam} and {@link AdamW} in the order of struct Settings in shaders/kernels/optim/adam.wgsl. */
export const adamNumbers = ({ lr, betas, eps, weightDecay, maximize }: AdamSettings, decoupled: boolean) => ({
  lr,
  decay: decoupled ? lr * weightDecay : 0,
  weight_decay: decoupled ? 0 : weightDecay,
  keep_avg: betas[0],
  take_avg: 1 - betas[0],
  keep_avg_sq: betas[1],
  take_avg_sq: 1 - betas[1],
  log_avg: logOf(betas[0]),
  log_avg_sq: logOf(betas[1]),
  eps,
  sign: maximize ? -1 : 1,
});

/** The kernel that these settings need. */
export const adamKernel = ({ amsgrad }: AdamSettings): UpdateKernel => ({
  module: adam,
  flags: { AMSGRAD: amsgrad },
  state: ['exp_avg', 'exp_avg_sq', ...(amsgrad ? ['max_exp_avg_sq'] : [])],
});

/**
 * Adam (Kingma and Ba 2015, arXiv 1412.6980), as torch.optim.Adam: with g = grad + weightDecay·param, in step t,
 * exp_avg = β1·exp_avg + (1 − β1)·g, exp_avg_sq = β2·exp_avg_sq + (1 − β2)·g²,
 * param −= lr·(exp_avg / (1 − β1^t)) / (sqrt(exp_avg_sq / (1 − β2^t)) + eps); amsgrad: with the largest exp_avg_sq so far
 * (Reddi, Kale and Kumar 2018, arXiv 1904.09237).
 *
 * State: `step`, u32 [], counted on the GPU, and `exp_avg`, `exp_avg_sq`, `max_exp_avg_sq`, f32 whatever the parameter is:
 * in f16, as PyTorch keeps them, the squares of gradients below 2e-4 would be lost, and eps with them. An f16 parameter is
 * rounded once a step, so it stands still where a step is below half of its last bit: train with f32 parameters, which
 * take f16 inputs too, or with `masterCopies`.
 *
 * @example
 * const optimizer = new Adam(model.parameters(), { lr: 3e-4 });
 */
export class Adam extends Optimizer<AdamSettings> {
  protected override readonly name: string = 'adam';
  /** @internal */
  protected override readonly stateNames = ['step', 'exp_avg', 'exp_avg_sq', 'max_exp_avg_sq'];

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @throws NormError `value`: no parameters, a parameter twice, settings out of range; `wrong-device`.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<AdamSettings>>,
    options: AdamOptions = {},
  ) {
    checkOptions(new.target.name, options, names);
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = options;
    const { amsgrad = false, maximize = false, masterCopies = false } = options;
    super(params, { lr, betas, eps, weightDecay, amsgrad, maximize, masterCopies }, names);
  }

  /** @internal Whether weight decay stays out of the gradient. */
  protected get decoupled(): boolean {
    return false;
  }

  /** @internal */
  protected override check(settings: AdamSettings): void {
    checkAllNotNegative({ ...settings }, ['lr', 'eps', 'weightDecay']);
    checkBetas(settings.betas);
  }

  /** @internal */
  protected override needs(settings: AdamSettings): readonly string[] {
    return settings.amsgrad ? this.stateNames : this.stateNames.slice(0, 3);
  }

  /** @internal */
  protected override numbers(settings: AdamSettings): readonly number[] {
    return Object.values(adamNumbers(settings, this.decoupled));
  }

  /** @internal */
  protected override kernel(settings: AdamSettings): UpdateKernel {
    return adamKernel(settings);
  }
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), as torch.optim.AdamW: as {@link Adam}, but the
 * gradient has no part of the parameter, and each step first makes param −= lr·weightDecay·param. The default of
 * `weightDecay` is 1e-2.
 *
 * @example
 * const optimizer = new AdamW(parameterGroups(model, { weightDecay: 0.1 }), { lr: 3e-4 });
 */
export class AdamW extends Adam {
  protected override readonly name = 'adamw';

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @throws NormError as {@link Adam}.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<AdamWSettings>>,
    options: AdamWOptions = {},
  ) {
    checkOptions('AdamW', options, names);
    super(params, { ...options, weightDecay: options.weightDecay ?? 1e-2 });
  }

  /** @internal */
  protected override get decoupled(): boolean {
    return true;
  }
}
