import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { batchNormCall, checkMomentum } from '../ops/batch-norm.ts';
import { checkEps } from '../ops/check.ts';
import { checkLayout } from '../ops/group-norm.ts';
import type { NormCall, Running, RunningTensors } from '../ops/norm.ts';
import type { Layout } from '../plan/geometry.ts';
import { NormModule } from './norm-module.ts';

/** Options of the BatchNorm modules. */
export interface BatchNormModuleOptions {
  /** Added to the variance; in training more than 0. Default 1e-5. */
  eps?: number | undefined;
  /** Factor of a batch's statistics in the running ones; null for the average of all batches. Default 0.1. */
  momentum?: number | null | undefined;
  /** Whether there is a weight (ones at first). Default true. */
  affine?: boolean | undefined;
  /** Whether there is a bias (zeros at first) beside the weight. Default true. */
  bias?: boolean | undefined;
  /** Whether there are running statistics. Without, evaluation uses those of its input too. Default true. */
  trackRunningStats?: boolean | undefined;
  /** Of the inputs. Default 'channels-first'. */
  layout?: Layout | undefined;
  /** Of the parameters. Default 'f32', which serves f32 and f16 inputs. The running statistics are f32 always. */
  dtype?: FloatDType | undefined;
}

/**
 * What BatchNorm1d, 2d and 3d share: in training, forward uses the statistics of its input and updates the running ones;
 * after `eval()` it uses the running ones. `prepare` and `workspaceBytes` are about the mode that they are called in.
 */
export abstract class BatchNorm extends NormModule {
  readonly numFeatures: number;
  readonly eps: number;
  readonly layout: Layout;
  /** As PyTorch's: it can be changed at any time. */
  momentum: number | null;
  /** False keeps training from updating the running statistics; evaluation uses them where there are any. */
  trackRunningStats: boolean;
  /** f32 [numFeatures], zeros at first; null if the module was made without running statistics. */
  readonly runningMean: Tensor | null = null;
  /** f32 [numFeatures], ones at first, unbiased; or null. */
  readonly runningVar: Tensor | null = null;
  /** u32 []: batches that forward has seen in training; or null. */
  readonly numBatchesTracked: Tensor | null = null;
  /** Numbers of dimensions that the input may have. */
  protected abstract readonly ranks: readonly number[];

  /**
   * @param numFeatures - channels.
   * @throws NormError `value`, `dtype`.
   */
  constructor(gpu: Gpu, numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(gpu);
    const { eps = 1e-5, momentum = 0.1, affine = true, bias = true, trackRunningStats = true } = options;
    const { layout = 'channels-first', dtype = 'f32' } = options;
    if (!Number.isInteger(numFeatures) || numFeatures < 1) {
      throw new NormError('value', `numFeatures is ${numFeatures}.`, 'Use an integer ≥ 1.');
    }
    checkEps(eps);
    checkMomentum({ momentum, counted: true });
    checkLayout(layout);
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.layout = layout;
    this.trackRunningStats = trackRunningStats;
    if (affine) {
      this.weight = this.register('weight', [numFeatures], dtype, 1);
      if (bias) this.bias = this.register('bias', [numFeatures], dtype, 0);
    }
    if (trackRunningStats) {
      const ones = new Float32Array(numFeatures).fill(1);
      this.runningMean = this.registerBuffer('running_mean', gpu.zeros([numFeatures]));
      this.runningVar = this.registerBuffer('running_var', gpu.tensor(ones, [numFeatures]));
      this.numBatchesTracked = this.registerBuffer('num_batches_tracked', gpu.zeros([], { dtype: 'u32' }));
    }
  }

  /**
   * Forgets the running statistics: zeros, ones, no batches. At once: commands that are recorded but not yet submitted
   * come after it.
   */
  resetRunningStats(): void {
    this.checkUsable();
    this.runningMean?.write(new Float32Array(this.numFeatures));
    this.runningVar?.write(new Float32Array(this.numFeatures).fill(1));
    this.numBatchesTracked?.write([0]);
  }

  /** As torch's: 2, since num_batches_tracked came. */
  protected override get stateVersion(): number {
    return 2;
  }

  protected override describe(shape: readonly number[]): NormCall {
    if (!this.ranks.includes(shape.length)) {
      throw new NormError(
        'shape',
        `Expected ${this.ranks.map((rank) => `${rank}D`).join(' or ')} input (got ${shape.length}D input).`,
        'Pass [N, C, ...spatial], or [N, ...spatial, C] with the layout channels-last.',
      );
    }
    const channels = shape[this.layout === 'channels-first' ? 1 : shape.length - 1];
    if (channels !== this.numFeatures) {
      throw new NormError(
        'shape',
        `x of shape [${shape}] has ${channels} channels (${this.layout}); this module has ${this.numFeatures}.`,
        'Match numFeatures and layout to the input.',
      );
    }
    return batchNormCall(shape, this.layout, this.eps, this.#running());
  }

  protected override running({ running }: NormCall): RunningTensors | undefined {
    const { runningMean, runningVar, numBatchesTracked } = this;
    if (!running || !runningMean || !runningVar) return undefined;
    return {
      runningMean,
      runningVar,
      numBatchesTracked: (running.counted && numBatchesTracked) || undefined,
    };
  }

  #running(): Running | undefined {
    const { training, trackRunningStats, momentum } = this;
    if (!this.runningMean) return undefined;
    if (!training) return { mode: 'frozen', momentum: null, counted: false };
    return trackRunningStats ? { mode: 'update', momentum, counted: true } : undefined;
  }
}

/** torch.nn.BatchNorm1d: input [N, C] or [N, C, L]. See {@link batchNorm} for the formula. */
export class BatchNorm1d extends BatchNorm {
  protected override readonly ranks = [2, 3];
}

/** torch.nn.BatchNorm2d: input [N, C, H, W]. See {@link batchNorm} for the formula. */
export class BatchNorm2d extends BatchNorm {
  protected override readonly ranks = [4];
}

/** torch.nn.BatchNorm3d: input [N, C, D, H, W]. See {@link batchNorm} for the formula. */
export class BatchNorm3d extends BatchNorm {
  protected override readonly ranks = [5];
}
