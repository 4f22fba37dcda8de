// What a dispatch binds and how many workgroups it has, in numbers: execute.ts makes GPU objects of them, and a description
// holds them as they are.
import { NormError } from './errors.ts';
import { alignUp, type Program, type Step } from './program.ts';

/** What a binding of a dispatch holds: bytes of an operand, from its own beginning, or of scratch. */
export interface BoundBuffer {
  binding: number;
  role: string;
  offset: number;
  /** A multiple of the four bytes by which WebGPU binds storage. */
  size: number;
}

/**
 * The storage buffers of a dispatch.
 *
 * @param bytesOf - bytes of an operand, without padding; undefined for a role that is none.
 */
export function boundBuffers(
  { kernel, ranges }: Step,
  scratch: Program['scratch'],
  bytesOf: (role: string) => number | undefined,
): BoundBuffer[] {
  return kernel.bindings.map(({ binding, role }) => {
    const bytes = bytesOf(role) ?? scratch[role];
    if (bytes === undefined)
      throw new Error(`${kernel.name} binds ${role}, which is neither an operand nor scratch.`);
    const { offset, size } = ranges[role] ?? { offset: 0, size: bytes };
    return { binding, role, offset, size: alignUp(size, 4) };
  });
}

/**
 * The two dispatch sizes whose product is at least `workgroups`; kernels skip the surplus. As few lines as there can be: near-square
 * grids ran some 12 times as long as wide ones on an Intel GPU (onnxruntime #25908).
 */
export function gridOf(workgroups: number, limit: number): [number, number] {
  const lines = Math.max(1, Math.ceil(workgroups / limit));
  if (lines > limit) {
    throw new NormError(
      'limit',
      `${workgroups} workgroups exceed what the device dispatches at once.`,
      'Split the tensor.',
    );
  }
  return [Math.ceil(workgroups / lines), lines];
}
