import sgd from '../../shaders/kernels/optim/sgd.wgsl';
import { NormError } from '../gpu/errors.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { UpdateKernel } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { checkAllNotNegative } from './check.ts';
import { Optimizer, type OptimizerSettings, type ParamGroupOptions, settingNames } from './optimizer.ts';

/** Settings of {@link SGD}, of all parameters or of a group. `lr` is 1e-3 by default. */
export interface SGDSettings extends OptimizerSettings {
  /** Factor of the momentum buffer, ≥ 0. Default 0: no buffer. */
  momentum: number;
  /** The gradient meets the momentum buffer times 1 − dampening. Default 0. */
  dampening: number;
  /** Adds weightDecay times the parameter to its gradient, ≥ 0. Default 0. */
  weightDecay: number;
  /** Nesterov's momentum: steps along the gradient and the momentum buffer. Default false. */
  nesterov: boolean;
}

/** Options of {@link SGD}. */
export type SGDOptions = { [Name in keyof SGDSettings]?: SGDSettings[Name] | undefined };

const names = {
  ...settingNames,
  momentum: 'number',
  dampening: 'number',
  weightDecay: 'number',
  nesterov: 'boolean',
} as const satisfies OptionNames<SGDSettings>;

/** The numbers of {@link SGD} in the order of struct Settings in shaders/kernels/optim/sgd.wgsl. */
export const sgdNumbers = (settings: SGDSettings) => ({
  lr: settings.lr,
  momentum: settings.momentum,
  take: 1 - settings.dampening,
  weight_decay: settings.weightDecay,
  sign: settings.maximize ? -1 : 1,
});

/** The kernel that these settings need. */
export function sgdKernel({ momentum, dampening, nesterov }: SGDSettings): UpdateKernel {
  const heavy = momentum !== 0;
  const flags = { HAS_MOMENTUM: heavy, NESTEROV: nesterov, DAMPENING: heavy && dampening !== 0 };
  return { module: sgd, flags, state: heavy ? ['momentum_buffer'] : [] };
}

/**
 * Stochastic gradient descent with momentum, as torch.optim.SGD: with g = grad + weightDecay·param,
 * momentum_buffer = g in a parameter's first step and momentum·momentum_buffer + (1 − dampening)·g after it, and
 * param −= lr·momentum_buffer, or Nesterov lr·(g + momentum·momentum_buffer), or without momentum lr·g.
 *
 * State: `momentum_buffer`, f32 whatever the parameter is: in f16, as PyTorch keeps it, it would lose what lies below
 * 6e-8. An f16 parameter is rounded once a step, so it stands still where a step is below half of its last bit: train
 * with f32 parameters, which take f16 inputs too, or with `masterCopies`.
 *
 * @example
 * const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9, nesterov: true });
 */
export class SGD extends Optimizer<SGDSettings> {
  protected override readonly name = 'sgd';
  /** @internal */
  protected override readonly stateNames = ['momentum_buffer'];

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @throws NormError `value`: no parameters, a parameter twice, settings out of range, nesterov without momentum or with
   * dampening; `wrong-device`.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<SGDSettings>>,
    options: SGDOptions = {},
  ) {
    checkOptions('SGD', options, names);
    const { lr = 1e-3, momentum = 0, dampening = 0, weightDecay = 0 } = options;
    const { nesterov = false, maximize = false, masterCopies = false } = options;
    super(params, { lr, momentum, dampening, weightDecay, nesterov, maximize, masterCopies }, names);
  }

  /** @internal */
  protected override check(settings: SGDSettings): void {
    const { momentum, dampening, nesterov } = settings;
    checkAllNotNegative({ ...settings }, ['lr', 'momentum', 'weightDecay']);
    if (!Number.isFinite(dampening)) {
      throw new NormError('value', `dampening is ${dampening}.`, 'Use a finite number.');
    }
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new NormError(
        'value',
        `nesterov is set with momentum ${momentum} and dampening ${dampening}.`,
        'It needs a momentum and no dampening.',
      );
    }
  }

  /** @internal */
  protected override needs(settings: SGDSettings): readonly string[] {
    return settings.momentum === 0 ? [] : this.stateNames;
  }

  /** @internal Dampening begins with the second step. */
  protected override counted(settings: SGDSettings): boolean {
    return settings.momentum !== 0 && settings.dampening !== 0;
  }

  /** @internal */
  protected override numbers(settings: SGDSettings): readonly number[] {
    return Object.values(sgdNumbers(settings));
  }

  /** @internal */
  protected override kernel(settings: SGDSettings): UpdateKernel {
    return sgdKernel(settings);
  }
}
