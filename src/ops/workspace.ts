import { checkContext } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { type Program, scratchBytes } from '../gpu/program.ts';
import { shown } from '../gpu/shown.ts';
import { sizesOf } from '../gpu/tensor.ts';
import { tanhBackwardDescriptor, tanhBackwardProgram, tanhCall, tanhForwardProgram } from './dynamic-tanh.ts';
import { type LocalResponseNormSettings, localResponseNormProgram } from './local-response-norm.ts';
import { type StatisticsOption, statisticsNames } from './norm.ts';
import { callOf, type NormOp, type NormOpOptions, normOpNames, prepareOptionsOf } from './op-options.ts';
import { programOf } from './prepare-norm.ts';

/** Options of {@link workspaceBytes}. */
export interface WorkspaceOptions
  extends NormOpOptions,
    StatisticsOption,
    Partial<LocalResponseNormSettings> {
  /** Default: the pass that takes more. */
  pass?: 'forward' | 'backward' | undefined;
}

const names = {
  ...normOpNames,
  ...statisticsNames,
  size: 'number',
  alpha: 'number',
  beta: 'number',
  k: 'number',
  pass: 'string',
} as const satisfies OptionNames<WorkspaceOptions>;

/**
 * Bytes of scratch, beside inputs and outputs, that a call of a functional norm allocates on a context that has none yet:
 * at most 1 % of x, or `facts.leastWorkspace` (16 MiB on a GPU, 1 MiB on a software adapter) where that is more, unless a
 * schedule asks for more splits than are chosen, or a batch has more than 26,000 channels and fewer than 2000 values in each. Over axes of
 * f16 that others follow, with a residual and an activation, backward packs the statistics of a sample at a time: 16 bytes for each.
 * Schedules of several passes take 12 bytes of scratch per mean and rstd that `statistics: false` spares you. Calls share their
 * scratch, which grows to the largest.
 *
 * @param op - the function's name, such as 'layerNorm'; its backward goes by the same.
 * @param shape - of x.
 * @throws NormError as the function.
 */
export function workspaceBytes(
  gpu: Gpu,
  op: NormOp | 'localResponseNorm' | 'dynamicTanh',
  shape: ArrayLike<number>,
  options: WorkspaceOptions = {},
): number {
  checkContext(gpu);
  checkOptions('workspaceBytes', options, names);
  const { pass, dtype = 'f32', size = 5, statistics } = options;
  const sizes = sizesOf(shape);
  if (pass !== undefined && pass !== 'forward' && pass !== 'backward') {
    throw new NormError('value', `There is no pass '${shown(pass)}'.`, "Use 'forward' or 'backward'.");
  }
  if (options.yDtype !== undefined && (op === 'localResponseNorm' || op === 'dynamicTanh')) {
    throw new NormError('value', `${op} has no 'yDtype'.`, 'Leave it out: its y has the dtype of x.');
  }
  const programFor = (direction: 'forward' | 'backward') => {
    if (op === 'localResponseNorm') {
      return localResponseNormProgram(gpu, direction, sizes, dtype, { ...options, size });
    }
    if (op === 'dynamicTanh') return tanhProgram(gpu, direction, sizes, options);
    const described = { ...prepareOptionsOf(op, options), statistics };
    return programOf(gpu, callOf(op, sizes, options), described, direction);
  };
  const bytes = (direction: 'forward' | 'backward'): number => scratchBytes(programFor(direction));
  return pass ? bytes(pass) : Math.max(bytes('forward'), bytes('backward'));
}

function tanhProgram(
  gpu: Gpu,
  direction: 'forward' | 'backward',
  shape: readonly number[],
  { dtype = 'f32', paramDtype = dtype, affine = true, parameterShape }: NormOpOptions,
): Program {
  const size = parameterShape === undefined ? shape.slice(-1) : sizesOf(parameterShape, 'parameterShape');
  const parameter = affine ? { shape: size, dtype: paramDtype } : undefined;
  const parameters = { alpha: { shape: [1], dtype: paramDtype }, weight: parameter, bias: parameter };
  const call = tanhCall({ shape, dtype }, parameters);
  return direction === 'forward'
    ? tanhForwardProgram(gpu, call, parameters)
    : tanhBackwardProgram(gpu, tanhBackwardDescriptor(call, parameters));
}
