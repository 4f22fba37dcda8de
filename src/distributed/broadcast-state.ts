import { NormError } from '../gpu/errors.ts';
import { checkOptions } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { Module } from '../nn/module.ts';
import { Optimizer } from '../optim/optimizer.ts';
import { loadOptimizer, saveOptimizer } from '../optim/save-optimizer.ts';
import { checkGroup } from './check-group.ts';
import { broadcastParameters } from './gradients.ts';
import type { CollectiveOptions, ProcessGroup } from './process-group.ts';
import { packBytes, unpackBytes } from './tensor-words.ts';

/** Options of {@link broadcastState}. */
export interface BroadcastStateOptions extends Pick<CollectiveOptions, 'signal' | 'timeout'> {
  /** Whose state all get. The same on all ranks. Default 0. */
  root?: number | undefined;
}

/**
 * Gives all ranks what one of them has: a model's parameters and buffers, or an optimizer's state and settings. For a rank that joins a
 * new group late or again, after a failure: `root` is a rank that went on. Training then goes on with the same bits on all ranks.
 *
 * @param state - a model, or an optimizer of the same kind over parameters of the same shapes. Of a schedule, send the numbers of its
 * stateDict along with yours.
 * @throws NormError `value` for something else; as {@link loadOptimizer}; {@link GroupError} as broadcast. Nothing is then changed on
 * this rank.
 *
 * @example
 * const group = await NatsProcessGroup.join();
 * await broadcastState(model, group, { root: survivor });
 * await broadcastState(optimizer, group, { root: survivor });
 */
export async function broadcastState(
  state: Module | Optimizer<{ lr: number }>,
  group: ProcessGroup,
  options: BroadcastStateOptions = {},
): Promise<void> {
  checkOptions('broadcastState', options, { root: 'number', signal: 'other', timeout: 'number' });
  checkGroup(group, 'The group');
  if (state instanceof Module) return broadcastParameters(state, group, options);
  if (!(state instanceof Optimizer)) {
    throw new NormError(
      'value',
      `${shown(state)} is neither a Module nor an Optimizer.`,
      'Pass one; of a ZeroRedundancyOptimizer every rank has a part: use its consolidateStateDict() and loadStateDict().',
    );
  }
  const { root = 0, ...rest } = options;
  state.checkUsable();
  const own = packBytes(group.rank === root ? await saveOptimizer(state) : new Uint8Array());
  const head = new Float32Array(Uint32Array.of(own.length).buffer);
  const told = await group.broadcast(head, root, { ...rest, label: 'state.length' });
  const [length] = new Uint32Array(told.buffer, told.byteOffset, 1);
  const values = group.rank === root ? own : new Float32Array(length as number);
  const sent = await group.broadcast(values, root, { ...rest, label: 'state.optimizer' });
  if (group.rank !== root) loadOptimizer(state, unpackBytes(sent));
}
