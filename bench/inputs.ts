/** The tensors that a row reads: the same numbers on every machine and in every run. */
import { encodeHalf } from '../src/gpu/float16.ts';
import type { FloatDType, Gpu, Tensor } from '../src/index.ts';
import { roundAllToHalf } from '../test/reference/index.ts';
import { normal } from '../test/support/data.ts';
import { isResidual, type Row } from './rows.ts';

/**
 * Large tensors repeat a block: a million random numbers are quickly made, and hundreds of millions are not. Its length is
 * twice a prime, so that no two rows or columns of up to half a million are alike, and an even number of f16.
 */
const period = 2 * 500_003;

/** N(0, 1), rounded to the dtype. */
function block(seed: number, dtype: FloatDType): Float32Array {
  const values = normal(period, { seed });
  return dtype === 'f16' ? Float32Array.from(roundAllToHalf(values)) : values;
}

/** The elements of a tensor of x's shape, by index. */
export const at = (values: Float32Array, element: number): number =>
  values[element % values.length] as number;

/** What the float64 reference needs to know. x, residual and dy are blocks that repeat. */
export interface Data {
  x: Float32Array;
  /** Forward adds it to x; backward adds it to dx, as the gradient of the sum. */
  residual: Float32Array;
  dy: Float32Array;
  weight: Float32Array;
  bias: Float32Array;
  runningMean: Float32Array;
  runningVar: Float32Array;
}

/** Blocks are kept: every row of a run needs the same ones. */
const blocks = new Map<string, Float32Array>();

function kept(key: string, make: () => Float32Array): Float32Array {
  let values = blocks.get(key);
  if (!values) {
    values = make();
    blocks.set(key, values);
  }
  return values;
}

export function makeData({ dtype, relu }: Row, channels: number): Data {
  const whole = (seed: number) => kept(`${seed} ${dtype}`, () => block(seed, dtype));
  const [x, dy] = [whole(1), whole(3)];
  // Where relu's derivative jumps, the last bit of a value decides: there, about the mean as long as bias is 0, dy is 0.
  const smooth = () => dy.map((value, i) => (Math.abs(x[i] as number) < 0.1 ? 0 : value));
  return {
    x,
    residual: whole(2),
    dy: relu ? kept(`smooth ${dtype}`, smooth) : dy,
    weight: normal(channels, { mean: 1, std: 0.1, seed: 4 }),
    bias: relu ? new Float32Array(channels) : normal(channels, { mean: 0, std: 0.1, seed: 5 }),
    runningMean: normal(channels, { mean: 0, std: 0.1, seed: 6 }),
    runningVar: normal(channels, { mean: 1, std: 0.1, seed: 7 }),
  };
}

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

/** On the GPU; what the row does not read is a single element. */
export function makeInputs(gpu: Gpu, row: Row, data: Data): Inputs {
  const { op, pass, shape, dtype } = row;
  const whole = (wanted: boolean, values: Float32Array): Tensor => {
    const tensor = gpu.empty(wanted ? shape : [1], { dtype });
    if (wanted) fill(gpu, tensor, dtype === 'f16' ? encodeHalf(values) : (values.buffer as ArrayBuffer));
    return tensor;
  };
  const parameter = (values: Float32Array) => gpu.tensor(values, [values.length]);
  return {
    x: whole(true, data.x),
    residual: whole(isResidual(op), data.residual),
    dy: whole(pass !== 'forward', data.dy),
    weight: parameter(data.weight),
    bias: parameter(data.bias),
    runningMean: parameter(data.runningMean),
    runningVar: parameter(data.runningVar),
    numBatchesTracked: gpu.zeros([], { dtype: 'u32' }),
  };
}

function fill(gpu: Gpu, { buffer }: Tensor, bytes: ArrayBuffer): void {
  for (let offset = 0; offset < buffer.size; offset += bytes.byteLength) {
    const length = Math.min(bytes.byteLength, buffer.size - offset);
    gpu.device.queue.writeBuffer(buffer, offset, bytes, 0, length);
  }
}
