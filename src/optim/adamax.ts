import adamax from '../../shaders/kernels/optim/adamax.wgsl';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { UpdateKernel } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { checkAllNotNegative, checkBetas, logOf } from './check.ts';
import { Optimizer, type OptimizerSettings, type ParamGroupOptions, settingNames } from './optimizer.ts';

/** Settings of {@link Adamax}, of all parameters or of a group. `lr` is 2e-3 by default. */
export interface AdamaxSettings extends OptimizerSettings {
  /** β1 and β2, decay rates of the average of the gradient and of its largest size, in [0, 1). Default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Added to the size of the gradient, ≥ 0. Default 1e-8. */
  eps: number;
  /** Adds weightDecay times the parameter to its gradient, ≥ 0. Default 0. */
  weightDecay: number;
}

/** Options of {@link Adamax}. */
export type AdamaxOptions = { [Name in keyof AdamaxSettings]?: AdamaxSettings[Name] | undefined };

const names = {
  ...settingNames,
  betas: 'other',
  eps: 'number',
  weightDecay: 'number',
} as const satisfies OptionNames<AdamaxSettings>;

/** The numbers of {@link Adamax} in the order of struct Settings in shaders/kernels/optim/adamax.wgsl. */
export const adamaxNumbers = ({ lr, betas, eps, weightDecay, maximize }: AdamaxSettings) => ({
  lr,
  weight_decay: weightDecay,
  keep_avg: betas[0],
  take_avg: 1 - betas[0],
  log_avg: logOf(betas[0]),
  keep_inf: betas[1],
  eps,
  sign: maximize ? -1 : 1,
});

/** Its kernel. */
export const adamaxKernel: UpdateKernel = { module: adamax, flags: {}, state: ['exp_avg', 'exp_inf'] };

/**
 * Adamax, Adam with the largest size in place of the mean square (Kingma and Ba 2015, arXiv 1412.6980, section 7.1), as
 * torch.optim.Adamax: with g = grad + weightDecay·param, in step t, exp_avg = β1·exp_avg + (1 − β1)·g,
 * exp_inf = max(β2·exp_inf, |g| + eps), param −= lr / (1 − β1^t)·exp_avg / exp_inf.
 *
 * State: `step`, u32 [], counted on the GPU, and `exp_avg`, `exp_inf`, f32 whatever the parameter is.
 *
 * @example
 * const optimizer = new Adamax(model.parameters(), { lr: 2e-3 });
 */
export class Adamax extends Optimizer<AdamaxSettings> {
  protected override readonly name = 'adamax';
  /** @internal */
  protected override readonly stateNames = ['step', 'exp_avg', 'exp_inf'];

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @throws NormError `value`: no parameters, a parameter twice, settings out of range; `wrong-device`.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<AdamaxSettings>>,
    options: AdamaxOptions = {},
  ) {
    checkOptions('Adamax', options, names);
    const { lr = 2e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = options;
    const { maximize = false, masterCopies = false } = options;
    super(params, { lr, betas, eps, weightDecay, maximize, masterCopies }, names);
  }

  /** @internal */
  protected override check(settings: AdamaxSettings): void {
    checkAllNotNegative({ ...settings }, ['lr', 'eps', 'weightDecay']);
    checkBetas(settings.betas);
  }

  /** @internal */
  protected override needs(): readonly string[] {
    return this.stateNames;
  }

  /** @internal */
  protected override numbers(settings: AdamaxSettings): readonly number[] {
    return Object.values(adamaxNumbers(settings));
  }

  /** @internal */
  protected override kernel(): UpdateKernel {
    return adamaxKernel;
  }
}
