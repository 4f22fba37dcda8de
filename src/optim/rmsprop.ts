import rmsprop from '../../shaders/kernels/optim/rmsprop.wgsl';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { UpdateKernel } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { checkAllNotNegative } from './check.ts';
import { Optimizer, type OptimizerSettings, type ParamGroupOptions, settingNames } from './optimizer.ts';

/** Settings of {@link RMSprop}, of all parameters or of a group. `lr` is 1e-2 by default. */
export interface RMSpropSettings extends OptimizerSettings {
  /** Decay rate of the average of squares, ≥ 0. Default 0.99. */
  alpha: number;
  /** Added to the denominator, ≥ 0. Default 1e-8. */
  eps: number;
  /** Adds weightDecay times the parameter to its gradient, ≥ 0. Default 0. */
  weightDecay: number;
  /** Factor of the momentum buffer, ≥ 0. Default 0: no buffer. */
  momentum: number;
  /** Divides by the standard deviation of the gradients in place of their root mean square. Default false. */
  centered: boolean;
}

/** Options of {@link RMSprop}. */
export type RMSpropOptions = { [Name in keyof RMSpropSettings]?: RMSpropSettings[Name] | undefined };

const names = {
  ...settingNames,
  alpha: 'number',
  eps: 'number',
  weightDecay: 'number',
  momentum: 'number',
  centered: 'boolean',
} as const satisfies OptionNames<RMSpropSettings>;

/** The numbers of {@link RMSprop} in the order of struct Settings in shaders/kernels/optim/rmsprop.wgsl. */
export const rmspropNumbers = (settings: RMSpropSettings) => ({
  lr: settings.lr,
  keep: settings.alpha,
  take: 1 - settings.alpha,
  eps: settings.eps,
  weight_decay: settings.weightDecay,
  momentum: settings.momentum,
  sign: settings.maximize ? -1 : 1,
});

/** The kernel that these settings need. */
export const rmspropKernel = ({ centered, momentum }: RMSpropSettings): UpdateKernel => ({
  module: rmsprop,
  flags: { CENTERED: centered, HAS_MOMENTUM: momentum > 0 },
  state: ['square_avg', ...(momentum > 0 ? ['momentum_buffer'] : []), ...(centered ? ['grad_avg'] : [])],
});

/**
 * RMSprop (Hinton, lecture 6e of "Neural networks for machine learning"; centered: Graves 2013, arXiv 1308.0850), as
 * torch.optim.RMSprop: with g = grad + weightDecay·param, square_avg = α·square_avg + (1 − α)·g², d = g / (sqrt(square_avg) + eps),
 * and param −= lr·d, or with momentum momentum_buffer = momentum·momentum_buffer + d and param −= lr·momentum_buffer.
 * centered: grad_avg = α·grad_avg + (1 − α)·g, and d = g / (sqrt(square_avg − grad_avg²) + eps).
 *
 * State: `step`, u32 [], counted on the GPU, and `square_avg`, `momentum_buffer`, `grad_avg`, f32 whatever the parameter is.
 *
 * @example
 * const optimizer = new RMSprop(model.parameters(), { lr: 1e-3, momentum: 0.9, centered: true });
 */
export class RMSprop extends Optimizer<RMSpropSettings> {
  protected override readonly name = 'rmsprop';
  /** @internal */
  protected override readonly stateNames = ['step', 'square_avg', 'momentum_buffer', 'grad_avg'];

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @throws NormError `value`: no parameters, a parameter twice, settings out of range; `wrong-device`.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<RMSpropSettings>>,
    options: RMSpropOptions = {},
  ) {
    checkOptions('RMSprop', options, names);
    const { lr = 1e-2, alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0 } = options;
    const { centered = false, maximize = false, masterCopies = false } = options;
    super(params, { lr, alpha, eps, weightDecay, momentum, centered, maximize, masterCopies }, names);
  }

  /** @internal */
  protected override check(settings: RMSpropSettings): void {
    checkAllNotNegative({ ...settings }, ['lr', 'alpha', 'eps', 'weightDecay', 'momentum']);
  }

  /** @internal */
  protected override needs(settings: RMSpropSettings): readonly string[] {
    return ['step', ...rmspropKernel(settings).state];
  }

  /** @internal */
  protected override numbers(settings: RMSpropSettings): readonly number[] {
    return Object.values(rmspropNumbers(settings));
  }

  /** @internal */
  protected override kernel(settings: RMSpropSettings): UpdateKernel {
    return rmspropKernel(settings);
  }
}
