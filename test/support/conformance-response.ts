/** The published cases of local response normalization as calls of this library. */
import type { FloatDType } from '../../src/index.ts';
import { type Geometry, groupNormGeometry, type Layout } from '../reference/geometry.ts';
import {
  type ConformanceCase,
  describeAs,
  type Expected,
  expectedBy,
  toFloat32,
  typesOf,
  Unsupported,
  type UnsupportedCase,
  valuesOf,
} from './conformance.ts';

export const RESPONSE_OPS = ['lrn', 'lrn_backward'] as const;

export interface ResponseCase {
  supported: true;
  name: string;
  /** [N, C, positions] or, channels-last, [N, positions, C]: the case's own elements in the same order. */
  shape: number[];
  layout: Layout;
  /** The same for the float64 reference. */
  geometry: Geometry;
  size: number;
  alpha: number;
  beta: number;
  k: number;
  dtype: FloatDType;
  x: Float32Array;
  dy: Float32Array;
  expected: Partial<Record<'y' | 'dx', Expected>>;
}

/** The library call that a case asks for, or the reason why there is none. */
export function describeResponse(testCase: ConformanceCase): ResponseCase | UnsupportedCase {
  return describeAs(testCase, RESPONSE_OPS, (tensor) => {
    const { size = 0, beta = 0, k = 0, before, after, axis } = testCase.attrs;
    if (before !== Math.floor(size / 2) || after !== Math.floor((size - 1) / 2)) {
      throw new Unsupported(`a window of ${size} that reaches ${before} back and ${after} on`);
    }
    const alpha = (testCase.attrs.alpha ?? 0) * (testCase.attrs.alpha_divided_by_size ? 1 : size);
    const { shape, layout } = aroundChannels(tensor.shape, axis ?? 1);
    const { dtype } = typesOf(testCase);
    const x = toFloat32(valuesOf(tensor), dtype);
    const { dy } = testCase.inputs;
    return {
      supported: true,
      name: `${testCase.source}: ${testCase.name}`,
      shape,
      layout,
      geometry: groupNormGeometry(shape, 1, layout),
      size,
      alpha,
      beta,
      k,
      dtype,
      x,
      dy: dy ? toFloat32(valuesOf(dy), dtype) : x,
      expected: expectedBy(testCase, { y: 'y', dx: 'dx' } as const),
    };
  });
}

/** The axes before and after the channels' become one each. */
function aroundChannels(shape: readonly number[], axis: number): { shape: number[]; layout: Layout } {
  const count = (sizes: readonly number[]) => sizes.reduce((product, size) => product * size, 1);
  const [before, after] = [count(shape.slice(0, axis)), count(shape.slice(axis + 1))];
  const channels = shape[axis] as number;
  return after === 1 && axis > 0
    ? { shape: [1, before, channels], layout: 'channels-last' }
    : { shape: [before, channels, after], layout: 'channels-first' };
}
