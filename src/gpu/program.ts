// What one operation asks of the GPU, as data: made without a device, recorded by execute.ts.

/** A WGSL module with its specialization. Equal keys mean equal shaders and constants. */
export interface Kernel {
  /** Names the variant: shader, dtypes, fragments, constants. Also the label. */
  key: string;
  /** Assembles the WGSL. */
  code(): string;
  /** Values of `override`s; booleans as 0 and 1. */
  constants: Readonly<Record<string, number>>;
  /**
   * Roles of the storage bindings, and whether the shader writes them; `updates` where it changes what outlives the
   * operation, such as running statistics, which stay good if the commands are refused.
   */
  bindings: readonly { role: string; binding: number; writes: boolean; updates?: boolean }[];
}

/** The part of a role's buffer that a step binds, in bytes from the tensor's own offset. */
export interface Range {
  offset: number;
  size: number;
}

/** One dispatch. */
export interface Step {
  kernel: Kernel;
  /** Contents of the uniform buffer at binding 0. */
  params: ArrayBuffer;
  /** By role; roles that are not here are bound whole, in scratch and in tensors. */
  ranges: Readonly<Record<string, Range>>;
  /** Workgroups, at least 1; folded into two dimensions where one does not suffice. */
  workgroups: number;
}

/** The dispatches of one operation and the scratch memory they share. */
export interface Program {
  steps: readonly Step[];
  /** Bytes of scratch per role, such as partial sums. They hold nothing between operations. */
  scratch: Readonly<Record<string, number>>;
}

/** Bytes of the scratch buffers of a program, where none are there yet. */
export function scratchBytes(program: Program): number {
  return Object.values(program.scratch).reduce((total, bytes) => total + scratchSize(bytes), 0);
}

/** The largest minStorageBufferOffsetAlignment that WebGPU allows. */
export const scratchAlignment = 256;

/** The size of a buffer for so many bytes of scratch: few sizes, so that few are outgrown. */
export const scratchSize = (bytes: number): number => alignUp(Math.max(bytes, 4096), scratchAlignment);

export function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
