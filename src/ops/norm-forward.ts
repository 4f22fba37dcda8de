import type { Operands } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { ForwardDescriptor } from '../kernels/descriptor.ts';
import { checkLike, checkTarget, checkTensors, floatDType } from './check.ts';
import { forwardDescriptor, forwardOutputs, runningLike } from './descriptors.ts';
import { type EpilogueOptions, epilogueOf, type GateOptions, refuseEpilogue } from './epilogue.ts';
import { aliasesOf, scheduleInPlace } from './in-place.ts';
import { checkInjective, layoutsOf, scheduleStrided } from './layouts.ts';
import {
  checkParameters,
  type ForwardCall,
  type ForwardOutputs,
  type ForwardResult,
  forwardOutputNames,
  type MakeTensor,
  type NormOptions,
  type Replayable,
  type RunningTensors,
  record,
} from './norm.ts';
import { checkOutputs, named, withOutputs } from './outputs.ts';
import { forwardOf } from './programs.ts';
import { sharedOperands } from './shared-buffers.ts';

/** Options of {@link normForward}. */
export interface NormForwardOptions extends NormOptions, Replayable {
  epilogue?: (EpilogueOptions & GateOptions) | undefined;
  out?: ForwardOutputs | undefined;
  newMean?: MakeTensor;
  newRstd?: MakeTensor;
  running?: RunningTensors | undefined;
  statistics?: boolean | undefined;
  /** Whether x and the residual are still needed afterwards, so that nothing may be written over them. */
  keepsInputs?: boolean;
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
export interface ForwardPlan {
  d: ForwardDescriptor;
  inputs: Operands;
  /** Throws unless the tensors can still be used, where something was waited for since. */
  check(): void;
  make(): NormForwardResult;
}

/** Throws unless the running statistics, if there are any, are those of the call. */
export function checkRunning(call: ForwardCall, running: RunningTensors | undefined): void {
  const { numBatchesTracked, runningMean, runningVar } = running ?? {};
  const expected = runningLike(call);
  checkLike({ runningMean, runningVar }, expected.statistic);
  checkLike({ numBatchesTracked }, expected.count);
}

/**
 * Validates a forward pass. Nothing is allocated if it throws.
 *
 * @param x - found usable by who described the call, for which its shape was needed.
 * @param addend - found usable likewise.
 */
export function planForward(
  gpu: Gpu,
  call: ForwardCall,
  x: Tensor,
  addend: Tensor | undefined,
  bias: Tensor | null | undefined,
  options: NormForwardOptions,
): ForwardPlan {
  const { weight, schedule, encoder, pass, running, out = {} } = options;
  const { newMean, newRstd, statistics: requested = true, keepsInputs = false } = options;
  const { epilogue = {} } = options;
  if (addend) refuseEpilogue(call.name, epilogue);
  const { residual: after, gate, activation, negativeSlope } = epilogueOf(epilogue);
  const residual = addend ?? after;
  checkTarget({ encoder, pass });
  checkOptions(`${call.name}'s out`, out, forwardOutputNames);
  const inputs = { x, residual, gate, weight: weight ?? undefined, bias: bias ?? undefined };
  const outs = named(out);
  const { y, sum, ...ofSets } = out;
  checkTensors(gpu, { residual: after, gate, ...named({ y, sum }) }, call.strided);
  checkTensors(gpu, { weight: inputs.weight, bias: inputs.bias, ...running, ...named(ofSets) });
  checkInjective(outs);
  const aliases = keepsInputs ? undefined : aliasesOf({ x, residual: residual ?? gate }, out);
  const others = {
    ...inputs,
    ...(aliases?.x && { x: undefined }),
    ...(aliases?.residual && { residual: undefined, gate: undefined }),
  };
  // Statistics that are updated are outputs, too.
  const shared =
    call.running?.mode === 'update'
      ? sharedOperands(gpu, others, { ...running, ...outs })
      : sharedOperands(gpu, { ...others, ...running }, outs);
  const paramDtype = checkParameters(call, x, inputs.weight, inputs.bias);
  const layouts = layoutsOf(gpu, { x, residual, gate, y, sum });
  const d = forwardDescriptor(call, {
    dtype: floatDType(x, 'x'),
    paramDtype,
    yDtype: options.yDtype,
    weight: !!inputs.weight,
    bias: !!inputs.bias,
    residual: addend ? 'before' : (after ?? gate) ? 'after' : 'none',
    gated: gate !== undefined,
    activation,
    negativeSlope,
    schedule: scheduleStrided(layouts, scheduleInPlace(gpu, call, aliases, schedule)),
    layouts,
    shared,
    statistics: requested,
    aliases,
  });
  const outputs = forwardOutputs(call, d, x.shape);
  checkRunning(call, running);
  checkLike({ residual, gate }, x);
  const absence = requested ? 'this norm has none' : 'statistics is false';
  checkOutputs(out, outputs, {
    sum: 'nothing is added to x',
    mean: absence,
    rstd: absence,
    variance: 'this norm gives none',
  });
  const make = () => {
    // A module's statistics outlive a call that fails: they are not among what goes then.
    const { mean, rstd } = outputs;
    const theirs = {
      mean: out.mean ?? (mean && newMean?.(mean.shape)),
      rstd: out.rstd ?? (rstd && newRstd?.(rstd.shape)),
    };
    return withOutputs(gpu, { ...out, ...theirs }, outputs) as NormForwardResult;
  };
  const state = {
    running_mean: running?.runningMean,
    running_var: running?.runningVar,
    num_batches_tracked: running?.numBatchesTracked,
  };
  const check = () => checkTensors(gpu, { ...inputs, ...running, ...outs }, true);
  return { d, inputs: { ...inputs, ...state }, check, make };
}

/**
 * Validates and records a forward pass. Nothing is allocated or recorded if it throws.
 *
 * @param addend - added to x before it is normalized; the norm then has no epilogue.
 */
export function normForward(
  gpu: Gpu,
  call: ForwardCall,
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
