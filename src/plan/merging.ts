import type { DeviceFacts } from '../gpu/facts.ts';

/** The workers of a pass over x whose partial results are to be merged, each of which writes a share of every set. */
interface Workers {
  /** Segments of x (planes, rows), each divided into `splits`. */
  segments: number;
  splits: number;
  lanes: number;
  /** Positions of a channel, which may share a worker: 1 where a set has no planes. */
  positions: number;
  /** Channels of a set. */
  width: number;
  /** Bytes of x. */
  bytes: number;
}

/** Positions of a worker, and whether each worker merges the partial results of its set itself. */
interface Merging {
  planesPerPartial: number;
  mergesInApply: boolean;
}

// What a cache of a GPU gives in less time than a dispatch takes: a few microseconds, at 100 GB/s and more.
const littleToRead = 2 ** 18;
// What may be read for merging beside what the pass reads of x and writes: these bytes come from a cache.
const shareToRead = 1 / 16;

/**
 * Whether the second pass over x merges the partial results itself. It then takes one dispatch fewer, but every worker reads all that
 * there is of its set. Fewer workers, of several planes each, have fewer partial results to read, as long as they fill the device.
 *
 * Software adapters keep the merge: their workers are single threads, each of which would do it alone.
 *
 * @param fewest - planes that a worker has at least, since scratch has no room for more partial results.
 */
export function mergingOf(
  { segments, splits, lanes, positions, width, bytes }: Workers,
  fewest: number,
  facts: DeviceFacts,
): Merging {
  const separate = { planesPerPartial: fewest, mergesInApply: false };
  if (facts.software) return separate;
  for (let planes = fewest; ; planes = Math.min(positions, 2 * planes)) {
    const perChannel = Math.ceil(positions / planes);
    const workers = (segments / positions) * perChannel * splits;
    const read = 16 * perChannel * splits * width * workers;
    if (read <= Math.max(littleToRead, shareToRead * 2 * bytes)) {
      return { planesPerPartial: planes, mergesInApply: true };
    }
    if (planes === positions || workers * lanes < 2 * facts.threads) return separate;
  }
}

// Sums of eight bytes beside the two kilobytes of x, and as many of dy and dx, that a workgroup has of a row.
const mostRowParts = 16;

/**
 * Whether the second backward pass over rows, in which threads own columns and walk over rows, merges the sums of each row itself: every
 * workgroup merges those of all its rows.
 */
export const mergesRows = (parts: number, { software }: DeviceFacts): boolean =>
  !software && parts <= mostRowParts;
