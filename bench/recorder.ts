/** How a row's op is recorded: its functional form, into tensors that are there already. */
import {
  type Activation,
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
  type RecordOptions,
  rmsNorm,
  rmsNormBackward,
  type ScheduleOptions,
  type Tensor,
} from '../src/index.ts';
import type { Inputs } from './inputs.ts';
import { isResidual, type Row } from './rows.ts';

export const eps = 1e-5;

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

/** Records one run into an encoder or a pass. */
export type Recorder = (target: RecordOptions, schedule?: ScheduleOptions) => void;

export function forwardRecorder(gpu: Gpu, row: Row, inputs: Inputs, outputs: Outputs): Recorder {
  const { op, layout, groups: numGroups = 1, training = false } = row;
  const { x, residual, weight, bias, runningMean, runningVar, numBatchesTracked } = inputs;
  const { y, sum, mean, rstd } = outputs;
  const normalized = normalizedOf(row);
  const activation = activationOf(row);
  return (target, schedule = {}) => {
    const common = { ...target, schedule, weight, eps };
    const moments = { ...common, bias, out: { y, mean, rstd } };
    const rms = { ...common, ...normalized, out: { y, rstd } };
    if (op === 'layerNorm') layerNorm(gpu, x, { ...moments, ...normalized });
    else if (op === 'rmsNorm') rmsNorm(gpu, x, rms);
    else if (op === 'addLayerNorm') {
      addLayerNorm(gpu, x, residual, { ...moments, ...normalized, out: { y, sum, mean, rstd } });
    } else if (op === 'addRmsNorm') addRmsNorm(gpu, x, residual, { ...rms, out: { y, sum, rstd } });
    else if (op === 'groupNorm') groupNorm(gpu, x, { ...moments, numGroups, layout });
    else if (op === 'instanceNorm') instanceNorm(gpu, x, { ...moments, layout });
    else {
      const running = { runningMean, runningVar, ...(training ? { numBatchesTracked } : {}) };
      batchNorm(gpu, x, { ...moments, ...running, activation, training, layout });
    }
  };
}

/** Of the residual ops, x is the sum that forward made, and the sum's own gradient is added to dx. */
export function backwardRecorder(gpu: Gpu, row: Row, inputs: Inputs, outputs: Outputs): Recorder {
  const { op, layout, groups: numGroups = 1, training = false } = row;
  const { x, residual, dy, weight, bias } = inputs;
  const { mean, rstd, dx, dweight, dbias } = outputs;
  const normalized = normalizedOf(row);
  const dsum = isResidual(op) ? residual : undefined;
  const activation = activationOf(row);
  return (target, schedule = {}) => {
    const common = { ...target, schedule, weight, rstd };
    const moments = { ...common, mean, out: { dx, dweight, dbias } };
    const rms = { ...common, ...normalized, out: { dx, dweight } };
    if (op === 'layerNorm' || op === 'addLayerNorm') {
      layerNormBackward(gpu, dy, x, { ...moments, ...normalized, dsum });
    } else if (op === 'rmsNorm' || op === 'addRmsNorm') rmsNormBackward(gpu, dy, x, { ...rms, dsum });
    else if (op === 'groupNorm') groupNormBackward(gpu, dy, x, { ...moments, numGroups, layout });
    else if (op === 'instanceNorm') instanceNormBackward(gpu, dy, x, { ...moments, layout });
    else batchNormBackward(gpu, dy, x, { ...moments, bias, activation, training, layout });
  };
}

/** What LayerNorm and RMSNorm reduce. */
const normalizedOf = ({ shape, axes }: Row) => (axes ? { axes } : { normalizedShape: shape.slice(1) });

const activationOf = ({ relu }: Row): Activation => (relu ? 'relu' : 'none');
