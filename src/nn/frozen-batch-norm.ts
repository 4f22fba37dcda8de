import { NormError } from '../gpu/errors.ts';
import { bytesOf, filled } from '../gpu/filled.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { channelKernels } from '../kernels/channel-kernels.ts';
import { batchNormCall } from '../ops/batch-norm.ts';
import { copyInto } from '../ops/cast.ts';
import { checkCount, checkEps, checkLayout, floatDType } from '../ops/check.ts';
import type { BothCalls, RunningTensors } from '../ops/norm.ts';
import type { Layout } from '../plan/geometry.ts';
import { type BatchNorm, BatchNorm2d, batchNormOf } from './batch-norm.ts';
import { checkModule, type Module } from './module.ts';
import { type EpilogueModuleOptions, epilogueModuleNames, NormModule } from './norm-module.ts';
import { checkParameter, Parameter } from './parameter.ts';
import { replaceModules } from './replace-module.ts';

/** Options of {@link FrozenBatchNorm2d}. */
export interface FrozenBatchNormModuleOptions extends EpilogueModuleOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /** Of the inputs. Default 'channels-first'. */
  layout?: Layout | undefined;
  /** Of weight and bias. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

const names = {
  ...epilogueModuleNames,
  eps: 'number',
  layout: 'string',
  dtype: 'string',
} as const satisfies OptionNames<FrozenBatchNormModuleOptions>;

/** Its buffers, and what they are filled with. */
const initial = { weight: 1, bias: 0, running_mean: 0, running_var: 1 };

/**
 * torchvision's and detectron2's FrozenBatchNorm2d: BatchNorm2d in evaluation whose weight (ones), bias (zeros), running
 * mean (zeros) and running variance (ones) are buffers, which no training changes; `train()` makes no difference.
 * Input [N, C, H, W] or, channels-last, [N, H, W, C]; see {@link batchNorm} for the formula.
 *
 * @remarks backward gives dx alone: `parameters()` is empty, and weight and bias require no gradient. State dicts of
 * BatchNorm2d load, whose count of batches is left out; one that says it is of version 1 or does not say need not have
 * running statistics (detectron2's rule; zeros and ones then).
 */
export class FrozenBatchNorm2d extends NormModule {
  readonly numFeatures: number;
  readonly eps: number;
  readonly layout: Layout;
  #weight: Parameter | undefined;
  #bias: Parameter | undefined;

  /**
   * @param numFeatures - channels.
   * @throws NormError `value`, `dtype`.
   */
  constructor(gpu: Gpu, numFeatures: number, options: FrozenBatchNormModuleOptions = {}) {
    checkOptions('FrozenBatchNorm2d', options, names);
    super(gpu, options);
    const { eps = 1e-5, layout = 'channels-first', dtype = 'f32' } = options;
    checkCount('numFeatures', numFeatures);
    checkEps(eps);
    checkLayout(layout);
    gpu.checkDType(floatDType({ dtype }, 'weight'));
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.layout = layout;
    bytesOf(gpu, [numFeatures], 'f32'); // none of them is made where one is too large
    for (const [name, value] of Object.entries(initial)) {
      const of = name.startsWith('running') ? 'f32' : dtype;
      this.registerBuffer(name, filled(gpu, value, [numFeatures], of));
    }
  }

  /** As every module's; its own four buffers cannot be null. */
  override registerBuffer<T extends Tensor | null>(
    name: string,
    tensor: T,
    options?: { persistent?: boolean | undefined },
  ): T {
    if (!tensor && name in initial) {
      throw new NormError('value', `${name} of a FrozenBatchNorm2d cannot be absent.`, 'Pass a tensor.');
    }
    return super.registerBuffer(name, tensor, options);
  }

  /** γ: a buffer, which the passes see as a parameter without gradient. Assigning takes the data of another. */
  override get weight(): Parameter {
    this.#weight = this.#fixed('weight', this.#weight);
    return this.#weight;
  }

  override set weight(parameter: Parameter) {
    this.registerBuffer('weight', dataOf(parameter));
  }

  /** β, likewise. */
  override get bias(): Parameter {
    this.#bias = this.#fixed('bias', this.#bias);
    return this.#bias;
  }

  override set bias(parameter: Parameter) {
    this.registerBuffer('bias', dataOf(parameter));
  }

  /** f32 [numFeatures]. */
  get runningMean(): Tensor {
    return this.bufferOf('running_mean') as Tensor;
  }

  set runningMean(tensor: Tensor) {
    this.registerBuffer('running_mean', tensor);
  }

  /** f32 [numFeatures]. */
  get runningVar(): Tensor {
    return this.bufferOf('running_var') as Tensor;
  }

  set runningVar(tensor: Tensor) {
    this.registerBuffer('running_var', tensor);
  }

  protected override describe(shape: readonly number[]): BothCalls {
    const { layout, numFeatures } = this;
    const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1];
    if (shape.length !== 4 || channels !== numFeatures) {
      throw new NormError(
        'shape',
        `x has shape [${shape}]; 4 dimensions are needed, with ${numFeatures} channels (${layout}).`,
        'Match numFeatures and layout to the input.',
      );
    }
    return {
      ...batchNormCall(shape, layout, this.eps, { mode: 'frozen', momentum: null, counted: false }),
      ...channelKernels,
    };
  }

  protected override running(): RunningTensors {
    return { runningMean: this.runningMean, runningVar: this.runningVar };
  }

  /** As detectron2's. */
  protected override get stateVersion(): number {
    return 3;
  }

  protected override adaptState(
    entries: Map<string, Tensor | HostTensor>,
    prefix: string,
    version: number | undefined,
    _problems: string[],
  ): void {
    entries.delete(`${prefix}num_batches_tracked`);
    if ((version ?? 0) >= 2) return;
    const shape = [this.numFeatures];
    for (const name of ['running_mean', 'running_var'] as const) {
      const key = prefix + name;
      const data = new Float32Array(this.numFeatures).fill(initial[name]);
      if (!entries.has(key)) entries.set(key, { dtype: 'f32', shape, data });
    }
  }

  #fixed(name: string, known: Parameter | undefined): Parameter {
    const tensor = this.bufferOf(name) as Tensor;
    return known?.data === tensor ? known : new Parameter(tensor, { requiresGrad: false });
  }
}

/**
 * Freezes every BatchNorm2d and SyncBatchNorm of a model: detectron2's convert_frozen_batchnorm. Each gives its place, its
 * name, its values and its hooks to a {@link FrozenBatchNorm2d}. Frees those that are replaced, so submit
 * first what was recorded with them.
 *
 * @param model - a tree of modules, or such a norm itself.
 * @returns the model, or what replaces it.
 * @throws NormError `value` if one has no running statistics, or lies in a field and is not registered; nothing is changed then.
 */
export function convertFrozenBatchNorm(model: Module): Module {
  checkModule(model);
  const applies = (module: Module): module is Module => {
    const norm = batchNormOf(module);
    return norm !== undefined && (norm !== module || norm instanceof BatchNorm2d);
  };
  const found = model.modules().filter(applies);
  if (found.some((module) => !batchNormOf(module)?.runningMean)) {
    throw new NormError(
      'value',
      'A BatchNorm2d of this model has no running statistics to freeze.',
      'Make it with trackRunningStats.',
    );
  }
  const converted = replaceModules(
    model,
    applies,
    (module) => frozenCopy(batchNormOf(module) as BatchNorm).train(module.training),
    (made) => made.destroy(),
  );
  for (const replaced of found) replaced.destroy();
  return converted;
}

function frozenCopy(module: BatchNorm): FrozenBatchNorm2d {
  const { gpu, numFeatures, eps, layout, activation, negativeSlope, weight, bias } = module;
  const dtype = weight ? floatDType(weight.data, 'weight') : 'f32';
  const options = { eps, layout, activation, negativeSlope, dtype };
  const frozen = new FrozenBatchNorm2d(gpu, numFeatures, options);
  if (weight) copyInto(gpu, weight.data, frozen.weight.data);
  if (bias) copyInto(gpu, bias.data, frozen.bias.data);
  const { runningMean, runningVar } = module;
  if (runningMean) copyInto(gpu, runningMean, frozen.runningMean);
  if (runningVar) copyInto(gpu, runningVar, frozen.runningVar);
  return frozen;
}

function dataOf(parameter: Parameter): Tensor {
  checkParameter(parameter, 'Pass new Parameter(tensor).');
  return parameter.data;
}
