import type { Gpu, Sequential, Tensor } from '../../src/index.ts';
import { Reusable } from '../../src/nn/reusable.ts';
import type { Optimizer } from '../../src/optim/index.ts';
import { CrossEntropyLoss, type Score } from './cross-entropy.ts';
import { type DigitSet, pixels } from './digits.ts';

/** Inputs [n, features], and the class of each, u32 [n]. */
export interface LabelledBatch {
  x: Tensor;
  labels: Tensor;
}

/** A set of digits as batches of one size; what is left over is left out. */
export function batchesOf(gpu: Gpu, set: DigitSet, size: number): LabelledBatch[] {
  const count = Math.floor(set.labels.length / size);
  return Array.from({ length: count }, (_, i) => ({
    x: gpu.tensor(set.pixels.subarray(i * size * pixels, (i + 1) * size * pixels), [size, pixels]),
    labels: gpu.tensor(set.labels.subarray(i * size, (i + 1) * size), [size], { dtype: 'u32' }),
  }));
}

/** Trains and judges a classifier. The model and the optimizer are the caller's. */
export class Trainer<Settings extends object> {
  readonly model: Sequential;
  readonly optimizer: Optimizer<Settings>;
  /** Steps taken. */
  steps = 0;
  /** Of the training batches since it was last reset. */
  readonly trained: CrossEntropyLoss;
  readonly #evaluated: CrossEntropyLoss;
  // The same tensors in every step, so that what was bound to them still fits.
  readonly #logits: Reusable;
  readonly #dx: Reusable;

  constructor(model: Sequential, optimizer: Optimizer<Settings>) {
    this.model = model;
    this.optimizer = optimizer;
    this.trained = new CrossEntropyLoss(model.gpu);
    this.#evaluated = new CrossEntropyLoss(model.gpu);
    this.#logits = new Reusable(model.gpu);
    this.#dx = new Reusable(model.gpu);
  }

  /** Forward, loss, backward and the optimizer's step: one encoder, one submit, nothing read back. */
  step({ x, labels }: LabelledBatch): void {
    const { model, optimizer, trained } = this;
    const { device } = model.gpu;
    model.train();
    model.gpu.scope(() => {
      const encoder = device.createCommandEncoder({ label: 'training step' });
      const out = this.#logits.take(model.outputShape(x.shape));
      const logits = model.forward(x, { encoder, out });
      model.backward(trained.forward(logits, labels, { encoder }), { encoder, out: this.#dx.take(x.shape) });
      optimizer.step({ encoder });
      optimizer.zeroGrad();
      device.queue.submit([encoder.finish()]);
    });
    this.steps += 1;
  }

  /** The model's score on some batches, in evaluation mode unless `mode` is 'as-is'. */
  async evaluate(
    batches: Iterable<LabelledBatch>,
    mode: 'evaluation' | 'as-is' = 'evaluation',
  ): Promise<Score> {
    const { model } = this;
    if (mode === 'evaluation') model.eval();
    this.#evaluated.reset();
    for (const { x, labels } of batches) {
      model.gpu.scope(() => {
        this.#evaluated.forward(model.forward(x), labels);
      });
    }
    return this.#evaluated.score();
  }

  destroy(): void {
    this.trained.destroy();
    this.#evaluated.destroy();
    this.#logits.destroy();
    this.#dx.destroy();
  }
}
