/** The golden file of LocalResponseNorm. Runs in browsers too: no fs. */
import type { Layout } from '../reference/geometry.ts';
import type { GoldenTensor } from './golden.ts';

/** Its stem: test/golden/<name>.json. */
export const RESPONSE_GOLDEN = 'local-response-norm';

export interface ResponseGoldenCase {
  name: string;
  shape: number[];
  layout: Layout;
  size: number;
  alpha: number;
  beta: number;
  k: number;
  dtype: 'f32' | 'f16';
  inputs: { x: GoldenTensor; dy: GoldenTensor };
  outputs: { y: GoldenTensor; dx: GoldenTensor };
}

export interface ResponseGoldenFile {
  torch: string;
  cases: ResponseGoldenCase[];
}
