import type { GroupError } from '../../src/distributed/index.ts';

/** The error that a promise rejects with. */
export async function refusal(promise: Promise<unknown>): Promise<{ error: GroupError }> {
  try {
    await promise;
  } catch (error) {
    return { error: error as GroupError };
  }
  throw new Error('it did not reject');
}
