/** The race's networks before the first step, in float64. */
import { classes, drawDigits, pixels } from '../../demo/network/digits.ts';
import { groups, hidden, stdOf } from '../../demo/screens/train/network.ts';
import { testCount, testSeed } from '../../demo/screens/train/race.ts';
import type { Kind } from '../../demo/screens/train/settings.ts';
import {
  batchNormGeometry,
  groupNormGeometry,
  layerNormGeometry,
  normReference,
} from '../reference/index.ts';
import { normal } from '../support/data.ts';

/** x·weightᵀ with the weights of one seed. */
function linear(x: Float64Array, width: number, out: number, seed: number): Float64Array {
  const std = stdOf({ activation: 'sigmoid' }, width);
  const weight = normal(out * width, { std, seed });
  const count = x.length / width;
  const y = new Float64Array(count * out);
  for (let n = 0; n < count; n++) {
    for (let o = 0; o < out; o++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (x[n * width + i] as number) * (weight[o * width + i] as number);
      y[n * out + o] = sum;
    }
  }
  return y;
}

function norm(x: Float64Array, kind: Kind): Float64Array {
  const shape = [testCount, hidden];
  const moments = { kind: 'moments', eps: 1e-5 } as const;
  switch (kind) {
    case 'none':
      return x;
    case 'batch': {
      // Running statistics as they start.
      const frozen = { mean: new Float64Array(hidden), variance: new Float64Array(hidden).fill(1) };
      return normReference(x, batchNormGeometry(shape, 'channels-first'), { ...moments, frozen }).y;
    }
    case 'layer':
      return normReference(x, layerNormGeometry(shape, hidden), moments).y;
    case 'group':
      return normReference(x, groupNormGeometry(shape, groups, 'channels-first'), moments).y;
    case 'rms':
      return normReference(x, layerNormGeometry(shape, hidden), { kind: 'rms', eps: 2 ** -23 }).y;
  }
}

/** Loss and accuracy on the digits that the page judges by, with sigmoids. */
export function startOf(kind: Kind, layers: number): { loss: number; accuracy: number } {
  const { pixels: values, labels } = drawDigits(testCount, testSeed);
  let x = Float64Array.from(values);
  let width = pixels;
  for (let i = 0; i < layers; i++) {
    x = norm(linear(x, width, hidden, i + 1), kind).map((value) => 1 / (1 + Math.exp(-value)));
    width = hidden;
  }
  const logits = linear(x, width, classes, layers + 1);
  let [loss, right] = [0, 0];
  labels.forEach((label, n) => {
    const row = logits.subarray(n * classes, (n + 1) * classes);
    const most = Math.max(...row);
    loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most;
    loss -= row[label] as number;
    if (row[label] === most) right += 1;
  });
  return { loss: loss / testCount, accuracy: right / testCount };
}
