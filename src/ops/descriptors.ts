// What the kernels are told of a call, and the shapes and dtypes of its tensors: of what is recorded, prepared, tuned and
// described alike, so that a program has one description.
import { NormError } from '../gpu/errors.ts';
import { checkOptions } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { FloatDType } from '../gpu/tensor.ts';
import type { Activation } from '../kernels/activation.ts';
import type { BackwardDescriptor, ForwardDescriptor, NormDescriptor } from '../kernels/descriptor.ts';
import { type ScheduleOptions, scheduleNames } from '../plan/strategy.ts';
import { floatDType, type Like } from './check.ts';
import { epilogueOf, refuseEpilogue } from './epilogue.ts';
import type { BackwardOptions, NormCall, StatisticsOption } from './norm.ts';

/** What is known of a call beside its shape, without its tensors. */
export interface CallOptions {
  dtype?: FloatDType | undefined;
  paramDtype?: FloatDType | undefined;
  /** Of y and dy. Default: dtype. */
  yDtype?: FloatDType | undefined;
  weight?: boolean | undefined;
  bias?: boolean | undefined;
  /** x + residual is normalized (`before`), or residual is added after (`after`). Default 'none'. */
  residual?: 'none' | 'before' | 'after' | undefined;
  /** Whether what comes after is a gate. */
  gated?: boolean | undefined;
  activation?: Activation | undefined;
  negativeSlope?: number | undefined;
  accumulate?: BackwardOptions['accumulate'];
  /** As in {@link BackwardOptions}. Default: those that are there. */
  wants?: BackwardOptions['wants'];
  /** A step of a pass over replicas, as in {@link ForwardDescriptor}. */
  stage?: 'local' | 'joined' | undefined;
  schedule?: ScheduleOptions | undefined;
  /** As in {@link NormDescriptor}. */
  layouts?: NormDescriptor['layouts'];
  /** As in {@link NormDescriptor}. */
  shared?: NormDescriptor['shared'];
  /** As in {@link NormDescriptor}. */
  aliases?: NormDescriptor['aliases'];
  /** Of forward: as in {@link StatisticsOption}. */
  statistics?: boolean | undefined;
}

const gradientNames = { dweight: 'boolean', dbias: 'boolean' } as const;

/** @internal Throws `value` unless both say what is wanted of dweight and dbias. */
export function checkGradientOptions(
  name: string,
  wants: CallOptions['wants'] = {},
  accumulate: CallOptions['accumulate'] = false,
): void {
  checkOptions(`${name}'s wants`, wants, gradientNames);
  if (typeof accumulate !== 'boolean') checkOptions(`${name}'s accumulate`, accumulate, gradientNames);
}

/** What both passes have. */
function common(call: NormCall, options: CallOptions): NormDescriptor {
  const { dtype = 'f32', paramDtype = dtype, weight = false, bias = false } = options;
  const { residual = 'none', gated = false, schedule = {} } = options;
  if (residual !== 'none' && residual !== 'before' && residual !== 'after') {
    throw new NormError(
      'value',
      `residual is ${shown(residual)}.`,
      "Use 'none', 'before' or 'after' (the norm).",
    );
  }
  const { activation, negativeSlope } = epilogueOf({
    activation: options.activation,
    negativeSlope: options.negativeSlope,
  });
  if (residual === 'before') refuseEpilogue(call.name, { activation, gate: gated });
  const yDtype = floatDType({ dtype: options.yDtype ?? dtype }, 'yDtype');
  if (yDtype !== dtype && residual === 'after' && !gated) {
    throw new NormError(
      'dtype',
      `yDtype is ${yDtype} while x and the residual are ${dtype}.`,
      'Leave yDtype out beside a residual, or add the residual to y yourself.',
    );
  }
  checkOptions('schedule', schedule, scheduleNames);
  const { kind, geometry, blocked, eps, mostRstd, weightOffset = 0, castFirst = false } = call;
  return {
    geometry,
    ...(blocked && { blocked }),
    kind,
    dtype,
    paramDtype,
    ...(yDtype !== dtype && { yDtype }),
    eps,
    ...(mostRstd !== undefined && { mostRstd }),
    weight,
    bias,
    weightOffset: weight ? weightOffset : 0,
    // In f32 the cast to x's dtype changes nothing; in all else it is part of the variant.
    castFirst: castFirst && dtype !== 'f32',
    activation,
    negativeSlope,
    residual,
    ...(gated && { gated }),
    ...(options.layouts && { layouts: options.layouts }),
    ...(options.shared && { shared: options.shared }),
    ...(options.aliases && { aliases: options.aliases }),
    schedule,
  };
}

/** What a forward pass does with running statistics, as the kernels see it. */
const runningOf = ({ running, variance }: NormCall) => ({
  ...(running && { running: running.mode, momentum: running.momentum, counted: running.counted }),
  // Absent rather than false, so that a program has one description.
  ...(running?.biased && { biased: true }),
  ...(variance && { variance }),
});

/** @internal What a forward pass is described as. */
export function forwardDescriptor(call: NormCall, options: CallOptions): ForwardDescriptor {
  const { stage, statistics = true } = options;
  return {
    ...common(call, options),
    ...(stage === 'local' ? {} : runningOf(call)),
    statistics: statistics ? undefined : false,
    stage,
  };
}

/** @internal What a backward pass is described as. */
export function backwardDescriptor(call: NormCall, options: CallOptions): BackwardDescriptor {
  const { weight = false, bias = false, wants = {}, accumulate = false, stage } = options;
  const d = common(call, options);
  // Whether z is needed, and the tensor beside it has a gradient of its own.
  const activated = d.activation !== 'none' || d.gated === true;
  return {
    ...d,
    bias: bias && activated,
    // Without either, the gradient of residual is dy, and the rest is as if there were no residual.
    residual: d.residual === 'after' && activated ? 'after' : 'none',
    frozen: call.running?.mode === 'frozen',
    dweight: wants.dweight ?? weight,
    dbias: wants.dbias ?? bias,
    dsum: d.residual === 'before',
    accumulate:
      typeof accumulate === 'boolean'
        ? { dweight: accumulate, dbias: accumulate }
        : { dweight: accumulate.dweight === true, dbias: accumulate.dbias === true },
    stage,
  };
}

/** @internal Shapes and dtypes of a call's statistics. */
export const statisticsLike = ({ setShape }: NormCall): Record<'mean' | 'rstd', Like> => ({
  mean: { shape: [...setShape, 2], dtype: 'f32' },
  rstd: { shape: setShape, dtype: 'f32' },
});

/** @internal Of y and dy, where x has that shape. */
export const yLike = ({ dtype, yDtype = dtype }: NormDescriptor, shape: readonly number[]): Like => ({
  shape,
  dtype: yDtype,
});

/** @internal Shapes and dtypes of what a forward pass over an x of that shape writes; undefined for what it does not. */
export function forwardOutputs(call: NormCall, d: ForwardDescriptor, shape: readonly number[]) {
  const { mean, rstd } = statisticsLike(call);
  const kept = d.statistics !== false;
  return {
    y: yLike(d, shape),
    sum: d.residual === 'before' ? { shape, dtype: d.dtype } : undefined,
    mean: kept && d.kind === 'moments' ? mean : undefined,
    rstd: kept ? rstd : undefined,
    variance: call.variance ? rstd : undefined,
  };
}

/** @internal Of the running statistics. */
export const runningLike = ({ parameterShape }: NormCall): Record<'statistic' | 'count', Like> => ({
  statistic: { shape: parameterShape, dtype: 'f32' },
  count: { shape: [], dtype: 'u32' },
});

/** @internal Of what a backward pass writes. */
export function backwardOutputs(call: NormCall, d: BackwardDescriptor, shape: readonly number[]) {
  const dx: Like = { shape, dtype: d.dtype };
  const parameter: Like = { shape: call.parameterShape, dtype: d.paramDtype };
  return {
    dx,
    dweight: d.dweight ? parameter : undefined,
    dbias: d.dbias ? parameter : undefined,
    dresidual: d.residual === 'after' && !d.gated ? dx : undefined,
    dgate: d.gated ? dx : undefined,
  };
}

/** @internal Of what either pass is given beside what only the other one is. */
export function inputsOf(call: NormCall, d: NormDescriptor, shape: readonly number[]) {
  const x: Like = { shape, dtype: d.dtype };
  const parameter: Like = { shape: call.parameterShape, dtype: d.paramDtype };
  return {
    x,
    residual: d.residual === 'none' || d.gated ? undefined : x,
    gate: d.gated ? x : undefined,
    weight: d.weight ? parameter : undefined,
    bias: d.bias ? parameter : undefined,
  };
}

/** @internal Of what a forward pass is given. */
export function forwardInputs(call: NormCall, d: ForwardDescriptor, shape: readonly number[]) {
  const { statistic, count } = runningLike(call);
  const { running } = call;
  return {
    ...inputsOf(call, d, shape),
    running_mean: running && statistic,
    running_var: running && statistic,
    num_batches_tracked: running?.counted ? count : undefined,
  };
}

/** @internal Of what a backward pass is given. */
export function backwardInputs(call: NormCall, d: BackwardDescriptor, shape: readonly number[]) {
  const { x, ...rest } = inputsOf(call, d, shape);
  const { mean, rstd } = statisticsLike(call);
  return {
    dy: yLike(d, shape),
    x,
    ...rest,
    mean: d.kind === 'moments' ? mean : undefined,
    rstd,
    dsum: d.dsum ? x : undefined,
  };
}
