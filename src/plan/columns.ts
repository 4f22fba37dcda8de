import type { DeviceFacts } from '../gpu/facts.ts';
import { mostWorkgroups } from './grid.ts';

// Rows that are worth a thread's start, in which it loads the statistics and the parameters of its columns.
const fewestRows = 8;

/**
 * Rows of a thread whose chunks, of 16 rows or 64, it adds up without blocks between them and the total: what it holds of four columns
 * costs registers.
 */
export const longestColumn = 1024;

/** Rows of a thread that a backward pass adds up one after the other, without chunks. */
export const shortColumn = 128;

/** Whether a thread has so few registers that a backward pass holds a single quad in them: Intel. */
export const fewRegisters = ({ backwardItems }: DeviceFacts): boolean => backwardItems === 1;

/** Rows of a split of the sums on a GPU, where scratch has room for so many splits. */
export const longestSplitOf = (facts: DeviceFacts): number =>
  fewRegisters(facts) ? shortColumn : longestColumn;

/** Rows that a thread of a GPU has under way at a time. */
export const rowsAtOnce = (facts: DeviceFacts): number => (facts.software ? 1 : fewRegisters(facts) ? 2 : 4);

/** Rows of a thread in a pass over columns: a few of `rows`, or of the split that summed them. */
export type RowSplits = { splits: number; split_length: number };

/** How rows are divided into so many splits, in whole steps of a thread where that leaves hardly one idle. */
export function rowSplits(rows: number, splits: number, facts: DeviceFacts): RowSplits {
  const length = Math.ceil(rows / splits);
  const step = length >= 32 ? rowsAtOnce(facts) : 1;
  return { splits, split_length: step * Math.ceil(length / step) };
}

/**
 * How rows are divided in a pass that writes each element and leaves nothing to merge: by what fills a GPU, whatever the splits
 * of the sums are, which scratch limits.
 *
 * @param columns - threads that there are for each row.
 * @param sums - how the pass before divides them: a software adapter has threads enough.
 * @param workgroup - threads of one.
 */
export function applySplits(
  rows: number,
  columns: number,
  sums: RowSplits,
  workgroup: number,
  facts: DeviceFacts,
): RowSplits {
  if (facts.software) return sums;
  const most = Math.floor(Math.min(rows / fewestRows, (mostWorkgroups(facts) * workgroup) / columns));
  const length = Math.ceil(rows / Math.max(1, Math.min(most, Math.ceil(facts.threads / columns))));
  const step = rowsAtOnce(facts);
  const split_length = step * Math.ceil(length / step);
  return { splits: Math.ceil(rows / split_length), split_length };
}
