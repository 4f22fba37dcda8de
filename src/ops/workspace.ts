import type { Gpu } from '../gpu/gpu.ts';
import { scratchBytes } from '../gpu/program.ts';
import { type LocalResponseNormSettings, localResponseNormProgram } from './local-response-norm.ts';
import { callOf, type NormOp, type NormOpOptions, prepareOptionsOf } from './op-options.ts';
import { programsOf } from './prepare-norm.ts';

/** Options of {@link workspaceBytes}. */
export interface WorkspaceOptions extends NormOpOptions, Partial<LocalResponseNormSettings> {
  /** Default: the pass that takes more. */
  pass?: 'forward' | 'backward' | undefined;
}

/**
 * Bytes of scratch, beside inputs and outputs, that a call of a functional norm allocates on a context that has none yet:
 * at most 1 % of x, or 1 MiB where that is more, unless a schedule asks for more slots than are chosen, or a batch has more
 * than 26,000 channels and fewer than 2000 values in each. Calls share their scratch, which grows to the largest.
 *
 * @param op - the function's name, such as 'layerNorm'; its backward goes by the same.
 * @param shape - of x.
 * @throws NormError as the function.
 */
export function workspaceBytes(
  gpu: Gpu,
  op: NormOp | 'localResponseNorm',
  shape: readonly number[],
  options: WorkspaceOptions = {},
): number {
  const { pass, dtype = 'f32' } = options;
  const programs =
    op === 'localResponseNorm'
      ? (['forward', 'backward'] as const).map((direction) =>
          localResponseNormProgram(gpu, direction, shape, dtype, { ...options, size: options.size ?? 5 }),
        )
      : programsOf(gpu, callOf(op, shape, options), prepareOptionsOf(op, options));
  const [forward = 0, backward = 0] = programs.map(scratchBytes);
  if (pass) return pass === 'forward' ? forward : backward;
  return Math.max(forward, backward);
}
