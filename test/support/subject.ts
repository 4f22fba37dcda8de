/** One norm with its shape and variant, run through the public functions and judged against the float64 reference. */
import {
  type Activation,
  addLayerNorm,
  addRmsNorm,
  type BackwardOutputs,
  batchNorm,
  batchNormBackward,
  type EpsMode,
  type FloatDType,
  type ForwardOutputs,
  type Gpu,
  groupNorm,
  groupNormBackward,
  init,
  instanceNorm,
  instanceNormBackward,
  type Layout,
  l2Norm,
  l2NormBackward,
  layerNorm,
  layerNormBackward,
  type RmsNormCast,
  rmsNorm,
  rmsNormBackward,
  type ScheduleOptions,
  type Strategy,
  type Tensor,
} from '../../src/index.ts';
import { groupNormCall } from '../../src/ops/group-norm.ts';
import { instanceNormCall } from '../../src/ops/instance-norm.ts';
import { normalizedParts } from '../../src/ops/normalized.ts';
import type { Geometry as PlannedGeometry } from '../../src/plan/geometry.ts';
import { scheduleKept } from '../../src/plan/kept.ts';
import { scheduleBackward, scheduleForward } from '../../src/plan/schedule.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { assertEqual } from '../harness/assert.ts';
import {
  axesGeometry,
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  kinks,
  layerNormGeometry,
  normBackwardReference,
  normReference,
  type ReferenceBackward,
  type ReferenceForward,
  type ReferenceOptions,
  relativeError,
  roundAllTo,
  setSize,
} from '../reference/index.ts';
import { roundedFirst } from './casts.ts';
import { normal, stored, withOutlier } from './data.ts';
import { bounds } from './tolerances.ts';

export type Op =
  | 'layerNorm'
  | 'rmsNorm'
  | 'addLayerNorm'
  | 'addRmsNorm'
  | 'l2Norm'
  | 'groupNorm'
  | 'instanceNorm'
  | 'batchNorm';

/** Without batchNorm and l2Norm, which have cases of their own. */
export const ops: readonly Op[] = [
  'layerNorm',
  'rmsNorm',
  'addLayerNorm',
  'addRmsNorm',
  'groupNorm',
  'instanceNorm',
];

export interface Subject {
  op: Op;
  shape: readonly number[];
  /** Trailing dimensions that are normalized (layerNorm, rmsNorm and their residual forms). Default 1. */
  trailing?: number;
  /** Or any axes that are. */
  axes?: readonly number[];
  groups?: number;
  /**
   * Leading axes of x each of whose indices has a weight and bias of its own (layerNorm, rmsNorm and their residual forms; 1 of groupNorm and
   * instanceNorm, too). Default 0.
   */
  apart?: number;
  /** Whether weight holds γ − 1. Default false. */
  zeroCentered?: boolean;
  layout?: Layout;
  eps?: number;
  /** l2Norm. Default 'max'. */
  epsMode?: EpsMode;
  cast?: RmsNormCast;
  dtype?: FloatDType;
  paramDtype?: FloatDType;
  /** Of y and dy. Default: dtype. */
  yDtype?: FloatDType;
  /** Default true. */
  affine?: boolean;
  /** batchNorm, instanceNorm: with running statistics instead of those of x. */
  evaluation?: boolean;
  activation?: Activation;
  negativeSlope?: number;
  /** With a residual before the activation; the ops of that name have one before the norm. */
  residual?: boolean;
  /** With a gate, whose activation multiplies the norm. */
  gate?: boolean;
  schedule?: ScheduleOptions;
  /** Of forward alone; its mean and rstd are then null. */
  statistics?: false;
}

/** The arrays of a run; those of f16 and bf16 hold values that these can. */
export interface Arrays {
  x: Float32Array;
  dy: Float32Array;
  residual?: Float32Array | undefined;
  gate?: Float32Array | undefined;
  dsum?: Float32Array | undefined;
  weight?: Float32Array | undefined;
  bias?: Float32Array | undefined;
  /** In evaluation: one of each per channel. */
  running?: { mean: Float32Array; variance: Float32Array } | undefined;
}

/** What came back from the GPU. */
export interface Results {
  y: Float32Array;
  sum?: Float32Array;
  mean?: Float32Array;
  rstd: Float32Array;
  dx: Float32Array;
  dweight?: Float32Array;
  dbias?: Float32Array;
  dresidual?: Float32Array;
  dgate?: Float32Array;
}

/** Whether weight and bias have a value per channel. */
const hasChannels = ({ op }: Subject): boolean =>
  op === 'groupNorm' || op === 'instanceNorm' || op === 'batchNorm';
/** Whether there is no mean, and no bias. */
export const isRms = ({ op }: Subject): boolean => op === 'rmsNorm' || op === 'addRmsNorm' || op === 'l2Norm';
/** Whether the residual comes before the norm. */
export const hasResidual = ({ op }: Subject): boolean => op === 'addLayerNorm' || op === 'addRmsNorm';

export function normalizedShapeOf({ shape, axes, trailing = 1 }: Subject): number[] {
  if (axes) return shape.filter((_, axis) => axes.includes(axis) || axes.includes(axis - shape.length));
  return shape.slice(shape.length - trailing);
}

export function geometryOf(subject: Subject): Geometry {
  const { op, shape, groups = 1, layout = 'channels-first' } = subject;
  if (op === 'groupNorm') return groupNormGeometry(shape, groups, layout);
  if (op === 'instanceNorm') return instanceNormGeometry(shape, layout);
  if (op === 'batchNorm') return batchNormGeometry(shape, layout);
  if (subject.axes) return axesGeometry(shape, subject.axes);
  return layerNormGeometry(shape, normalizedShapeOf(subject), groups);
}

/** How the library sees it. */
export function plannedGeometry(subject: Subject): PlannedGeometry {
  const { op, shape, axes, apart = 0, groups: numGroups = 1 } = subject;
  if (axes) return normalizedParts(shape, { axes }).geometry;
  if (apart === 0) return geometryOf(subject);
  if (op === 'groupNorm') return groupNormCall(shape, { numGroups }, parameterShapeOf(subject)).geometry;
  if (op === 'instanceNorm') {
    return instanceNormCall(shape, undefined, undefined, { given: parameterShapeOf(subject) }).geometry;
  }
  return normalizedParts(shape, { normalizedShape: normalizedShapeOf(subject) }, parameterShapeOf(subject))
    .geometry;
}

/** What is normalized, as the functions take it. */
const normalizedOf = (subject: Subject) =>
  subject.axes
    ? { axes: subject.axes }
    : { normalizedShape: normalizedShapeOf(subject), numGroups: subject.groups ?? 1 };

export function parameterShapeOf(subject: Subject): number[] {
  return hasChannels(subject)
    ? [...leadingShapeOf(subject), geometryOf(subject).channels]
    : [...leadingShapeOf(subject), ...normalizedShapeOf(subject)];
}

/** What weight's shape has before the normalized sizes: those of the axes that it tells apart, then ones. */
const leadingShapeOf = (subject: Subject): number[] => {
  const { shape, apart = 0, trailing = 1 } = subject;
  if (apart === 0) return [];
  if (hasChannels(subject)) return shape.slice(0, apart);
  return shape.slice(0, shape.length - trailing).map((size, axis) => (axis < apart ? size : 1));
};

/** How many weights and biases of x's channels there are. */
const blocksOf = (subject: Subject): number => leadingShapeOf(subject).reduce((all, size) => all * size, 1);

export function epsOf(subject: Subject): number {
  const { op, eps, epsMode } = subject;
  if (op === 'l2Norm') return eps ?? (epsMode === 'add' ? 1e-6 : 1e-12);
  return eps ?? (isRms(subject) ? 2 ** -23 : 1e-5);
}

export function nameOf(subject: Subject): string {
  const {
    op,
    shape,
    trailing,
    axes,
    groups,
    layout,
    cast,
    dtype = 'f32',
    paramDtype,
    affine,
    schedule,
  } = subject;
  const words = [op, shape.join('x')];
  if (trailing !== undefined && trailing !== 1) words.push(`trailing ${trailing}`);
  if (axes) words.push(`axes ${axes}`);
  if (groups !== undefined) words.push(`${groups} groups`);
  if (subject.apart) words.push(`weights of ${subject.shape.slice(0, subject.apart)}`);
  if (subject.zeroCentered) words.push('zero-centered');
  if (layout) words.push(layout);
  if (cast) words.push(cast);
  if (subject.epsMode) words.push(`epsMode=${subject.epsMode}`);
  words.push(dtype + (paramDtype && paramDtype !== dtype ? ` with ${paramDtype} parameters` : ''));
  if (subject.yDtype && subject.yDtype !== dtype) words.push(`to ${subject.yDtype}`);
  if (affine === false) words.push('no affine');
  if (subject.evaluation) words.push('evaluation');
  if (subject.residual) words.push('residual');
  if (subject.gate) words.push('gate');
  if (subject.activation) words.push(subject.activation);
  for (const [key, value] of Object.entries(schedule ?? {})) words.push(`${key}=${value}`);
  return words.join(' ');
}

export interface DataOptions {
  /** |mean| / std of what is normalized. Default 0. */
  offset?: number;
  seed?: number;
  /** The largest |x|, of what is normalized; dy is larger where rstd is small, for dx to be no subnormal. Default: as it comes. */
  magnitude?: number;
  /** The first element of every row lies 1e5 standard deviations away. */
  outlier?: boolean;
  /** Mean of dy. Default 0, where sums of dy stay small and what naive summation loses stays small with them. */
  dyMean?: number;
  /** Standard deviation of dy. Default 1; 0 makes it constant, as the gradient of a mean is. */
  dyStd?: number;
  /** Only the first so many samples differ; the others repeat them. For tensors too large for the reference. */
  distinct?: number;
}

/** Random arrays of the subject's shapes. */
export function arraysOf(subject: Subject, data: DataOptions = {}): Arrays {
  const { offset = 0, seed = 1, outlier = false, magnitude, distinct } = data;
  const dyScale = Math.min(Math.max(magnitude ?? 1, 1), 1e19);
  const { dyMean = 0, dyStd = 1 } = data;
  const { dtype = 'f32', paramDtype = dtype, affine = true, shape } = subject;
  const [samples = 1, ...rest] = shape;
  if (distinct !== undefined && distinct < samples) {
    const { distinct: _, ...others } = data;
    const block = arraysOf({ ...subject, shape: [distinct, ...rest] }, others);
    const tile = (values: Float32Array | undefined) => values && repeated(values, samples / distinct);
    return {
      ...block,
      x: tile(block.x) as Float32Array,
      dy: tile(block.dy) as Float32Array,
      residual: tile(block.residual),
      gate: tile(block.gate),
      dsum: tile(block.dsum),
    };
  }
  const count = shape.reduce((product, size) => product * size, 1);
  const channels = geometryOf(subject).channels * blocksOf(subject);
  const store = (values: Float32Array) => stored(dtype, values);
  const parameter = (values: Float32Array) => stored(paramDtype, values);
  // γ ~ N(1, 0.5), β ~ N(0, 1): no special value, no vanishing gradient.
  let x = normal(count, { mean: offset, seed });
  if (outlier) {
    const length = count / geometryOf(subject).samples;
    for (let row = 0; row < count / length; row++) x = withOutlier(x, length, row, 1e5);
  }
  const beside = hasResidual(subject) || subject.residual;
  let residual = beside ? normal(count, { seed: seed + 2, std: 0.5 }) : undefined;
  if (magnitude) {
    // A residual that is added to x reaches half as far.
    const share = hasResidual(subject) ? 0.5 : 1;
    x = reaching(x, magnitude * share);
    if (residual && hasResidual(subject)) residual = reaching(residual, magnitude * share);
  }
  const dy = normal(count, { seed: seed + 1, mean: dyMean * dyScale, std: dyStd * dyScale });
  return withoutKinks(subject, {
    x: store(x),
    dy: stored(subject.yDtype ?? dtype, dy),
    residual: residual && store(residual),
    gate: subject.gate ? store(normal(count, { seed: seed + 8 })) : undefined,
    // About as large as the rest of dx, so that it hides nothing.
    dsum: hasResidual(subject)
      ? store(normal(count, { seed: seed + 3, std: (0.5 * dyScale) / (magnitude ?? 1) }))
      : undefined,
    weight: affine ? parameter(normal(channels, { seed: seed + 4, mean: 1, std: 0.5 })) : undefined,
    bias: affine && !isRms(subject) ? parameter(normal(channels, { seed: seed + 5 })) : undefined,
    running: subject.evaluation
      ? {
          mean: normal(channels, { seed: seed + 6, mean: offset }),
          variance: normal(channels, { seed: seed + 7 }).map((value) => 0.1 + value * value),
        }
      : undefined,
  });
}

/** The values times a number that makes the largest `magnitude`. */
function reaching(values: Float32Array, magnitude: number): Float32Array {
  const most = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return values.map((value) => (value / most) * magnitude);
}

/** dy is 0 where a derivative jumps: on which side of that a value falls is a matter of its last bit. */
export function withoutKinks(subject: Subject, arrays: Arrays): Arrays {
  const where = kinks[subject.activation ?? 'none'];
  if (where.length === 0) return arrays;
  if (arrays.gate) {
    const away = (value: number) =>
      where.some((kink) => Math.abs(value - kink) < 1e-4) ? value + 0.01 : value;
    return { ...arrays, gate: arrays.gate.map(away) };
  }
  const { y: z } = wholeReference({ ...subject, activation: 'none' }, arrays).forward;
  const near = (value: number) => where.some((kink) => Math.abs(value - kink) < 1e-4);
  return { ...arrays, dy: arrays.dy.map((value, i) => (near(z[i] as number) ? 0 : value)) };
}

/** `values` one after another, `times` in all; the last one may be a part. */
function repeated<T extends Float32Array | Float64Array>(values: T, times: number): T {
  const length = Math.round(values.length * times);
  const all = new (values.constructor as new (size: number) => T)(length);
  for (let at = 0; at < length; at += values.length) {
    all.set(values.subarray(0, Math.min(values.length, length - at)), at);
  }
  return all;
}

/** The outputs that a run of the subject must have, no more and no fewer. */
export function outputsOf(subject: Subject, { weight }: Arrays): (keyof Results)[] {
  return [
    'y',
    ...(hasResidual(subject) ? (['sum'] as const) : []),
    ...(isRms(subject) ? [] : (['mean'] as const)),
    'rstd',
    'dx',
    ...(weight ? (['dweight'] as const) : []),
    ...(subject.affine !== false && !isRms(subject) ? (['dbias'] as const) : []),
    ...(subject.residual ? (['dresidual'] as const) : []),
    ...(subject.gate ? (['dgate'] as const) : []),
  ];
}

/** Uploads, runs forward and backward, reads back, frees. */
export async function run(gpu: Gpu, subject: Subject, arrays: Arrays): Promise<Results> {
  const { shape, dtype = 'f32', paramDtype = dtype } = subject;
  const made: Tensor[] = [];
  const keep = <T extends Tensor | undefined>(tensor: T): T => {
    if (tensor) made.push(tensor);
    return tensor;
  };
  const upload = (values: Float32Array | undefined) =>
    keep(values ? gpu.tensor(values, shape, { dtype }) : undefined);
  const parameter = (values: Float32Array | undefined) =>
    keep(values ? gpu.tensor(values, parameterShapeOf(subject), { dtype: paramDtype }) : undefined);
  try {
    const x = upload(arrays.x) as Tensor;
    const dy = keep(gpu.tensor(arrays.dy, shape, { dtype: subject.yDtype ?? dtype }));
    const residual = upload(arrays.residual);
    const gate = upload(arrays.gate);
    const dsum = upload(arrays.dsum);
    const weight = parameter(arrays.weight);
    const bias = parameter(arrays.bias);
    const { running } = arrays;
    const statistics = running && {
      runningMean: keep(gpu.tensor(running.mean, [running.mean.length])),
      runningVar: keep(gpu.tensor(running.variance, [running.variance.length])),
    };
    const forward = runForward(gpu, subject, x, residual, weight, bias, statistics, undefined, gate);
    for (const tensor of Object.values(forward)) keep(tensor);
    const backward = runBackward(
      gpu,
      subject,
      dy,
      forward.sum ?? x,
      weight,
      bias,
      subject.residual ? residual : undefined,
      forward.mean,
      forward.rstd,
      dsum,
      undefined,
      gate,
    );
    for (const tensor of Object.values(backward)) keep(tensor ?? undefined);
    // All at once: an engine may poll for finished mappings only now and then.
    const outputs = Object.entries({ ...forward, ...backward }).filter((entry) => entry[1]) as [
      string,
      Tensor,
    ][];
    assertEqual(
      outputs.map(([name]) => name).sort(),
      outputsOf(subject, arrays).sort(),
      `outputs of ${nameOf(subject)}`,
    );
    const values = await Promise.all(outputs.map(([, tensor]) => tensor.data()));
    return Object.fromEntries(outputs.map(([name], i) => [name, values[i]])) as unknown as Results;
  } finally {
    for (const tensor of made) tensor.destroy();
  }
}

type Forward = { y: Tensor; sum?: Tensor; mean?: Tensor; rstd: Tensor };

export function runForward(
  gpu: Gpu,
  subject: Subject,
  x: Tensor,
  residual: Tensor | undefined,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  running?: { runningMean: Tensor; runningVar: Tensor },
  out?: ForwardOutputs,
  gate?: Tensor,
): Forward {
  const { op, groups = 1, layout = 'channels-first', cast = 'torch', schedule = {} } = subject;
  // As if true: who asks for none knows that they are not there.
  const statistics = subject.statistics as true | undefined;
  const { yDtype } = subject;
  const { zeroCentered: zeroCenteredGamma } = subject;
  const common = { weight, bias, eps: epsOf(subject), schedule, out, statistics, yDtype, zeroCenteredGamma };
  const { activation, negativeSlope } = subject;
  const epilogue = { activation, negativeSlope, residual: subject.residual ? residual : undefined, gate };
  const rows = { ...common, ...normalizedOf(subject) };
  switch (op) {
    case 'layerNorm':
      return layerNorm(gpu, x, { ...rows, ...epilogue });
    case 'addLayerNorm':
      return addLayerNorm(gpu, x, residual as Tensor, rows);
    case 'rmsNorm':
      return rmsNorm(gpu, x, { ...rows, ...epilogue, cast });
    case 'addRmsNorm':
      return addRmsNorm(gpu, x, residual as Tensor, { ...rows, cast });
    case 'l2Norm':
      return l2Norm(gpu, x, { ...rows, ...epilogue, epsMode: subject.epsMode });
    case 'groupNorm':
      return groupNorm(gpu, x, { ...common, ...epilogue, numGroups: groups, layout });
    case 'instanceNorm':
      return instanceNorm(gpu, x, { ...common, ...epilogue, ...running, training: !running, layout });
    case 'batchNorm':
      return batchNorm(gpu, x, { ...common, ...epilogue, ...running, training: !running, layout });
  }
}

export function runBackward(
  gpu: Gpu,
  subject: Subject,
  dy: Tensor,
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  residual: Tensor | undefined,
  mean: Tensor | undefined,
  rstd: Tensor,
  dsum: Tensor | undefined,
  out?: BackwardOutputs,
  gate?: Tensor,
): { dx: Tensor; dweight: Tensor | null; dbias?: Tensor | null; dresidual?: Tensor | null } {
  const { op, groups = 1, layout = 'channels-first', cast = 'torch', affine = true } = subject;
  const schedule = backwardSchedule(subject);
  const wants = isRms(subject) ? {} : { wants: { dbias: affine } };
  const { yDtype, zeroCentered: zeroCenteredGamma } = subject;
  const common = { weight, rstd, schedule, out, yDtype, zeroCenteredGamma, ...wants };
  const rows = normalizedOf(subject);
  const { activation, negativeSlope } = subject;
  if (op === 'rmsNorm' || op === 'addRmsNorm') {
    const epilogue = { activation, negativeSlope, residual, gate };
    return rmsNormBackward(gpu, dy, x, { ...common, ...rows, ...epilogue, cast, dsum });
  }
  if (op === 'l2Norm') {
    const { epsMode } = subject;
    const others = { activation, negativeSlope, residual, gate, eps: epsOf(subject), epsMode };
    return l2NormBackward(gpu, dy, x, { ...common, ...rows, ...others });
  }
  const centred = {
    ...common,
    mean: mean as Tensor,
    activation,
    negativeSlope,
    residual,
    gate,
    bias: bias ?? null,
  };
  if (op === 'groupNorm') return groupNormBackward(gpu, dy, x, { ...centred, numGroups: groups, layout });
  if (op === 'instanceNorm') {
    return instanceNormBackward(gpu, dy, x, { ...centred, training: !subject.evaluation, layout });
  }
  if (op === 'batchNorm') {
    return batchNormBackward(gpu, dy, x, { ...centred, training: !subject.evaluation, layout });
  }
  return layerNormBackward(gpu, dy, x, { ...centred, ...rows, dsum });
}

// A few strategies exist in one direction only, or hold shorter rows in the other: it then takes its own.
function backwardSchedule(subject: Subject): ScheduleOptions {
  const { strategy, ...others } = subject.schedule ?? {};
  // A residual and its gradient are a matter of two passes.
  const geometry = plannedGeometry(subject);
  if (strategy && ((subject.residual && subject.activation) || subject.gate) && !geometry.runs) {
    return { ...others, strategy: 'split' };
  }
  if (!strategy || !strategiesOf(geometry, 'backward').includes(strategy)) return others;
  if (strategy === 'registers' && setSize(geometry) > 32 * (others.lanes ?? 256)) return others;
  return { strategy, ...others };
}

/**
 * The strategy of each direction of a run. Throws unless it is the one that the subject names; a backward pass that
 * has none of that name takes its own.
 */
export function strategiesRun({ facts }: Gpu, subject: Subject): { forward: Strategy; backward: Strategy } {
  const geometry = plannedGeometry(subject);
  const wanted = subject.schedule?.strategy;
  const options = backwardSchedule(subject);
  const [ofForward, ofBackward] = geometry.runs
    ? [scheduleKept, scheduleKept]
    : [scheduleForward, scheduleBackward];
  const forward = ofForward(geometry, facts, subject.schedule).strategy;
  const backward = ofBackward(geometry, facts, options).strategy;
  assertEqual(forward, wanted ?? forward, `forward strategy of ${nameOf(subject)}`);
  assertEqual(backward, options.strategy ?? backward, `backward strategy of ${nameOf(subject)}`);
  return { forward, backward };
}

/** What the results should be, in float64, from the same rounded inputs. */
export interface Expected {
  /** What was normalized: x, or its sum with the residual. */
  x: Float32Array;
  forward: ReferenceForward;
  backward: ReferenceBackward;
  /** What rounding x̂ first may add to an error of y or dweight, by element. */
  slack?: { y: Float64Array; dweight: Float64Array };
}

/** @param judgeByTerms - as the reference has it; only for whole tensors. */
export function referenceOf(
  subject: Subject,
  arrays: Arrays,
  distinct?: number,
  judgeByTerms = false,
): Expected {
  const { shape } = subject;
  const [samples = 1, ...rest] = shape;
  if (distinct === undefined || distinct >= samples) return wholeReference(subject, arrays, judgeByTerms);
  const first = (count: number): Expected => {
    const part = (values: Float32Array | undefined) =>
      values?.subarray(0, (values.length / samples) * count) as Float32Array;
    return wholeReference(
      { ...subject, shape: [count, ...rest] },
      {
        ...arrays,
        x: part(arrays.x),
        dy: part(arrays.dy),
        residual: part(arrays.residual),
        dsum: part(arrays.dsum),
      },
    );
  };
  const block = first(distinct);
  const last = samples % distinct > 0 ? first(samples % distinct).backward : undefined;
  const tile = <T extends Float32Array | Float64Array>(values: T) => repeated(values, samples / distinct);
  const total = (sums: Float64Array, more: Float64Array | undefined) =>
    sums.map((sum, i) => sum * Math.floor(samples / distinct) + (more?.[i] ?? 0));
  const { forward, backward } = block;
  return {
    x: tile(block.x),
    forward: { y: tile(forward.y), mean: tile(forward.mean), rstd: tile(forward.rstd) },
    backward: {
      dx: tile(backward.dx),
      dweight: total(backward.dweight, last?.dweight),
      dbias: total(backward.dbias, last?.dbias),
      dresidual: tile(backward.dresidual),
      scale: {
        dx: tile(backward.scale.dx),
        dweight: total(backward.scale.dweight, last?.scale.dweight),
        dbias: total(backward.scale.dbias, last?.scale.dbias),
        dresidual: tile(backward.scale.dresidual),
      },
    },
  };
}

/** Blocks of rows that have a weight and bias of their own, one after the other. */
function blockwiseReference(subject: Subject, arrays: Arrays, judgeByTerms: boolean): Expected {
  const { apart = 0, shape } = subject;
  const blocks = blocksOf(subject);
  const own: Subject = { ...subject, apart: 0, shape: shape.map((size, axis) => (axis < apart ? 1 : size)) };
  const partOf = (values: Float32Array | undefined, block: number) => {
    const length = (values?.length ?? 0) / blocks;
    return values?.subarray(block * length, (block + 1) * length);
  };
  const parts = Array.from({ length: blocks }, (_, block) => {
    const cut = Object.entries(arrays).map(([name, values]) => [name, partOf(values, block)]);
    return wholeReference(own, Object.fromEntries(cut) as Arrays, judgeByTerms);
  });
  const joined = (get: (part: Expected) => Float64Array) =>
    Float64Array.from(parts.flatMap((part) => Array.from(get(part))));
  const backward = (get: (of: Omit<ReferenceBackward, 'scale'>) => Float64Array) => ({
    value: joined((part) => get(part.backward)),
    scale: joined((part) => get(part.backward.scale)),
  });
  const [dx, dweight] = [backward((of) => of.dx), backward((of) => of.dweight)];
  const [dbias, dresidual] = [backward((of) => of.dbias), backward((of) => of.dresidual)];
  const slack = parts.some((part) => part.slack) && {
    y: joined((part) => part.slack?.y as Float64Array),
    dweight: joined((part) => part.slack?.dweight as Float64Array),
  };
  return {
    x: Float32Array.from(parts.flatMap((part) => Array.from(part.x))),
    forward: {
      y: joined((part) => part.forward.y),
      mean: joined((part) => part.forward.mean),
      rstd: joined((part) => part.forward.rstd),
    },
    backward: {
      dx: dx.value,
      dweight: dweight.value,
      dbias: dbias.value,
      dresidual: dresidual.value,
      ...(subject.gate && { dgate: joined((part) => part.backward.dgate as Float64Array) }),
      scale: {
        dx: dx.scale,
        dweight: dweight.scale,
        dbias: dbias.scale,
        dresidual: dresidual.scale,
        ...(subject.gate && { dgate: joined((part) => part.backward.scale.dgate as Float64Array) }),
      },
    },
    ...(slack && { slack }),
  };
}

function wholeReference(subject: Subject, arrays: Arrays, judgeByTerms = false): Expected {
  if (blocksOf(subject) > 1) return blockwiseReference(subject, arrays, judgeByTerms);
  const { dtype = 'f32', cast } = subject;
  const geometry = geometryOf(subject);
  const x = hasResidual(subject) && arrays.residual ? add(arrays.x, arrays.residual, dtype) : arrays.x;
  const options = { ...referenceOptions(subject, arrays), judgeByTerms };
  const forward = normReference(x, geometry, options);
  const backward = normBackwardReference(arrays.dy, x, geometry, options, arrays.dsum);
  if (cast !== 'llama' || dtype === 'f32') return { x, forward, backward };
  const { weight, dy } = arrays;
  const { y, dweight, slack } = roundedFirst(
    x,
    dy,
    weight,
    geometry,
    forward.rstd,
    dtype,
    options.weightOffset,
  );
  return { x, forward: { ...forward, y }, backward: { ...backward, dweight }, slack };
}

function referenceOptions(subject: Subject, arrays: Arrays): ReferenceOptions {
  return {
    eps: epsOf(subject),
    kind: subject.op === 'l2Norm' ? 'l2' : isRms(subject) ? 'rms' : 'moments',
    epsMode: subject.epsMode ?? 'max',
    weight: arrays.weight,
    bias: arrays.bias,
    weightOffset: subject.cast === 'gemma' || subject.zeroCentered ? 1 : 0,
    frozen: arrays.running && eachSample(arrays.running, geometryOf(subject)),
    activation: subject.activation,
    negativeSlope: subject.negativeSlope,
    residual: subject.residual ? arrays.residual : undefined,
    gate: arrays.gate,
  };
}

/** One of each per set: InstanceNorm's sets are the channels of every sample. */
function eachSample(running: { mean: Float32Array; variance: Float32Array }, { samples }: Geometry) {
  return { mean: repeated(running.mean, samples), variance: repeated(running.variance, samples) };
}

// The residual sum is rounded to the storage type before it is normalized.
function add(a: Float32Array, b: Float32Array, dtype: FloatDType): Float32Array {
  const sum = a.map((value, i) => Math.fround(value + (b[i] as number)));
  return stored(dtype, sum);
}

/** Relative errors of a run, by output, and each one's bound. */
export function errorsOf(
  subject: Subject,
  arrays: Arrays,
  results: Results,
  { outlier = false, distinct }: DataOptions = {},
  expected = referenceOf(subject, arrays, distinct),
): { output: string; error: number; bound: number }[] {
  const { dtype = 'f32', paramDtype = dtype } = subject;
  const { x, forward, backward, slack } = expected;
  const forwardBound = outlier ? bounds.outlier : bounds.forward;
  const found: { output: string; error: number; bound: number }[] = [];
  const judge = (
    output: string,
    actual: ArrayLike<number> | undefined,
    expected: Float64Array,
    bound: number,
    scale: Float64Array = expected,
    storage: FloatDType = 'f32',
    extra?: Float64Array,
  ) => {
    if (!actual) throw new Error(`${nameOf(subject)}: no ${output}`);
    // f16 and bf16: the one rounding at the store is allowed for, and next to nothing beside it.
    const rounding = relativeError(roundAllTo(storage, expected), expected, scale);
    const more = extra ? relativeError(extra, new Float64Array(extra.length), scale) : 0;
    const limit = (storage !== 'f32' ? bounds.halfFactor * rounding + bounds.halfSlack : bound) + more;
    found.push({ output, error: relativeError(actual, expected, scale), bound: limit });
  };
  judge('y', results.y, forward.y, forwardBound, forward.y, subject.yDtype ?? dtype, slack?.y);
  judge('rstd', results.rstd, forward.rstd, forwardBound);
  const wanted = outputsOf(subject, arrays);
  if (wanted.includes('mean')) {
    // hi + lo in float64, judged in units of the standard deviation: that is what the mean is subtracted from.
    const mean = forward.mean.map(
      (_, set) => (results.mean?.[2 * set] ?? 0) + (results.mean?.[2 * set + 1] ?? 0),
    );
    const std = forward.rstd.map((r) => 1 / r);
    judge('mean', mean, forward.mean, forwardBound, std);
    // hi alone, as a user without float64 reads it, in units of the row's root mean square: a mean near zero is a
    // difference of large sums and cannot be exact in units of itself.
    const rms = forward.mean.map((m, i) => Math.hypot(m, std[i] as number));
    judge(
      'mean (hi)',
      results.mean?.filter((_, i) => i % 2 === 0),
      forward.mean,
      forwardBound,
      rms,
    );
  }
  if (wanted.includes('sum')) judge('sum', results.sum, Float64Array.from(x), 0);
  const { scale } = backward;
  const backwardBound = outlier ? bounds.outlier : bounds.backward;
  judge('dx', results.dx, backward.dx, backwardBound, scale.dx, dtype);
  if (wanted.includes('dweight')) {
    const { dweight } = backward;
    judge('dweight', results.dweight, dweight, backwardBound, scale.dweight, paramDtype, slack?.dweight);
  }
  if (wanted.includes('dbias')) {
    judge('dbias', results.dbias, backward.dbias, backwardBound, scale.dbias, paramDtype);
  }
  if (wanted.includes('dresidual')) {
    judge('dresidual', results.dresidual, backward.dresidual, backwardBound, scale.dresidual, dtype);
  }
  if (wanted.includes('dgate')) {
    const { dgate } = backward;
    judge('dgate', results.dgate, dgate as Float64Array, backwardBound, scale.dgate, dtype);
  }
  return found;
}

/** Runs a subject twice; throws where an error exceeds its bound or two runs differ in a bit. Returns the errors. */
export async function verify(
  gpu: Gpu,
  subject: Subject,
  data: DataOptions = {},
  arrays = arraysOf(subject, data),
  expected?: Expected,
): Promise<{ output: string; error: number; bound: number }[]> {
  strategiesRun(gpu, subject);
  const [results, again] = await Promise.all([run(gpu, subject, arrays), run(gpu, subject, arrays)]);
  for (const [output, values] of Object.entries(results)) {
    if (!sameBits(values, again[output as keyof Results])) {
      throw new Error(`${nameOf(subject)}: two runs differ in ${output}`);
    }
  }
  const errors = errorsOf(subject, arrays, results, data, expected);
  const over = errors.filter(({ error, bound }) => !(error <= bound));
  if (over.length > 0) {
    const list = over.map(({ output, error, bound }) => `${output} ${show(error)} > ${show(bound)}`);
    throw new Error(`${nameOf(subject)} ${JSON.stringify(data)}: ${list.join(', ')}`);
  }
  return errors;
}

/** Verifies many, a few at a time; throws with the first failures. Returns the largest error of each output. */
export async function verifyAll(
  gpu: Gpu,
  list: readonly (Subject & { data?: DataOptions })[],
): Promise<Record<string, number>> {
  const worst: Record<string, number> = {};
  const failures: string[] = [];
  const batch = 16;
  for (let first = 0; first < list.length; first += batch) {
    const errors = await Promise.all(
      list.slice(first, first + batch).map(({ data = {}, ...subject }) =>
        verify(gpu, subject, data).catch((error: Error) => {
          failures.push(error.message);
          return [];
        }),
      ),
    );
    for (const { output, error } of errors.flat()) worst[output] = Math.max(worst[output] ?? 0, error);
  }
  if (failures.length > 0) {
    throw new Error(`${failures.length} of ${list.length} failed:\n${failures.slice(0, 8).join('\n')}`);
  }
  return worst;
}

/** Verifies one subject on several contexts, against one reference. Throws with the failures of all. */
export async function verifyOn(
  contexts: Readonly<Record<string, Gpu>>,
  subject: Subject,
  data: DataOptions = {},
): Promise<Record<string, number>> {
  const arrays = arraysOf(subject, data);
  const expected = referenceOf(subject, arrays, data.distinct);
  const worst: Record<string, number> = {};
  const failures: string[] = [];
  for (const [name, gpu] of Object.entries(contexts)) {
    try {
      for (const { output, error } of await verify(gpu, subject, data, arrays, expected)) {
        worst[output] = Math.max(worst[output] ?? 0, error);
      }
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message}`);
    }
  }
  if (failures.length > 0) throw new Error(failures.join('\n'));
  return worst;
}

/** Lends a context that lays work out as on a GPU, whatever the adapter is. */
export async function asOnGpu<T>(device: GPUDevice, body: (gpu: Gpu) => Promise<T>): Promise<T> {
  const gpu = await init({ device, facts: { software: false } });
  try {
    return await body(gpu);
  } finally {
    gpu.destroy();
  }
}

/** The worst errors as one line for a note. */
export function summary(worst: Record<string, number>): string {
  return Object.entries(worst)
    .map(([output, error]) => `${output} ${show(error)}`)
    .join(', ');
}

const show = (value: number): string => value.toExponential(2);

function sameBits(a: Float32Array, b: Float32Array | undefined): boolean {
  if (!b || a.length !== b.length) return false;
  const left = new Uint32Array(a.buffer, a.byteOffset, a.length);
  const right = new Uint32Array(b.buffer, b.byteOffset, b.length);
  return left.every((bits, i) => bits === right[i]);
}
