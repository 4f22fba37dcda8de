/** A rank that trains until its group fails, and says whether that left everything as it was. */
import {
  broadcastParameters,
  type GroupError,
  type ProcessGroup,
  SyncBatchNorm,
} from '../../../src/distributed/index.ts';
import type { Gpu } from '../../../src/index.ts';
import { stateOf } from './training.ts';

export interface Failure {
  code: string;
  ranks: readonly number[];
  /** From the call that failed to its error. */
  ms: number;
  /** Whether parameters, gradients, running statistics and counts are those from before the call. */
  unchanged: boolean;
  /** Tensors that the call left behind. */
  leaked: number;
  state: number[];
  steps: number;
}

export const channels = 3;

/** For joining and the first exchange, in ms. */
export const startTimeout = 30_000;

/** Everything that a call may change. */
async function everything(norm: SyncBatchNorm): Promise<string> {
  const gradients = await Promise.all(
    norm.parameters().map(async ({ grad }) => [...((await grad?.data()) ?? [])]),
  );
  return JSON.stringify([await stateOf(norm), gradients]);
}

/** Trains until a call fails; undefined if `dead` says that this rank is to vanish. */
export async function trainUntilFailure(
  gpu: Gpu,
  group: ProcessGroup,
  state: readonly number[] | undefined,
  { root, timeout }: { root: number; timeout: number },
  ready: () => void,
  dead: () => boolean = () => false,
): Promise<Failure | undefined> {
  const norm = new SyncBatchNorm(gpu, channels, { group });
  const shape = [2 + group.rank, channels];
  await norm.prepare(shape);
  if (state) restore(norm, state);
  // A new rank has shaders to compile: that is not what the timeout is about.
  await broadcastParameters(norm, group, { root, timeout: startTimeout });
  ready();
  const values = Float32Array.from(
    { length: 3 * (2 + group.rank) },
    (_, i) => ((i * 7 + group.rank) % 5) - 2,
  );
  const x = gpu.tensor(values, shape);
  for (let steps = 0; ; steps++) {
    const calls = [() => norm.forward(x, { timeout }), () => norm.backward(x, { timeout })];
    for (const call of calls) {
      if (dead()) {
        x.destroy();
        norm.destroy();
        return undefined;
      }
      const before = await everything(norm);
      const { tensors } = gpu.memory();
      const began = performance.now();
      try {
        (await call()).destroy();
      } catch (error) {
        const { code, ranks } = error as GroupError;
        const ms = performance.now() - began;
        const unchanged = (await everything(norm)) === before;
        // Fewer where the garbage collector has been here.
        const leaked = Math.max(0, gpu.memory().tensors - tensors);
        const failure = { code, ranks, ms, unchanged, leaked, state: await stateOf(norm), steps };
        x.destroy();
        norm.destroy();
        return failure;
      }
    }
  }
}

function restore(norm: SyncBatchNorm, state: readonly number[]): void {
  let at = 0;
  for (const tensor of norm.stateDict().values()) {
    tensor.write(state.slice(at, at + tensor.size));
    at += tensor.size;
  }
}
