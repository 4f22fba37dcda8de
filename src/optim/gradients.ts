// Gradients of many parameters, for what is done to all of them at once.

import { NormError } from '../gpu/errors.ts';
import type { Copy, RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { listOf } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { checkParameter, type Parameter } from '../nn/parameter.ts';
import { floatDType, sameShape } from '../ops/check.ts';
import { copyable, fewest, Pack, packingsOf } from './packing.ts';

/** What one dispatch changes: a gradient, or small ones that are packed. */
export interface GradientTarget {
  grad: Tensor;
  dtype: FloatDType;
  /** Of a packed tensor. */
  places?: Tensor;
}

/** The targets of all gradients, and what is copied around the dispatches. */
export interface GradientTargets {
  targets: GradientTarget[];
  before: Copy[];
  after: Copy[];
}

/**
 * The gradients of a list of parameters. Small ones are packed (packing.ts), as those of an optimizer are: they are copied into packed
 * tensors and back, which are kept for as long as the first of the parameters is held.
 */
class Gradients {
  readonly parameters: readonly Parameter[];
  readonly #packs: readonly Pack[];

  constructor(gpu: Gpu, parameters: readonly Parameter[]) {
    this.parameters = parameters;
    const data = parameters.map((parameter) => parameter.data);
    this.#packs = packingsOf(data, gpu.facts).map((packing) => new Pack(gpu, packing));
  }

  /** Whether it is of these parameters, as they are now. */
  fits(parameters: readonly Parameter[]): boolean {
    return (
      parameters.length === this.parameters.length &&
      parameters.every((one, i) => one === this.parameters[i]) &&
      this.#packs.every(({ packing: { dtype, members, shapes } }) =>
        members.every((member, i) => {
          const { data } = parameters[member] as Parameter;
          return data.dtype === dtype && sameShape(data.shape, shapes[i] as readonly number[]);
        }),
      )
    );
  }

  targets({ pass }: RecordOptions): GradientTargets {
    const found: GradientTargets = { targets: [], before: [], after: [] };
    const grads = this.parameters.map(({ grad }) => grad);
    for (const pack of pass ? [] : this.#packs) {
      const { members, dtype } = pack.packing;
      const active = [...members.keys()].filter((i) => {
        const grad = grads[members[i] as number];
        return grad?.dtype === dtype && copyable(grad);
      });
      if (active.length < fewest) continue;
      const { whole, parts } = pack.take('grad', dtype);
      for (const i of active) {
        const at = members[i] as number;
        const [grad, part] = [grads[at] as Tensor, parts[i] as Tensor];
        found.before.push({ from: grad, to: part });
        found.after.push({ from: part, to: grad });
        grads[at] = null;
      }
      found.targets.push({ grad: whole, dtype, places: pack.places(active) });
    }
    for (const grad of grads)
      if (grad && grad.size > 0) found.targets.push({ grad, dtype: floatDType(grad, 'a gradient') });
    return found;
  }
}

const known = new WeakMap<Parameter, Gradients>();

/** The gradients of some parameters that there are, as targets of dispatches. */
export function gradientTargets(
  gpu: Gpu,
  parameters: readonly Parameter[],
  target: RecordOptions,
): GradientTargets {
  const [first] = parameters;
  if (!first) return { targets: [], before: [], after: [] };
  let gradients = known.get(first);
  if (!gradients?.fits(parameters)) {
    gradients = new Gradients(gpu, parameters);
    known.set(first, gradients);
  }
  return gradients.targets(target);
}

/**
 * The parameters as a list, each once, and their context.
 *
 * @throws NormError `value` for none and for what is no parameter; `wrong-device`, `destroyed` and others for gradients that cannot be used.
 */
export function parametersOf(given: Iterable<Parameter> | Parameter): { gpu: Gpu; parameters: Parameter[] } {
  const one =
    (given as Parameter)?.takeGradient !== undefined ? [given as Parameter] : (given as Iterable<Parameter>);
  const parameters = [...new Set(listOf<Parameter>('The parameters', one, passParameters))];
  for (const parameter of parameters) checkParameter(parameter, passParameters);
  const [first] = parameters;
  if (!first) throw new NormError('value', 'There are no parameters.', passParameters);
  const { gpu } = first.data;
  gpu.checkAlive();
  for (const { grad } of parameters) if (grad) gpu.checkUsable(grad, 'a gradient');
  return { gpu, parameters };
}

const passParameters = 'Pass model.parameters().';
