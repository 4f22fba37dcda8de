// A description: the dispatches of a norm as plain data, for whatever runs WebGPU's shaders. docs/kernels.md explains it.
import type { DType } from '../gpu/dtype.ts';
import type { NormOp } from './op-options.ts';

/** A tensor that a description reads or writes, dense and row-major unless it has strides, in a buffer of the caller's. */
export interface DescribedTensor {
  /** Such as `x`, `weight`, `running_mean`; what {@link DescribedBinding.resource} refers to. */
  name: string;
  dtype: DType;
  shape: number[];
  /** Elements from one index of each axis to the next; absent where the tensor is dense. */
  strides?: number[];
  /** Of its buffer, at least: the elements and what lies between them, padded to a multiple of 4. */
  bytes: number;
}

/** A tensor that a description writes. */
export interface DescribedOutput extends DescribedTensor {
  /**
   * Whether what it holds before is read: running statistics, which are updated, and gradients that are accumulated. It is then
   * the caller's to fill; every other output may hold anything.
   */
  inPlace: boolean;
}

/** Memory that the dispatches of a description share. Its contents before and after mean nothing. */
export interface DescribedScratch {
  name: string;
  bytes: number;
}

/** A storage buffer of a dispatch, in bind group 0. */
export interface DescribedBinding {
  binding: number;
  /** Of the variable in WGSL. */
  name: string;
  /** The input, output or scratch that is bound, by its name. */
  resource: string;
  access: 'read' | 'read_write';
  /**
   * Of the array in WGSL: `f32`, `f16`, `u32`, or vectors of them, such as `vec4<f16>`. A bf16 tensor, and one of f16 without `shader-f16`,
   * is bound as words of two elements: `u32`, `vec2<u32>`, or `atomic<u32>` where neighbours are written by different threads.
   */
  elementType: string;
  /** Bytes from the beginning of the resource; a multiple of the facts' offsetAlignment. */
  offset: number;
  /** Bytes that are bound; a multiple of 4. */
  bytes: number;
}

/** A number in the uniform buffer of a dispatch. */
export interface DescribedField {
  name: string;
  type: 'f32' | 'u32' | 'i32';
  /** Bytes from the beginning of the buffer. */
  offset: number;
  /** As WGSL reads it: an f32 rounded to f32, and null for one that is not finite, which JSON cannot write. */
  value: number | null;
}

/** The uniform buffer of a dispatch, in bind group 0. */
export interface DescribedUniform {
  binding: 0;
  bytes: number;
  fields: DescribedField[];
  /** The contents: 32-bit words as unsigned integers, to be stored with the least significant byte first. */
  data: number[];
}

/** A dispatch. Each sees what the ones before it wrote. */
export interface DescribedDispatch {
  /** At most 60 characters, for a debugger. */
  label: string;
  /** A module that is valid by itself; all constants are in it. Many dispatches may have the same. */
  wgsl: string;
  entryPoint: 'main';
  /** Invocations of a workgroup: what `@workgroup_size` says. */
  workgroupSize: [x: number, y: number, z: number];
  /** All storage buffers that the module declares, by rising binding. */
  bindings: DescribedBinding[];
  /** Null where the module declares none. */
  uniform: DescribedUniform | null;
  /** Workgroups, for `dispatchWorkgroups(x, y, z)`. */
  workgroups: [x: number, y: number, z: number];
}

/**
 * What a device must allow, under WebGPU's names. All but the last are lower bounds; its minStorageBufferOffsetAlignment may be at
 * most the one here.
 */
export interface DescribedLimits {
  maxStorageBuffersPerShaderStage: number;
  maxStorageBufferBindingSize: number;
  maxBufferSize: number;
  maxComputeInvocationsPerWorkgroup: number;
  maxComputeWorkgroupSizeX: number;
  maxComputeWorkgroupStorageSize: number;
  maxComputeWorkgroupsPerDimension: number;
  minStorageBufferOffsetAlignment: number;
}

/** What {@link describe} returns: nothing but objects, lists, texts, numbers, booleans and null, so that JSON keeps all of it. */
export interface Description {
  /** The version of this format. Another number is another format; fields may be added under the same. */
  abi: 1;
  op: DescribedOp;
  pass: 'forward' | 'backward';
  /** Those that some dispatch reads, and those that are updated in place among {@link outputs}. */
  inputs: DescribedTensor[];
  /** One that no dispatch writes, such as the statistics that training takes from an empty x, stays as it is. */
  outputs: DescribedOutput[];
  scratch: DescribedScratch[];
  /** In order. None where there is nothing to do. */
  dispatches: DescribedDispatch[];
  /** WebGPU's features that the modules enable. */
  features: ('shader-f16' | 'subgroups')[];
  /** A size that must divide every subgroup size that the device may choose; 0 without subgroups. */
  subgroup: number;
  limits: DescribedLimits;
}

/** What can be described: every functional norm, by its name. */
export type DescribedOp = NormOp | 'localResponseNorm' | 'dynamicTanh';

/** What a description is told of where its tensors lie. */
export interface PlacesOptions {
  /**
   * Norms over rows: by the name of a tensor of x's shape, such as `{ x: [98304, 2304, 64, 1] }`, the elements from one index of each axis to
   * the next, as of `gpu.wrap`. A buffer of it begins with the first element. Default: all tensors are dense.
   */
  strides?: Readonly<Record<string, ArrayLike<number>>> | undefined;
  /**
   * Names of tensors that lie in one buffer with others of them, one of which is an output, each in a range of its own: they are bound as
   * `read_write`, without which WebGPU refuses them. Default: every output has a buffer of its own.
   */
  sharedBuffer?: readonly string[] | undefined;
}
