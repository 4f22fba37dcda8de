/**
 * Normalization on WebGPU, forward and backward.
 *
 * @packageDocumentation
 */

export type { DeviceClass, DeviceModel } from './gpu/device-model.ts';
export { NormError, type NormErrorCode } from './gpu/errors.ts';
export type { RecordOptions } from './gpu/execute.ts';
export type { DeviceFacts } from './gpu/facts.ts';
export { Gpu, type MemoryUse } from './gpu/gpu.ts';
export { type InitOptions, init } from './gpu/init.ts';
export type { TensorScope } from './gpu/scopes.ts';
export { type DType, type FloatDType, Tensor } from './gpu/tensor.ts';
export type { HostArray, HostDType, HostTensor } from './io/host-tensor.ts';
export { decodeSafetensors, encodeSafetensors } from './io/safetensors.ts';
export { StateDict } from './io/state-dict.ts';
export type { Activation } from './kernels/activation.ts';
export type { AwaitedOptions } from './nn/awaited.ts';
export {
  BatchNorm,
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  type BatchNormModuleOptions,
} from './nn/batch-norm.ts';
export { DynamicTanh, type DynamicTanhModuleOptions } from './nn/dynamic-tanh.ts';
export {
  type FoldableModule,
  type FoldTarget,
  foldBatchNorm,
  fuseBatchNorm,
} from './nn/fold-batch-norm.ts';
export {
  convertFrozenBatchNorm,
  FrozenBatchNorm2d,
  type FrozenBatchNormModuleOptions,
} from './nn/frozen-batch-norm.ts';
export { GroupNorm, type GroupNormModuleOptions } from './nn/group-norm.ts';
export type {
  BackwardHook,
  BackwardPreHook,
  ForwardHook,
  ForwardPreHook,
  HookHandle,
} from './nn/hooks.ts';
export { Identity } from './nn/identity.ts';
export {
  InstanceNorm,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  type InstanceNormModuleOptions,
} from './nn/instance-norm.ts';
export { L2Norm, type L2NormModuleOptions } from './nn/l2-norm.ts';
export {
  LayerNorm,
  LayerNorm2d,
  type LayerNorm2dOptions,
  type LayerNormModuleOptions,
} from './nn/layer-norm.ts';
export type { LoadableState, LoadResult } from './nn/load-state.ts';
export {
  LocalResponseNorm,
  type LocalResponseNormModuleOptions,
} from './nn/local-response-norm.ts';
export { Module, type PassOptions } from './nn/module.ts';
export { ModuleDict, ModuleList } from './nn/module-list.ts';
export {
  type EpilogueModuleOptions,
  type ForwardOptions,
  type ModuleBackwardOptions,
  type ModulePrepareOptions,
  NormModule,
  type ResidualBackwardOptions,
} from './nn/norm-module.ts';
export {
  Parameter,
  type ParameterOptions,
  type PostAccumulateGradHook,
  type ZeroGradOptions,
} from './nn/parameter.ts';
export { RMSNorm, RMSNorm2d, type RMSNorm2dOptions, type RMSNormModuleOptions } from './nn/rms-norm.ts';
export { RunningNorm, type RunningNormModuleOptions } from './nn/running-norm.ts';
export { saveStateDict } from './nn/save-state.ts';
export { Sequential } from './nn/sequential.ts';
export {
  type BatchNormBackwardOptions,
  type BatchNormOptions,
  batchNorm,
  batchNormBackward,
} from './ops/batch-norm.ts';
export type { EpsMode, RmsNormCast, RunningVariance } from './ops/conventions.ts';
export {
  type DynamicTanhBackwardOptions,
  type DynamicTanhBackwardResult,
  type DynamicTanhChoice,
  type DynamicTanhGradients,
  type DynamicTanhOptions,
  type DynamicTanhParameters,
  dynamicTanh,
  dynamicTanhBackward,
} from './ops/dynamic-tanh.ts';
export type { EpilogueBackwardOptions, EpilogueOptions, GateOptions } from './ops/epilogue.ts';
export type { Folded, FoldOptions } from './ops/fold.ts';
export {
  type GroupNormBackwardOptions,
  type GroupNormOptions,
  groupNorm,
  groupNormBackward,
} from './ops/group-norm.ts';
export {
  type InstanceNormBackwardOptions,
  type InstanceNormOptions,
  instanceNorm,
  instanceNormBackward,
} from './ops/instance-norm.ts';
export {
  type L2EpsOptions,
  type L2NormBackwardOptions,
  type L2NormOptions,
  type L2NormResult,
  l2Norm,
  l2NormBackward,
} from './ops/l2-norm.ts';
export {
  type AddLayerNormOptions,
  addLayerNorm,
  type LayerNormBackwardOptions,
  type LayerNormOptions,
  layerNorm,
  layerNormBackward,
} from './ops/layer-norm.ts';
export {
  type LocalResponseNormBackwardOptions,
  type LocalResponseNormBackwardResult,
  type LocalResponseNormOptions,
  type LocalResponseNormResult,
  type LocalResponseNormSettings,
  localResponseNorm,
  localResponseNormBackward,
} from './ops/local-response-norm.ts';
export type {
  BackwardOptions,
  BackwardOutputs,
  BackwardResult,
  ForwardOutputs,
  ForwardResult,
  NormOptions,
  Statistic,
  StatisticsOption,
} from './ops/norm.ts';
export type { NormalizedOptions } from './ops/normalized.ts';
export type { NormOp, NormOpOptions } from './ops/op-options.ts';
export {
  addRmsNorm,
  type RmsNormBackwardOptions,
  type RmsNormOptions,
  type RmsNormResult,
  rmsNorm,
  rmsNormBackward,
  rmsNormEps,
} from './ops/rms-norm.ts';
export { type WorkspaceOptions, workspaceBytes } from './ops/workspace.ts';
export type { Layout } from './plan/geometry.ts';
export type { Reduction, ScheduleOptions, Strategy } from './plan/strategy.ts';
