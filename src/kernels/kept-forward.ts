import forwardKept from '../../shaders/kernels/kept/forward.wgsl';
import { byteSize } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program } from '../gpu/program.ts';
import { elementCount } from '../plan/geometry.ts';
import { keptQuads, scheduleKept } from '../plan/kept.ts';
import type { ShaderModule } from '../shaders/module.ts';
import type { ForwardDescriptor } from './descriptor.ts';
import { forwardChoices } from './forward.ts';
import { keptChoices, keptNumbers, keptSegments } from './kept.ts';
import { dispatch, inParts } from './pass.ts';

/**
 * The dispatch, or one for each part of x, of a forward pass over axes that others follow. Roles: those of rowForward.
 *
 * @param statistics - the shader of the norm's statistic.
 */
export function keptForward(d: ForwardDescriptor, facts: DeviceFacts, statistics: ShaderModule): Program {
  if (elementCount(d.geometry) === 0) return { steps: [], scratch: {} };
  const schedule = scheduleKept(d.geometry, facts, d.schedule, byteSize(d.dtype));
  const choices = forwardChoices(d, facts, statistics);
  const plan = { d, schedule, segmentsOf: keptSegments, facts, choices };
  return inParts(plan, [], {}, (at) => {
    // Past the last columns a thread of sixteen does those again, which is no longer right where they are gone.
    const four = schedule.fourRows && !d.aliases;
    return [
      dispatch(at, forwardKept, {
        choices: keptChoices(at, four),
        numbers: keptNumbers(at),
        team: schedule.team,
        workers: four ? 4 * Math.ceil(keptQuads(at.g) / 16) : keptQuads(at.g),
      }),
    ];
  });
}
