/** The published cases of BatchNorm and LocalResponseNorm. */
import {
  batchNorm,
  batchNormBackward,
  type FloatDType,
  localResponseNorm,
  localResponseNormBackward,
  type Tensor,
} from '../../src/index.ts';
import type { Case, Context } from '../harness/case.ts';
import { compare, type Expected } from '../support/conformance.ts';
import { BATCH_OPS, type BatchCase, type BatchOutput, describeBatch } from '../support/conformance-batch.ts';
import { describeResponse, RESPONSE_OPS, type ResponseCase } from '../support/conformance-response.ts';
import { checkSuites } from './conformance.ts';

/** The first output that is not as expected, in words; null if all are. */
async function firstWrong<Name extends string>(
  expected: Partial<Record<Name, Expected>>,
  read: (name: Name) => Promise<ArrayLike<number> | undefined>,
): Promise<string | null> {
  for (const [name, output] of Object.entries(expected) as [Name, Expected | undefined][]) {
    if (!output) continue;
    const actual = await read(name);
    const said = actual ? compare(actual, output) : 'was not computed';
    if (said) return `${name}: ${said}`;
  }
  return null;
}

async function checkBatch({ gpu }: Context, one: BatchCase): Promise<string | null> {
  const { shape, layout, eps, training, momentum, dtype, paramDtype, running } = one;
  const channels = one.geometry.channels;
  const vector = (values: Float32Array | undefined, type: FloatDType) =>
    values && gpu.tensor(values, [channels], { dtype: type });
  const x = gpu.tensor(one.x, shape, { dtype });
  const [weight, bias] = [vector(one.weight, paramDtype), vector(one.bias, paramDtype)];
  const [runningMean, runningVar] = [vector(running?.mean, 'f32'), vector(running?.variance, 'f32')];
  const options = { layout, training, weight };
  const runningVariance = one.biased ? 'biased' : 'unbiased';
  const forward = batchNorm(gpu, x, {
    ...options,
    eps,
    momentum,
    bias,
    runningMean,
    runningVar,
    runningVariance,
  });
  const dy = one.dy && gpu.tensor(one.dy, shape, { dtype });
  const backward =
    dy && batchNormBackward(gpu, dy, x, { ...options, mean: forward.mean, rstd: forward.rstd });
  const tensors: Partial<Record<BatchOutput, Tensor | null | undefined>> = {
    ...forward,
    ...backward,
    runningMean,
    runningVar,
  };
  return firstWrong(one.expected, async (name) => {
    const values = await tensors[name]?.data();
    if (name === 'mean') return values?.filter((_, i) => i % 2 === 0); // without what f32 lost
    return values;
  });
}

async function checkResponse({ gpu }: Context, one: ResponseCase): Promise<string | null> {
  const { shape, layout, dtype, size, alpha, beta, k } = one;
  const [x, dy] = [gpu.tensor(one.x, shape, { dtype }), gpu.tensor(one.dy, shape, { dtype })];
  const options = { size, alpha, beta, k, layout };
  return firstWrong(one.expected, (name) => {
    const op = {
      y: () => localResponseNorm(gpu, x, options).y,
      dx: () => localResponseNormBackward(gpu, dy, x, options).dx,
    };
    return op[name]().data();
  });
}

export const cases: Case[] = [
  {
    name: 'conformance: BatchNorm cases',
    run: (t) => checkSuites(t, BATCH_OPS, describeBatch, checkBatch),
  },
  {
    name: 'conformance: LocalResponseNorm cases',
    run: (t) => checkSuites(t, RESPONSE_OPS, describeResponse, checkResponse),
  },
];
