import { NormError } from '../gpu/errors.ts';
import { shown } from '../gpu/shown.ts';
import type { ProcessGroup } from './process-group.ts';

/** The group. Throws `value` unless it is one. */
export function checkGroup(group: ProcessGroup, name = 'The option group'): ProcessGroup {
  if (group?.size >= 1 && typeof group.allReduce === 'function') return group;
  throw new NormError(
    'value',
    `${name} is ${shown(group)}, which is no ProcessGroup.`,
    'Pass what join() resolved to, or one of LocalProcessGroup.create().',
  );
}
