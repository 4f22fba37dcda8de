/** How a row's op is recorded: its functional form, into tensors that are there already. */
import {
  addLayerNorm,
  addRmsNorm,
  batchNorm,
  batchNormBackward,
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
import type { Row } from './rows.ts';

export const eps = 1e-5;

/** What is read. Forward reads x (and residual); backward also dy and what forward stored. */
export interface Inputs {
  x: Tensor;
  residual: Tensor;
  dy: Tensor;
  weight: Tensor;
  bias: Tensor;
  /** Of batchNorm: used in evaluation, updated in training. */
  runningMean: Tensor;
  runningVar: Tensor;
  numBatchesTracked: Tensor;
}

/** What is written. */
export interface Outputs {
  y: Tensor;
  sum: Tensor;
  mean: Tensor;
  rstd: Tensor;
  dx: Tensor;
  dweight: Tensor;
  dbias: Tensor;
}

export type Recorder = (encoder: GPUCommandEncoder, schedule?: ScheduleOptions) => void;

export function forwardRecorder(gpu: Gpu, row: Row, inputs: Inputs, outputs: Outputs): Recorder {
  const { op, shape, layout, groups: numGroups = 1, training = false } = row;
  const { x, residual, weight, bias, runningMean, runningVar, numBatchesTracked } = inputs;
  const { y, sum, mean, rstd } = outputs;
  const normalizedShape = shape.slice(1);
  return (encoder, schedule = {}) => {
    const common = { encoder, schedule, weight, eps };
    const moments = { ...common, bias, out: { y, mean, rstd } };
    const rms = { ...common, normalizedShape, out: { y, rstd } };
    if (op === 'layerNorm') layerNorm(gpu, x, { ...moments, normalizedShape });
    else if (op === 'rmsNorm') rmsNorm(gpu, x, rms);
    else if (op === 'addLayerNorm') {
      addLayerNorm(gpu, x, residual, { ...moments, normalizedShape, out: { y, sum, mean, rstd } });
    } else if (op === 'addRmsNorm') addRmsNorm(gpu, x, residual, { ...rms, out: { y, sum, rstd } });
    else if (op === 'groupNorm') groupNorm(gpu, x, { ...moments, numGroups, layout });
    else if (op === 'instanceNorm') instanceNorm(gpu, x, { ...moments, layout });
    else {
      const running = { runningMean, runningVar, ...(training ? { numBatchesTracked } : {}) };
      batchNorm(gpu, x, { ...moments, ...running, training, layout });
    }
  };
}

export function backwardRecorder(gpu: Gpu, row: Row, inputs: Inputs, outputs: Outputs): Recorder {
  const { op, shape, layout, groups: numGroups = 1, training = false } = row;
  const { x, dy, weight } = inputs;
  const { mean, rstd, dx, dweight, dbias } = outputs;
  const normalizedShape = shape.slice(1);
  return (encoder, schedule = {}) => {
    const common = { encoder, schedule, weight, rstd };
    const moments = { ...common, mean, out: { dx, dweight, dbias } };
    if (op === 'layerNorm') layerNormBackward(gpu, dy, x, { ...moments, normalizedShape });
    else if (op === 'rmsNorm') {
      rmsNormBackward(gpu, dy, x, { ...common, normalizedShape, out: { dx, dweight } });
    } else if (op === 'groupNorm') groupNormBackward(gpu, dy, x, { ...moments, numGroups, layout });
    else if (op === 'instanceNorm') instanceNormBackward(gpu, dy, x, { ...moments, layout });
    else if (op === 'batchNorm') batchNormBackward(gpu, dy, x, { ...moments, training, layout });
    else throw new Error(`no backward row for ${op}`);
  };
}
