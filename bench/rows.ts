/** What is measured: one row per op, pass, shape, layout and dtype. */
import type { FloatDType, Layout } from '../src/index.ts';

export type Op =
  | 'layerNorm'
  | 'rmsNorm'
  | 'addLayerNorm'
  | 'addRmsNorm'
  | 'groupNorm'
  | 'instanceNorm'
  | 'batchNorm';
/** The two together are what automatic differentiation runs. */
export type Pass = 'forward' | 'backward' | 'forward+backward';

export interface Row {
  op: Op;
  pass: Pass;
  shape: readonly number[];
  /** Where the channels are; LayerNorm and RMSNorm have none. */
  layout: Layout;
  dtype: FloatDType;
  /** groupNorm. */
  groups?: number;
  /** batchNorm: with the statistics of x, which update the running ones, or with the running ones. */
  training?: boolean;
}

/** Many rows of usual length, more and shorter ones, fewer and longer ones, long ones, a single one. */
export const rowShapes = [
  [4096, 1024],
  [16384, 256],
  [512, 4096],
  [64, 65536],
  [1, 1048576],
] as const;

/** [N, C, H, W]. A style-transfer image, and late and early feature maps of a ResNet. */
export const imageShapes = [
  [4, 3, 256, 256],
  [32, 256, 14, 14],
  [8, 64, 56, 56],
] as const;

/** [N, C, H, W]: the last feature maps of a ResNet, and of one for small images. */
const smallImageShapes = [
  [64, 512, 7, 7],
  [512, 512, 2, 2],
] as const;

/** [N, C, H, W]: a latent of a diffusion model. */
const groupShape = [8, 320, 64, 64] as const;

const channelsLast = ([n, c, h, w]: readonly [number, number, number, number]) => [n, h, w, c];

const batchNormPasses = [
  [true, 'forward'],
  [true, 'backward'],
  [true, 'forward+backward'],
  [false, 'forward'],
] as const;

/** All rows, for a device that has or lacks f16. */
export function benchRows(f16: boolean): Row[] {
  const rows: Row[] = [];
  for (const dtype of f16 ? (['f32', 'f16'] as const) : (['f32'] as const)) {
    for (const op of ['layerNorm', 'rmsNorm', 'addLayerNorm', 'addRmsNorm'] as const) {
      for (const shape of rowShapes)
        rows.push({ op, pass: 'forward', shape, layout: 'channels-first', dtype });
    }
    for (const op of ['layerNorm', 'rmsNorm'] as const) {
      for (const shape of rowShapes)
        rows.push({ op, pass: 'backward', shape, layout: 'channels-first', dtype });
    }
    for (const layout of ['channels-first', 'channels-last'] as const) {
      const inLayout = (shape: readonly [number, number, number, number]) =>
        layout === 'channels-first' ? shape : channelsLast(shape);
      for (const pass of ['forward', 'backward'] as const) {
        rows.push({ op: 'groupNorm', pass, shape: inLayout(groupShape), layout, dtype, groups: 32 });
        for (const shape of imageShapes) {
          rows.push({ op: 'instanceNorm', pass, shape: inLayout(shape), layout, dtype });
        }
      }
      for (const [training, pass] of batchNormPasses) {
        for (const shape of [...imageShapes, ...smallImageShapes]) {
          rows.push({ op: 'batchNorm', training, pass, shape: inLayout(shape), layout, dtype });
        }
      }
    }
  }
  return rows;
}

/** The row's name, which --filter matches: `layerNorm forward 4096×1024 f32`. */
export function rowName({ op, pass, shape, layout, dtype, groups, training }: Row): string {
  const last = layout === 'channels-last' ? ' channels-last' : '';
  const kind = groups ?? (op === 'batchNorm' ? (training ? 'training' : 'evaluation') : undefined);
  return `${op}${kind ? `(${kind})` : ''} ${pass} ${shape.join('×')}${last} ${dtype}`;
}

export function isResidual(op: Op): boolean {
  return op === 'addLayerNorm' || op === 'addRmsNorm';
}

export function isRms(op: Op): boolean {
  return op === 'rmsNorm' || op === 'addRmsNorm';
}

/**
 * Reads and writes of x's size that the op cannot do without: the denominator of every GB/s. A channel of a batch does not
 * fit on chip: its elements are read for the sums, and again for the result.
 */
export function idealPasses({ op, pass, training }: Row): number {
  if (op === 'batchNorm' && training) return { forward: 3, backward: 5, 'forward+backward': 8 }[pass];
  if (pass === 'backward') return 3; // 2R + 1W
  return isResidual(op) ? 4 : 2; // 2R + 2W, 1R + 1W
}

export function idealBytes(row: Row): number {
  const elements = row.shape.reduce((product, size) => product * size, 1);
  return idealPasses(row) * elements * (row.dtype === 'f16' ? 2 : 4);
}
