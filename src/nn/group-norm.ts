import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType } from '../gpu/tensor.ts';
import { channelKernels } from '../kernels/channel-kernels.ts';
import { checkEps, checkLayout } from '../ops/check.ts';
import { checkGroups, groupNormCall } from '../ops/group-norm.ts';
import type { BothCalls } from '../ops/norm.ts';
import type { Layout } from '../plan/geometry.ts';
import { type EpilogueModuleOptions, epilogueModuleNames, NormModule } from './norm-module.ts';

/** Options of {@link GroupNorm}. */
export interface GroupNormModuleOptions extends EpilogueModuleOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /** Whether there are a weight (ones at first) and a bias (zeros). Default true. */
  affine?: boolean | undefined;
  /** Of the inputs. Default 'channels-first'. */
  layout?: Layout | undefined;
  /** Of the parameters. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

const names = {
  ...epilogueModuleNames,
  eps: 'number',
  affine: 'boolean',
  layout: 'string',
  dtype: 'string',
} as const satisfies OptionNames<GroupNormModuleOptions>;

/** torch.nn.GroupNorm: see {@link groupNorm} for the formula. */
export class GroupNorm extends NormModule {
  readonly numGroups: number;
  readonly numChannels: number;
  readonly eps: number;
  readonly layout: Layout;

  /**
   * @param numGroups - must divide numChannels.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, numGroups: number, numChannels: number, options: GroupNormModuleOptions = {}) {
    checkOptions('GroupNorm', options, names);
    super(gpu, options);
    const { eps = 1e-5, affine = true, layout = 'channels-first', dtype = 'f32' } = options;
    checkGroups(numChannels, numGroups);
    checkEps(eps);
    checkLayout(layout);
    this.numGroups = numGroups;
    this.numChannels = numChannels;
    this.eps = eps;
    this.layout = layout;
    if (!affine) return;
    this.weight = this.register('weight', [numChannels], dtype, 1);
    this.bias = this.register('bias', [numChannels], dtype, 0);
  }

  protected override describe(shape: readonly number[]): BothCalls {
    const channels = shape[this.layout === 'channels-first' ? 1 : shape.length - 1];
    if (channels !== this.numChannels) {
      throw new NormError(
        'shape',
        `x of shape [${shape}] has ${channels} channels (${this.layout}); this module has ${this.numChannels}.`,
        'Match numChannels and layout to the input.',
      );
    }
    return { ...groupNormCall(shape, this), ...channelKernels };
  }
}
