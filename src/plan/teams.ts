// How many threads share a row, a segment or a merge, and the workgroups that they come in.
import type { DeviceFacts } from '../gpu/facts.ts';
import { mostWorkgroups } from './grid.ts';
import { clamp, maxWorkgroup, powerOfTwoUp, type ScheduleOptions, type Team } from './strategy.ts';

/** So many lanes together, in workgroups of a usual size. */
export function team(facts: DeviceFacts, lanes: number, options: ScheduleOptions): Team {
  const workgroup = clamp(
    options.workgroup ?? Math.max(lanes, facts.software ? 16 : 128),
    lanes,
    Math.max(lanes, facts.maxInvocations),
  );
  const shuffles = facts.subgroup > 0 && options.reduction !== 'portable';
  return { workgroup, lanes, reduction: lanes === 1 ? 'serial' : shuffles ? 'subgroups' : 'portable' };
}

/**
 * A team for `results`, each merged from `parts`. Only thousands of parts are worth a software adapter's barriers. On a GPU a lane has eight
 * parts, two turns with four loads under way, as far as there are threads: a few channels may have a hundred thousand parts each, and
 * nothing else runs meanwhile.
 */
export function mergeTeam(
  facts: DeviceFacts,
  results: number,
  parts: number,
  options: ScheduleOptions,
): Team {
  const serial = facts.software && options.reduction === undefined && parts < 1024;
  const short = Math.min(32, powerOfTwoUp(parts));
  const most = 2 ** Math.floor(Math.log2(Math.min(1024, facts.maxInvocations)));
  let lanes = serial ? 1 : facts.software ? short : clamp(powerOfTwoUp(parts / 8), short, most);
  const workgroup = facts.software ? Math.max(lanes, shortThreads(results, facts)) : Math.max(lanes, 64);
  while (lanes > 1 && (results * lanes) / workgroup > mostWorkgroups(facts)) lanes /= 2;
  return team(facts, lanes, { ...options, workgroup });
}

// Threads of a workgroup on a software adapter where each does little: starting a workgroup is then what costs.
// A million dweight from one partial each, SwiftShader: 26, 20, 13 ms with workgroups of 16, 64, 256.
export function shortThreads(threads: number, facts: DeviceFacts): number {
  return threads >= 4096 ? maxWorkgroup(facts) : 16;
}

/** Lanes of a segment that one workgroup has to itself. */
export function workgroupLanes(quads: number, facts: DeviceFacts, options: ScheduleOptions): number {
  return options.workgroup ?? clamp(powerOfTwoUp(quads), 1, maxWorkgroup(facts));
}

/** Lanes of a part of a segment. */
export function splitLanes(quads: number, facts: DeviceFacts, options: ScheduleOptions): number {
  if (options.lanes !== undefined) return options.lanes;
  return facts.software && options.reduction === undefined ? 1 : workgroupLanes(quads, facts, options);
}

/**
 * Lanes of a segment where there are so many. Each needs some quads to be worth its start and its share of the merge, a chunk of sixteen,
 * so that many short segments have few lanes each; but eight, which load 128 bytes that lie side by side.
 */
export function segmentLanes(
  segments: number,
  quads: number,
  facts: DeviceFacts,
  options: ScheduleOptions,
): number {
  let lanes = splitLanes(quads, facts, options);
  if (facts.software || options.lanes !== undefined || options.workgroup !== undefined) return lanes;
  while (lanes > 8 && quads < 16 * lanes && (segments * lanes) / 2 >= facts.threads) lanes /= 2;
  return lanes;
}

/** Lanes of a set that one team walks alone: more than 256 where so few sets leave a GPU idle. */
export function setLanes(sets: number, quads: number, facts: DeviceFacts, options: ScheduleOptions): number {
  let lanes = workgroupLanes(quads, facts, options);
  if (facts.software || options.workgroup !== undefined) return lanes;
  const most = Math.min(512, facts.maxInvocations);
  while (2 * lanes <= Math.min(most, quads) && sets * lanes < facts.threads) lanes *= 2;
  return lanes;
}
