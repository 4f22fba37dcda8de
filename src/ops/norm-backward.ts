// The backward pass of every functional norm.

import { NormError } from '../gpu/errors.ts';
import type { Operands } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { BackwardDescriptor } from '../kernels/descriptor.ts';
import { checkLike, checkTarget, checkTensors, floatDType, parameterDType } from './check.ts';
import {
  backwardDescriptor,
  backwardOutputs,
  checkGradientOptions,
  statisticsLike,
  yLike,
} from './descriptors.ts';
import { type EpilogueBackwardOptions, epilogueOf, type GateOptions } from './epilogue.ts';
import { backwardAliasesOf, checkResidualGradient } from './in-place.ts';
import { checkInjective, layoutsOf, scheduleStrided } from './layouts.ts';
import {
  type BackwardCall,
  type BackwardOptions,
  type BackwardResult,
  backwardOutputNames,
  checkParameters,
  type Replayable,
  record,
} from './norm.ts';
import { checkOutputs, named, withOutputs } from './outputs.ts';
import { backwardOf } from './programs.ts';
import { sharedOperands } from './shared-buffers.ts';

/** Options of {@link normBackward}. */
export interface NormBackwardOptions extends BackwardOptions, Replayable {
  epilogue?: (EpilogueBackwardOptions & GateOptions) | undefined;
  newDweight?: (() => Tensor) | undefined;
  newDbias?: (() => Tensor) | undefined;
  newDresidual?: (() => Tensor | undefined) | undefined;
  /** What is still needed afterwards, so that nothing may be written over it: x, or all inputs. Default: nothing. */
  keeps?: 'x' | 'all';
}

/** As {@link ForwardPlan}. */
export interface BackwardPlan {
  d: BackwardDescriptor;
  inputs: Operands;
  /** As of {@link ForwardPlan}. */
  check(): void;
  make(): BackwardResult & { operands: Operands };
}

/**
 * Validates a backward pass. Nothing is allocated or changed if it throws.
 *
 * @param x - found usable by who described the call.
 */
export function planBackward(
  gpu: Gpu,
  call: BackwardCall,
  dy: Tensor,
  x: Tensor,
  mean: Tensor | undefined,
  dsum: Tensor | undefined,
  hasBias: boolean,
  options: NormBackwardOptions,
): BackwardPlan {
  const { rstd, schedule, encoder, pass, accumulate = false, out = {} } = options;
  checkTarget({ encoder, pass });
  checkOptions(`${call.name}'s out`, out, backwardOutputNames);
  const { wants = {} } = options;
  checkGradientOptions(call.name, wants, accumulate);
  const weight = options.weight ?? undefined;
  const { residual, gate, activation, negativeSlope } = epilogueOf(options.epilogue ?? {});
  const bias = options.epilogue?.bias ?? undefined;
  if (dsum && (activation !== 'none' || gate)) {
    const what = gate ? 'a gate' : 'an activation';
    throw new NormError('value', `dsum was given with ${what}.`, 'Add it to dx yourself.');
  }
  const inputs = { dy, x, weight, bias, residual, gate, mean, rstd, dsum };
  gpu.checkUsable(dy, 'dy', call.strided);
  for (const [name, tensor] of Object.entries({ mean, rstd })) {
    if (tensor !== null) continue;
    throw new NormError(
      'value',
      `${name} is null: forward was told to keep no statistics.`,
      'Call forward without statistics: false.',
    );
  }
  gpu.checkUsable(rstd, 'rstd');
  if (call.kind === 'moments') gpu.checkUsable(mean as Tensor, 'mean');
  const outs = named(out);
  const { dx, dresidual, dgate, ...ofParameters } = out;
  checkTensors(gpu, { residual, gate, dsum, ...named({ dx, dresidual, dgate }) }, call.strided);
  checkTensors(gpu, { weight, bias, ...named(ofParameters) });
  checkInjective(outs);
  const aliases = backwardAliasesOf(inputs, out, options.keeps);
  checkResidualGradient({ residual, gate, activation }, aliases);
  const apart = Object.entries(inputs).filter(([name]) => !(aliases && name in aliases));
  const shared = sharedOperands(gpu, Object.fromEntries(apart), outs);
  checkParameters(call, x, weight, bias);
  const paramDtype = parameterDType(floatDType(x, 'x'), weight ?? out.dweight, bias ?? out.dbias);
  const wantsWeight = wants.dweight ?? !!(weight ?? out.dweight);
  const wantsBias = hasBias && (wants.dbias ?? !!(weight ?? bias ?? out.dbias));
  const layouts = layoutsOf(gpu, { dy, x, residual, gate, dsum, dx, dresidual, dgate });
  const d = backwardDescriptor(call, {
    dtype: floatDType(x, 'x'),
    paramDtype,
    yDtype: options.yDtype,
    weight: !!weight,
    bias: !!bias,
    residual: dsum ? 'before' : (residual ?? gate) ? 'after' : 'none',
    gated: gate !== undefined,
    activation,
    negativeSlope,
    wants: { dweight: wantsWeight, dbias: wantsBias },
    accumulate,
    schedule: scheduleStrided(layouts, schedule),
    layouts,
    shared,
    aliases,
  });
  const outputs = backwardOutputs(call, d, x.shape);
  const perSet = statisticsLike(call);
  checkLike({ dy }, yLike(d, x.shape));
  checkLike({ dsum, residual, gate }, x);
  checkLike({ mean }, perSet.mean);
  checkLike({ rstd }, perSet.rstd);
  const unwanted = 'it is not among what is wanted';
  checkOutputs(out, outputs, {
    dweight: unwanted,
    dbias: unwanted,
    dresidual: residual ? 'without an activation it is dy itself' : 'there is no residual',
    dgate: 'there is no gate',
  });
  const make = () => {
    // A module's gradients outlive a call that fails: they are not among what goes then.
    const theirs = {
      dweight: out.dweight ?? (outputs.dweight && options.newDweight?.()),
      dbias: out.dbias ?? (outputs.dbias && options.newDbias?.()),
      dresidual: out.dresidual ?? (outputs.dresidual && options.newDresidual?.()),
    };
    const made = withOutputs(gpu, { ...out, ...theirs }, outputs);
    return {
      operands: { ...inputs, ...made },
      dx: made.dx as Tensor,
      dweight: made.dweight ?? null,
      dbias: made.dbias ?? null,
      dresidual: made.dresidual ?? (residual ? dy : null),
      ...(made.dgate && { dgate: made.dgate }),
    };
  };
  const check = () => checkTensors(gpu, { ...inputs, ...outs }, true);
  return { d, inputs, check, make };
}

/** Validates and records a backward pass. Nothing is allocated, recorded or changed if it throws. */
export function normBackward(
  gpu: Gpu,
  call: BackwardCall,
  dy: Tensor,
  x: Tensor,
  mean: Tensor | undefined,
  dsum: Tensor | undefined,
  hasBias: boolean,
  options: NormBackwardOptions,
): BackwardResult {
  const { d, make } = planBackward(gpu, call, dy, x, mean, dsum, hasBias, options);
  const program = backwardOf(gpu, call, d);
  return gpu.orNothing(() => {
    const { operands, ...result } = make();
    record(gpu, program, operands, options, `${call.name}.backward`);
    return result;
  });
}
