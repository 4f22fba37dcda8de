// The backward pass of every functional norm.

import { NormError } from '../gpu/errors.ts';
import type { Operands } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions } from '../gpu/options.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { BackwardDescriptor } from '../kernels/descriptor.ts';
import { checkLike, checkOperands, checkTarget, floatDType, type Like, parameterDType } from './check.ts';
import { type EpilogueBackwardOptions, epilogueOf } from './epilogue.ts';
import {
  type BackwardOptions,
  type BackwardResult,
  backwardOutputNames,
  checkParameters,
  descriptor,
  type NormCall,
  type Repeatable,
  record,
  refuseOutput,
  statisticsLike,
} from './norm.ts';
import { backwardOf } from './programs.ts';

/** Options of {@link normBackward}. */
export interface NormBackwardOptions extends BackwardOptions, Repeatable {
  epilogue?: EpilogueBackwardOptions | undefined;
  newDweight?: (() => Tensor) | undefined;
  newDbias?: (() => Tensor) | undefined;
}

const gradientNames = { dweight: 'boolean', dbias: 'boolean' } as const;

/** As {@link ForwardPlan}. */
interface BackwardPlan {
  d: BackwardDescriptor;
  inputs: Operands;
  make(): BackwardResult & { operands: Operands };
}

/** Validates a backward pass. Nothing is allocated or changed if it throws. */
export function planBackward(
  gpu: Gpu,
  call: NormCall,
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
  checkOptions(`${call.name}'s wants`, wants, gradientNames);
  if (typeof accumulate !== 'boolean') checkOptions(`${call.name}'s accumulate`, accumulate, gradientNames);
  const weight = options.weight ?? undefined;
  const { residual, activation, negativeSlope } = epilogueOf(options.epilogue ?? {});
  const bias = options.epilogue?.bias ?? undefined;
  if (activation !== 'none' && dsum) {
    throw new NormError('value', 'dsum was given with an activation.', 'Add it to dx yourself.');
  }
  // Without an activation, the gradient of residual is dy, and the rest is as if there were no residual.
  const stored = activation === 'none' ? undefined : residual;
  const inputs = { dy, x, weight, bias, residual, mean, rstd, dsum };
  gpu.checkUsable(dy, 'dy');
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
  checkOperands(gpu, inputs, {
    'out.dx': out.dx,
    'out.dweight': out.dweight,
    'out.dbias': out.dbias,
    'out.dresidual': out.dresidual,
  });
  checkParameters(call, x, weight, bias);
  const paramDtype = parameterDType(floatDType(x, 'x'), weight ?? out.dweight, bias ?? out.dbias);
  const wantsWeight = wants.dweight ?? !!(weight ?? out.dweight);
  const wantsBias = hasBias && (wants.dbias ?? !!(weight ?? bias ?? out.dbias));
  if (out.dweight && !wantsWeight) refuseOutput('dweight', 'it is not among what is wanted');
  if (out.dbias && !wantsBias) refuseOutput('dbias', 'it is not among what is wanted');
  if (out.dresidual && !stored) {
    refuseOutput('dresidual', residual ? 'without an activation it is dy itself' : 'there is no residual');
  }
  const perSet = statisticsLike(call);
  const parameter = { shape: call.parameterShape, dtype: paramDtype };
  checkLike({ dy, dsum, residual, 'out.dx': out.dx, 'out.dresidual': out.dresidual }, x);
  checkLike({ mean }, perSet.mean);
  checkLike({ rstd }, perSet.rstd);
  checkLike({ 'out.dweight': out.dweight, 'out.dbias': out.dbias }, parameter);
  const common = descriptor(
    call,
    floatDType(x, 'x'),
    paramDtype,
    !!weight,
    activation !== 'none' && !!bias,
    { activation, negativeSlope, residual: stored ? 'after' : 'none' },
    schedule,
  );
  const d: BackwardDescriptor = {
    ...common,
    frozen: call.running?.mode === 'frozen',
    dweight: wantsWeight,
    dbias: wantsBias,
    dsum: !!dsum,
    accumulate:
      typeof accumulate === 'boolean'
        ? { dweight: accumulate, dbias: accumulate }
        : { dweight: accumulate.dweight === true, dbias: accumulate.dbias === true },
  };
  const make = () => {
    // A module's gradients outlive a call that fails: they are not among what goes then.
    const theirs = {
      dweight: out.dweight ?? (wantsWeight ? options.newDweight?.() : undefined),
      dbias: out.dbias ?? (wantsBias ? options.newDbias?.() : undefined),
    };
    const like = ({ shape, dtype }: Like) => gpu.empty(shape, { dtype });
    const dx = out.dx ?? like(x);
    const dresidual = stored ? (out.dresidual ?? like(x)) : undefined;
    const dweight = wantsWeight ? (theirs.dweight ?? like(parameter)) : undefined;
    const dbias = wantsBias ? (theirs.dbias ?? like(parameter)) : undefined;
    return {
      operands: { ...inputs, dx, dweight, dbias, dresidual },
      dx,
      dweight: dweight ?? null,
      dbias: dbias ?? null,
      dresidual: dresidual ?? (residual ? dy : null),
    };
  };
  return { d, inputs, make };
}

/** Validates and records a backward pass. Nothing is allocated, recorded or changed if it throws. */
export function normBackward(
  gpu: Gpu,
  call: NormCall,
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
