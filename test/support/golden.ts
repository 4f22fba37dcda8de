/** The golden files of test/golden: their types and the decoding of their tensors. Runs in browsers too: no fs. */

import type { Activation } from '../../src/index.ts';
import {
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  type Layout,
  layerNormGeometry,
} from '../reference/geometry.ts';
import type { ReferenceOptions } from '../reference/norm.ts';

/** The files, one per op: test/golden/<name>.json. */
export const GOLDEN_FILES = [
  'layer-norm',
  'rms-norm',
  'add-layer-norm',
  'add-rms-norm',
  'group-norm',
  'instance-norm',
  'batch-norm',
  'instance-norm-running',
  'epilogue',
] as const;

export interface GoldenTensor {
  shape: number[];
  dtype: 'float32' | 'float64';
  base64: string;
}

export interface GoldenCase {
  name: string;
  op: 'layerNorm' | 'rmsNorm' | 'addLayerNorm' | 'addRmsNorm' | 'groupNorm' | 'instanceNorm' | 'batchNorm';
  kind: 'moments' | 'rms';
  shape: number[];
  normalizedShape?: number[];
  groups?: number;
  layout?: Layout;
  /** InstanceNorm: shape has no batch axis. */
  unbatched?: boolean;
  eps: number;
  weightOffset?: number;
  /** The RMSNorm casting rules of f16 models; absent: one rounding, at the end. */
  casting?: 'llama' | 'gemma';
  dtype: 'f32' | 'f16';
  paramDtype: 'f32' | 'f16';
  /** |mean| / std of x. */
  offset: number;
  /** A first element 1e5 standard deviations away, or a first row (sample) that is all 5. */
  data?: 'outlier' | 'constant';
  affine: ('weight' | 'bias')[];
  /** Added before the activation. */
  residual?: boolean;
  activation?: Activation;
  negativeSlope?: number;
  /** BatchNorm or InstanceNorm in evaluation: its running statistics. */
  frozen?: { mean: number[]; variance: number[] };
  /** BatchNorm or InstanceNorm in training: [5, ...shape], and what the running statistics are after the first, which is x, and all. */
  running?: { momentum: number | null; batches: GoldenTensor; mean: GoldenTensor; variance: GoldenTensor };
  inputs: { x: GoldenTensor; dy: GoldenTensor } & Partial<
    Record<'weight' | 'bias' | 'residual' | 'dsum', GoldenTensor>
  >;
  outputs: { y: GoldenTensor; rstd: GoldenTensor } & Partial<
    Record<'mean' | 'sum' | 'dx' | 'dweight' | 'dbias' | 'dresidual', GoldenTensor>
  >;
  /** Relative float32 errors of PyTorch itself, by output. */
  torchF32Error?: Partial<Record<'y' | 'dx' | 'dweight' | 'dbias', number>>;
}

export interface GoldenFile {
  torch: string;
  cases: GoldenCase[];
}

/** The values of a tensor; `undefined` stays undefined, so that optional tensors decode in one word. */
export function decode(tensor: GoldenTensor): Float32Array | Float64Array;
export function decode(tensor: GoldenTensor | undefined): Float32Array | Float64Array | undefined;
export function decode(tensor: GoldenTensor | undefined): Float32Array | Float64Array | undefined {
  if (!tensor) return undefined;
  const bytes = Uint8Array.from(atob(tensor.base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return tensor.dtype === 'float32'
    ? Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true))
    : Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

/** The case's geometry for the reference. */
export function goldenGeometry(golden: GoldenCase): Geometry {
  const { shape, op, normalizedShape, groups, layout = 'channels-first' } = golden;
  if (op === 'batchNorm') return batchNormGeometry(shape, layout);
  if (normalizedShape) return layerNormGeometry(shape, normalizedShape);
  if (groups !== undefined) return groupNormGeometry(shape, groups, layout);
  return instanceNormGeometry(golden.unbatched ? [1, ...shape] : shape, layout);
}

/** The case's options for the reference. */
export function goldenOptions(golden: GoldenCase): ReferenceOptions {
  const { eps, kind, weightOffset, activation, negativeSlope } = golden;
  return {
    eps,
    kind,
    weightOffset,
    frozen: frozenOf(golden),
    activation,
    negativeSlope,
    residual: golden.residual ? decode(golden.inputs.residual) : undefined,
    weight: decode(golden.inputs.weight),
    bias: decode(golden.inputs.bias),
  };
}

/** Evaluation's statistics, one of each per set: InstanceNorm's sets are the channels of every sample. */
function frozenOf(golden: GoldenCase): ReferenceOptions['frozen'] {
  const { frozen } = golden;
  if (!frozen) return undefined;
  const { samples } = goldenGeometry(golden);
  const each = (values: number[]) => Array.from({ length: samples }, () => values).flat();
  return { mean: each(frozen.mean), variance: each(frozen.variance) };
}

/** A running statistic after the first of the case's batches (0) or after all (1). */
export function runningAfter(
  { running }: GoldenCase,
  name: 'mean' | 'variance',
  which: 0 | 1,
): Float64Array | undefined {
  if (!running) return undefined;
  const all = Float64Array.from(decode(running[name]));
  return all.slice((which * all.length) / 2, ((which + 1) * all.length) / 2);
}
