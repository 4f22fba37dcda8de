export { GroupError } from './errors.ts';
export { type LocalGroupOptions, LocalProcessGroup } from './local.ts';
export type { Merge } from './merge.ts';
export { MessagePortHub, MessagePortProcessGroup, type PortLike } from './message-port.ts';
export type { CollectiveOptions, JoinOptions, ProcessGroup, Traffic } from './process-group.ts';
