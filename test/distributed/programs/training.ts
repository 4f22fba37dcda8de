/** A small network that ranks train together: the same program in Node processes, threads, pages and Web Workers. */
import {
  broadcastParameters,
  convertSyncBatchNorm,
  type ProcessGroup,
  syncGradients,
} from '../../../src/distributed/index.ts';
import { BatchNorm1d, type Gpu, LayerNorm, type Module, Sequential } from '../../../src/index.ts';
import { random } from '../../support/data.ts';

export const features = 6;
/** Samples of each rank, of up to four; together they are the batch. */
export const batchSizes = [3, 1, 0, 4];

/** Samples and targets of a step: a target is a function of the sample that the network can come close to. */
function batchOf(step: number, total: number): { x: Float32Array; target: Float32Array } {
  const next = random(1000 + step);
  const x = Float32Array.from(
    { length: total * features },
    (_, i) => 5 + (i % features) + 2 * (next() - 0.5),
  );
  const target = x.map((_, i) => Math.sin(i + step) + next());
  return { x, target };
}

export function makeModel(gpu: Gpu): Sequential {
  return new Sequential(
    gpu,
    new BatchNorm1d(gpu, features),
    new LayerNorm(gpu, features),
    new BatchNorm1d(gpu, features),
  );
}

/** The values of all parameters and buffers. */
export async function stateOf(model: Module): Promise<number[]> {
  const tensors = [...model.stateDict().values()];
  const data = await Promise.all(tensors.map((tensor) => tensor.data()));
  return data.flatMap((values) => [...values]);
}

/**
 * Trains with the rank's share of every batch: mean squared error over the whole batch, gradient descent.
 *
 * @returns all parameters and buffers.
 */
export async function train(
  gpu: Gpu,
  group: ProcessGroup,
  sizes: readonly number[],
  steps = 50,
): Promise<number[]> {
  const model = convertSyncBatchNorm(makeModel(gpu), group) as Sequential;
  // Only what rank 0 begins with counts.
  for (const { data } of model.parameters())
    data.write((await data.data()).map((one) => one + 0.1 * group.rank));
  await broadcastParameters(model, group);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const first = features * sizes.slice(0, group.rank).reduce((sum, size) => sum + size, 0);
  const shape = [sizes[group.rank] as number, features];
  const count = features * (shape[0] as number);
  for (let step = 0; step < steps; step++) {
    const { x, target } = batchOf(step, total);
    const input = gpu.tensor(x.subarray(first, first + count), shape);
    const y = await model.forwardAsync(input);
    const out = await y.data();
    const dy = gpu.tensor(
      out.map((value, i) => (2 * (value - (target[first + i] as number))) / total),
      shape,
    );
    model.zeroGrad();
    const dx = await model.backwardAsync(dy);
    await syncGradients(model.parameters(), group, { average: false });
    for (const { data, grad } of model.parameters()) {
      const [values, slopes] = [await data.data(), await grad?.data()];
      data.write(values.map((value, i) => value - 0.05 * (slopes?.[i] as number)));
    }
    for (const one of [input, y, dy, dx]) one.destroy();
  }
  const state = await stateOf(model);
  model.destroy();
  return state;
}
