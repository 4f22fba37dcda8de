import { BatchNorm } from '../nn/batch-norm.ts';
import { checkModule, type Module } from '../nn/module.ts';
import { replaceModules } from '../nn/replace-module.ts';
import { checkGroup } from './check-group.ts';
import type { ProcessGroup } from './process-group.ts';
import { SyncBatchNorm } from './sync-batch-norm-module.ts';

/**
 * Puts a {@link SyncBatchNorm} in the place of every BatchNorm in a model, with its parameters, buffers, options, mode and
 * hooks: torch.nn.SyncBatchNorm.convert_sync_batchnorm. An optimizer that has the parameters keeps them. A SyncBatchNorm
 * that is there already, for example from before a rank failed, goes on with `group`.
 *
 * @remarks A module of your own finds the new one under its registered name and in those of its fields that held the old
 * one. In training what calls it has to await it: a Sequential has forwardAsync for that.
 *
 * @returns the model; a new module if the model itself is a BatchNorm.
 * @throws NormError `value` without a group, or if a field holds a norm that is not registered; `order` while a call of a
 * SyncBatchNorm is under way. Nothing is changed then.
 */
export function convertSyncBatchNorm(model: Module, group: ProcessGroup): Module {
  checkModule(model);
  checkGroup(group, 'The group');
  const before = model.modules().filter((module) => module instanceof SyncBatchNorm);
  for (const module of before) module.checkIdle();
  const converted = replaceModules(
    model,
    (module) => module instanceof BatchNorm,
    (norm) => new SyncBatchNorm(norm.gpu, norm.numFeatures, { group }, norm),
  );
  for (const module of before) module.regroup(group);
  return converted;
}

/**
 * Undoes {@link convertSyncBatchNorm}: puts a BatchNorm in the place of every {@link SyncBatchNorm} in a model, with its
 * parameters, buffers, options, mode and hooks. One that was a BatchNorm2d is that module again; one that was made as a
 * SyncBatchNorm becomes a BatchNorm for inputs of any number of spatial dimensions.
 *
 * @returns the model; the BatchNorm if the model itself is a SyncBatchNorm.
 * @throws NormError as {@link convertSyncBatchNorm}.
 */
export function revertSyncBatchNorm(model: Module): Module {
  checkModule(model);
  const before = model.modules().filter((module) => module instanceof SyncBatchNorm);
  for (const module of before) module.checkIdle();
  return replaceModules(
    model,
    (module) => module instanceof SyncBatchNorm,
    (module) => module.revert(),
  );
}
