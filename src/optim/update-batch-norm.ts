import { NormError } from '../gpu/errors.ts';
import { checkOptions, checkSignal, type OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { Tensor } from '../gpu/tensor.ts';
import { forwardOf } from '../nn/awaited.ts';
import { batchNormOf } from '../nn/batch-norm.ts';
import { checkModule, type Module } from '../nn/module.ts';

/** A batch: the input, or a list whose first element is the input. */
export type Batch = Tensor | readonly [Tensor, ...unknown[]];

/** Options of {@link updateBatchNorm}. */
export interface UpdateBatchNormOptions {
  /** Stops between batches. */
  signal?: AbortSignal | undefined;
  /** Called after each batch with the number of batches so far. */
  onProgress?: ((batches: number) => void) | undefined;
  /**
   * What to do with a batch. What it makes is freed: of an async one what it makes before its first `await`, and the
   * tensor that it returns. Default: the model's forward of the batch's input.
   */
  forward?: ((batch: Batch) => unknown) | undefined;
}

const names = {
  signal: 'other',
  onProgress: 'function',
  forward: 'function',
} as const satisfies OptionNames<UpdateBatchNormOptions>;

/**
 * Sets the running statistics of every BatchNorm in a model to those of some data, as torch.optim.swa_utils.update_bn: they
 * are reset, and become the average over one forward pass in training mode per batch. For an averaged model, or one whose
 * parameters were changed by hand. SyncBatchNorm is one too: every rank calls this with as many batches. Does nothing, and
 * takes no batch, where there is no BatchNorm.
 *
 * Modes and momentum are as before when it ends, however it ends. If it was aborted or failed, the running statistics are
 * the average of the batches so far; without any, zeros and ones as in a new module. Aborted before it began, it
 * changes nothing.
 *
 * @param batches - a list or a generator, synchronous or not. A batch may be destroyed when the next is asked for.
 * @throws `signal.reason` when aborted; what `batches`, forward or the callbacks throw; NormError of the device.
 */
export async function updateBatchNorm(
  model: Module,
  batches: Iterable<Batch> | AsyncIterable<Batch>,
  options: UpdateBatchNormOptions = {},
): Promise<void> {
  checkModule(model);
  checkOptions('updateBatchNorm', options, names);
  const { signal, onProgress, forward } = options;
  checkSignal(signal);
  if (
    typeof (batches as Iterable<Batch>)?.[Symbol.iterator] !== 'function' &&
    typeof (batches as AsyncIterable<Batch>)?.[Symbol.asyncIterator] !== 'function'
  ) {
    throw new NormError('value', `batches are ${shown(batches)}.`, 'Pass a list or a generator of tensors.');
  }
  signal?.throwIfAborted();
  const modules = model.modules();
  const norms = modules.map(batchNormOf).filter((norm) => norm !== undefined);
  if (norms.length === 0) return;
  const modes = modules.map((module) => [module, module.training] as const);
  const momenta = norms.map((norm) => [norm, norm.momentum] as const);
  try {
    for (const norm of norms) {
      norm.resetRunningStats();
      norm.momentum = null;
    }
    model.train();
    let done = 0;
    for await (const batch of batches) {
      signal?.throwIfAborted();
      const input = Array.isArray(batch) ? (batch[0] as Tensor) : (batch as Tensor);
      model.gpu.checkUsable(input, "a batch's input");
      await model.gpu.scope(async (scope) => {
        const output = await (forward ? forward(batch) : forwardOf(model, input, {}));
        // That of an asynchronous forward is made after an await, when the scope cannot know by itself.
        if (output instanceof Tensor && output !== input && !output.destroyed) scope.add(output);
      });
      done += 1;
      onProgress?.(done);
      // Lets an abort in between, and the page, where batches are a plain list.
      await new Promise((next) => setTimeout(next));
    }
    await model.gpu.idle();
  } finally {
    for (const [module, training] of modes) module.training = training;
    for (const [norm, momentum] of momenta) norm.momentum = momentum;
  }
}
