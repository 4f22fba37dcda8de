/** One row of the bench made concrete: its inputs on the GPU, how it is recorded, and what it must give. */
import { byteSize } from '../src/gpu/tensor.ts';
import type { Gpu, RecordOptions, ScheduleOptions, Tensor } from '../src/index.ts';
import { axesGeometry as keptGeometry } from '../src/plan/geometry.ts';
import { scheduleKept } from '../src/plan/kept.ts';
import { scheduleBackward, scheduleForward } from '../src/plan/schedule.ts';
import type { BackwardSchedule, ForwardSchedule } from '../src/plan/strategy.ts';
import {
  axesGeometry,
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
  setCount,
} from '../test/reference/index.ts';
import { makeComparison, type Results, type Verdict } from './compare.ts';
import { type Inputs, makeData, makeInputs } from './inputs.ts';
import { backwardRecorder, forwardRecorder, type Outputs } from './recorder.ts';
import { isResidual, isRms, type Op, type Pass, type Row } from './rows.ts';

export interface Subject {
  row: Row;
  inputs: Inputs;
  /** All that it allocated. */
  tensors: readonly Tensor[];
  /** Records one run of the op. */
  record(target: RecordOptions, schedule?: ScheduleOptions): void;
  /** Zeroes what `check` compares, so that a run that writes nothing does not pass by the results of one before it. */
  clear(): void;
  /** The largest relative error of the outputs of the last run, measured by what each is allowed. */
  check(): Promise<Verdict>;
  /** The same of a peer's results. */
  compare(results: Results): Verdict;
  /** What of the results is compared, in words. */
  compared: string;
  /** The schedule that the library chose, in words. */
  strategy(schedule?: ScheduleOptions): string;
  destroy(): void;
}

export function geometryOf({ op, shape, axes, layout, groups = 1 }: Row): Geometry {
  if (axes) return axesGeometry(shape, axes);
  if (op === 'groupNorm') return groupNormGeometry(shape, groups, layout);
  if (op === 'instanceNorm') return instanceNormGeometry(shape, layout);
  if (op === 'batchNorm') return batchNormGeometry(shape, layout);
  return layerNormGeometry(shape, shape.slice(1));
}

/** @throws NormError `limit` where a tensor is larger than the device allows. */
export function makeSubject(gpu: Gpu, row: Row): Subject {
  // In a scope: what was allocated before a tensor that is too large is freed.
  return gpu.scope(() => build(gpu, row));
}

function build(gpu: Gpu, row: Row): Subject {
  const { op, pass, shape, dtype } = row;
  const geometry = geometryOf(row);
  const { channels } = geometry;
  const data = makeData(row, channels);
  const inputs = makeInputs(gpu, row, data);
  const { axes } = row;
  const sets = axes
    ? shape.filter((_, axis) => !axes.includes(axis))
    : op === 'groupNorm'
      ? [geometry.samples, geometry.groups]
      : op === 'instanceNorm'
        ? [geometry.samples, channels]
        : [setCount(geometry)];
  const like = (wanted: boolean): Tensor => (wanted ? gpu.empty(shape, { dtype }) : gpu.empty([1]));
  const gradient = like(pass !== 'forward');
  const outputs: Outputs = {
    y: pass === 'backward' ? gradient : like(true), // its forward runs once, before it
    sum: like(isResidual(op) && pass === 'forward'),
    mean: gpu.empty([...sets, 2]),
    rstd: gpu.empty(sets),
    dx: gradient,
    dweight: gpu.empty([channels]),
    dbias: gpu.empty([channels]),
  };
  const forward = forwardRecorder(gpu, row, inputs, outputs);
  const backward = backwardRecorder(gpu, row, inputs, outputs);
  const { compare, compared } = makeComparison(row, geometry, data);
  if (pass === 'backward') {
    // Of a residual op x is the sum: its statistics are those of the op without a residual.
    const statistics = forwardRecorder(gpu, { ...row, op: withoutResidual(op) }, inputs, outputs);
    const encoder = gpu.device.createCommandEncoder();
    statistics({ encoder });
    gpu.device.queue.submit([encoder.finish()]);
  }
  const tensors = [...Object.values(inputs), ...Object.values(outputs)];
  return {
    row,
    inputs,
    tensors,
    compare,
    compared,
    record(target, schedule) {
      if (pass !== 'backward') forward(target, schedule);
      if (pass !== 'forward') backward(target, schedule);
    },
    clear() {
      // Statistics stay: they are what a backward pass reads.
      const { y, sum, dx, dweight, dbias } = outputs;
      const encoder = gpu.device.createCommandEncoder();
      for (const { buffer } of [y, sum, dx, dweight, dbias]) encoder.clearBuffer(buffer);
      gpu.device.queue.submit([encoder.finish()]);
    },
    async check() {
      const results: Results = {};
      if (pass !== 'backward') results.y = await outputs.y.data();
      if (pass !== 'forward') {
        results.dx = await outputs.dx.data();
        results.dweight = await outputs.dweight.data();
        if (!isRms(op)) results.dbias = await outputs.dbias.data();
      }
      return compare(results);
    },
    strategy(schedule = {}) {
      const planned = axes ? (keptGeometry(shape, axes) ?? geometry) : geometry;
      const ofPass = pass === 'forward' ? scheduleForward : scheduleBackward;
      const choose = axes ? scheduleKept : ofPass;
      return scheduleName(choose(planned, gpu.facts, schedule, byteSize(dtype)), pass);
    },
    destroy() {
      for (const tensor of tensors) tensor.destroy();
    },
  };
}

const withoutResidual = (op: Op): Op =>
  op === 'addLayerNorm' ? 'layerNorm' : op === 'addRmsNorm' ? 'rmsNorm' : op;

/** `thread 4/1 four rows`: strategy, workgroup size / lanes, and what else is not 1. */
function scheduleName(schedule: ForwardSchedule | BackwardSchedule, pass: Pass): string {
  const { strategy, team, items, splits, fourRows } = schedule;
  const words = [`${strategy} ${team.workgroup}/${team.lanes}`];
  if (team.reduction !== 'serial') words.push(team.reduction);
  if (items > 0) words.push(`${items} items`);
  if (fourRows) words.push('four rows');
  if (splits > 1) words.push(`${splits} splits`);
  if (pass !== 'forward' && 'gradientSplits' in schedule && schedule.gradientSplits > 1)
    words.push(`${schedule.gradientSplits} gradient splits`);
  return words.join(' ');
}
