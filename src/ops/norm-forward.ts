import type { Operands } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { ForwardDescriptor } from '../kernels/descriptor.ts';
import { checkLike, checkOperands, checkTarget, floatDType, type Like } from './check.ts';
import { type EpilogueOptions, epilogueOf, refuseEpilogue } from './epilogue.ts';
import {
  checkParameters,
  descriptor,
  type ForwardOutputs,
  type ForwardResult,
  forwardOutputNames,
  type MakeTensor,
  type NormCall,
  type NormOptions,
  type Repeatable,
  type RunningTensors,
  record,
  refuseOutput,
  runningOf,
  statisticsLike,
} from './norm.ts';
import { forwardOf } from './programs.ts';

/** Options of {@link normForward}. */
export interface NormForwardOptions extends NormOptions, Repeatable {
  epilogue?: EpilogueOptions | undefined;
  out?: ForwardOutputs | undefined;
  newMean?: MakeTensor;
  newRstd?: MakeTensor;
  running?: RunningTensors | undefined;
  statistics?: boolean | undefined;
}

/** What {@link normForward} returns. */
export interface NormForwardResult {
  y: Tensor;
  sum: Tensor | undefined;
  mean: Tensor | undefined;
  /** Undefined, as mean, where statistics are not wanted. */
  rstd: Tensor | undefined;
  variance: Tensor | undefined;
}

/** What the functional norms with a mean return of what {@link normForward} made. */
export function forwardResult<Kept extends boolean | undefined>({
  y,
  sum,
  mean,
  rstd,
  variance,
}: NormForwardResult): ForwardResult<Kept> & { sum: Tensor } {
  const kept = { mean: mean ?? null, rstd: rstd ?? null };
  const result = { y, ...kept, ...(sum && { sum }), ...(variance && { variance }) };
  return result as ForwardResult<Kept> & { sum: Tensor };
}

/** A forward pass that was found valid: what it is, and its tensors, those to write to made if need be. */
interface ForwardPlan {
  d: ForwardDescriptor;
  inputs: Operands;
  make(): NormForwardResult;
}

/** Validates a forward pass. Nothing is allocated if it throws. */
export function planForward(
  gpu: Gpu,
  call: NormCall,
  x: Tensor,
  addend: Tensor | undefined,
  bias: Tensor | null | undefined,
  options: NormForwardOptions,
): ForwardPlan {
  const { weight, schedule, encoder, pass, running, out = {} } = options;
  const { newMean, newRstd, statistics: wanted = true } = options;
  const { epilogue = {} } = options;
  if (addend || call.kind === 'rms') refuseEpilogue(call.name, epilogue);
  const { residual: after, activation, negativeSlope } = epilogueOf(epilogue);
  const residual = addend ?? after;
  checkTarget({ encoder, pass });
  checkOptions(`${call.name}'s out`, out, forwardOutputNames);
  const centred = call.kind === 'moments';
  const perSet = statisticsLike(call);
  const inputs = { x, residual, weight: weight ?? undefined, bias: bias ?? undefined };
  const outputs = {
    'out.y': out.y,
    'out.sum': out.sum,
    'out.mean': out.mean,
    'out.rstd': out.rstd,
    'out.variance': out.variance,
  };
  const updates = call.running?.mode === 'update';
  checkOperands(
    gpu,
    updates ? inputs : { ...inputs, ...running },
    updates ? { ...running, ...outputs } : outputs,
  );
  const paramDtype = checkParameters(call, x, inputs.weight, inputs.bias);
  const { numBatchesTracked, ...statistics } = running ?? {};
  checkLike(statistics, { shape: call.parameterShape, dtype: 'f32' });
  checkLike({ numBatchesTracked }, { shape: [], dtype: 'u32' });
  if (out.sum && !addend) refuseOutput('sum', 'nothing is added to x');
  for (const name of ['mean', 'rstd'] as const) {
    if (out[name] && !wanted) refuseOutput(name, 'statistics is false');
  }
  if (out.mean && !centred) refuseOutput('mean', 'this norm has none');
  if (out.variance && !call.variance) refuseOutput('variance', 'this norm gives none');
  checkLike({ residual, 'out.y': out.y, 'out.sum': out.sum }, x);
  checkLike({ 'out.mean': out.mean }, perSet.mean);
  checkLike({ 'out.rstd': out.rstd, 'out.variance': out.variance }, perSet.rstd);
  const d: ForwardDescriptor = {
    ...descriptor(
      call,
      floatDType(x, 'x'),
      paramDtype,
      !!inputs.weight,
      !!inputs.bias,
      { activation, negativeSlope, residual: addend ? 'before' : after ? 'after' : 'none' },
      schedule,
    ),
    ...runningOf(call),
    statistics: wanted ? undefined : false,
  };
  const make = () => {
    // A module's statistics outlive a call that fails: they are not among what goes then.
    const theirs = wanted && {
      mean: out.mean ?? (centred ? newMean?.(perSet.mean.shape) : undefined),
      rstd: out.rstd ?? newRstd?.(call.setShape),
    };
    const like = ({ shape, dtype }: Like) => gpu.empty(shape, { dtype });
    const y = out.y ?? like(x);
    const sum = addend ? (out.sum ?? like(x)) : undefined;
    const variance = call.variance ? (out.variance ?? like(perSet.rstd)) : undefined;
    if (!theirs) return { y, sum, mean: undefined, rstd: undefined, variance };
    const mean = centred ? (theirs.mean ?? like(perSet.mean)) : undefined;
    const rstd = theirs.rstd ?? like(perSet.rstd);
    return { y, sum, mean, rstd, variance };
  };
  const { runningMean, runningVar } = statistics as Partial<RunningTensors>;
  const state = {
    running_mean: runningMean,
    running_var: runningVar,
    num_batches_tracked: numBatchesTracked,
  };
  return { d, inputs: { ...inputs, ...state }, make };
}

/**
 * Validates and records a forward pass. Nothing is allocated or recorded if it throws.
 *
 * @param addend - added to x before it is normalized; the norm then has no epilogue.
 */
export function normForward(
  gpu: Gpu,
  call: NormCall,
  x: Tensor,
  addend: Tensor | undefined,
  bias: Tensor | null | undefined,
  options: NormForwardOptions,
): NormForwardResult {
  const { d, inputs, make } = planForward(gpu, call, x, addend, bias, options);
  const program = forwardOf(gpu, call, d);
  return gpu.orNothing(() => {
    const result = make();
    record(gpu, program, { ...inputs, ...result }, options, `${call.name}.forward`);
    return result;
  });
}
