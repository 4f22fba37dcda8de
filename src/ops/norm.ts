// The one path that every functional norm takes: validate, allocate what the caller did not bring, record.
import { NormError } from '../gpu/errors.ts';
import { execute, type Operands, type RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Program, scratchBytes } from '../gpu/program.ts';
import type { DType, FloatDType, Tensor } from '../gpu/tensor.ts';
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
  /** What BatchNorm does with running statistics; absent where it has none. */
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

function remember(gpu: Gpu, direction: string, d: NormDescriptor, make: () => Program): Program {
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

const forwardOf = (gpu: Gpu, d: ForwardDescriptor): Program =>
  remember(gpu, 'forward', d, () => {
    checkSchedule(d.geometry, 'forward', gpu.facts, d.schedule);
    return forwardProgram(d, gpu.facts);
  });
const backwardOf = (gpu: Gpu, d: BackwardDescriptor): Program =>
  remember(gpu, 'backward', d, () => {
    checkSchedule(d.geometry, 'backward', gpu.facts, d.schedule);
    return backwardProgram(d, gpu.facts);
  });

function descriptor(
  call: NormCall,
  dtype: FloatDType,
  paramDtype: FloatDType,
  weight: boolean,
  bias: boolean,
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

function checkLike(tensor: Tensor | undefined, shape: readonly number[], dtype: DType, name: string): void {
  if (!tensor) return;
  checkTensorShape(tensor, shape, name);
  checkTensorDType(tensor, dtype, name);
}

/** Makes an f32 tensor of a shape. */
type MakeTensor = (shape: readonly number[]) => Tensor;

function refuseOutput(name: string, reason: string): never {
  throw new NormError('value', `out.${name} was given, but ${reason}.`, 'Leave it out.');
}

/** Tensors made for one call: if one of them cannot be made, those before it go. */
class Allocations {
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

/** Validates and records a forward pass. Nothing is allocated or recorded if it throws. */
export function normForward(
  gpu: Gpu,
  call: NormCall,
  x: Tensor,
  residual: Tensor | undefined,
  bias: Tensor | null | undefined,
  options: NormOptions & {
    out?: ForwardOutputs | undefined;
    newMean?: MakeTensor;
    newRstd?: MakeTensor;
    running?: RunningTensors | undefined;
  },
): { y: Tensor; sum: Tensor | undefined; mean: Tensor | undefined; rstd: Tensor } {
  const { weight, schedule, encoder, pass, running, out = {} } = options;
  const { newMean = (shape) => gpu.empty(shape), newRstd = newMean } = options;
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
  checkLike(running?.runningMean, call.setShape, 'f32', 'runningMean');
  checkLike(running?.runningVar, call.setShape, 'f32', 'runningVar');
  checkLike(running?.numBatchesTracked, [], 'u32', 'numBatchesTracked');
  if (out.sum && !residual) refuseOutput('sum', 'there is no residual');
  if (out.mean && !centred) refuseOutput('mean', 'this norm has none');
  checkLike(out.y, x.shape, x.dtype, 'out.y');
  checkLike(out.sum, x.shape, x.dtype, 'out.sum');
  checkLike(out.mean, meanShape, 'f32', 'out.mean');
  checkLike(out.rstd, call.setShape, 'f32', 'out.rstd');
  const program = forwardOf(gpu, {
    ...descriptor(call, floatDType(x, 'x'), paramDtype, !!inputs.weight, !!inputs.bias, schedule),
    ...runningOf(call),
    residual: !!residual,
  });

  const make = new Allocations();
  const like = () => gpu.empty(x.shape, { dtype: x.dtype });
  const y = make.unless(out.y, like);
  const sum = residual ? make.unless(out.sum, like) : undefined;
  const mean = centred ? make.unless(out.mean, () => newMean(meanShape)) : undefined;
  const rstd = make.unless(out.rstd, () => newRstd(call.setShape));
  const operands: Operands = { ...inputs, ...running, y, sum, mean, rstd };
  execute(gpu, program, operands, { encoder, pass }, `${call.name}.forward`);
  return { y, sum, mean, rstd };
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
  options: BackwardOptions & {
    newDweight?: (() => Tensor) | undefined;
    newDbias?: (() => Tensor) | undefined;
  },
): BackwardResult {
  const { rstd, schedule, encoder, pass, accumulate = false, out = {} } = options;
  checkTarget({ encoder, pass });
  const weight = options.weight ?? undefined;
  const inputs = { dy, x, weight, mean, rstd, dsum };
  gpu.checkUsable(dy, 'dy');
  gpu.checkUsable(rstd, 'rstd');
  if (call.kind === 'moments') gpu.checkUsable(mean as Tensor, 'mean');
  checkOperands(gpu, inputs, { 'out.dx': out.dx, 'out.dweight': out.dweight, 'out.dbias': out.dbias });
  checkParameters(call, x, weight, undefined);
  const paramDtype = parameterDType(floatDType(x, 'x'), weight ?? out.dweight, out.dbias);
  const wantsWeight = options.wants?.dweight ?? !!(weight ?? out.dweight);
  const wantsBias = hasBias && (options.wants?.dbias ?? !!(weight ?? out.dbias));
  if (out.dweight && !wantsWeight) refuseOutput('dweight', 'it is not among what is wanted');
  if (out.dbias && !wantsBias) refuseOutput('dbias', 'it is not among what is wanted');
  checkLike(dy, x.shape, x.dtype, 'dy');
  checkLike(dsum, x.shape, x.dtype, 'dsum');
  checkLike(mean, [...call.setShape, 2], 'f32', 'mean');
  checkLike(rstd, call.setShape, 'f32', 'rstd');
  checkLike(out.dx, x.shape, x.dtype, 'out.dx');
  checkLike(out.dweight, call.parameterShape, paramDtype, 'out.dweight');
  checkLike(out.dbias, call.parameterShape, paramDtype, 'out.dbias');
  const d = descriptor(call, floatDType(x, 'x'), paramDtype, !!weight, false, schedule);
  const program = backwardOf(gpu, {
    ...d,
    frozen: call.running?.mode === 'frozen',
    dweight: wantsWeight,
    dbias: wantsBias,
    dsum: !!dsum,
    accumulate: typeof accumulate === 'boolean' ? { dweight: accumulate, dbias: accumulate } : accumulate,
  });

  const make = new Allocations();
  const parameter = () => gpu.empty(call.parameterShape, { dtype: paramDtype });
  const dx = make.unless(out.dx, () => gpu.empty(x.shape, { dtype: x.dtype }));
  const { newDweight = parameter, newDbias = parameter } = options;
  const dweight = wantsWeight ? make.unless(out.dweight, newDweight) : undefined;
  const dbias = wantsBias ? make.unless(out.dbias, newDbias) : undefined;
  const operands: Operands = { ...inputs, dx, dweight, dbias };
  execute(gpu, program, operands, { encoder, pass }, `${call.name}.backward`);
  return { dx, dweight: dweight ?? null, dbias: dbias ?? null };
}

/** What {@link prepareNorm} needs to know of a call to come. */
export interface PrepareOptions {
  dtype?: FloatDType | undefined;
  paramDtype?: FloatDType | undefined;
  weight?: boolean | undefined;
  bias?: boolean | undefined;
  residual?: boolean | undefined;
  accumulate?: boolean | undefined;
  schedule?: ScheduleOptions | undefined;
}

function programsOf(gpu: Gpu, call: NormCall, options: PrepareOptions): Program[] {
  const {
    dtype = 'f32',
    weight = false,
    bias = false,
    residual = false,
    accumulate = false,
    schedule,
  } = options;
  const d = descriptor(call, dtype, options.paramDtype ?? dtype, weight, bias, schedule);
  return [
    forwardOf(gpu, { ...d, ...runningOf(call), residual }),
    backwardOf(gpu, {
      ...d,
      bias: false,
      frozen: call.running?.mode === 'frozen',
      dweight: weight,
      dbias: bias,
      dsum: residual,
      accumulate: { dweight: accumulate, dbias: accumulate },
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
