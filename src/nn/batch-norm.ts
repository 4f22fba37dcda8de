import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { channelKernels } from '../kernels/channel-kernels.ts';
import { batchNormCall } from '../ops/batch-norm.ts';
import type { BothCalls, Running, RunningTensors } from '../ops/norm.ts';
import { isBiased } from '../ops/running.ts';
import type { Module } from './module.ts';
import { RunningNorm, type RunningNormModuleOptions, runningModuleNames } from './running-norm.ts';

/**
 * Options of the BatchNorm modules. momentum null is the average of all batches; affine and trackRunningStats are true
 * by default.
 */
export interface BatchNormModuleOptions extends RunningNormModuleOptions {
  /** Whether there is a bias (zeros at first) beside the weight. Default true. */
  bias?: boolean | undefined;
}

const names = {
  ...runningModuleNames,
  bias: 'boolean',
} as const satisfies OptionNames<BatchNormModuleOptions>;

/** @internal Key of the BatchNorm that does the work of a module of another class, such as SyncBatchNorm. */
export const innerBatchNorm = Symbol('inner BatchNorm');

/** @internal The BatchNorm that a module is, or that does its work: torch counts both as _BatchNorm. */
export function batchNormOf(module: Module): BatchNorm | undefined {
  if (module instanceof BatchNorm) return module;
  return (module as { [innerBatchNorm]?: BatchNorm })[innerBatchNorm];
}

/** What BatchNorm1d, 2d and 3d share. */
export abstract class BatchNorm extends RunningNorm {
  /** Numbers of dimensions that the input may have. */
  protected abstract readonly ranks: readonly number[];

  /**
   * @param numFeatures - channels.
   * @throws NormError `value`, `dtype`.
   */
  constructor(gpu: Gpu, numFeatures: number, options: BatchNormModuleOptions = {}) {
    checkOptions('BatchNorm', options, names);
    const { affine = true, bias = true, trackRunningStats = true } = options;
    super(gpu, numFeatures, { ...options, affine, bias, trackRunningStats });
  }

  /** @internal What a tensor of that shape is to this module. */
  replica(shape: readonly number[]): { call: BothCalls; running: RunningTensors | undefined } {
    const call = this.describe(shape);
    return { call, running: this.running(call) };
  }

  protected override describe(shape: readonly number[]): BothCalls {
    if (!this.ranks.includes(shape.length)) {
      throw new NormError(
        'shape',
        `Expected ${this.ranks.map((rank) => `${rank}D`).join(' or ')} input (got ${shape.length}D input).`,
        'Pass [N, C, ...spatial], or [N, ...spatial, C] with the layout channels-last.',
      );
    }
    this.checkChannels(shape, this.layout === 'channels-first' ? 1 : shape.length - 1);
    return {
      ...batchNormCall(shape, this.layout, this.eps, this.runningMode(), this.replicas),
      ...channelKernels,
    };
  }

  protected override update(): Running {
    const { momentum } = this;
    return { mode: 'update', momentum, counted: true, biased: isBiased(this.runningVariance) };
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
