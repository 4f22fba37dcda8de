import { checkTensor } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, type OptionNames } from '../gpu/options.ts';
import { decode, type Tensor } from '../gpu/tensor.ts';
import { channelBackward, channelForward } from '../kernels/channel-kernels.ts';
import {
  type BatchNormBackwardOptions,
  type BatchNormOptions,
  batchNorm,
  batchNormBackward,
  batchNormBackwardCall,
  batchNormBackwardNames,
  batchNormNames,
  batchNormParts,
  oneValue,
} from '../ops/batch-norm.ts';
import type { BackwardResult, ForwardResult, NormCall } from '../ops/norm.ts';
import { checkGroup } from './check-group.ts';
import { mergeMoments, momentsLayout, packMoments, statisticsOf, unpackMoments } from './moments.ts';
import type { CollectiveOptions, ProcessGroup } from './process-group.ts';
import { refuseRecording } from './refuse-recording.ts';
import { type Measured, ReplicaBackward, ReplicaForward } from './replicated.ts';

/** What makes a BatchNorm one over replicas. It reads back between two submits, so it cannot be recorded. */
interface Replicas extends Pick<CollectiveOptions, 'signal' | 'timeout'> {
  /** The ranks whose inputs are normalized together. */
  group: ProcessGroup;
}

/** Options of {@link syncBatchNorm}. */
export interface SyncBatchNormOptions extends Omit<BatchNormOptions, 'encoder' | 'pass' | 'gate'>, Replicas {}

/** @internal Whose calls cannot be recorded. */
export const recorded = 'SyncBatchNorm in training';

// A gate is not among what replicas share a pass with.
const { gate: _, ...forwardNames } = batchNormNames;
const { gate: __, ...backwardNames } = batchNormBackwardNames;
const replicaNames = {
  group: 'other',
  signal: 'other',
  timeout: 'number',
} as const satisfies OptionNames<Replicas>;

/** Options of {@link syncBatchNormBackward}. */
export interface SyncBatchNormBackwardOptions
  extends Omit<BatchNormBackwardOptions, 'encoder' | 'pass' | 'gate'>,
    Replicas {
  /** What forward returned. */
  count: number;
}

/** What {@link syncBatchNorm} returns. */
export interface SyncForwardResult extends ForwardResult {
  /** Elements of a channel in all replicas, for backward. */
  count: number;
}

/**
 * {@link batchNorm} of the inputs of all ranks as if they were one batch (torch.nn.SyncBatchNorm): the statistics of every
 * replica are measured on its GPU, read back, gathered, merged in rank order in float64 and uploaded, the same on every
 * rank. 3C + 1 floats per rank: the number of elements, the means as pairs, the biased standard deviations.
 *
 * Replicas may differ in size and be empty; one value per channel and replica is enough, where there are several.
 * Without any element nothing changes. Evaluation, and a group of one rank, are batchNorm itself and say nothing.
 *
 * @returns as batchNorm, when all ranks have called; mean and rstd are those of all replicas.
 * @throws NormError as batchNorm; {@link GroupError} as the group's calls. The running statistics are then as they were.
 */
export async function syncBatchNorm(
  gpu: Gpu,
  x: Tensor,
  options: SyncBatchNormOptions,
): Promise<SyncForwardResult> {
  refuseRecording(options, recorded);
  checkOptions('syncBatchNorm', options, { ...forwardNames, ...replicaNames });
  const { group, training = false, bias } = options;
  checkGroup(group);
  if (!training || group.size === 1) {
    const alone = batchNorm(gpu, x, withoutGroup(options));
    return { ...alone, count: x.size / (alone.rstd.size || 1) };
  }
  checkTensor(gpu, x, 'x');
  const { call, running } = batchNormParts(x.shape, options, group.size);
  const forward = new ReplicaForward(gpu, { ...call, ...channelForward }, x, bias, {
    ...options,
    epilogue: options,
    running,
  });
  const [result] = await forwardTogether(gpu, [forward], options);
  return result as SyncForwardResult;
}

/**
 * Gradients of {@link syncBatchNorm}, with means over all replicas: the sums of every replica are added up, 2C floats per
 * rank. dweight and dbias are those of this replica alone, as PyTorch's: {@link syncGradients} adds them up.
 *
 * @returns as batchNormBackward, when all ranks have called.
 * @throws NormError as batchNormBackward; {@link GroupError} as the group's calls. No gradient is then changed.
 */
export async function syncBatchNormBackward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  options: SyncBatchNormBackwardOptions,
): Promise<BackwardResult> {
  refuseRecording(options, recorded);
  checkOptions('syncBatchNormBackward', options, {
    ...backwardNames,
    ...replicaNames,
    count: 'number',
  });
  const { group, training = false, mean, count } = options;
  checkGroup(group);
  if (!training || group.size === 1) {
    const { count: _, ...rest } = withoutGroup(options);
    return batchNormBackward(gpu, dy, x, rest);
  }
  checkTensor(gpu, x, 'x');
  if (!(Number.isInteger(count) && count >= x.size / (options.rstd.size || 1))) {
    throw new NormError('value', `count is ${count}.`, 'Pass what forward returned.');
  }
  const call = batchNormBackwardCall(x.shape, options, true, group.size);
  const backward = new ReplicaBackward(gpu, { ...call, ...channelBackward }, dy, x, mean, {
    ...options,
    epilogue: options,
  });
  const [result] = await backwardTogether(gpu, [{ backward, total: count }], options);
  return result as BackwardResult;
}

/** The options of batchNorm among those of its form over replicas. */
function withoutGroup<Options extends Partial<Replicas>>(options: Options): Omit<Options, keyof Replicas> {
  const { group: _, signal: __, timeout: ___, ...rest } = options;
  return rest;
}

/** @internal Layers whose statistics travel together: one read-back, one collective. */
export async function forwardTogether(
  gpu: Gpu,
  layers: readonly ReplicaForward[],
  { group, signal, timeout }: Replicas,
): Promise<SyncForwardResult[]> {
  const channels = layers.map((layer) => layer.channels);
  const { length, starts } = momentsLayout(channels);
  const values = new Float32Array(length);
  await measured(gpu, layers, (layer, i, [means, deviations]) => {
    packMoments(values.subarray(starts[i]), layer.count, means, deviations);
  });
  const label = `bn.forward.${dtypeOf(layers)}`;
  const joined = await group.allMerge(values, mergeMoments(channels), { signal, timeout, label });
  const moments = unpackMoments(joined, channels);
  // All or nothing: whatever can be wrong is found before anything is updated.
  layers.forEach((layer, i) => {
    layer.check();
    if (moments[i]?.count === 1) throw oneValue(layer.x.shape);
  });
  return layers.map((layer, i) => {
    const one = moments[i] as (typeof moments)[number];
    const { count: total } = one;
    return { ...layer.apply({ values: statisticsOf(one, layer.call.eps), total }), count: total };
  });
}

/** @internal Likewise: the sums of all layers. */
export async function backwardTogether(
  gpu: Gpu,
  layers: readonly { backward: ReplicaBackward; total: number }[],
  { group, signal, timeout }: Replicas,
): Promise<BackwardResult[]> {
  const all = layers.map(({ backward }) => backward);
  // Per channel: Σdy, Σdy·x̂. That is Σdy·(x − mean) but for rstd, which all ranks share.
  const own = all.map((layer) => new Float32Array(2 * layer.channels));
  const measurements = await measured(
    gpu,
    all,
    (_, i, [dbias, dweight]) => {
      own[i]?.forEach((_, at, values) => {
        values[at] = (at % 2 === 0 ? dbias : dweight)?.[at >> 1] ?? 0;
      });
    },
    false,
  );
  let done = false;
  try {
    const values = new Float32Array(own.reduce((total, { length }) => total + length, 0));
    let at = 0;
    const starts = own.map((sums) => {
      values.set(sums, at);
      at += sums.length;
      return at - sums.length;
    });
    const label = `bn.backward.${dtypeOf(all)}`;
    const sums = await group.allReduce(values, { signal, timeout, label });
    for (const layer of all) layer.check();
    const results = layers.map(({ backward, total }, i) => {
      const start = starts[i] as number;
      const mine = own[i] as Float32Array;
      return backward.apply(sums.subarray(start, start + mine.length), mine, total);
    });
    done = true;
    return results;
  } finally {
    for (const one of measurements) one.free(done);
  }
}

/** What differs between ranks must not be merged: the dtype of what they normalize. */
const dtypeOf = (layers: readonly { x: Tensor; call: NormCall }[]): string => layers[0]?.x.dtype ?? 'none';

/** Runs the first step of all layers and reads back, once, what each has to say. */
async function measured<L extends { measure(): Measured }>(
  gpu: Gpu,
  layers: readonly L[],
  take: (layer: L, index: number, values: (Float32Array | undefined)[]) => void,
  free = true,
): Promise<Measured[]> {
  const measurements: Measured[] = [];
  try {
    for (const layer of layers) measurements.push(layer.measure());
    const bytes = await gpu.readBytes(measurements.flatMap(({ tensors }) => tensors));
    let at = 0;
    layers.forEach((layer, i) => {
      const count = measurements[i]?.tensors.length ?? 0;
      take(
        layer,
        i,
        bytes.slice(at, at + count).map((one) => decode(one, 'f32')),
      );
      at += count;
    });
  } catch (error) {
    for (const one of measurements) one.free(false);
    throw error;
  }
  if (free) for (const one of measurements) one.free(true);
  return measurements;
}
