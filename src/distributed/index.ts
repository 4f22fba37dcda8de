/**
 * webgpu-norm over several replicas: process groups, SyncBatchNorm, sums of gradients.
 *
 * @packageDocumentation
 */
export { type BroadcastStateOptions, broadcastState } from './broadcast-state.ts';
export { convertSyncBatchNorm, revertSyncBatchNorm } from './convert.ts';
export {
  DistributedDataParallel,
  type DistributedDataParallelOptions,
  type JoinUnevenOptions,
} from './distributed-data-parallel.ts';
export { GroupError } from './errors.ts';
export { broadcastParameters, type SyncGradientsOptions, syncGradients } from './gradients.ts';
export { type LocalGroupOptions, LocalProcessGroup } from './local.ts';
export type { Merge } from './merge.ts';
export { MessagePortHub, MessagePortProcessGroup, type PortLike } from './message-port.ts';
export type { CollectiveOptions, JoinOptions, PartOptions, ProcessGroup, Traffic } from './process-group.ts';
export {
  type SyncBatchNormBackwardOptions,
  type SyncBatchNormOptions,
  type SyncForwardResult,
  syncBatchNorm,
  syncBatchNormBackward,
} from './sync-batch-norm.ts';
export {
  type SyncBackwardOptions,
  SyncBatchNorm,
  type SyncBatchNormModuleOptions,
  type SyncForwardOptions,
} from './sync-batch-norm-module.ts';
export {
  type OptimizerClass,
  ZeroRedundancyOptimizer,
  type ZeroRedundancyStepOptions,
} from './zero-redundancy-optimizer.ts';
