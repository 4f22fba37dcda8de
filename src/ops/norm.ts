// The one path that every functional norm takes: validate, allocate what the caller did not bring, record.
import { NormError } from '../gpu/errors.ts';
import { execute, type Operands, type RecordOptions, Repeat } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Program, scratchBytes } from '../gpu/program.ts';
import type { DType, FloatDType, Tensor } from '../gpu/tensor.ts';
import type { Activation } from '../kernels/activation.ts';
import { backwardProgram } from '../kernels/backward.ts';
import type { BackwardDescriptor, ForwardDescriptor, NormDescriptor } from '../kernels/descriptor.ts';
import { forwardProgram } from '../kernels/forward.ts';
import type { Geometry } from '../plan/geometry.ts';
import { checkSchedule, type ScheduleOptions } from '../plan/strategy.ts';
import {
  checkEps,
  checkOperands,
  checkTarget,
  checkTensorDType,
  checkTensorShape,
  floatDType,
  parameterDType,
} from './check.ts';
import {
  type EpilogueBackwardOptions,
  type EpilogueOptions,
  epilogueOf,
  refuseEpilogue,
} from './epilogue.ts';

/** Options that every functional norm has. */
export interface NormOptions extends RecordOptions {
  /** γ, one value per normalized element (LayerNorm, RMSNorm) or channel. Absent or null: 1. */
  weight?: Tensor | null | undefined;
  /** Overrides how the work is laid out on the device. The result differs at most in rounding. */
  schedule?: ScheduleOptions | undefined;
}

/** Tensors that a forward pass writes to instead of new ones; each in a GPUBuffer of its own. */
export interface ForwardOutputs {
  /** Shape and dtype of x. */
  y?: Tensor | undefined;
  /** Shape and dtype of x: x + residual. */
  sum?: Tensor | undefined;
  /** f32, [...sets, 2]. */
  mean?: Tensor | undefined;
  /** f32, [...sets]. */
  rstd?: Tensor | undefined;
}

/** Tensors that a backward pass writes to instead of new ones; each in a GPUBuffer of its own. */
export interface BackwardOutputs {
  /** Shape and dtype of x. */
  dx?: Tensor | undefined;
  /** Shape of weight and the dtype of the parameters. */
  dweight?: Tensor | undefined;
  /** Shape of bias and the dtype of the parameters. */
  dbias?: Tensor | undefined;
  /** Shape and dtype of x: the gradient of a residual that an activation follows. */
  dresidual?: Tensor | undefined;
}

/** Options that every functional backward has. */
export interface BackwardOptions extends NormOptions {
  /** f32 [...sets]: what forward returned. */
  rstd: Tensor;
  /**
   * Which gradients of the parameters are wanted. Default: those whose tensor is in `out`, and both where there is a
   * weight (dbias only of norms that have a bias).
   */
  wants?: { dweight?: boolean; dbias?: boolean };
  /** Adds dweight and dbias to what `out.dweight` and `out.dbias` hold, as PyTorch accumulates gradients. Default false. */
  accumulate?: boolean | { dweight: boolean; dbias: boolean } | undefined;
  out?: BackwardOutputs | undefined;
}

/** What a forward pass returns. */
export interface ForwardResult {
  /** Shape and dtype of x. */
  y: Tensor;
  /**
   * f32, [...sets, 2]: the mean as hi + lo, an unevaluated sum. hi is the mean in f32; lo is what f32 rounding lost,
   * and what keeps the result exact where |mean| ≫ std.
   */
  mean: Tensor;
  /** f32, [...sets]: 1 / sqrt(variance + eps). */
  rstd: Tensor;
}

/** What a backward pass returns. */
export interface BackwardResult {
  /** Shape and dtype of x. */
  dx: Tensor;
  /** Shape of weight, dtype of the parameters; null if not wanted. */
  dweight: Tensor | null;
  /** Shape of bias, dtype of the parameters; null if not wanted. */
  dbias: Tensor | null;
  /**
   * Shape and dtype of x: the gradient of z + residual, rounded to the dtype before it goes on to dx; dy itself where
   * there is no activation. Null without a residual.
   */
  dresidual: Tensor | null;
}

/** A norm of a tensor, described by its functional front end. */
export interface NormCall {
  /** The function's name, for labels. */
  name: string;
  kind: 'moments' | 'rms';
  geometry: Geometry;
  /** Shape of weight and bias. */
  parameterShape: readonly number[];
  /** Shape of rstd. */
  setShape: readonly number[];
  eps: number;
  weightOffset?: number | undefined;
  castFirst?: boolean | undefined;
  /** What becomes of running statistics; absent where there are none. */
  running?: Running | undefined;
}

/** Running statistics: updated with those of x, or used instead of them, so that they do not depend on x. */
export interface Running {
  mode: 'update' | 'frozen';
  /** Factor of the batch's statistics in an update; null for the average of all batches. */
  momentum: number | null;
  /** Whether an update counts the batches. */
  counted: boolean;
}

/** The tensors of {@link Running}: f32 [C] and u32 []. */
export interface RunningTensors {
  runningMean: Tensor;
  runningVar: Tensor;
  /** Absent where batches are not counted. */
  numBatchesTracked?: Tensor | undefined;
}

const programs = new WeakMap<Gpu, Map<string, Program>>();
const mostPrograms = 512;

/** The program of a description, made once per context: `direction` tells programs of one description apart. */
export function remember(gpu: Gpu, direction: string, d: object, make: () => Program): Program {
  let known = programs.get(gpu);
  if (!known) {
    known = new Map();
    programs.set(gpu, known);
  }
  const key = direction + JSON.stringify(d);
  const program = known.get(key) ?? make();
  known.delete(key); // to the end: the least recently used goes first
  known.set(key, program);
  if (known.size > mostPrograms) known.delete(known.keys().next().value as string);
  return program;
}

/** @internal */
export const forwardOf = (gpu: Gpu, d: ForwardDescriptor): Program =>
  remember(gpu, 'forward', d, () => {
    checkSchedule(d.geometry, 'forward', gpu.facts, d.schedule, d.running !== undefined);
    return forwardProgram(d, gpu.facts);
  });
/** @internal */
export const backwardOf = (gpu: Gpu, d: BackwardDescriptor): Program =>
  remember(gpu, 'backward', d, () => {
    checkSchedule(d.geometry, 'backward', gpu.facts, d.schedule, d.frozen || d.residual === 'after');
    return backwardProgram(d, gpu.facts);
  });

function descriptor(
  call: NormCall,
  dtype: FloatDType,
  paramDtype: FloatDType,
  weight: boolean,
  bias: boolean,
  epilogue: Pick<NormDescriptor, 'activation' | 'negativeSlope' | 'residual'>,
  schedule: ScheduleOptions | undefined,
): NormDescriptor {
  const { kind, geometry, eps, weightOffset = 0, castFirst = false } = call;
  // In f32 the cast to x's dtype changes nothing; in all else it is part of the variant.
  const cast = castFirst && dtype !== 'f32';
  const offset = weight ? weightOffset : 0;
  return {
    geometry,
    kind,
    dtype,
    paramDtype,
    eps,
    weight,
    bias,
    weightOffset: offset,
    castFirst: cast,
    ...epilogue,
    schedule: schedule ?? {},
  };
}

function checkParameters(
  call: NormCall,
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
): FloatDType {
  checkEps(call.eps);
  if (weight) checkTensorShape(weight, call.parameterShape, 'weight');
  if (bias) checkTensorShape(bias, call.parameterShape, 'bias');
  return parameterDType(floatDType(x, 'x'), weight, bias);
}

const runningOf = ({ running }: NormCall) =>
  running && { running: running.mode, momentum: running.momentum, counted: running.counted };

/** Throws unless an optional tensor has this shape and dtype. */
export function checkLike(
  tensor: Tensor | undefined,
  shape: readonly number[],
  dtype: DType,
  name: string,
): void {
  if (!tensor) return;
  checkTensorShape(tensor, shape, name);
  checkTensorDType(tensor, dtype, name);
}

/** Makes an f32 tensor of a shape. */
export type MakeTensor = (shape: readonly number[]) => Tensor;

function refuseOutput(name: string, reason: string): never {
  throw new NormError('value', `out.${name} was given, but ${reason}.`, 'Leave it out.');
}

/** @internal Tensors made for one call: if one of them cannot be made, those before it go. */
export class Allocations {
  readonly #made: Tensor[] = [];

  unless(given: Tensor | undefined, make: () => Tensor): Tensor {
    if (given) return given;
    try {
      const tensor = make();
      this.#made.push(tensor);
      return tensor;
    } catch (error) {
      for (const tensor of this.#made) tensor.destroy();
      throw error;
    }
  }
}

/** Options of {@link normForward}. */
export interface NormForwardOptions extends NormOptions {
  epilogue?: EpilogueOptions | undefined;
  out?: ForwardOutputs | undefined;
  newMean?: MakeTensor;
  newRstd?: MakeTensor;
  running?: RunningTensors | undefined;
  /** Told how to record the same again. */
  repeatable?: ((repeat: Repeat) => void) | undefined;
}

/** What {@link normForward} returns. */
export interface NormForwardResult {
  y: Tensor;
  sum: Tensor | undefined;
  mean: Tensor | undefined;
  rstd: Tensor;
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
  const { newMean = (shape) => gpu.empty(shape), newRstd = newMean } = options;
  const { epilogue = {} } = options;
  if (addend || call.kind === 'rms') refuseEpilogue(call.name, epilogue);
  const { residual: after, activation, negativeSlope } = epilogueOf(epilogue);
  const residual = addend ?? after;
  checkTarget({ encoder, pass });
  const centred = call.kind === 'moments';
  const meanShape = [...call.setShape, 2];
  const inputs = { x, residual, weight: weight ?? undefined, bias: bias ?? undefined };
  const outputs = { 'out.y': out.y, 'out.sum': out.sum, 'out.mean': out.mean, 'out.rstd': out.rstd };
  const updates = call.running?.mode === 'update';
  checkOperands(
    gpu,
    updates ? inputs : { ...inputs, ...running },
    updates ? { ...running, ...outputs } : outputs,
  );
  const paramDtype = checkParameters(call, x, inputs.weight, inputs.bias);
  checkLike(residual, x.shape, x.dtype, 'residual');
  checkLike(running?.runningMean, call.parameterShape, 'f32', 'runningMean');
  checkLike(running?.runningVar, call.parameterShape, 'f32', 'runningVar');
  checkLike(running?.numBatchesTracked, [], 'u32', 'numBatchesTracked');
  if (out.sum && !addend) refuseOutput('sum', 'nothing is added to x');
  if (out.mean && !centred) refuseOutput('mean', 'this norm has none');
  checkLike(out.y, x.shape, x.dtype, 'out.y');
  checkLike(out.sum, x.shape, x.dtype, 'out.sum');
  checkLike(out.mean, meanShape, 'f32', 'out.mean');
  checkLike(out.rstd, call.setShape, 'f32', 'out.rstd');
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
  };
  const make = () => {
    const made = new Allocations();
    const like = () => gpu.empty(x.shape, { dtype: x.dtype });
    const y = made.unless(out.y, like);
    const sum = addend ? made.unless(out.sum, like) : undefined;
    const mean = centred ? made.unless(out.mean, () => newMean(meanShape)) : undefined;
    const rstd = made.unless(out.rstd, () => newRstd(call.setShape));
    return { y, sum, mean, rstd };
  };
  return { d, inputs: { ...inputs, ...running }, make };
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
  const program = forwardOf(gpu, d);
  const result = make();
  record(gpu, program, { ...inputs, ...result }, options, `${call.name}.forward`);
  return result;
}

function record(
  gpu: Gpu,
  program: Program,
  operands: Operands,
  options: RecordOptions & Pick<NormForwardOptions, 'repeatable'>,
  label: string,
): void {
  execute(gpu, program, operands, options, label);
  options.repeatable?.(new Repeat(gpu, { program, operands }, label));
}

/** Options of {@link normBackward}. */
export interface NormBackwardOptions extends BackwardOptions {
  epilogue?: EpilogueBackwardOptions | undefined;
  newDweight?: (() => Tensor) | undefined;
  newDbias?: (() => Tensor) | undefined;
  /** As in {@link NormForwardOptions}. */
  repeatable?: ((repeat: Repeat) => void) | undefined;
}

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
  const weight = options.weight ?? undefined;
  const { residual, activation, negativeSlope } = epilogueOf(options.epilogue ?? {});
  const bias = biasOfBackward(options.epilogue, hasBias);
  if (activation !== 'none' && dsum) {
    throw new NormError('value', 'dsum was given with an activation.', 'Add it to dx yourself.');
  }
  // Without an activation, the gradient of residual is dy, and the rest is as if there were no residual.
  const stored = activation === 'none' ? undefined : residual;
  const inputs = { dy, x, weight, bias, residual, mean, rstd, dsum };
  gpu.checkUsable(dy, 'dy');
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
  const wantsWeight = options.wants?.dweight ?? !!(weight ?? out.dweight);
  const wantsBias = hasBias && (options.wants?.dbias ?? !!(weight ?? out.dbias));
  if (out.dweight && !wantsWeight) refuseOutput('dweight', 'it is not among what is wanted');
  if (out.dbias && !wantsBias) refuseOutput('dbias', 'it is not among what is wanted');
  checkLike(dy, x.shape, x.dtype, 'dy');
  if (out.dresidual && !stored) {
    refuseOutput('dresidual', residual ? 'without an activation it is dy itself' : 'there is no residual');
  }
  checkLike(dsum, x.shape, x.dtype, 'dsum');
  checkLike(residual, x.shape, x.dtype, 'residual');
  checkLike(out.dresidual, x.shape, x.dtype, 'out.dresidual');
  checkLike(mean, [...call.setShape, 2], 'f32', 'mean');
  checkLike(rstd, call.setShape, 'f32', 'rstd');
  checkLike(out.dx, x.shape, x.dtype, 'out.dx');
  checkLike(out.dweight, call.parameterShape, paramDtype, 'out.dweight');
  checkLike(out.dbias, call.parameterShape, paramDtype, 'out.dbias');
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
    accumulate: typeof accumulate === 'boolean' ? { dweight: accumulate, dbias: accumulate } : accumulate,
  };
  const make = () => {
    const made = new Allocations();
    const parameter = () => gpu.empty(call.parameterShape, { dtype: paramDtype });
    const like = () => gpu.empty(x.shape, { dtype: x.dtype });
    const dx = made.unless(out.dx, like);
    const dresidual = stored ? made.unless(out.dresidual, like) : undefined;
    const { newDweight = parameter, newDbias = parameter } = options;
    const dweight = wantsWeight ? made.unless(out.dweight, newDweight) : undefined;
    const dbias = wantsBias ? made.unless(out.dbias, newDbias) : undefined;
    return {
      operands: { ...inputs, dx, dweight, dbias, dresidual, dz: dresidual },
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
  const program = backwardOf(gpu, d);
  const { operands, ...result } = make();
  record(gpu, program, operands, options, `${call.name}.backward`);
  return result;
}

/** The bias that forward had, where an activation makes it matter. Throws `value` if it was left out. */
function biasOfBackward(epilogue: EpilogueBackwardOptions = {}, hasBias: boolean): Tensor | undefined {
  const { bias, activation = 'none' } = epilogue;
  if (bias === undefined && hasBias && activation !== 'none') {
    throw new NormError(
      'value',
      'With an activation, backward needs the bias that forward had.',
      'Pass bias, or null if there was none.',
    );
  }
  return bias ?? undefined;
}

/** What {@link prepareNorm} needs to know of a call to come. */
export interface PrepareOptions {
  dtype?: FloatDType | undefined;
  paramDtype?: FloatDType | undefined;
  weight?: boolean | undefined;
  bias?: boolean | undefined;
  /** x + residual is normalized (`before`), or residual is added after (`after`). Default 'none'. */
  residual?: 'none' | 'before' | 'after' | undefined;
  activation?: Activation | undefined;
  negativeSlope?: number | undefined;
  accumulate?: boolean | undefined;
  /** As in {@link BackwardOptions}. Default: those that are there. */
  wants?: BackwardOptions['wants'];
  /** A step of a pass over replicas, as in {@link ForwardDescriptor}. */
  stage?: 'local' | 'joined' | undefined;
  schedule?: ScheduleOptions | undefined;
}

function programsOf(gpu: Gpu, call: NormCall, options: PrepareOptions): Program[] {
  const {
    dtype = 'f32',
    weight = false,
    bias = false,
    residual = 'none',
    accumulate = false,
    schedule,
    stage,
  } = options;
  const { activation, negativeSlope } = epilogueOf({
    activation: options.activation,
    negativeSlope: options.negativeSlope,
  });
  const epilogue = { activation, negativeSlope, residual };
  const d = descriptor(call, dtype, options.paramDtype ?? dtype, weight, bias, epilogue, schedule);
  return [
    forwardOf(gpu, { ...d, ...(stage === 'local' ? {} : runningOf(call)), stage }),
    backwardOf(gpu, {
      ...d,
      bias: bias && activation !== 'none',
      residual: residual === 'after' && activation !== 'none' ? 'after' : 'none',
      frozen: call.running?.mode === 'frozen',
      dweight: options.wants?.dweight ?? weight,
      dbias: options.wants?.dbias ?? bias,
      dsum: residual === 'before',
      accumulate: { dweight: accumulate, dbias: accumulate },
      stage,
    }),
  ];
}

/** Compiles the pipelines of forward and backward without blocking. */
export async function prepareNorm(gpu: Gpu, call: NormCall, options: PrepareOptions): Promise<void> {
  await Promise.all(programsOf(gpu, call, options).map((program) => gpu.prepare(program)));
}

/** Bytes of scratch that forward or backward needs, whichever needs more. */
export function scratchBytesOf(gpu: Gpu, call: NormCall, options: PrepareOptions): number {
  return Math.max(...programsOf(gpu, call, options).map(scratchBytes));
}
