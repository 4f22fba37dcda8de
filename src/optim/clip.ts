import { NormError } from '../gpu/errors.ts';
import { type Call, executeAll, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import {
  clipFactorProgram,
  clipValuesProgram,
  type GradientDescriptor,
  gradientNormProgram,
  type NormNumber,
  partialsOf,
  scaleGradientsProgram,
  wordsPerPartial,
} from '../kernels/gradients.ts';
import type { Parameter } from '../nn/parameter.ts';
import { checkTarget } from '../ops/check.ts';
import { remember } from '../ops/programs.ts';
import { checkNotNegative } from './check.ts';
import { type GradientTarget, gradientTargets, parametersOf } from './gradients.ts';
import { usable } from './packing.ts';

/** Options of {@link clipGradNorm}. */
export interface ClipGradNormOptions extends RecordOptions {
  /** Which norm: 2, 1, or Infinity for the largest size. Default 2. */
  normType?: 1 | 2 | number | undefined;
  /**
   * PyTorch's `error_if_nonfinite`. Only false, the default: an error could only be thrown once the norm was read back. Read the
   * norm that is returned where you need to know.
   */
  errorIfNonfinite?: false | undefined;
}

const names = {
  normType: 'number',
  errorIfNonfinite: 'boolean',
  ...recordNames,
} as const satisfies Record<keyof OptionNames<ClipGradNormOptions>, string>;

const normNumbers: ReadonlyMap<number, NormNumber> = new Map([
  [1, 1],
  [2, 2],
  [Number.POSITIVE_INFINITY, 0],
]);

/**
 * Scales the gradients so that the norm of all of them together is at most maxNorm: torch.nn.utils.clip_grad_norm_. Each is
 * multiplied by min(1, maxNorm / (norm + 1e-6)), a factor that stays on the GPU: nothing is read back. A norm that is infinite makes
 * zeros of what is finite, and NaN makes NaN of all, as in PyTorch; but finite gradients have a finite norm as long as f32 can
 * hold it, also where their squares are beyond f32.
 *
 * @param parameters - those without a gradient are left alone.
 * @param maxNorm - ≥ 0.
 * @returns the norm before clipping, f32 []: yours.
 * @throws NormError `value` for what is no parameter or out of range, `unsupported` for other norms and for errorIfNonfinite.
 *
 * @example
 * const norm = clipGradNorm(model.parameters(), 1);
 * optimizer.step();
 */
export function clipGradNorm(
  parameters: Iterable<Parameter> | Parameter,
  maxNorm: number,
  options: ClipGradNormOptions = {},
): Tensor {
  checkOptions('clipGradNorm', options, names);
  checkTarget(options);
  const { normType = 2, errorIfNonfinite = false } = options;
  checkNotNegative('maxNorm', maxNorm);
  const norm = normNumbers.get(normType);
  if (norm === undefined) {
    throw new NormError('unsupported', `There is no norm ${shown(normType)}.`, 'Use 1, 2 or Infinity.');
  }
  if (errorIfNonfinite) {
    throw new NormError(
      'unsupported',
      'errorIfNonfinite would have to wait for the norm and read it back.',
      'Leave it out, and look at the norm: `const [value] = await norm.data()`.',
    );
  }
  const { gpu, parameters: listed } = parametersOf(parameters);
  return gpu.orNothing(() => {
    const total = gpu.zeros([]);
    const { targets, before, after } = gradientTargets(gpu, listed, options);
    if (targets.length === 0) return total;
    const ways = targets.map((target) => wayOf(target));
    const programs: Call['program'][] = [];
    let partials = 0;
    for (const { d } of ways) {
      const first = partials;
      const make = () => gradientNormProgram(d, norm, first, gpu.facts);
      const program = remember(gpu, 'gradient_norm', { d, norm, first }, make);
      programs.push(program);
      partials += partialsOf(program);
    }
    const { list, factor } = workOf(gpu, partials);
    const norms = ways.map(({ operands }, i) => ({
      program: programs[i] as Call['program'],
      operands: { ...operands, partials_of_norm: list },
    }));
    const makeFactor = () => clipFactorProgram(partials, norm, maxNorm);
    const clipping = {
      program: remember(gpu, 'clip_factor', { partials, norm, maxNorm }, makeFactor),
      operands: { partials_of_norm: list, factor_bits: factor, norm_bits: total },
    };
    const scalings = ways.map(({ d, operands }) => ({
      program: remember(gpu, 'scale_gradients', { d }, () => scaleGradientsProgram(d, false, gpu.facts)),
      operands: { factor, ...operands },
    }));
    executeAll(gpu, [...norms, clipping, ...scalings], options, 'clip_grad_norm', { before, after });
    return total;
  });
}

/**
 * Cuts every element of the gradients to −clipValue … clipValue: torch.nn.utils.clip_grad_value_. NaN stays.
 *
 * @param parameters - those without a gradient are left alone.
 * @param clipValue - ≥ 0.
 * @throws NormError `value`.
 *
 * @example
 * clipGradValue(model.parameters(), 0.5);
 */
export function clipGradValue(
  parameters: Iterable<Parameter> | Parameter,
  clipValue: number,
  options: RecordOptions = {},
): void {
  checkOptions('clipGradValue', options, recordNames);
  checkTarget(options);
  checkNotNegative('clipValue', clipValue);
  const { gpu, parameters: listed } = parametersOf(parameters);
  const { targets, before, after } = gradientTargets(gpu, listed, options);
  if (targets.length === 0) return;
  const calls = targets.map((target) => {
    const { d, operands } = wayOf(target);
    const make = () => clipValuesProgram(d, clipValue, gpu.facts);
    return { program: remember(gpu, 'clip_values', { d, clipValue }, make), operands };
  });
  executeAll(gpu, calls, options, 'clip_grad_value', { before, after });
}

/** @internal A target as programs and operands have it. */
export function wayOf({ grad, dtype, places }: GradientTarget): {
  d: GradientDescriptor;
  operands: Call['operands'];
} {
  const d = { size: places ? 0 : grad.size, dtype, places: places ? places.size / 3 : 0 };
  return { d, operands: { grad, places } };
}

/** The partial norms and the factor of a context: every call writes them before it reads them. */
const works = new WeakMap<Gpu, { list: Tensor; factor: Tensor }>();

function workOf(gpu: Gpu, partials: number): { list: Tensor; factor: Tensor } {
  const work = works.get(gpu);
  const words = wordsPerPartial * partials;
  if (work && work.list.size >= words && usable(work.list) && usable(work.factor)) return work;
  const size = 2 ** Math.ceil(Math.log2(words));
  // What was outgrown is not destroyed: commands that are recorded but not yet submitted may refer to it.
  const made = { list: gpu.keep(gpu.zeros([size], { dtype: 'u32' })), factor: gpu.keep(gpu.zeros([])) };
  works.set(gpu, made);
  return made;
}
