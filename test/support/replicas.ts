/** BatchNorm over replicas on the GPU, beside one BatchNorm of the joined batch in float64. */
import { LocalProcessGroup, type ProcessGroup, SyncBatchNorm } from '../../src/distributed/index.ts';
import type { Activation, FloatDType, Gpu, Layout, Tensor } from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import {
  batchNormGeometry,
  normBackwardReference,
  normReference,
  relativeError,
  rounders,
} from '../reference/index.ts';
import { random } from './data.ts';
import { RunningReference } from './running.ts';
import { bounds } from './tolerances.ts';

/** What the ranks of a group normalize together. */
export interface Replicated {
  /** Samples of each rank. */
  sizes: readonly number[];
  channels: number;
  spatial: readonly number[];
  layout?: Layout;
  /** |mean| / std. */
  offset?: number;
  momentum?: number | null;
  /** What x is multiplied by. Default 1. */
  magnitude?: number;
  affine?: boolean;
  activation?: Activation;
  residual?: boolean;
  dtype?: FloatDType;
  seed?: number;
}

/** What a rank has got after forward and backward. */
export interface ReplicaResult {
  y: Float32Array;
  dx: Float32Array;
  dresidual: Float32Array | undefined;
  dweight: Float32Array | undefined;
  dbias: Float32Array | undefined;
  runningMean: Float32Array;
  runningVar: Float32Array;
  batches: number;
}

const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);

/** Samples of a channels-first or channels-last batch: the batch axis is the first in both. */
export function shapeOf(
  { channels, spatial, layout = 'channels-first' }: Replicated,
  samples: number,
): number[] {
  return layout === 'channels-first' ? [samples, channels, ...spatial] : [samples, ...spatial, channels];
}

/** Inputs of all ranks, one after the other. Those of f16 and bf16 have to be exact in these. */
export function inputsOf(subject: Replicated, round = (value: number): number => value) {
  const { sizes, channels, spatial, offset = 0, seed = 1, affine = true, residual, magnitude = 1 } = subject;
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const values = (length: number, mean = 0, std = 1) =>
    Float32Array.from({ length }, () => round(Math.fround(mean + std * normal())));
  const elements = sizes.reduce((all, size) => all + size, 0) * channels * product(spatial);
  return {
    x: values(elements, magnitude * offset, magnitude),
    dy: values(elements),
    residual: residual ? values(elements) : undefined,
    weight: affine ? values(channels, 1, 0.3) : undefined,
    bias: affine ? values(channels) : undefined,
  };
}

export type Inputs = ReturnType<typeof inputsOf>;

/** The part of an array that belongs to each rank. */
export function partsOf(subject: Replicated, all: Float32Array): Float32Array[] {
  const perSample = subject.channels * product(subject.spatial);
  let at = 0;
  return subject.sizes.map((size) => {
    const part = all.slice(at, at + size * perSample);
    at += part.length;
    return part;
  });
}

/** One rank: forward and backward of a SyncBatchNorm, with everything read back. */
export async function runReplica(
  gpu: Gpu,
  group: ProcessGroup,
  subject: Replicated,
  inputs: Inputs,
): Promise<ReplicaResult> {
  const { channels, layout, momentum, affine, activation, dtype = 'f32', residual = false } = subject;
  const shape = shapeOf(subject, subject.sizes[group.rank] as number);
  const tensor = (all: Float32Array): Tensor =>
    gpu.tensor(partsOf(subject, all)[group.rank] as Float32Array, shape, { dtype });
  const norm = new SyncBatchNorm(gpu, channels, { group, layout, momentum, affine, activation });
  if (inputs.weight) norm.weight?.data.write(inputs.weight);
  if (inputs.bias) norm.bias?.data.write(inputs.bias);
  const x = tensor(inputs.x);
  const dy = tensor(inputs.dy);
  const shortcut = inputs.residual && tensor(inputs.residual);
  const y = await norm.forward(x, { residual: shortcut });
  const { dx, dresidual } = residual
    ? await norm.backwardResidual(dy)
    : { dx: await norm.backward(dy), dresidual: undefined };
  const result: ReplicaResult = {
    y: await y.data(),
    dx: await dx.data(),
    dresidual: await dresidual?.data(),
    dweight: await norm.weight?.grad?.data(),
    dbias: await norm.bias?.grad?.data(),
    runningMean: (await norm.runningMean?.data()) as Float32Array,
    runningVar: (await norm.runningVar?.data()) as Float32Array,
    batches: (await norm.numBatchesTracked?.data())?.[0] as number,
  };
  for (const one of new Set([x, dy, shortcut, y, dx, dresidual])) one?.destroy();
  norm.destroy();
  return result;
}

/** All ranks in one realm, on one device. */
export async function runLocally(gpu: Gpu, subject: Replicated, inputs: Inputs): Promise<ReplicaResult[]> {
  const groups = LocalProcessGroup.create(subject.sizes.length);
  const results = await Promise.all(groups.map((group) => runReplica(gpu, group, subject, inputs)));
  await Promise.all(groups.map((group) => group.close()));
  return results;
}

/** One BatchNorm of all samples, in float64. */
export function joinedReference(subject: Replicated, inputs: Inputs) {
  const { sizes, layout = 'channels-first', channels, momentum = 0.1, activation } = subject;
  const shape = shapeOf(
    subject,
    sizes.reduce((all, size) => all + size, 0),
  );
  const geometry = batchNormGeometry(shape, layout);
  const { weight, bias, residual } = inputs;
  const options = { weight, bias, residual, eps: 1e-5, kind: 'moments', activation } as const;
  const running = new RunningReference(channels);
  if (inputs.x.length > 0) running.update(inputs.x, shape, layout, momentum);
  return {
    ...normReference(inputs.x, geometry, options),
    ...normBackwardReference(inputs.dy, inputs.x, geometry, options),
    running,
  };
}

export const concatenated = (parts: readonly ArrayLike<number>[]): Float32Array =>
  Float32Array.from(parts.flatMap((part) => Array.from(part)));

/** The sum over the ranks, as syncGradients without averaging makes it. */
export const summed = (parts: readonly Float32Array[]): Float64Array =>
  Float64Array.from(parts[0] ?? [], (_, i) => parts.reduce((total, part) => total + (part[i] as number), 0));

/** The largest relative error of all results of one subject; throws where ranks or runs differ in a bit. */
export async function verifyReplicas(
  run: (inputs: ReturnType<typeof inputsOf>) => Promise<ReplicaResult[]>,
  subject: Replicated,
): Promise<number> {
  const { dtype = 'f32' } = subject;
  const inputs = inputsOf(subject, rounders[dtype]);
  const results = await run(inputs);
  const again = await run(inputs);
  const [first] = results as [ReplicaResult];
  results.forEach((one, rank) => {
    for (const key of ['runningMean', 'runningVar', 'batches'] as const) {
      assertEqual(one[key], first[key], `${key} of rank ${rank} beside rank 0`);
    }
    for (const key of Object.keys(one) as (keyof ReplicaResult)[]) {
      assertEqual(one[key], again[rank]?.[key], `${key} of rank ${rank} in the second run`);
    }
  });
  const expected = joinedReference(subject, inputs);
  const errors: Record<string, number> = {
    y: relativeError(concatenated(results.map(({ y }) => y)), expected.y),
    dx: relativeError(concatenated(results.map(({ dx }) => dx)), expected.dx, expected.scale.dx),
    runningMean: relativeError(first.runningMean, expected.running.mean, expected.running.scale.mean),
    runningVar: relativeError(first.runningVar, expected.running.variance, expected.running.scale.variance),
  };
  const parameters = [
    ['dweight', 'weight'],
    ['dbias', 'bias'],
  ] as const;
  for (const [key, of] of parameters) {
    if (!inputs[of]) continue;
    const parts = results.map((one) => one[key] as Float32Array);
    errors[key] = relativeError(summed(parts), expected[key], expected.scale[key]);
  }
  if (subject.residual) {
    const all = concatenated(results.map(({ dresidual }) => dresidual as Float32Array));
    errors.dresidual = relativeError(all, expected.dresidual, expected.scale.dresidual);
  }
  assertEqual(first.batches, expected.running.batches, 'numBatchesTracked');
  for (const [key, error] of Object.entries(errors)) {
    const rounded = dtype !== 'f32' && ['y', 'dx', 'dresidual'].includes(key);
    const once = dtype === 'bf16' ? bounds.replicasBfloat16 : bounds.replicasHalf;
    const bound = rounded ? once : bounds.replicas;
    assert(error <= bound, `${key}: ${error} for ${JSON.stringify(subject)}`);
  }
  return Math.max(...Object.values(errors));
}

/** Sizes of ranks drawn from a seed, none and one among them; two samples at least. */
export function drawSizes(ranks: number, seed: number): number[] {
  const next = random(seed);
  const sizes = Array.from({ length: ranks }, () => Math.floor(next() ** 2 * 7));
  sizes[Math.floor(next() * ranks)] = 2;
  return sizes;
}
