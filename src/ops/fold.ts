import { NormError } from '../gpu/errors.ts';
import { execute, type RecordOptions, recordNames } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { OptionNames } from '../gpu/options.ts';
import type { Program } from '../gpu/program.ts';
import { elementCount, type Tensor } from '../gpu/tensor.ts';
import { foldProgram } from '../kernels/fold.ts';
import { checkGrid } from '../plan/grid.ts';
import { checkLike, checkOperands, checkTarget, floatDType, parameterDType } from './check.ts';

/** A BatchNorm in evaluation. */
export interface FrozenStatistics {
  weight: Tensor | null;
  bias: Tensor | null;
  /** f32 [channels]. */
  runningMean: Tensor;
  /** f32 [channels]. */
  runningVar: Tensor;
  eps: number;
}

/** Options of a fold. */
export interface FoldOptions extends RecordOptions {
  /**
   * Of the output channels in weight's shape. Default 0, as convolutions and linear maps have them: [out, in/groups, ...].
   * 1 for transposed convolutions: [in, out/groups, ...]; the number of groups follows from the shape.
   */
  axis?: number | undefined;
}

/** @internal */
export const foldNames = { ...recordNames, axis: 'number' } as const satisfies OptionNames<FoldOptions>;

/** The weights and bias of a linear map with the BatchNorm behind it. */
export interface Folded {
  /** Shape and dtype of weight. */
  weight: Tensor;
  /** [channels], dtype of weight. */
  bias: Tensor;
}

/** Validates and records a fold. Nothing is allocated or recorded if it throws. */
export function fold(
  gpu: Gpu,
  weight: Tensor,
  bias: Tensor | null | undefined,
  statistics: FrozenStatistics,
  options: FoldOptions,
): Folded {
  const { encoder, pass } = options;
  const program = checkFold(gpu, weight, bias, statistics, options);
  const { weight: gamma, bias: beta, runningMean, runningVar } = statistics;
  return gpu.orNothing(() => {
    const foldedWeight = gpu.empty(weight.shape, { dtype: weight.dtype });
    const foldedBias = gpu.empty(runningMean.shape, { dtype: weight.dtype });
    const operands = {
      linear_weight: weight,
      linear_bias: bias ?? undefined,
      weight: gamma ?? undefined,
      bias: beta ?? undefined,
      running_mean: runningMean,
      running_var: runningVar,
      folded_weight: foldedWeight,
      folded_bias: foldedBias,
    };
    execute(gpu, program, operands, { encoder, pass }, 'fold_batch_norm');
    return { weight: foldedWeight, bias: foldedBias };
  });
}

/** The dispatches of a fold. Throws unless it can be done. */
export function checkFold(
  gpu: Gpu,
  weight: Tensor,
  bias: Tensor | null | undefined,
  { weight: gamma, bias: beta, runningMean, runningVar, eps }: FrozenStatistics,
  { axis = 0, encoder, pass }: FoldOptions,
): Program {
  checkTarget({ encoder, pass });
  gpu.checkUsable(weight, 'weight');
  const given = { weight, bias: bias ?? undefined };
  checkOperands(
    gpu,
    { ...given, gamma: gamma ?? undefined, beta: beta ?? undefined, runningMean, runningVar },
    {},
  );
  const dtype = floatDType(weight, 'weight');
  const channels = elementCount(runningMean.shape);
  if (!Number.isInteger(axis) || axis < 0 || axis >= weight.shape.length) {
    throw new NormError('value', `weight of shape [${weight.shape}] has no axis ${axis}.`, 'Use 0 or 1.');
  }
  const width = weight.shape[axis] as number;
  const outer = elementCount(weight.shape.slice(0, axis));
  const groups = axis === 1 && width > 0 ? channels / width : 1;
  if (width * groups !== channels || !Number.isInteger(groups) || outer % groups !== 0) {
    throw new NormError(
      'shape',
      `weight of shape [${weight.shape}] has ${width} output channels at axis ${axis}; BatchNorm has ${channels}.`,
      'Fold the BatchNorm that comes right after, and say with axis where the output channels are.',
    );
  }
  checkLike({ bias }, { shape: [channels], dtype });
  const [scale, shift] = [gamma ?? undefined, beta ?? undefined];
  const parameters = scale ?? shift;
  const paramDtype = parameterDType(parameters ? floatDType(parameters, 'BatchNorm') : dtype, scale, shift);
  const program = foldProgram(
    {
      channels,
      outer,
      width,
      inner: elementCount(weight.shape.slice(axis + 1)),
      dtype,
      paramDtype,
      eps,
      linearBias: !!bias,
      weight: !!gamma,
      bias: !!beta,
    },
    gpu.facts,
  );
  return checkGrid(program, gpu.facts);
}
