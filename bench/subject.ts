/** One row of the bench made concrete: its inputs on the GPU, how it is recorded, and what it must give. */
import type { Gpu, ScheduleOptions, Tensor } from '../src/index.ts';
import { scheduleBackward, scheduleForward } from '../src/plan/schedule.ts';
import type { BackwardSchedule, ForwardSchedule } from '../src/plan/strategy.ts';
import {
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
  normBackwardReference,
  normReference,
  relativeError,
  roundAllToHalf,
  setCount,
} from '../src/reference/index.ts';
import { normal } from '../test/support/data.ts';
import { bounds } from '../test/support/tolerances.ts';
import { backwardRecorder, eps, forwardRecorder, type Inputs, type Outputs } from './recorder.ts';
import { isResidual, isRms, type Pass, type Row } from './rows.ts';

/** What a pass gives: y of a forward one, the gradients of a backward one. */
export interface Results {
  y?: Float32Array;
  dx?: Float32Array;
  dweight?: Float32Array;
  dbias?: Float32Array;
}

/** How far results are from float64, and how far they may be. */
export interface Verdict {
  error: number;
  bound: number;
}

export interface Subject {
  row: Row;
  inputs: Inputs;
  /** Records one run of the op. */
  record(encoder: GPUCommandEncoder, schedule?: ScheduleOptions): void;
  /** The largest relative error of the outputs of the last run, measured by what each is allowed. */
  check(): Promise<Verdict>;
  /** The same of a peer's results. */
  judge(results: Results): Verdict;
  /** The schedule that the library chose, in words. */
  strategy(schedule?: ScheduleOptions): string;
  destroy(): void;
}

export function geometryOf({ op, shape, layout, groups = 1 }: Row): Geometry {
  if (op === 'groupNorm') return groupNormGeometry(shape, groups, layout);
  if (op === 'instanceNorm') return instanceNormGeometry(shape, layout);
  if (op === 'batchNorm') return batchNormGeometry(shape, layout);
  return layerNormGeometry(shape, shape.slice(1));
}

/** Inputs N(0, 1) with fixed seeds, rounded to the row's dtype; a single element stands for what the row does not read. */
function dataOf({ op, pass, shape, dtype }: Row, { channels }: Geometry) {
  const elements = shape.reduce((product, size) => product * size, 1);
  const whole = (wanted: boolean, seed: number): Float32Array => {
    if (!wanted) return new Float32Array(1);
    const values = normal(elements, { seed });
    return dtype === 'f16' ? Float32Array.from(roundAllToHalf(values)) : values;
  };
  return {
    x: whole(true, 1),
    residual: whole(isResidual(op), 2),
    dy: whole(pass !== 'forward', 3),
    weight: normal(channels, { mean: 1, std: 0.1, seed: 4 }),
    bias: normal(channels, { mean: 0, std: 0.1, seed: 5 }),
    runningMean: normal(channels, { mean: 0, std: 0.1, seed: 6 }),
    runningVar: normal(channels, { mean: 1, std: 0.1, seed: 7 }),
  };
}

type Data = ReturnType<typeof dataOf>;

/** Judges results by the float64 reference, which is computed when it is first needed. */
function makeJudge(row: Row, geometry: Geometry, data: Data): (results: Results) => Verdict {
  const { op, dtype, training } = row;
  const half = dtype === 'f16';
  const kind = isRms(op) ? 'rms' : 'moments';
  const frozen =
    op === 'batchNorm' && !training ? { mean: data.runningMean, variance: data.runningVar } : undefined;
  const options = {
    weight: data.weight,
    bias: kind === 'rms' ? null : data.bias,
    eps,
    kind,
    frozen,
  } as const;
  let forward: Float64Array | undefined;
  let backward: ReturnType<typeof normBackwardReference> | undefined;
  const expectedY = (): Float64Array => {
    if (!forward) {
      const summed = isResidual(op) ? data.x.map((value, i) => value + (data.residual[i] as number)) : data.x;
      forward = normReference(half ? roundAllToHalf(summed) : summed, geometry, options).y;
    }
    return forward;
  };
  const expectedGradients = () => {
    backward ??= normBackwardReference(data.dy, data.x, geometry, options);
    return backward;
  };
  // An f16 result cannot be better than the float64 one rounded to f16.
  const boundOf = (base: number, wanted: Float64Array): number =>
    half ? bounds.halfFactor * relativeError(roundAllToHalf(wanted), wanted) + bounds.halfSlack : base;
  return ({ y, ...gradients }) => {
    const verdicts: Verdict[] = [];
    if (y) {
      const wanted = expectedY();
      verdicts.push({ error: relativeError(y, wanted), bound: boundOf(bounds.forward, wanted) });
    }
    for (const [name, values] of Object.entries(gradients)) {
      const { scale, ...wanted } = expectedGradients();
      const gradient = name as keyof typeof scale;
      verdicts.push({
        error: relativeError(values, wanted[gradient], scale[gradient]),
        bound: gradient === 'dx' ? boundOf(bounds.backward, wanted.dx) : bounds.backward,
      });
    }
    return verdicts.reduce((a, b) => (a.error / a.bound >= b.error / b.bound ? a : b));
  };
}

export function makeSubject(gpu: Gpu, row: Row): Subject {
  const { op, pass, shape, dtype } = row;
  const geometry = geometryOf(row);
  const data = dataOf(row, geometry);
  const { channels } = geometry;
  const parameter = (values: Float32Array) => gpu.tensor(values, [channels]);
  const whole = (values: Float32Array) =>
    values.length === 1 ? gpu.tensor(values, [1]) : gpu.tensor(values, shape, { dtype });
  const inputs: Inputs = {
    x: whole(data.x),
    residual: whole(data.residual),
    dy: whole(data.dy),
    weight: parameter(data.weight),
    bias: parameter(data.bias),
    runningMean: parameter(data.runningMean),
    runningVar: parameter(data.runningVar),
    numBatchesTracked: gpu.zeros([], { dtype: 'u32' }),
  };
  const sets =
    op === 'groupNorm'
      ? [geometry.samples, geometry.groups]
      : op === 'instanceNorm'
        ? [geometry.samples, channels]
        : [setCount(geometry)];
  const like = (wanted: boolean): Tensor => (wanted ? gpu.empty(shape, { dtype }) : gpu.empty([1]));
  const outputs: Outputs = {
    y: like(true), // a backward row's forward writes it too
    sum: like(isResidual(op)),
    mean: gpu.empty([...sets, 2]),
    rstd: gpu.empty(sets),
    dx: like(pass !== 'forward'),
    dweight: gpu.empty([channels]),
    dbias: gpu.empty([channels]),
  };
  const forward = forwardRecorder(gpu, row, inputs, outputs);
  const backward = backwardRecorder(gpu, row, inputs, outputs);
  if (pass === 'backward') {
    const encoder = gpu.device.createCommandEncoder();
    forward(encoder);
    gpu.device.queue.submit([encoder.finish()]);
  }
  const judge = makeJudge(row, geometry, data);
  const tensors = [...Object.values(inputs), ...Object.values(outputs)];
  return {
    row,
    inputs,
    judge,
    record(encoder, schedule) {
      if (pass !== 'backward') forward(encoder, schedule);
      if (pass !== 'forward') backward(encoder, schedule);
    },
    async check() {
      const results: Results = {};
      if (pass !== 'backward') results.y = await outputs.y.data();
      if (pass !== 'forward') {
        results.dx = await outputs.dx.data();
        results.dweight = await outputs.dweight.data();
        if (!isRms(op)) results.dbias = await outputs.dbias.data();
      }
      return judge(results);
    },
    strategy(schedule = {}) {
      const choose = pass === 'forward' ? scheduleForward : scheduleBackward;
      return scheduleName(choose(geometry, gpu.facts, schedule), pass);
    },
    destroy() {
      for (const tensor of tensors) tensor.destroy();
    },
  };
}

/** `thread 4/1 four rows`: strategy, workgroup size / lanes, and what else is not 1. */
function scheduleName(schedule: ForwardSchedule | BackwardSchedule, pass: Pass): string {
  const { strategy, team, items, slots, fourRows } = schedule;
  const words = [`${strategy} ${team.workgroup}/${team.lanes}`];
  if (team.reduction !== 'serial') words.push(team.reduction);
  if (items > 0) words.push(`${items} items`);
  if (fourRows) words.push('four rows');
  if (slots > 1) words.push(`${slots} slots`);
  if (pass !== 'forward' && 'gradientSlots' in schedule)
    words.push(`${schedule.gradientSlots} gradient slots`);
  return words.join(' ');
}
