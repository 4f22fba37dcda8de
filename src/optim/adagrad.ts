import adagrad from '../../shaders/kernels/optim/adagrad.wgsl';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { UpdateKernel } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { checkAllNotNegative } from './check.ts';
import { Optimizer, type OptimizerSettings, type ParamGroupOptions, settingNames } from './optimizer.ts';

/** Settings of {@link Adagrad}, of all parameters or of a group. `lr` is 1e-2 by default. */
export interface AdagradSettings extends OptimizerSettings {
  /** The rate of step t is lr / (1 + (t − 1)·lrDecay), ≥ 0. Default 0. */
  lrDecay: number;
  /** Adds weightDecay times the parameter to its gradient, ≥ 0. Default 0. */
  weightDecay: number;
  /** Where the sum of squares begins, ≥ 0. Default 0. */
  initialAccumulatorValue: number;
  /** Added to the denominator, ≥ 0. Default 1e-10. */
  eps: number;
}

/** Options of {@link Adagrad}. */
export type AdagradOptions = { [Name in keyof AdagradSettings]?: AdagradSettings[Name] | undefined };

const names = {
  ...settingNames,
  lrDecay: 'number',
  weightDecay: 'number',
  initialAccumulatorValue: 'number',
  eps: 'number',
} as const satisfies OptionNames<AdagradSettings>;

/** The numbers of {@link Adagrad} in the order of struct Settings in shaders/kernels/optim/adagrad.wgsl. */
export const adagradNumbers = (settings: AdagradSettings) => ({
  lr: settings.lr,
  lr_decay: settings.lrDecay,
  weight_decay: settings.weightDecay,
  initial: settings.initialAccumulatorValue,
  eps: settings.eps,
  sign: settings.maximize ? -1 : 1,
});

/** Its kernel. */
export const adagradKernel: UpdateKernel = {
  module: adagrad,
  flags: {},
  state: ['sum'],
  roles: { sum: 'square_sum' },
};

/**
 * Adagrad (Duchi, Hazan and Singer 2011, JMLR 12), as torch.optim.Adagrad: with g = grad + weightDecay·param, in step t,
 * sum = sum + g², from initialAccumulatorValue on, and param −= lr / (1 + (t − 1)·lrDecay)·g / (sqrt(sum) + eps).
 *
 * State: `step`, u32 [], counted on the GPU, and `sum`, f32 whatever the parameter is; both from a parameter's first step on,
 * where PyTorch has them from the beginning.
 *
 * @example
 * const optimizer = new Adagrad(model.parameters(), { lr: 0.01, lrDecay: 1e-3 });
 */
export class Adagrad extends Optimizer<AdagradSettings> {
  protected override readonly name = 'adagrad';
  /** @internal */
  protected override readonly stateNames = ['step', 'sum'];

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @throws NormError `value`: no parameters, a parameter twice, settings out of range; `wrong-device`.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<AdagradSettings>>,
    options: AdagradOptions = {},
  ) {
    checkOptions('Adagrad', options, names);
    const { lr = 1e-2, lrDecay = 0, weightDecay = 0, initialAccumulatorValue = 0, eps = 1e-10 } = options;
    const { maximize = false, masterCopies = false } = options;
    super(params, { lr, lrDecay, weightDecay, initialAccumulatorValue, eps, maximize, masterCopies }, names);
  }

  /** @internal */
  protected override check(settings: AdagradSettings): void {
    checkAllNotNegative({ ...settings }, ['lr', 'lrDecay', 'weightDecay', 'initialAccumulatorValue', 'eps']);
  }

  /** @internal */
  protected override needs(): readonly string[] {
    return this.stateNames;
  }

  /** @internal */
  protected override numbers(settings: AdagradSettings): readonly number[] {
    return Object.values(adagradNumbers(settings));
  }

  /** @internal */
  protected override kernel(): UpdateKernel {
    return adagradKernel;
  }
}
