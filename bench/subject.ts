/** One row of the bench made concrete: its inputs on the GPU, how it is recorded, and what it must give. */
import {
  addLayerNorm,
  addRmsNorm,
  type Gpu,
  groupNorm,
  groupNormBackward,
  instanceNorm,
  instanceNormBackward,
  layerNorm,
  layerNormBackward,
  rmsNorm,
  rmsNormBackward,
  type ScheduleOptions,
  type Tensor,
} from '../src/index.ts';
import { scheduleBackward, scheduleForward } from '../src/plan/schedule.ts';
import type { BackwardSchedule, ForwardSchedule } from '../src/plan/strategy.ts';
import {
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
  normBackwardReference,
  normReference,
  relativeError,
  roundAllToHalf,
} from '../src/reference/index.ts';
import { normal } from '../test/support/data.ts';
import { bounds } from '../test/support/tolerances.ts';
import { isResidual, isRms, type Pass, type Row } from './rows.ts';

export const eps = 1e-5;

/** The inputs of a row. Forward reads x (and residual); backward also dy and what forward stored. */
export interface Inputs {
  x: Tensor;
  residual: Tensor;
  dy: Tensor;
  weight: Tensor;
  bias: Tensor;
}

export interface Subject {
  row: Row;
  inputs: Inputs;
  /** Records one run of the op. */
  record(encoder: GPUCommandEncoder, schedule?: ScheduleOptions): void;
  /** The largest relative error of the outputs of the last run against float64, and what is allowed. */
  check(): Promise<{ error: number; bound: number }>;
  /** ‖y − y64‖ / ‖y64‖ of a peer's y. */
  errorOf(y: Float32Array): number;
  /** The schedule that the library chose, in words. */
  strategy(schedule?: ScheduleOptions): string;
  destroy(): void;
}

export function geometryOf({ op, shape, layout, groups = 1 }: Row): Geometry {
  if (op === 'groupNorm') return groupNormGeometry(shape, groups, layout);
  if (op === 'instanceNorm') return instanceNormGeometry(shape, layout);
  return layerNormGeometry(shape, shape.slice(1));
}

export function makeSubject(gpu: Gpu, row: Row): Subject {
  const { op, pass, shape, layout, dtype } = row;
  const geometry = geometryOf(row);
  const elements = shape.reduce((product, size) => product * size, 1);
  const rounded = (values: Float32Array) =>
    dtype === 'f16' ? Float32Array.from(roundAllToHalf(values)) : values;
  const data = {
    x: rounded(normal(elements, { seed: 1 })),
    residual: isResidual(op) ? rounded(normal(elements, { seed: 2 })) : new Float32Array(1),
    dy: pass === 'backward' ? rounded(normal(elements, { seed: 3 })) : new Float32Array(1),
    weight: normal(geometry.channels, { mean: 1, std: 0.1, seed: 4 }),
    bias: normal(geometry.channels, { mean: 0, std: 0.1, seed: 5 }),
  };
  const whole = (values: Float32Array) =>
    gpu.tensor(values, values.length === 1 ? [1] : shape, { dtype: values.length === 1 ? 'f32' : dtype });
  const inputs: Inputs = {
    x: whole(data.x),
    residual: whole(data.residual),
    dy: whole(data.dy),
    weight: gpu.tensor(data.weight, [geometry.channels]),
    bias: gpu.tensor(data.bias, [geometry.channels]),
  };
  const { x, residual, dy, weight, bias } = inputs;
  const out = gpu.empty(shape, { dtype }); // y, or dx
  const sum = isResidual(op) ? gpu.empty(shape, { dtype }) : gpu.empty([1]);
  const sets =
    op === 'groupNorm'
      ? [geometry.samples, geometry.groups]
      : op === 'instanceNorm'
        ? [geometry.samples, geometry.channels]
        : [geometry.samples];
  const mean = gpu.empty([...sets, 2]);
  const rstd = gpu.empty(sets);
  const dweight = gpu.empty([geometry.channels]);
  const dbias = gpu.empty([geometry.channels]);
  const normalizedShape = shape.slice(1);

  const forward = (encoder: GPUCommandEncoder, y: Tensor, schedule: ScheduleOptions = {}): void => {
    const common = { encoder, schedule, weight, eps };
    const moments = { ...common, bias, out: { y, mean, rstd } };
    const rms = { ...common, normalizedShape, out: { y, rstd } };
    if (op === 'layerNorm') layerNorm(gpu, x, { ...moments, normalizedShape });
    else if (op === 'rmsNorm') rmsNorm(gpu, x, rms);
    else if (op === 'addLayerNorm') {
      addLayerNorm(gpu, x, residual, { ...moments, normalizedShape, out: { y, sum, mean, rstd } });
    } else if (op === 'addRmsNorm') addRmsNorm(gpu, x, residual, { ...rms, out: { y, sum, rstd } });
    else if (op === 'groupNorm') groupNorm(gpu, x, { ...moments, numGroups: geometry.groups, layout });
    else instanceNorm(gpu, x, { ...moments, layout });
  };
  const backward = (encoder: GPUCommandEncoder, schedule: ScheduleOptions = {}): void => {
    const common = { encoder, schedule, weight, rstd };
    const moments = { ...common, mean, out: { dx: out, dweight, dbias } };
    if (op === 'layerNorm') layerNormBackward(gpu, dy, x, { ...moments, normalizedShape });
    else if (op === 'rmsNorm') {
      rmsNormBackward(gpu, dy, x, { ...common, normalizedShape, out: { dx: out, dweight } });
    } else if (op === 'groupNorm') {
      groupNormBackward(gpu, dy, x, { ...moments, numGroups: geometry.groups, layout });
    } else if (op === 'instanceNorm') instanceNormBackward(gpu, dy, x, { ...moments, layout });
    else throw new Error(`no backward row for ${op}`);
  };
  if (pass === 'backward') {
    const encoder = gpu.device.createCommandEncoder();
    forward(encoder, out);
    gpu.device.queue.submit([encoder.finish()]);
  }

  const kind = isRms(op) ? 'rms' : 'moments';
  const options = { weight: data.weight, bias: kind === 'rms' ? null : data.bias, eps, kind } as const;
  let expected: Float64Array | undefined;
  const expectedY = (): Float64Array => {
    if (!expected) {
      const summed = isResidual(op) ? data.x.map((value, i) => value + (data.residual[i] as number)) : data.x;
      expected = normReference(rounded(summed), geometry, options).y;
    }
    return expected;
  };
  // An f16 result cannot be better than the float64 one rounded to f16.
  const boundOf = (base: number, y: Float64Array): number =>
    dtype === 'f16' ? bounds.halfFactor * relativeError(roundAllToHalf(y), y) + bounds.halfSlack : base;

  const tensors = [...Object.values(inputs), out, sum, mean, rstd, dweight, dbias];
  return {
    row,
    inputs,
    record: (encoder, schedule) =>
      pass === 'forward' ? forward(encoder, out, schedule) : backward(encoder, schedule),
    async check() {
      if (pass === 'forward') {
        const y = expectedY();
        return { error: relativeError(await out.data(), y), bound: boundOf(bounds.forward, y) };
      }
      const want = normBackwardReference(data.dy, data.x, geometry, options);
      const errors = [
        relativeError(await out.data(), want.dx, want.scale.dx),
        relativeError(await dweight.data(), want.dweight, want.scale.dweight),
        ...(kind === 'rms' ? [] : [relativeError(await dbias.data(), want.dbias, want.scale.dbias)]),
      ];
      return { error: Math.max(...errors), bound: boundOf(bounds.backward, want.dx) };
    },
    errorOf: (y) => relativeError(y, expectedY()),
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
  if (pass === 'backward' && 'gradientSlots' in schedule)
    words.push(`${schedule.gradientSlots} gradient slots`);
  return words.join(' ');
}
