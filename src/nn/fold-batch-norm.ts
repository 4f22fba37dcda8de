import { NormError } from '../gpu/errors.ts';
import { checkOptions } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import {
  checkFold,
  type Folded,
  type FoldOptions,
  type FrozenStatistics,
  fold,
  foldNames,
} from '../ops/fold.ts';
import { type BatchNorm, batchNormOf } from './batch-norm.ts';
import { FrozenBatchNorm2d } from './frozen-batch-norm.ts';
import { Identity } from './identity.ts';
import { checkModule, type Module } from './module.ts';
import { Parameter } from './parameter.ts';
import { modulePaths } from './registry.ts';
import { replaceModule } from './replace-module.ts';
import { Sequential } from './sequential.ts';

/** What a module of yours has so that {@link fuseBatchNorm} can fold a BatchNorm into it. */
export interface FoldTarget {
  /** Name of the parameter that holds its weights. */
  readonly weight: string;
  /** Name of the one that holds its bias, [output channels]; it may be null, and is registered by this name then. */
  readonly bias: string;
  /** Of the output channels in the shape of the weights. Default 0; see {@link FoldOptions}. */
  readonly axis?: number | undefined;
}

/** A convolution or linear map that a BatchNorm right after it can be folded into. */
export interface FoldableModule extends Module {
  readonly foldTarget: FoldTarget;
}

/** A norm that can be folded: BatchNorm, FrozenBatchNorm2d, or `webgpu-norm/distributed`'s SyncBatchNorm. */
export type FoldableNorm =
  | FrozenBatchNorm2d
  | (Module & Pick<BatchNorm, 'numFeatures' | 'eps' | 'runningMean' | 'runningVar' | 'weight' | 'bias'>);

/**
 * The weights of a convolution or linear map that does what it and a BatchNorm in evaluation behind it did:
 * W′ = W·weight·rstd per output channel and b′ = (b − runningMean)·weight·rstd + bias, with
 * rstd = 1 / sqrt(runningVar + eps) (torch.nn.utils.fusion.fuse_conv_bn_weights).
 *
 * @param weight - f32, f16 or bf16, [out, ...]; see {@link FoldOptions} for transposed convolutions.
 * @param bias - [out], dtype of weight; null for none.
 * @param bn - a BatchNorm (or SyncBatchNorm) in evaluation, with running statistics and without an activation, or a FrozenBatchNorm2d.
 * @returns new tensors like weight and [out].
 * @throws NormError `order` while bn is training, `value`, `shape`, `dtype`, `limit`, `destroyed`, `wrong-device`.
 */
export function foldBatchNorm(
  weight: Tensor,
  bias: Tensor | null,
  bn: FoldableNorm,
  options: FoldOptions = {},
): Folded {
  checkModule(bn, 'bn');
  checkOptions('foldBatchNorm', options, foldNames);
  if (batchNormOf(bn) && bn.training) {
    throw new NormError(
      'order',
      'This BatchNorm is training: it does not use the statistics that would be folded.',
      'Call eval() first.',
    );
  }
  const statistics = statisticsOf(bn);
  if (!statistics) {
    throw new NormError(
      'value',
      'A BatchNorm with an activation or without running statistics is no linear map of its own.',
      'Leave it as it is.',
    );
  }
  return fold(bn.gpu, weight, bias, statistics, options);
}

/** What a module in evaluation multiplies and adds; null if it is no BatchNorm, or does more than that. */
function statisticsOf(module: Module | undefined): FrozenStatistics | null {
  const norm = module && (module instanceof FrozenBatchNorm2d ? module : batchNormOf(module));
  if (!norm) return null;
  const { runningMean, runningVar, eps, weight, bias, activation } = norm;
  if (!runningMean || !runningVar || activation !== 'none') return null;
  return { weight: weight?.data ?? null, bias: bias?.data ?? null, runningMean, runningVar, eps };
}

/** One BatchNorm of a model and the module before it. */
interface Pair {
  parent: Sequential;
  name: string;
  bn: Module;
  statistics: FrozenStatistics;
  module: FoldableModule;
  weight: Parameter;
  bias: Parameter | null;
}

/**
 * Folds every BatchNorm that follows a {@link FoldableModule} in a Sequential of the model into its weights, and puts an
 * {@link Identity} in its place: torch.ao.quantization.fuse_modules. What the model has twice (a module, or a parameter of
 * it), and a BatchNorm with an activation or without running statistics, is left as it is.
 *
 * Frees what is replaced, so submit first what was recorded with it.
 *
 * @returns the model.
 * @throws NormError `order` unless the model is in evaluation; `shape`, `dtype`, `value` (a foldTarget without weight);
 * `unsupported` where a hook sees what is between a module and its BatchNorm, or runs with the BatchNorm. Nothing is changed then.
 */
export function fuseBatchNorm<T extends Module>(model: T): T {
  checkModule(model);
  if (model.modules().some(({ training }) => training)) {
    throw new NormError('order', 'The model, or a part of it, is training.', 'Call model.eval() first.');
  }
  const pairs = pairsOf(model);
  for (const { module, weight, bias, statistics } of pairs) {
    checkFold(model.gpu, weight.data, bias?.data, statistics, { axis: module.foldTarget.axis });
  }
  const folded: Folded[] = [];
  try {
    for (const { module, weight, bias, statistics } of pairs) {
      folded.push(fold(model.gpu, weight.data, bias?.data, statistics, { axis: module.foldTarget.axis }));
    }
  } catch (error) {
    for (const tensors of folded) for (const tensor of [tensors.weight, tensors.bias]) tensor.destroy();
    throw error;
  }
  pairs.forEach((pair, i) => {
    put(pair, folded[i] as Folded);
  });
  return model;
}

function put({ parent, name, bn, module, weight, bias }: Pair, folded: Folded): void {
  weight.replace(folded.weight);
  if (bias) bias.replace(folded.bias);
  else {
    const { requiresGrad } = weight;
    const made = module.registerParameter(
      module.foldTarget.bias,
      new Parameter(folded.bias, { requiresGrad }),
    );
    if (module.foldTarget.bias in module) Object.assign(module, { [module.foldTarget.bias]: made });
  }
  replaceModule(parent, name, new Identity(parent.gpu).eval());
  bn.destroy();
}

function pairsOf(model: Module): Pair[] {
  const uses = new Map<Module | Parameter, number>();
  const use = (what: Module | Parameter) => uses.set(what, (uses.get(what) ?? 0) + 1);
  for (const [, module] of modulePaths(model)) use(module);
  for (const { registry } of model.modules()) {
    for (const parameter of registry.parameters.values()) if (parameter) use(parameter);
  }
  const once = (what: Module | Parameter | null) => !what || uses.get(what) === 1;
  const path = (module: Module) => `"${model.namedModules().find(([, one]) => one === module)?.[0]}"`;
  const pairs: Pair[] = [];
  for (const parent of model.modules()) {
    if (!(parent instanceof Sequential)) continue;
    let before: Module | null = null;
    for (const [name, bn] of parent.registry.modules) {
      if (!bn) continue;
      const statistics = statisticsOf(bn);
      if (statistics && before && isFoldable(before)) {
        const { weight: weightName, bias: biasName } = before.foldTarget;
        const weight = before.registry.parameters.get(weightName);
        const bias = before.registry.parameters.get(biasName) ?? null;
        if (!weight) {
          throw new NormError(
            'value',
            `foldTarget of ${before.constructor.name} names the weight '${weightName}', which it does not have.`,
            'Name a parameter that is registered.',
          );
        }
        if ([before, weight, bias, bn, ...bn.registry.parameters.values()].every(once)) {
          if (before.hooks?.seesOutput || bn.hooks?.any) {
            const hooked = bn.hooks?.any ? bn : before;
            throw new NormError(
              'unsupported',
              `The ${hooked.constructor.name} ${path(hooked)} has hooks, which folding would lose.`,
              'Remove them with their handles, fold, and register them where they are needed.',
            );
          }
          pairs.push({ parent, name, bn, statistics, module: before, weight, bias });
        }
      }
      before = bn;
    }
  }
  return pairs;
}

const isFoldable = (module: Module): module is FoldableModule => 'foldTarget' in module;
