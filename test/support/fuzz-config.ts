/** Random configurations: what to run, on which data, on which device facts. The same seed and index always give the same one. */
import type { Activation, DeviceFacts, FloatDType, Layout, ScheduleOptions } from '../../src/index.ts';
import { setSize } from '../../src/plan/geometry.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { random } from './data.ts';
import { type DataOptions, hasResidual, nameOf, type Op, plannedGeometry, type Subject } from './subject.ts';

/** What replaces the normal numbers of every second set, or of all. */
export type Pattern = 'constant' | 'ramp' | 'two values';

export interface FuzzData extends DataOptions {
  pattern?: Pattern;
  /** The value of a constant set, the step of a ramp, half of the distance between two values. */
  step?: number;
  /** Whether every set has the pattern, or every second one. */
  everySet?: boolean;
}

export interface Response {
  size: number;
  alpha: number;
  beta: number;
  k: number;
}

export const factsOf = {
  own: {},
  'as without shader-f16': { f16: false },
  'as on a GPU': { software: false },
  'as on a phone': { deviceClass: 'phone' },
  'as on an Intel GPU': { deviceClass: 'integrated', forwardItems: 8, backwardItems: 1 },
  'as in a data center': { deviceClass: 'datacenter' },
  'few workgroups': { maxWorkgroupsPerDimension: 16 },
  'fewer workgroups as on a GPU': { maxWorkgroupsPerDimension: 64, software: false },
  // Scratch has to have room for five roundings of 4 KiB, which the real 1 MiB always has.
  'small bindings': { maxBindingBytes: 65_536, leastWorkspace: 32_768 },
  'tiny bindings': { maxBindingBytes: 16_384, leastWorkspace: 32_768 },
} as const satisfies Record<string, Partial<DeviceFacts>>;
export type FactsName = keyof typeof factsOf;

export interface Configuration {
  subject: Subject;
  data: FuzzData;
  facts: FactsName;
  backward: boolean;
  /** Whether all operands, outputs among them, lie in one GPUBuffer. */
  together: boolean;
  /** Present for local response normalization, whose shape, layout and dtype are those of the subject. */
  response?: Response;
}

/** As many configurations after each other differ only in shape, data and facts, so that they share pipelines. */
const family = 25;

class Draw {
  readonly next: () => number;
  constructor(seed: number, stream: number) {
    this.next = random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b));
    this.next();
  }
  of<const T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)] as T;
  }
  chance(share: number): boolean {
    return this.next() < share;
  }
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
}

const norms: readonly Op[] = [
  'layerNorm',
  'rmsNorm',
  'addLayerNorm',
  'addRmsNorm',
  'groupNorm',
  'instanceNorm',
  'batchNorm',
];
const hasChannels = (op: Op): boolean => op === 'groupNorm' || op === 'instanceNorm' || op === 'batchNorm';
const activations: readonly Activation[] = ['relu', 'leakyRelu', 'relu6', 'silu', 'gelu', 'hardswish'];

/** The part of a configuration that decides which pipelines it needs. */
function drawVariant(draw: Draw): Omit<Subject, 'shape'> & { response?: Response; backward: boolean } {
  const backward = draw.chance(0.8);
  const dtype: FloatDType = draw.chance(0.4) ? draw.of(['f16', 'bf16']) : 'f32';
  const layout: Layout = draw.of(['channels-first', 'channels-last']);
  if (draw.chance(0.08)) {
    const response = {
      size: draw.integer(1, 7),
      alpha: draw.of([1e-4, 0.1, 1]),
      beta: draw.of([0.5, 0.75, 1, 0.6]),
      k: draw.of([1, 2]),
    };
    return { op: 'layerNorm', dtype, layout, response, backward };
  }
  const op = draw.of(norms);
  const channels = hasChannels(op);
  const cast = draw.of(['torch', 'llama', 'gemma'] as const);
  // What llama rounds before the weight is known without an activation alone.
  const after = channels || op === 'layerNorm' || (op === 'rmsNorm' && cast !== 'llama');
  return {
    op,
    dtype,
    // An f32 x takes f32 parameters only.
    paramDtype: draw.chance(0.25) ? 'f32' : dtype,
    affine: draw.chance(0.8),
    ...(!channels && draw.chance(0.15) && { zeroCentered: true }),
    ...(channels && { layout }),
    ...((op === 'batchNorm' || op === 'instanceNorm') && { evaluation: draw.chance(0.3) }),
    ...(!channels && draw.chance(0.3) && { axes: draw.of([[1], [1], [0], [1, 2], [1, 3], [0, 2, 4]]) }),
    ...((op === 'rmsNorm' || op === 'addRmsNorm') && { cast }),
    ...(after && draw.chance(0.35) && { activation: draw.of(activations) }),
    ...(after && draw.of([{}, {}, {}, {}, {}, { residual: true }, { residual: true }, { gate: true }])),
    schedule: drawSchedule(draw),
    backward,
  };
}

function drawSchedule(draw: Draw): ScheduleOptions {
  if (draw.chance(0.4)) return {};
  const strategy = draw.of(['thread', 'registers', 'workgroup', 'split'] as const);
  return {
    strategy,
    workgroup: draw.of([16, 32]),
    ...(strategy !== 'thread' && { reduction: draw.of(['portable', 'subgroups']) }),
    ...((strategy === 'registers' || strategy === 'split') && { lanes: draw.of([4, 8, 16]) }),
    ...(strategy === 'split' && { splits: draw.of([1, 2, 3, 7]) }),
    ...(strategy === 'thread' && { fourRows: draw.chance(0.5) }),
    ...(draw.chance(0.2) && { vec4: false }),
  };
}

const lengths = [
  1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 68, 100, 127, 128, 129, 255, 256, 257, 260,
  511, 513, 769, 1000, 1024, 1025, 2049, 4097,
];
const most = 12_000;

function drawShape(
  draw: Draw,
  op: Op,
  layout: Layout,
  response: boolean,
  axes?: readonly number[],
): Partial<Subject> & { shape: number[] } {
  if (axes) return drawAxes(draw, axes);
  if (!response && !hasChannels(op)) {
    const length = draw.of(lengths);
    const rows = draw.chance(0.04)
      ? 0
      : draw.integer(1, Math.max(1, Math.min(150, Math.floor(most / length))));
    if (draw.chance(0.15)) {
      const groups = draw.of([2, 3, 4, 8]);
      return { shape: [rows, groups * draw.integer(1, 60)], groups };
    }
    if (draw.chance(0.12)) {
      const samples = draw.integer(1, 5);
      const each = Math.max(1, Math.floor(rows / samples));
      return { shape: [samples, each, length], apart: draw.integer(1, 2) };
    }
    if (draw.chance(0.2))
      return { shape: [rows, draw.integer(1, 5), draw.integer(1, 40)], trailing: draw.integer(1, 2) };
    return draw.chance(0.2) ? { shape: [rows, 1, length] } : { shape: [rows, length] };
  }
  const groups = op === 'groupNorm' && !response ? draw.of([1, 2, 3, 4, 8]) : 1;
  const channels = groups * draw.of([1, 2, 3, 4, 5, 8, 17, 32]);
  const dimensions = draw.integer(response ? 1 : op === 'instanceNorm' ? 1 : 0, 3);
  const room = Math.max(1, most / channels);
  const side = Math.max(1, Math.floor(room ** (1 / (dimensions + 1))));
  const spatial = Array.from({ length: dimensions }, () => draw.integer(1, Math.min(side, 300)));
  const left = spatial.reduce((rest, size) => rest / size, room);
  const samples = draw.chance(0.04) ? 0 : draw.integer(1, Math.max(1, Math.min(40, Math.floor(left))));
  return {
    shape: layout === 'channels-last' ? [samples, ...spatial, channels] : [samples, channels, ...spatial],
    ...(op === 'groupNorm' && !response && { groups }),
  };
}

/** A shape that has these axes, in any order, counted from either end. */
function drawAxes(draw: Draw, axes: readonly number[]): { shape: number[]; axes: number[] } {
  const rank = Math.max(1, ...axes) + draw.integer(1, 2);
  const shape = new Array<number>(rank).fill(1);
  const order = shape.map((_, axis) => axis).sort(() => draw.next() - 0.5);
  let room = most;
  for (const axis of order) {
    const length = draw.of(lengths);
    shape[axis] = draw.chance(0.02) ? 0 : length <= room ? length : draw.integer(1, Math.min(room, 40));
    room = Math.floor(room / Math.max(1, shape[axis] as number));
  }
  const named = axes.map((axis) => (draw.chance(0.3) ? axis - rank : axis));
  return { shape, axes: draw.chance(0.5) ? named : named.reverse() };
}

function drawData(
  draw: Draw,
  { dtype = 'f32', evaluation = false, op }: Subject,
  response: boolean,
): FuzzData {
  const dy = draw.of<DataOptions>([{}, { dyMean: 1 }, { dyMean: 0.1, dyStd: 0 }]);
  const common = { seed: draw.integer(1, 1e6), ...dy };
  const narrow = dtype !== 'f32';
  // Squares are what local response normalization is made of: it keeps to values whose squares f32 holds.
  if (response) return { ...common, offset: draw.of([0, 1, -10]) };
  const kind = draw.of(['offset', 'offset', 'pattern', 'magnitude', 'outlier']);
  if (kind === 'pattern') {
    const pattern = draw.of(['constant', 'ramp', 'two values'] as const);
    return {
      ...common,
      pattern,
      step: draw.of(narrow ? [0, 1, 0.1] : [0, 1, 0.1, -3.5, 1e-3, 1e4]),
      everySet: draw.chance(0.5),
    };
  }
  // Running statistics are of the order of 1, and f16 ends at 65504.
  if (kind === 'magnitude' && dtype !== 'f16' && !evaluation) {
    // BatchNorm refuses the eps of 0 that small values need to be seen.
    const small = op === 'batchNorm' ? [] : [1e-10, 1e-20, 1e-30];
    return { ...common, magnitude: draw.of([1e10, 1e19, 1e30, 3e38, ...small]) };
  }
  // What is added before a norm hides an outlier's neighbours in the rounding of the sum.
  if (kind === 'outlier' && !narrow && !evaluation && op !== 'addLayerNorm' && op !== 'addRmsNorm') {
    return { ...common, outlier: true };
  }
  return { ...common, offset: draw.of(narrow || evaluation ? [0, 1, -10] : [0, 1, -10, 1e2, 1e4, -1e5]) };
}

/** l2Norm in the place of some of rmsNorm, whose options it has but for the cast: by a draw of its own, so that all others stay what they were. */
function withoutCast(draw: Draw, variant: Omit<Subject, 'shape'>): Omit<Subject, 'shape'> {
  if (variant.op !== 'rmsNorm' || draw.chance(0.5)) return variant;
  const { cast: _, ...others } = variant;
  return { ...others, op: 'l2Norm', epsMode: draw.of(['max', 'add']) };
}

/** y and dy in another type than x, where that may be: by a draw of its own, too. Not in f16, whose range dy is not drawn for. */
function toOther(draw: Draw, variant: Omit<Subject, 'shape'>): Omit<Subject, 'shape'> {
  if (variant.residual || draw.chance(0.8)) return variant;
  return { ...variant, yDtype: draw.of(['f32', 'bf16']) };
}

/** Weights over channels that are γ − 1, or each sample's own: by a draw of its own, too. */
function otherWeights(draw: Draw, subject: Subject): Partial<Subject> {
  const { op, evaluation, layout, shape, affine } = subject;
  const zeroCentered = draw.chance(0.15);
  const apart = draw.chance(0.3);
  if (!hasChannels(op) || !affine) return {};
  const may = op !== 'batchNorm' && !evaluation && layout === 'channels-first' && shape[0] !== 0;
  return { ...(zeroCentered && { zeroCentered }), ...(apart && may && { apart: 1 }) };
}

/**
 * An eps that no length is as large as, where a last bit would decide what dx is, and in f16 one that 1 / eps and its like are in range of.
 */
const leastLength = ({ dtype }: Subject, drawn: number | undefined): number | undefined =>
  dtype === 'f16' ? 1.7e-3 : drawn && 1.7 * drawn;

/** Configuration number `index` of a seed. */
export function configurationOf(seed: number, index: number): Configuration {
  const nth = Math.floor(index / family);
  const { response, backward, ...drawnVariant } = drawVariant(new Draw(seed, -1 - nth));
  const other = withoutCast(new Draw(seed, -1e6 - nth), drawnVariant);
  const variant = response ? other : toOther(new Draw(seed, -2e6 - nth), other);
  const draw = new Draw(seed, index);
  const shape = drawShape(
    draw,
    variant.op,
    variant.layout ?? 'channels-first',
    response !== undefined,
    variant.axes,
  );
  const drawnSubject: Subject = { ...variant, ...shape };
  const others = response ? {} : otherWeights(new Draw(seed, -3e6 - index), drawnSubject);
  const subject = { ...drawnSubject, ...others };
  const data = drawData(draw, subject, response !== undefined);
  // eps would be the whole answer of small values.
  const drawn = draw.of([undefined, undefined, 1e-3, 1e-6]);
  const eps = (data.magnitude ?? 1) < 1 ? 0 : subject.op === 'l2Norm' ? leastLength(subject, drawn) : drawn;
  const facts = draw.chance(0.75) ? 'own' : draw.of(Object.keys(factsOf) as FactsName[]);
  return {
    subject: eps === undefined ? subject : { ...subject, eps },
    data,
    facts,
    backward,
    together: new Draw(seed, -1_000_000 - Math.floor(index / family)).chance(0.15),
    ...(response && { response }),
  };
}

/** The nearest configuration that a device can run: without subgroups portable reductions, and only strategies that the shape has. */
export function fitted(
  configuration: Configuration,
  { subgroup }: Pick<DeviceFacts, 'subgroup'>,
): Configuration {
  const { subject, response } = configuration;
  const whole = { ...subject };
  const { strategy, ...others } = whole.schedule ?? {};
  if (response) whole.schedule = {};
  else if (strategy) {
    const geometry = plannedGeometry(whole);
    const tooLong = strategy === 'registers' && setSize(geometry) > 4 * 8 * (others.lanes ?? 1);
    // Known statistics are a matter of split passes alone.
    const strategies = whole.evaluation ? ['split'] : strategiesOf(geometry, 'forward');
    const legal = strategies.includes(strategy) && !tooLong;
    if ((subgroup === 0 || whole.axes) && others.reduction) others.reduction = 'portable';
    whole.schedule = legal ? { strategy, ...others } : {};
  }
  return { ...configuration, subject: whole };
}

export function describeConfiguration({
  subject,
  data,
  facts,
  backward,
  together,
  response,
}: Configuration): string {
  const { eps, negativeSlope: _, ...named } = subject;
  const name = response
    ? `localResponseNorm ${subject.shape.join('x')} ${subject.layout} ${subject.dtype} ${JSON.stringify(response)}`
    : nameOf(named);
  const words = [name, `data ${JSON.stringify(data)}`, `facts '${facts}'`];
  if (eps !== undefined) words.push(`eps ${eps}`);
  if (together) words.push('in one buffer');
  return [...words, backward ? 'forward and backward' : 'forward'].join(', ');
}

/** Simpler configurations, one step away each. */
export function simpler(configuration: Configuration): Configuration[] {
  const { subject, data, facts, backward } = configuration;
  const found: Configuration[] = [];
  const change = (changes: Partial<Subject>) => {
    found.push({ ...configuration, subject: { ...subject, ...changes } });
  };
  if (facts !== 'own') found.push({ ...configuration, facts: 'own' });
  if (backward) found.push({ ...configuration, backward: false });
  if (configuration.together) found.push({ ...configuration, together: false });
  const last = subject.layout === 'channels-last' || !hasChannels(subject.op);
  const channelAxis = last ? subject.shape.length - 1 : 1;
  subject.shape.forEach((size, axis) => {
    // A smaller count of channels must still fall into groups.
    const step = subject.groups && axis === channelAxis ? subject.groups : 1;
    for (const smaller of [step, Math.floor(size / step / 2) * step, size - step]) {
      if (smaller >= step && smaller < size) change({ shape: subject.shape.with(axis, smaller) });
    }
  });
  if (Object.keys(subject.schedule ?? {}).length > 0) change({ schedule: {} });
  if (subject.activation) change({ activation: 'none' });
  if (subject.residual && !hasResidual(subject)) change({ residual: false });
  if (subject.affine !== false) change({ affine: false });
  if (subject.yDtype) change({ yDtype: subject.dtype ?? 'f32' });
  if ((subject.dtype ?? 'f32') !== 'f32' || (subject.paramDtype ?? 'f32') !== 'f32')
    change({ dtype: 'f32', paramDtype: 'f32' });
  const { seed = 1, ...rest } = data;
  if (Object.keys(rest).length > 0) found.push({ ...configuration, data: { seed } });
  return found;
}
