import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType } from '../gpu/tensor.ts';
import { rmsNormKernels } from '../kernels/row-kernels.ts';
import type { EpsMode } from '../ops/conventions.ts';
import { l2Eps, l2NormCall } from '../ops/l2-norm.ts';
import type { BothCalls } from '../ops/norm.ts';
import { axesFor, normalizedSizes } from '../ops/normalized.ts';
import { type EpilogueModuleOptions, epilogueModuleNames, NormModule } from './norm-module.ts';

/** Options of {@link L2Norm}. */
export interface L2NormModuleOptions extends EpilogueModuleOptions {
  /** Default 1e-12, or 1e-6 where it is added. */
  eps?: number | undefined;
  /** Whether eps is the least length, or added to its square. Default 'max'. */
  epsMode?: EpsMode | undefined;
  /** The axes that have the sizes of normalizedShape, in the order of x: see {@link l2Norm}. Default: the last ones. */
  axes?: number | ArrayLike<number> | undefined;
  /** Groups of the elements of normalizedShape, each with a length of its own. Default 1. */
  numGroups?: number | undefined;
  /** Whether there is a weight, of ones at first. Default false. */
  elementwiseAffine?: boolean | undefined;
  /** Of the weight. Default 'f32', which serves inputs of every dtype. */
  dtype?: FloatDType | undefined;
}

const names = {
  ...epilogueModuleNames,
  eps: 'number',
  epsMode: 'string',
  axes: 'other',
  numGroups: 'number',
  elementwiseAffine: 'boolean',
  dtype: 'string',
} as const satisfies OptionNames<L2NormModuleOptions>;

/**
 * Divides by the Euclidean length: see {@link l2Norm} for the formula. The names are those of torch.nn.RMSNorm, with `weight` in the state
 * where there is one; the L2Norm of SSD (Liu et al. 2016, arXiv 1512.02325) has one per channel, of axes 1.
 *
 * @example
 * ```ts
 * const norm = new L2Norm(gpu, 384);
 * const y = norm.forward(embeddings);
 * ```
 */
export class L2Norm extends NormModule {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  readonly epsMode: EpsMode;
  /** Undefined where they are the last ones. */
  readonly axes: readonly number[] | undefined;
  readonly numGroups: number;

  /**
   * @param normalizedShape - the trailing sizes that are normalized together, or those of axes; a number stands for one size.
   * @throws NormError `shape`, `value`, `dtype`.
   */
  constructor(gpu: Gpu, normalizedShape: number | ArrayLike<number>, options: L2NormModuleOptions = {}) {
    checkOptions('L2Norm', options, names);
    super(gpu, options);
    const { axes, numGroups = 1, elementwiseAffine = false, dtype = 'f32' } = options;
    this.normalizedShape = normalizedSizes(normalizedShape);
    const { eps, epsMode } = l2Eps(options);
    this.eps = eps;
    this.epsMode = epsMode;
    this.axes = axesFor(this.normalizedShape, axes);
    this.numGroups = numGroups;
    l2NormCall([1, ...this.normalizedShape], { ...this, axes: undefined });
    if (elementwiseAffine) this.weight = this.register('weight', this.normalizedShape, dtype, 1);
  }

  protected override describe(shape: readonly number[]): BothCalls {
    return { ...l2NormCall(shape, this), ...rmsNormKernels };
  }
}
