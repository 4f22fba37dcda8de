import type { GroupError } from '../../src/distributed/index.ts';

/** The error that a promise rejects with, and how long that took. */
export async function refusal(promise: Promise<unknown>): Promise<{ error: GroupError; ms: number }> {
  const began = performance.now();
  try {
    await promise;
  } catch (error) {
    return { error: error as GroupError, ms: performance.now() - began };
  }
  throw new Error('it did not reject');
}
