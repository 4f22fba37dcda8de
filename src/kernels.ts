/**
 * The norms as plain data: WGSL, bindings, uniform buffers and workgroups, for any other WebGPU runtime. Needs no device.
 *
 * @packageDocumentation
 */
export { NormError, type NormErrorCode } from './gpu/errors.ts';
export { type DescribeFacts, type DescribeOptions, describe } from './ops/describe.ts';
export type {
  DescribedBinding,
  DescribedDispatch,
  DescribedField,
  DescribedLimits,
  DescribedOp,
  DescribedOutput,
  DescribedScratch,
  DescribedTensor,
  DescribedUniform,
  Description,
  PlacesOptions,
} from './ops/description.ts';
