import type { DeviceFacts } from '../gpu/facts.ts';
import { elementCount, type Geometry } from './geometry.ts';

type Facts = Pick<DeviceFacts, 'leastWorkspace'>;

/**
 * What a backward pass plans with. Where every column has a weight, each workgroup has partials of all of them, so that 1 MiB would
 * leave most of a large GPU idle: there it may take sixteen times as much.
 */
export function backwardFacts({ positions, inner, groups }: Geometry, facts: DeviceFacts): DeviceFacts {
  const ofColumns = positions === 1 && inner === 1 && groups === 1;
  return facts.software || !ofColumns ? facts : { ...facts, leastWorkspace: 16 * facts.leastWorkspace };
}

/** Bytes of scratch that an operation may take: 1 % of x, or 1 MiB (`leastWorkspace`) where that is more. */
export function workspaceCap(geometry: Geometry, elementBytes: number, { leastWorkspace }: Facts): number {
  return Math.max(leastWorkspace, Math.floor((elementCount(geometry) * elementBytes) / 100));
}

/**
 * What partial results may take of that: each of up to five buffers is rounded up, to 4 KiB or to 256 bytes. No less than one of
 * those roundings, whatever `leastWorkspace` says.
 */
export function workspaceBudget(geometry: Geometry, elementBytes: number, facts: Facts): number {
  return Math.max(4096, workspaceCap(geometry, elementBytes, facts) - 5 * 4096);
}
