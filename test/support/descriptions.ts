/** Every op in every pass and dtype, with what its options may add, for tests of descriptions. */
import type { DescribedOp, DescribeOptions } from '../../src/kernels.ts';

export interface DescribedCase {
  op: DescribedOp;
  options: DescribeOptions;
}

type Options = Omit<DescribeOptions, 'dtype' | 'pass'>;

const running = { runningMean: true, runningVar: true } as const;
const counted = { ...running, numBatchesTracked: true, training: true } as const;
const image = [2, 8, 6, 4];

/** By op: what forward is told, and what backward is. */
const settings: Record<DescribedOp, { forward: Options[]; backward: Options[] }> = {
  layerNorm: {
    forward: [
      { shape: [6, 40] },
      { shape: [4, 3, 5], normalizedShape: [3, 5], weight: false, bias: false, statistics: false },
      { shape: [6, 40], residual: true, activation: 'gelu' },
      { shape: image, axes: 1 },
      { shape: [6, 40], strides: { x: [64, 1] }, sharedBuffer: ['y', 'weight'] },
      { shape: [6, 40], yDtype: 'bf16' },
    ],
    backward: [
      { shape: [6, 40] },
      { shape: image, axes: [1], residual: true, activation: 'relu' },
      { shape: [6, 40], wants: { dbias: false }, accumulate: true, dsum: true },
      { shape: [6, 40], yDtype: 'f32', strides: { dy: [64, 1] } },
      { shape: [6, 40], residual: true, activation: 'gelu' },
    ],
  },
  addLayerNorm: { forward: [{ shape: [6, 40] }], backward: [{ shape: [6, 40] }] },
  rmsNorm: {
    forward: [
      { shape: [6, 40] },
      { shape: [6, 40], cast: 'gemma', eps: 1e-6 },
      { shape: [6, 40], cast: 'llama' },
      { shape: image, axes: [-1, 1] },
    ],
    backward: [
      { shape: [6, 40] },
      { shape: image, axes: [1, 3] },
      { shape: [6, 40], weight: false, strides: { dy: [64, 1], dx: [80, 2] } },
    ],
  },
  addRmsNorm: { forward: [{ shape: [6, 40] }], backward: [{ shape: [6, 40] }] },
  l2Norm: {
    forward: [{ shape: [6, 40] }, { shape: [6, 40], epsMode: 'add', eps: 1e-6 }, { shape: image, axes: [1] }],
    backward: [
      { shape: [6, 40] },
      { shape: [6, 40], epsMode: 'add' },
      { shape: image, axes: [1], weight: false },
    ],
  },
  groupNorm: {
    forward: [
      { shape: image, numGroups: 2, sharedBuffer: ['x', 'y', 'rstd'] },
      { shape: image, numGroups: 2, layout: 'channels-last', residual: true, activation: 'relu' },
    ],
    backward: [
      { shape: image, numGroups: 2 },
      { shape: image, numGroups: 2, layout: 'channels-last' },
      { shape: image, numGroups: 2, parameterShape: [2, 8], zeroCenteredGamma: true },
    ],
  },
  instanceNorm: {
    forward: [
      { shape: image, parameterShape: [2, 8] },
      { shape: image, ...running, momentum: 0.2, variance: true },
    ],
    backward: [{ shape: image }, { shape: image, training: false }],
  },
  batchNorm: {
    forward: [
      { shape: image, ...running },
      { shape: image, ...counted, runningVariance: 'biased' },
      { shape: image, ...counted, momentum: null, layout: 'channels-last' },
      { shape: image, training: true },
    ],
    backward: [{ shape: image }, { shape: image, training: true, activation: 'relu', yDtype: 'bf16' }],
  },
  dynamicTanh: {
    forward: [{ shape: [6, 40] }, { shape: [4, 3, 5], parameterShape: [3, 5], bias: false }],
    backward: [
      { shape: [6, 40] },
      { shape: [6, 40], weight: false, accumulate: true, wants: { dalpha: true, dbias: false } },
    ],
  },
  localResponseNorm: {
    forward: [
      { shape: image, size: 3 },
      { shape: [2, 5, 7], size: 5, alpha: 1e-3, beta: 0.6, k: 2 },
    ],
    backward: [
      { shape: image, size: 3 },
      { shape: [2, 5, 7], size: 5, layout: 'channels-last' },
    ],
  },
};

export const describedCases: readonly DescribedCase[] = (Object.keys(settings) as DescribedOp[]).flatMap(
  (op) =>
    (['forward', 'backward'] as const).flatMap((pass) =>
      settings[op][pass].flatMap((one) => {
        const dtypes = [
          { dtype: 'f32' },
          { dtype: 'f16' },
          { dtype: 'bf16' },
          { dtype: 'f16', paramDtype: 'f32' },
        ] as const;
        const some = op === 'localResponseNorm' ? dtypes.slice(0, 3) : dtypes;
        return some.map((types) => ({ op, options: { ...one, ...types, pass } }));
      }),
    ),
);
