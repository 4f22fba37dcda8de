import { type Gpu, NormError, type RecordOptions, type Tensor } from '../../src/index.ts';
import { Reusable } from '../../src/nn/reusable.ts';
import { dispatch } from './kernels.ts';

/** Means over the samples of a tally. */
export interface Score {
  loss: number;
  /** Share of the samples whose largest logit is the label's. */
  accuracy: number;
  samples: number;
}

/**
 * Softmax and cross-entropy, mean over the batch, as torch.nn.CrossEntropyLoss, and how many answers were right. Both are
 * tallied on the GPU over as many batches as wanted, and read when asked for. f32. No Module: it has two inputs.
 */
export class CrossEntropyLoss {
  readonly gpu: Gpu;
  readonly #gradients: Reusable;
  readonly #scores: Reusable;
  readonly #tally: Tensor;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.#gradients = new Reusable(gpu);
    this.#scores = new Reusable(gpu);
    this.#tally = gpu.keep(gpu.zeros([3]));
  }

  /**
   * Adds a batch to the tally.
   *
   * @param logits - [n, classes].
   * @param labels - u32 [n], each below classes.
   * @returns the gradient of the mean loss, [n, classes]: the same memory at every call.
   */
  forward(logits: Tensor, labels: Tensor, target: RecordOptions = {}): Tensor {
    const [n, classes] = logits.shape;
    if (logits.shape.length !== 2 || labels.size !== n || labels.dtype !== 'u32') {
      throw new NormError(
        'shape',
        `Logits [${logits.shape}] do not go with labels ${labels.dtype} [${labels.shape}].`,
        'Pass [n, classes] and u32 [n].',
      );
    }
    const gradient = this.#gradients.take(logits.shape);
    const scores = this.#scores.take([n, 2]);
    dispatch(
      this.gpu,
      'crossEntropy',
      {},
      { rows: n, classes: classes as number },
      n,
      { logits, labels, gradient, scores },
      target,
    );
    dispatch(this.gpu, 'tally', {}, { rows: n }, 1, { scores, tally: this.#tally }, target);
    return gradient;
  }

  /** Forgets the tally. At once: what is recorded but not yet submitted comes after it. */
  reset(): void {
    this.#tally.write([0, 0, 0]);
  }

  /** Waits for what was submitted, and reads the tally. */
  async score(): Promise<Score> {
    const [loss = 0, correct = 0, samples = 0] = await this.#tally.data();
    return { loss: loss / samples, accuracy: correct / samples, samples };
  }

  destroy(): void {
    this.#gradients.destroy();
    this.#scores.destroy();
    this.#tally.destroy();
  }
}
