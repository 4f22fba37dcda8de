/** What kind of mistake or failure a {@link NormError} reports. */
export type NormErrorCode =
  /** The platform has no WebGPU, or no adapter. */
  | 'no-webgpu'
  /** A shape, rank or length does not fit. */
  | 'shape'
  /** A dtype does not fit, or the device lacks it. */
  | 'dtype'
  /** An option's value is out of range. */
  | 'value'
  /** A GPUBuffer is too small, misaligned or lacks a usage. */
  | 'buffer'
  /** An output overlaps another argument, or they share a GPUBuffer where that cannot be. */
  | 'aliasing'
  /** A tensor or buffer belongs to another device. */
  | 'wrong-device'
  /** A state dict does not fit the module or the optimizer. */
  | 'state'
  /** A file is damaged, or not of the format. */
  | 'format'
  /** This class or object cannot do that. */
  | 'unsupported'
  /** Calls came in an order that cannot work, such as backward before forward. */
  | 'order'
  /** The object was destroyed. */
  | 'destroyed'
  /** The GPU device was lost. */
  | 'device-lost'
  /** The device's limits do not allow it. */
  | 'limit'
  /** The device ran out of memory. */
  | 'out-of-memory'
  /** WebGPU refused recorded commands, for example because a wrapped buffer was destroyed by its owner. */
  | 'validation'
  /** A shader did not compile; the message holds the compiler's words and the numbered source. */
  | 'shader'
  /** Ranks of a process group did not take part in time. */
  | 'timeout'
  /** Ranks of a process group disagree: about the call, its length or label, the size of the group, who is who. */
  | 'mismatch'
  /** An AbortSignal ended a call of a process group. */
  | 'aborted'
  /** A rank left its process group. */
  | 'rank-lost'
  /** What carries a process group's messages is absent, refuses or broke. */
  | 'connection';

/**
 * The one error class of this library.
 *
 * Errors of arguments are thrown before anything is allocated, recorded or changed.
 */
export class NormError extends Error {
  override readonly name = 'NormError';
  readonly code: NormErrorCode;
  /** What to do about it. */
  readonly fix: string;

  constructor(code: NormErrorCode, message: string, fix: string, cause?: unknown) {
    super(`${message} ${fix}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.fix = fix;
  }
}
