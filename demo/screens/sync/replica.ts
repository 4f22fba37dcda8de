// Data-parallel training as DistributedDataParallel does it: equal weights, each rank its part of every batch.
import { convertSyncBatchNorm, type ProcessGroup, syncGradients } from '../../../src/distributed/index.ts';
import { type Gpu, NormError, type Sequential } from '../../../src/index.ts';
import { SGD } from '../../../src/optim/index.ts';
import { CrossEntropyLoss } from '../../network/cross-entropy.ts';
import { drawDigits, pixels } from '../../network/digits.ts';
import { batchesOf, type LabelledBatch } from '../../network/trainer.ts';
import { networkOf } from '../train/network.ts';
import type { Standing } from './messages.ts';
import type { Kind, Settings } from './settings.ts';

const trainingCount = 1024;
const testCount = 256;
const rate = 0.5;

/** The same network for everybody. */
export const shape = { activation: 'sigmoid', layers: 2 } as const;

interface Learner {
  kind: Kind;
  model: Sequential;
  optimizer: SGD;
  loss: CrossEntropyLoss;
  stopped: string | undefined;
}

export class Replica {
  step = 0;
  readonly #group: ProcessGroup | undefined;
  readonly #learners: Learner[];
  readonly #training: LabelledBatch[];
  readonly #test: LabelledBatch[];

  /** @param group - absent where the big batch is. */
  constructor(gpu: Gpu, { replicas, batch }: Settings, group?: ProcessGroup) {
    this.#group = group;
    const kinds: Kind[] = group ? ['batch', 'sync'] : ['whole'];
    this.#learners = kinds.map((kind) => {
      const { model } = networkOf(gpu, 'batch', shape);
      if (kind === 'sync' && group) convertSyncBatchNorm(model, group);
      const optimizer = new SGD(model.parameters(), { lr: rate });
      return { kind, model, optimizer, loss: new CrossEntropyLoss(gpu), stopped: undefined };
    });
    const all = replicas * batch;
    const own = group ? { first: group.rank * batch, size: batch } : { first: 0, size: all };
    this.#training = partsOf(gpu, all, own);
    this.#test = batchesOf(gpu, drawDigits(testCount, 2), testCount);
  }

  async advance(): Promise<void> {
    const batch = this.#training[this.step % this.#training.length] as LabelledBatch;
    for (const learner of this.#learners) {
      if (learner.stopped) continue;
      try {
        await this.#learn(learner, batch);
      } catch (error) {
        // One value per channel: on all ranks alike.
        if (!(error instanceof NormError) || error.code !== 'shape') throw error;
        learner.stopped = error.message;
      }
    }
    this.step += 1;
  }

  standings(): Promise<Standing[]> {
    return Promise.all(this.#learners.map((learner) => this.#judge(learner)));
  }

  async #learn({ model, optimizer, loss }: Learner, { x, labels }: LabelledBatch): Promise<void> {
    model.train();
    const logits = await model.forwardAsync(x);
    const dx = await model.backwardAsync(loss.forward(logits, labels));
    logits.destroy();
    dx.destroy();
    if (this.#group) await syncGradients(model.parameters(), this.#group);
    optimizer.step();
    optimizer.zeroGrad();
  }

  async #judge({ kind, model, loss, stopped }: Learner): Promise<Standing> {
    model.eval();
    loss.reset();
    for (const { x, labels } of this.#test) {
      const logits = await model.forwardAsync(x);
      loss.forward(logits, labels);
      logits.destroy();
    }
    const buffers = new Map(model.namedBuffers());
    const first = async (name: string): Promise<number> => {
      for (const [key, tensor] of buffers) if (key.endsWith(name)) return (await tensor.data())[0] ?? 0;
      return Number.NaN;
    };
    const [score, mean, variance] = await Promise.all([
      loss.score(),
      first('running_mean'),
      first('running_var'),
    ]);
    return { kind, loss: score.loss, accuracy: score.accuracy, mean, variance, stopped };
  }
}

/** The digits of a rank: its part of every batch. */
function partsOf(gpu: Gpu, all: number, { first, size }: { first: number; size: number }): LabelledBatch[] {
  const set = drawDigits(trainingCount, 1);
  return Array.from({ length: Math.floor(trainingCount / all) }, (_, i) => {
    const from = i * all + first;
    return {
      x: gpu.tensor(set.pixels.subarray(from * pixels, (from + size) * pixels), [size, pixels]),
      labels: gpu.tensor(set.labels.subarray(from, from + size), [size], { dtype: 'u32' }),
    };
  });
}
