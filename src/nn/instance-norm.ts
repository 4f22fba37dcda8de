import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { channelKernels } from '../kernels/channel-kernels.ts';
import { instanceNormCall } from '../ops/instance-norm.ts';
import type { BothCalls, Running } from '../ops/norm.ts';
import { isBiased, runningTensors } from '../ops/running.ts';
import { RunningNorm, type RunningNormModuleOptions, runningModuleNames } from './running-norm.ts';

/**
 * Options of the InstanceNorm modules. affine (weight and bias) and trackRunningStats are false by default, and momentum
 * null keeps the running statistics as they are, all as PyTorch's.
 */
export type InstanceNormModuleOptions = RunningNormModuleOptions;

/** What InstanceNorm1d, 2d and 3d share. */
export abstract class InstanceNorm extends RunningNorm {
  /** Spatial dimensions of the input. */
  protected abstract readonly spatial: number;

  /**
   * @param numFeatures - channels.
   * @throws NormError `value`, `dtype`.
   */
  constructor(gpu: Gpu, numFeatures: number, options: InstanceNormModuleOptions = {}) {
    checkOptions('InstanceNorm', options, runningModuleNames);
    const { affine = false, trackRunningStats = false } = options;
    super(gpu, numFeatures, { ...options, affine, bias: affine, trackRunningStats });
  }

  /** torch's rule: before its version 0.4, running statistics were there by default, and loading must not lose them. */
  protected override adaptState(
    entries: Map<string, Tensor | HostTensor>,
    prefix: string,
    version: number | undefined,
    problems: string[],
  ): void {
    super.adaptState(entries, prefix, version, problems);
    if (version !== undefined || this.runningMean) return;
    for (const key of [`${prefix}running_mean`, `${prefix}running_var`]) {
      if (entries.delete(key)) problems.push(`${key}: this module has no running statistics; remove it`);
    }
  }

  protected override describe(shape: readonly number[]): BothCalls {
    const unbatched = shape.length === this.spatial + 1;
    if (!unbatched && shape.length !== this.spatial + 2) {
      throw new NormError(
        'shape',
        `Expected ${this.spatial + 1}D or ${this.spatial + 2}D input (got ${shape.length}D input).`,
        'Pass [N, C, ...spatial], or [C, ...spatial] for one sample.',
      );
    }
    this.checkChannels(shape, this.layout === 'channels-last' ? shape.length - 1 : unbatched ? 0 : 1);
    return {
      ...instanceNormCall(shape, this.layout, this.eps, { unbatched, running: this.runningMode() }),
      ...channelKernels,
    };
  }

  /** As torch's, unlike BatchNorm: see {@link trackRunningStats}. */
  protected override runningMode(): Running | undefined {
    if (!runningTensors(this)) return undefined;
    if (this.#usesInput) return this.update();
    return { mode: 'frozen', momentum: null, counted: false };
  }

  protected override runningKey(): unknown {
    return this.#usesInput ? this.momentum : 'evaluation';
  }

  get #usesInput(): boolean {
    return this.training || !this.trackRunningStats;
  }

  protected override update(): Running | undefined {
    const { momentum } = this;
    const biased = isBiased(this.runningVariance);
    return momentum === null ? undefined : { mode: 'update', momentum, counted: false, biased };
  }
}

/** torch.nn.InstanceNorm1d: input [N, C, L] or [C, L]. See {@link instanceNorm} for the formula. */
export class InstanceNorm1d extends InstanceNorm {
  protected override readonly spatial = 1;
}

/** torch.nn.InstanceNorm2d: input [N, C, H, W] or [C, H, W]. See {@link instanceNorm} for the formula. */
export class InstanceNorm2d extends InstanceNorm {
  protected override readonly spatial = 2;
}

/** torch.nn.InstanceNorm3d: input [N, C, D, H, W] or [C, D, H, W]. See {@link instanceNorm} for the formula. */
export class InstanceNorm3d extends InstanceNorm {
  protected override readonly spatial = 3;
}
