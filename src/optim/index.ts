/**
 * Optimizers and averaged models: torch.optim for the parameters of this library's modules, and yours.
 *
 * @packageDocumentation
 */
export { AdamW, type AdamWOptions, type AdamWSettings } from './adamw.ts';
export { AveragedModel, type AveragedModelOptions } from './averaged-model.ts';
export { Optimizer, type ParamGroup, type ParamGroupOptions } from './optimizer.ts';
export { SGD, type SGDOptions, type SGDSettings } from './sgd.ts';
export type { OptimizerStateDict, StateValue } from './state-dict.ts';
export { type Batch, type UpdateBatchNormOptions, updateBatchNorm } from './update-batch-norm.ts';
