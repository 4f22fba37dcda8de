// What one operation asks of the GPU, as data: made without a device, recorded by execute.ts.

/** A WGSL module, valid by itself, and the operands that its buffers stand for. Equal `code` means equal kernels. */
export interface Kernel {
  /** Of its file: `rows/forward_registers`. */
  readonly name: string;
  /** For a GPU debugger: at most 60 characters that a person can read. */
  readonly label: string;
  readonly code: string;
  /** Its storage buffers. */
  readonly bindings: readonly KernelBinding[];
  /** Its numbers, in the order in which the uniform buffer at binding 0 has them, four bytes each. Without any there is no such buffer. */
  readonly fields: readonly { readonly name: string; readonly type: string }[];
  /** WGSL's extensions that it enables. */
  readonly enables: readonly string[];
  /** The types of its variables in workgroup memory. */
  readonly workgroupMemory: readonly string[];
  /** What the host chose of its overrides and types; WORKGROUP is the size of its workgroups. */
  readonly constants: Readonly<Record<string, number | boolean | string>>;
}

/** A storage buffer of a kernel. */
export interface KernelBinding {
  /** In WGSL. */
  readonly name: string;
  readonly binding: number;
  readonly access: 'read' | 'read_write';
  /** Whether the kernel may write to it. */
  readonly writes: boolean;
  /** As WGSL has it: `array<vec4<f32>>`. */
  readonly type: string;
  /** The operand or scratch that is bound: nearly always of the same name. */
  readonly role: string;
  /** Whether the kernel changes what outlives the operation, such as running statistics, which stay good if the commands are refused. */
  readonly updates: boolean;
}

/** The part of a role's buffer that a step binds, in bytes from the tensor's own offset. */
export interface Range {
  offset: number;
  size: number;
}

/** One dispatch. */
export interface Step {
  kernel: Kernel;
  /** Contents of the uniform buffer at binding 0, if the kernel has one. */
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
