/** The float64 reference that tests, bench and demo judge the GPU by: the textbook formulas, no dependencies. */
export { activate, activationDerivative, erf, kinks } from './activation.ts';
export {
  axesGeometry,
  batchNormGeometry,
  elementCount,
  forEachElement,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  type Layout,
  layerNormGeometry,
  setCount,
  setSize,
} from './geometry.ts';
export { roundAllTo, roundAllToHalf, rounders, roundToBfloat16, roundToHalf } from './half.ts';
export {
  normBackwardReference,
  normReference,
  type ReferenceBackward,
  type ReferenceForward,
  type ReferenceOptions,
} from './norm.ts';
export { relativeError } from './relative-error.ts';
export {
  localResponseNormBackwardReference,
  localResponseNormReference,
  type ReferenceResponseBackward,
  type ReferenceResponseOptions,
} from './response.ts';
