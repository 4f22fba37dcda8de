import { NormError } from '../gpu/errors.ts';
import type { RecordOptions } from '../gpu/execute.ts';

/**
 * Throws `unsupported` if a call that communicates is to be recorded.
 *
 * @param what - whose call it is, as the message names it.
 */
export function refuseRecording(options: object, what: string): void {
  const { encoder, pass } = (options ?? {}) as RecordOptions;
  if (!encoder && !pass) return;
  throw new NormError(
    'unsupported',
    `${what} reads back between two submits: it cannot be recorded.`,
    'Leave out encoder and pass, and submit what comes before it.',
  );
}
