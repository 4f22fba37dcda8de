import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { FloatDType } from '../gpu/tensor.ts';
import { checkEps } from '../ops/check.ts';
import { checkLayout } from '../ops/group-norm.ts';
import { instanceNormCall } from '../ops/instance-norm.ts';
import type { NormCall } from '../ops/norm.ts';
import type { Layout } from '../plan/geometry.ts';
import { NormModule } from './norm-module.ts';

/** Options of the InstanceNorm modules. */
export interface InstanceNormModuleOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /** Whether there are a weight (ones at first) and a bias (zeros). Default false, as PyTorch. */
  affine?: boolean | undefined;
  /** Of the inputs. Default 'channels-first'. */
  layout?: Layout | undefined;
  /** Of the parameters. Default 'f32', which serves f32 and f16 inputs. */
  dtype?: FloatDType | undefined;
}

abstract class InstanceNorm extends NormModule {
  readonly numFeatures: number;
  readonly eps: number;
  readonly layout: Layout;
  /** Spatial dimensions of the input. */
  protected abstract readonly spatial: number;

  /**
   * @param numFeatures - channels.
   * @throws NormError `value`, `dtype`.
   */
  constructor(gpu: Gpu, numFeatures: number, options: InstanceNormModuleOptions = {}) {
    super(gpu);
    const { eps = 1e-5, affine = false, layout = 'channels-first', dtype = 'f32' } = options;
    if (!Number.isInteger(numFeatures) || numFeatures < 1) {
      throw new NormError('value', `numFeatures is ${numFeatures}.`, 'Use an integer ≥ 1.');
    }
    checkEps(eps);
    checkLayout(layout);
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.layout = layout;
    if (!affine) return;
    this.weight = this.register('weight', [numFeatures], dtype, 1);
    this.bias = this.register('bias', [numFeatures], dtype, 0);
  }

  /** As torch's: that of BatchNorm. */
  protected override get stateVersion(): number {
    return 2;
  }

  protected override describe(shape: readonly number[]): NormCall {
    const unbatched = shape.length === this.spatial + 1;
    if (!unbatched && shape.length !== this.spatial + 2) {
      throw new NormError(
        'shape',
        `Expected ${this.spatial + 1}D or ${this.spatial + 2}D input (got ${shape.length}D input).`,
        'Pass [N, C, ...spatial], or [C, ...spatial] for one sample.',
      );
    }
    const channelAxis = this.layout === 'channels-last' ? shape.length - 1 : unbatched ? 0 : 1;
    if (shape[channelAxis] !== this.numFeatures) {
      throw new NormError(
        'shape',
        `x of shape [${shape}] has ${shape[channelAxis]} channels (${this.layout}); this module has ${this.numFeatures}.`,
        'Match numFeatures and layout to the input.',
      );
    }
    return instanceNormCall(shape, this.layout, this.eps, unbatched);
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
