import { NormError, type NormErrorCode } from '../gpu/errors.ts';

/** A {@link NormError} of a process group: it also says which ranks it is about. */
export class GroupError extends NormError {
  /** Those that are missing, that disagree, or that gave up; in order. */
  readonly ranks: readonly number[];

  constructor(
    code: NormErrorCode,
    message: string,
    fix: string,
    ranks: readonly number[] = [],
    cause?: unknown,
  ) {
    super(code, message, fix, cause);
    this.ranks = Object.freeze([...new Set(ranks)].sort((a, b) => a - b));
  }
}

/** "rank 3", "ranks 1, 3 and 4". */
export function ranksInWords(ranks: readonly number[]): string {
  const shown = ranks.slice(0, 16).map(String);
  if (ranks.length > shown.length) shown.push(`${ranks.length - shown.length} more`);
  if (shown.length < 2) return `rank ${shown}`;
  return `ranks ${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** As the start of a sentence. */
export const titled = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);
