import { NormError } from '../gpu/errors.ts';
import type { Call } from '../gpu/execute.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { sgdProgram, sgdSettings } from '../kernels/optim.ts';
import type { Parameter } from '../nn/parameter.ts';
import { floatDType } from '../ops/check.ts';
import { remember } from '../ops/programs.ts';
import { checkNotNegative } from './check.ts';
import { Optimizer, type ParamGroup, type ParamGroupOptions, type Slot } from './optimizer.ts';

/** Settings of {@link SGD}, of all parameters or of a group. */
export interface SGDSettings {
  /** Learning rate, ≥ 0. Default 1e-3. */
  lr: number;
  /** Factor of the momentum buffer, ≥ 0. Default 0: no buffer. */
  momentum: number;
  /** The gradient meets the momentum buffer times 1 − dampening. Default 0. */
  dampening: number;
  /** Adds weightDecay times the parameter to its gradient, ≥ 0. Default 0. */
  weightDecay: number;
  /** Nesterov's momentum: steps along the gradient and the momentum buffer. Default false. */
  nesterov: boolean;
  /** Climbs instead of descending. Default false. */
  maximize: boolean;
}

/** Options of {@link SGD}. */
export type SGDOptions = { [Name in keyof SGDSettings]?: SGDSettings[Name] | undefined };

const names = {
  lr: 'number',
  momentum: 'number',
  dampening: 'number',
  weightDecay: 'number',
  nesterov: 'boolean',
  maximize: 'boolean',
} as const satisfies OptionNames<SGDSettings>;

/**
 * Stochastic gradient descent with momentum, as torch.optim.SGD: with g = grad + weightDecay·param,
 * momentum_buffer = g in a parameter's first step and momentum·momentum_buffer + (1 − dampening)·g after it, and
 * param −= lr·momentum_buffer, or Nesterov lr·(g + momentum·momentum_buffer), or without momentum lr·g.
 *
 * State: `momentum_buffer`, f32 whatever the parameter is: in f16, as PyTorch keeps it, it would lose what lies below
 * 6e-8. An f16 parameter is rounded once a step, so it stands still where a step is below half of its last bit: train
 * with f32 parameters, which take f16 inputs too.
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
    const { lr = 1e-3, momentum = 0, dampening = 0 } = options;
    const { weightDecay = 0, nesterov = false, maximize = false } = options;
    super(params, { lr, momentum, dampening, weightDecay, nesterov, maximize }, names);
  }

  /** @internal */
  protected override check({ lr, momentum, dampening, weightDecay, nesterov }: SGDSettings): void {
    checkNotNegative('lr', lr);
    checkNotNegative('momentum', momentum);
    checkNotNegative('weightDecay', weightDecay);
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
  protected override needs({ momentum }: SGDSettings): readonly string[] {
    return momentum === 0 ? [] : this.stateNames;
  }

  /** @internal */
  protected override numbers({
    lr,
    momentum,
    dampening,
    weightDecay,
    maximize,
  }: SGDSettings): readonly number[] {
    const sign = maximize ? -1 : 1;
    const numbers = { lr, momentum, take: 1 - dampening, weight_decay: weightDecay, sign };
    return sgdSettings.map((name) => numbers[name]);
  }

  /** @internal */
  protected override calls(
    slots: readonly Slot<SGDSettings>[],
    settings: ReadonlyMap<ParamGroup<SGDSettings>, Tensor>,
  ): Call[] {
    return slots.map(({ parameter, group, state, started }) => {
      const { momentum, dampening, nesterov } = group;
      const { data: param, grad } = parameter;
      const d = {
        size: param.size,
        dtype: floatDType(param, 'a parameter'),
        momentum: momentum !== 0,
        nesterov,
        // The buffer of a first step is zeros, and takes the gradient as it is.
        undamped: momentum !== 0 && dampening !== 0 && !started.has('momentum_buffer'),
      };
      const program = remember(this.gpu, 'sgd', d, () => sgdProgram(d, this.gpu.facts));
      const operands = {
        param,
        grad: grad ?? undefined,
        momentum_buffer: momentum === 0 ? undefined : state.get('momentum_buffer'),
        settings: settings.get(group),
      };
      return { program, operands };
    });
  }
}
