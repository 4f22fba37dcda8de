import { NormError } from '../gpu/errors.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Program, Step } from '../gpu/program.ts';

/** Workgroups of one dispatch, which is folded into two dimensions. */
export const mostWorkgroups = ({ maxWorkgroupsPerDimension }: DeviceFacts): number =>
  maxWorkgroupsPerDimension ** 2;

const largest = (steps: readonly Step[]): number =>
  steps.reduce((most, step) => Math.max(most, step.workgroups), 0);

/**
 * How many samples a part may have so that each of its dispatches fits the device, where `steps` are those of parts of so
 * many: at least one.
 */
export function samplesWithin(steps: readonly Step[], samples: number, facts: DeviceFacts): number {
  const worst = largest(steps);
  const most = mostWorkgroups(facts);
  return worst <= most ? samples : Math.max(1, Math.min(samples - 1, Math.floor((samples * most) / worst)));
}

/**
 * The program, found fit for the device before anything is allocated for it.
 *
 * @throws NormError `limit` if a dispatch has more workgroups than the device runs at once.
 */
export function checkGrid(program: Program, facts: DeviceFacts): Program {
  const worst = largest(program.steps);
  if (worst <= mostWorkgroups(facts)) return program;
  throw new NormError(
    'limit',
    `A dispatch of ${worst} workgroups is needed; the device runs at most ${facts.maxWorkgroupsPerDimension} by ` +
      `${facts.maxWorkgroupsPerDimension} at once (maxComputeWorkgroupsPerDimension).`,
    'Request a larger limit when making the device, or use smaller samples.',
  );
}
