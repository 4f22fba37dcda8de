import type { Parameter } from '../nn/parameter.ts';
import { fingerprint, kind } from './gradients.ts';

/** A parameter and its name in the model. */
export interface Named {
  name: string;
  parameter: Parameter;
}

/** Gradients that travel together. */
export interface Bucket {
  readonly members: readonly Named[];
  /** Floats of their gradients, and one for each that says whether there is one. */
  readonly length: number;
  /** What must be the same on all ranks. */
  readonly label: string;
}

/** As PyTorch's first bucket, which is small so that something is on its way early. */
const firstBucketBytes = 2 ** 20;

/**
 * Cuts parameters into buckets of at most so many bytes in f32, or of one parameter that has more: the last parameters come first, as
 * their gradients do. That of PyTorch's Reducer (compute_bucket_assignment_by_size).
 */
export function bucketsOf(parameters: readonly Named[], bucketBytes: number): Bucket[] {
  const buckets: Named[][] = [];
  let left = 0;
  for (const named of [...parameters].reverse()) {
    const bytes = 4 * named.parameter.data.size;
    if (buckets.length === 0 || bytes > left) {
      left = buckets.length === 0 ? Math.min(firstBucketBytes, bucketBytes) : bucketBytes;
      buckets.push([]);
    }
    buckets.at(-1)?.push(named);
    left -= bytes;
  }
  return buckets.map((members) => ({
    members,
    length: members.reduce((total, { parameter }) => total + parameter.data.size + 1, 0),
    label: `ddp.${fingerprint(members.map(({ name, parameter }) => `${name} ${kind(parameter.data)}`))}`,
  }));
}
