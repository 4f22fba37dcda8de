import { NormError } from '../gpu/errors.ts';
import { bytesOf, filled } from '../gpu/filled.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { OptionNames } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { checkCount, checkEps, checkLayout } from '../ops/check.ts';
import type { RunningVariance } from '../ops/conventions.ts';
import type { NormCall, Running, RunningTensors } from '../ops/norm.ts';
import { checkMomentum, isBiased, runningTensors } from '../ops/running.ts';
import type { Layout } from '../plan/geometry.ts';
import { type EpilogueModuleOptions, epilogueModuleNames, NormModule } from './norm-module.ts';

/** Options of the modules with running statistics. */
export interface RunningNormModuleOptions extends EpilogueModuleOptions {
  /** Added to the variance; in BatchNorm's training more than 0. Default 1e-5. */
  eps?: number | undefined;
  /** Factor of a batch's statistics in the running ones; null: see the module. Default 0.1. */
  momentum?: number | null | undefined;
  /** Whether there is a weight (ones at first). Default: see the module. */
  affine?: boolean | undefined;
  /** Whether there are running statistics. Without, evaluation uses those of its input too. Default: see the module. */
  trackRunningStats?: boolean | undefined;
  /** The variance that the running one is updated with: see {@link RunningVariance}. Default 'unbiased', PyTorch's. */
  runningVariance?: RunningVariance | undefined;
  /** Of the inputs. Default 'channels-first'. */
  layout?: Layout | undefined;
  /** Of the parameters. Default 'f32', which serves inputs of every dtype. The running statistics are f32 always. */
  dtype?: FloatDType | undefined;
}

/** @internal */
export const runningModuleNames = {
  ...epilogueModuleNames,
  eps: 'number',
  momentum: 'number?',
  affine: 'boolean',
  trackRunningStats: 'boolean',
  runningVariance: 'string',
  layout: 'string',
  dtype: 'string',
} as const satisfies OptionNames<RunningNormModuleOptions>;

/**
 * torch's _NormBase, what BatchNorm and InstanceNorm share: in training, forward uses the statistics of its input and
 * updates the running ones; after `eval()` it uses the running ones. `prepare` and `workspaceBytes` are about the mode
 * that they are called in.
 */
export abstract class RunningNorm extends NormModule {
  readonly numFeatures: number;
  readonly eps: number;
  readonly layout: Layout;
  /** What the running variance is made of. */
  readonly runningVariance: RunningVariance;
  /** As PyTorch's: it can be changed at any time. */
  momentum: number | null;
  /**
   * As PyTorch's, it can be changed too. False keeps BatchNorm's training from updating the running statistics, and its
   * evaluation uses them where there are any. InstanceNorm then uses the statistics of its input, and updates the running
   * ones with them, in evaluation as in training.
   */
  trackRunningStats: boolean;
  /** @internal */
  constructor(
    gpu: Gpu,
    numFeatures: number,
    options: RunningNormModuleOptions & { affine: boolean; bias: boolean; trackRunningStats: boolean },
  ) {
    super(gpu, options);
    const { eps = 1e-5, momentum = 0.1, layout = 'channels-first', dtype = 'f32' } = options;
    const { runningVariance = 'unbiased' } = options;
    checkCount('numFeatures', numFeatures);
    checkEps(eps);
    checkMomentum({ momentum, counted: true });
    checkLayout(layout);
    isBiased(runningVariance);
    if (options.trackRunningStats) bytesOf(gpu, [numFeatures], 'f32'); // before there are parameters
    this.runningVariance = runningVariance;
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.layout = layout;
    this.trackRunningStats = options.trackRunningStats;
    if (options.affine) {
      this.weight = this.register('weight', [numFeatures], dtype, 1);
      if (options.bias) this.bias = this.register('bias', [numFeatures], dtype, 0);
    }
    if (options.trackRunningStats) {
      this.registerBuffer('running_mean', filled(gpu, 0, [numFeatures]));
      this.registerBuffer('running_var', filled(gpu, 1, [numFeatures]));
      this.registerBuffer('num_batches_tracked', gpu.zeros([], { dtype: 'u32' }));
    }
  }

  /** f32 [numFeatures], zeros at first; null if the module was made without running statistics. */
  get runningMean(): Tensor | null {
    return this.bufferOf('running_mean');
  }

  set runningMean(tensor: Tensor | null) {
    this.registerBuffer('running_mean', tensor);
  }

  /** f32 [numFeatures], ones at first, unbiased unless {@link runningVariance} says otherwise; or null. */
  get runningVar(): Tensor | null {
    return this.bufferOf('running_var');
  }

  set runningVar(tensor: Tensor | null) {
    this.registerBuffer('running_var', tensor);
  }

  /** u32 []: batches that BatchNorm's forward has seen in training; InstanceNorm's stays 0, as PyTorch's. Or null. */
  get numBatchesTracked(): Tensor | null {
    return this.bufferOf('num_batches_tracked');
  }

  set numBatchesTracked(tensor: Tensor | null) {
    this.registerBuffer('num_batches_tracked', tensor);
  }

  /**
   * Forgets the running statistics: zeros, ones, no batches. At once: commands that are recorded but not yet submitted
   * come after it. Nothing while {@link trackRunningStats} is false, as PyTorch.
   */
  resetRunningStats(): void {
    this.checkUsable();
    if (!this.trackRunningStats) return;
    this.runningMean?.write(new Float32Array(this.numFeatures));
    this.runningVar?.write(new Float32Array(this.numFeatures).fill(1));
    this.numBatchesTracked?.write([0]);
  }

  /** As torch's: 2, since num_batches_tracked came. */
  protected override get stateVersion(): number {
    return 2;
  }

  protected override adaptState(
    entries: Map<string, Tensor | HostTensor>,
    prefix: string,
    version: number | undefined,
    _problems: string[],
  ): void {
    keepCount(entries, prefix, version, this.numBatchesTracked);
  }

  /** @internal How forward updates the running statistics in training; undefined where it does not. */
  protected abstract update(): Running | undefined;

  /** @internal What a call has to do with the running statistics in this mode. Throws `value` if one of them is missing. */
  protected runningMode(): Running | undefined {
    if (!runningTensors(this)) return undefined;
    if (!this.training) return { mode: 'frozen', momentum: null, counted: false };
    return this.trackRunningStats ? this.update() : undefined;
  }

  protected override runningKey(): unknown {
    if (!this.runningMean) return undefined;
    if (!this.training) return 'evaluation';
    return this.trackRunningStats ? this.momentum : 'untracked';
  }

  /** @internal Throws `shape` unless the axis has numFeatures channels. */
  protected checkChannels(shape: readonly number[], axis: number): void {
    if (shape[axis] === this.numFeatures) return;
    throw new NormError(
      'shape',
      `x of shape [${shape}] has ${shape[axis]} channels (${this.layout}); this module has ${this.numFeatures}.`,
      'Match numFeatures and layout to the input.',
    );
  }

  protected override running({ running }: NormCall): RunningTensors | undefined {
    const tensors = running && runningTensors(this);
    return (
      tensors && { ...tensors, numBatchesTracked: (running.counted && this.numBatchesTracked) || undefined }
    );
  }
}

/** torch's rule: files from before num_batches_tracked, and such as do not say their version, need not have it. */
export function keepCount(
  entries: Map<string, Tensor | HostTensor>,
  prefix: string,
  version: number | undefined,
  numBatchesTracked: Tensor | null,
): void {
  const key = `${prefix}num_batches_tracked`;
  if ((version ?? 0) < 2 && numBatchesTracked && !entries.has(key)) entries.set(key, numBatchesTracked);
}
