import { BatchNorm } from '../nn/batch-norm.ts';
import type { Module } from '../nn/module.ts';
import { replaceModule } from '../nn/replace-module.ts';
import type { ProcessGroup } from './process-group.ts';
import { SyncBatchNorm } from './sync-batch-norm-module.ts';

/**
 * Puts a {@link SyncBatchNorm} in the place of every BatchNorm in a model, with its parameters, buffers, options and mode:
 * torch.nn.SyncBatchNorm.convert_sync_batchnorm. An optimizer that has the parameters keeps them.
 *
 * @remarks A module of your own finds the new one under its registered name and in those of its public fields that held the
 * old one. What calls it has to await it: a Sequential has forwardAsync for that.
 *
 * @returns the model; a new module if the model itself is a BatchNorm.
 */
export function convertSyncBatchNorm(model: Module, group: ProcessGroup): Module {
  const converted = new Map<BatchNorm, SyncBatchNorm>();
  const convert = (norm: BatchNorm): SyncBatchNorm => {
    const known = converted.get(norm) ?? new SyncBatchNorm(norm.gpu, norm.numFeatures, { group }, norm);
    converted.set(norm, known);
    return known;
  };
  if (model instanceof BatchNorm) return convert(model);
  for (const parent of model.modules()) {
    for (const [name, child] of [...parent.registry.modules]) {
      if (child instanceof BatchNorm) replaceModule(parent, name, convert(child));
    }
  }
  return model;
}
