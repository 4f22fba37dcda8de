/**
 * A network that ranks train with DistributedDataParallel and ZeroRedundancyOptimizer: every step in two passes, of which the first runs
 * in noSync, and with batches that some ranks run out of. And the same by one rank, with one plain optimizer.
 */
import { Linear } from '../../../demo/network/linear.ts';
import {
  DistributedDataParallel,
  type ProcessGroup,
  ZeroRedundancyOptimizer,
} from '../../../src/distributed/index.ts';
import { type Gpu, LayerNorm, Sequential, type Tensor } from '../../../src/index.ts';
import { AdamW, type OptimizerStateDict, StepLR } from '../../../src/optim/index.ts';
import { random } from '../../support/data.ts';

const features = 6;
const steps = 50;
/** Of each rank: samples of a pass, and steps until it has no more. */
const ranks = [
  { samples: 3, steps: 43 },
  { samples: 1, steps: 50 },
  { samples: 2, steps: 31 },
  { samples: 4, steps: 50 },
];
export const size = ranks.length;

/** What training ends with. */
export interface Trained {
  parameters: number[];
  /** All that the optimizer keeps, in the order of the parameters. */
  state: number[];
}

/** A linear layer before a LayerNorm has no bias: its gradient would be rounding, which Adam makes steps of. */
const networkOf = (gpu: Gpu, seed: number): Sequential =>
  new Sequential(
    gpu,
    new Linear(gpu, features, 12, { bias: false, seed }),
    new LayerNorm(gpu, 12, { activation: 'gelu' }),
    new Linear(gpu, 12, features, { bias: false, seed: seed + 1 }),
    new LayerNorm(gpu, features),
  );

const settings = { lr: 0.01, eps: 1e-2, weightDecay: 0.1 };

/** Samples of a rank's pass and what the network is to make of them. */
function passOf(rank: number, step: number, pass: number) {
  const next = random(10_000 * rank + 2 * step + pass + 1);
  const length = features * (ranks[rank]?.samples as number);
  const x = Float32Array.from({ length }, () => 2 * next() - 1);
  return { x, target: x.map((value, i) => Math.sin(3 * value + i)) };
}

/** The gradient of the mean squared error of each of some ranks' passes, divided by `over`. */
async function gradientOf(y: Tensor, who: readonly number[], step: number, pass: number, over: number) {
  const out = await y.data();
  const slopes = who.flatMap((rank) => {
    const { target } = passOf(rank, step, pass);
    return [...target].map((wanted) => ({ wanted, weight: 2 / (over * target.length) }));
  });
  return y.gpu.tensor(
    out.map((value, i) => {
      const { wanted, weight } = slopes[i] as { wanted: number; weight: number };
      return weight * (value - wanted);
    }),
    y.shape,
  );
}

function inputOf(gpu: Gpu, who: readonly number[], step: number, pass: number): Tensor {
  const all = who.flatMap((rank) => [...passOf(rank, step, pass).x]);
  return gpu.tensor(all, [all.length / features, features]);
}

async function valuesOf(tensors: Iterable<Tensor>): Promise<number[]> {
  const data = await Promise.all([...tensors].map((tensor) => tensor.data()));
  return data.flatMap((values) => [...values]);
}

/** The state of a dictionary: of tensors, or of arrays. */
async function stateOf({ state }: OptimizerStateDict): Promise<number[]> {
  const entries = Object.keys(state)
    .map(Number)
    .sort((a, b) => a - b)
    .flatMap((index) => Object.entries(state[index] ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
  const all = entries.map(async ([, value]) =>
    value && 'gpu' in value ? [...(await value.data())] : Array.from(value?.data ?? [], Number),
  );
  return (await Promise.all(all)).flat();
}

/** One of `size` ranks. */
export async function trainTogether(gpu: Gpu, group: ProcessGroup): Promise<Trained> {
  const { rank } = group;
  const own = ranks[rank] as (typeof ranks)[number];
  // Only what rank 0 begins with counts. Every tensor of parameters but the first has a bucket of its own.
  const model = networkOf(gpu, 1 + 10 * rank);
  const ddp = await DistributedDataParallel.wrap(model, group, { bucketBytes: 64 });
  const optimizer = new ZeroRedundancyOptimizer(ddp.parameters(), AdamW, group, settings);
  const schedule = new StepLR(optimizer.scheduled, 20, { gamma: 0.5 });
  const pass = async (step: number, which: number) => {
    const x = inputOf(gpu, [rank], step, which);
    const y = await ddp.forward(x);
    const dy = await gradientOf(y, [rank], step, which, 1);
    const dx = await ddp.backward(dy);
    for (const one of [x, y, dy, dx]) one.destroy();
  };
  const move = async () => {
    await optimizer.step();
    optimizer.zeroGrad();
    schedule.step();
  };
  await ddp.join(
    async () => {
      for (let step = 0; step < own.steps; step++) {
        await ddp.noSync(() => pass(step, 0));
        await pass(step, 1);
        await move();
      }
    },
    { shadow: move },
  );
  const parameters = await valuesOf(ddp.parameters().map(({ data }) => data));
  let state: number[] = [];
  for (let to = 0; to < size; to++) {
    await optimizer.consolidateStateDict({ to });
    if (to === rank) state = await stateOf(optimizer.stateDict());
  }
  optimizer.destroy();
  ddp.destroy();
  return { parameters, state };
}

/** All batches of every step in one, and a plain optimizer. */
export async function trainAlone(gpu: Gpu): Promise<Trained> {
  const model = networkOf(gpu, 1);
  const optimizer = new AdamW(model.parameters(), settings);
  const schedule = new StepLR(optimizer, 20, { gamma: 0.5 });
  for (let step = 0; step < steps; step++) {
    const who = ranks.flatMap((one, rank) => (step < one.steps ? [rank] : []));
    for (const pass of [0, 1]) {
      const x = inputOf(gpu, who, step, pass);
      const y = model.forward(x);
      const dy = await gradientOf(y, who, step, pass, size);
      const dx = model.backward(dy);
      for (const one of [x, y, dy, dx]) one.destroy();
    }
    optimizer.step();
    optimizer.zeroGrad();
    schedule.step();
  }
  const parameters = await valuesOf(model.parameters().map(({ data }) => data));
  const state = await stateOf(optimizer.stateDict());
  optimizer.destroy();
  model.destroy();
  return { parameters, state };
}

/** The largest difference, absolute below 1 and relative above. Infinity for other lengths. */
export function distance(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return Math.max(0, ...a.map((one, i) => Math.abs(one - (b[i] as number)) / Math.max(1, Math.abs(one))));
}
