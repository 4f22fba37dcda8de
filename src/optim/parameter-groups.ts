import { checkOptions } from '../gpu/options.ts';
import { checkModule, type Module } from '../nn/module.ts';
import { NormModule } from '../nn/norm-module.ts';
import type { Parameter } from '../nn/parameter.ts';
import { checkNotNegative } from './check.ts';

/** Options of {@link parameterGroups}. */
export interface ParameterGroupsOptions {
  /** Of the parameters that decay, ≥ 0. */
  weightDecay: number;
}

const names = { weightDecay: 'number' } as const;

/**
 * The parameters of a model in two groups, one with weight decay and one without: norms, biases and whatever has fewer than two axes
 * do not decay, the usual recipe of transformers. A group that would be empty is left out; a parameter that is shared is there once.
 *
 * @throws NormError `value`.
 *
 * @example
 * const optimizer = new AdamW(parameterGroups(model, { weightDecay: 0.1 }), { lr: 3e-4 });
 */
export function parameterGroups(
  model: Module,
  options: ParameterGroupsOptions,
): { params: Parameter[]; weightDecay: number }[] {
  checkModule(model);
  checkOptions('parameterGroups', options, names);
  const { weightDecay } = options;
  checkNotNegative('weightDecay', weightDecay);
  const modules = new Map(model.namedModules());
  const decays = ([path, { data }]: [string, Parameter]): boolean => {
    const end = path.lastIndexOf('.');
    const owner = modules.get(path.slice(0, Math.max(0, end)));
    return data.shape.length >= 2 && path.slice(end + 1) !== 'bias' && !(owner instanceof NormModule);
  };
  const all = model.namedParameters();
  const groups = [
    { params: all.filter(decays), weightDecay },
    { params: all.filter((one) => !decays(one)), weightDecay: 0 },
  ];
  return groups
    .filter(({ params }) => params.length > 0)
    .map((group) => ({ ...group, params: group.params.map(([, parameter]) => parameter) }));
}
