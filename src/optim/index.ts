/**
 * Optimizers, schedules of learning rates, clipping and scaling of gradients, averaged models: torch.optim for the parameters of this library's modules, and yours.
 *
 * @packageDocumentation
 */
export { Adagrad, type AdagradOptions, type AdagradSettings } from './adagrad.ts';
export {
  Adam,
  type AdamOptions,
  type AdamSettings,
  AdamW,
  type AdamWOptions,
  type AdamWSettings,
} from './adam.ts';
export { Adamax, type AdamaxOptions, type AdamaxSettings } from './adamax.ts';
export { AveragedModel, type AveragedModelOptions } from './averaged-model.ts';
export { type ClipGradNormOptions, clipGradNorm, clipGradValue } from './clip.ts';
export {
  GradScaler,
  type GradScalerOptions,
  type GradScalerStateDict,
  type ScaleOptions,
} from './grad-scaler.ts';
export {
  Optimizer,
  type OptimizerSettings,
  type ParamGroup,
  type ParamGroupOptions,
  type ScheduledSettings,
} from './optimizer.ts';
export { type ParameterGroupsOptions, parameterGroups } from './parameter-groups.ts';
export { RMSprop, type RMSpropOptions, type RMSpropSettings } from './rmsprop.ts';
export { loadOptimizer, saveOptimizer } from './save-optimizer.ts';
export type { Scheduled } from './schedules/check.ts';
export { ChainedScheduler, SequentialLR } from './schedules/composed.ts';
export {
  CosineAnnealingLR,
  type CosineAnnealingLROptions,
  CosineAnnealingWarmRestarts,
  type CosineAnnealingWarmRestartsOptions,
} from './schedules/cosine.ts';
export { LRScheduler, type LRSchedulerOptions, type Schedule } from './schedules/lr-scheduler.ts';
export {
  ConstantLR,
  type ConstantLROptions,
  ExponentialLR,
  LambdaLR,
  LinearLR,
  type LinearLROptions,
  type LRLambda,
  MultiStepLR,
  PolynomialLR,
  type PolynomialLROptions,
  StepLR,
  type StepLROptions,
} from './schedules/multiplied.ts';
export { OneCycleLR, type OneCycleLROptions } from './schedules/one-cycle.ts';
export { ReduceLROnPlateau, type ReduceLROnPlateauOptions } from './schedules/plateau.ts';
export type { ScheduleStateDict } from './schedules/state.ts';
export { SWALR, type SWALROptions } from './schedules/swa-lr.ts';
export { SGD, type SGDOptions, type SGDSettings } from './sgd.ts';
export type { OptimizerStateDict, StateValue } from './state-dict.ts';
export { type Batch, type UpdateBatchNormOptions, updateBatchNorm } from './update-batch-norm.ts';
