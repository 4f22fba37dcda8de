/** Where the published cases lie: the files of test/conformance/, which a browser cannot list. A CPU test holds this to the folder. */
import type { ConformanceCase } from './conformance.ts';

/** Files whose cases have inputs and expected outputs. */
export const suites = [
  'candle',
  'candle_ops',
  'coremltools',
  'dfdx',
  'keras',
  'litert',
  'mlx',
  'nnapi',
  'onnx',
  'openvino',
  'ort_cpp',
  'ort_js',
  'pytorch',
  'webnn_baseline',
  'webnn_polyfill',
] as const;

/** Inputs that the suite's own library rejects. */
export const refusals = 'ort_cpp_errors';

/** Shapes and options of other suites, whose data are drawn here: conformance-shapes.ts. */
export const drawn = 'shapes';

/** A case that must be refused, with what the suite's library says. */
export interface RefusedCase extends ConformanceCase {
  expect_error: string;
}
