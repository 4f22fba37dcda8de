/** What is measured: one row per op, pass, shape, layout and dtype. bench/pytorch.py has the same list. */
import type { Layout } from '../src/index.ts';

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
  dtype: 'f32' | 'f16';
  /** layerNorm over these axes instead of all but the first. */
  axes?: readonly number[];
  /** groupNorm. */
  groups?: number;
  /** batchNorm: with the statistics of x, which update the running ones, or with the running ones. */
  training?: boolean;
  /** batchNorm: an activation in the same pass. */
  relu?: boolean;
}

// Shapes are about in the order of their size: what a peer took for earlier ones tells whether it can be waited for.

/** [rows, length]: few and many rows, short and long ones, and a single one. */
export const rowShapes = [
  [512, 4096],
  [4096, 1024],
  [16384, 256],
  [64, 65536],
  [65536, 64],
  [1024, 12288],
  [131072, 128],
  [8192, 8192],
  [1, 1048576],
] as const;

/** [N, C, H, W]. A style-transfer image, late and early feature maps of a ResNet, a mask, and a large batch. */
export const batchShapes = [
  [4, 3, 256, 256],
  [32, 256, 14, 14],
  [8, 64, 56, 56],
  [1, 2, 2048, 2048],
  [64, 64, 112, 112],
] as const;

/** [N, C]. */
const featureShape = [65536, 512] as const;

/** [N, C, H, W]: the last feature maps of a ResNet, and of one for small images, whose planes are a few pixels each. */
const smallImageShapes = [
  [64, 512, 7, 7],
  [512, 512, 2, 2],
] as const;

/** [N, C, H, W]: latents of diffusion models. */
const groupShapes = [
  [8, 320, 64, 64],
  [2, 512, 128, 128],
] as const;

/** [N, C, H, W]: LayerNorm over the channels, of ConvNeXt's first feature maps and of late ones. */
const keptShapes = [
  [8, 96, 56, 56],
  [1, 1024, 14, 14],
] as const;

/** [N, C, ...spatial]. The last is sound. */
const instanceShapes = [
  [4, 3, 256, 256],
  [32, 256, 14, 14],
  [1, 32, 1048576],
] as const;

const layouts = ['channels-first', 'channels-last'] as const;

function inLayout([n, c, ...spatial]: readonly number[], layout: Layout): number[] {
  const [samples, channels] = [n as number, c as number];
  return layout === 'channels-first' ? [samples, channels, ...spatial] : [samples, ...spatial, channels];
}

/** All rows, for a device that has or lacks f16. */
export function benchRows(f16: boolean): Row[] {
  const rows: Row[] = [];
  for (const dtype of f16 ? (['f32', 'f16'] as const) : (['f32'] as const)) {
    for (const op of ['layerNorm', 'rmsNorm', 'addLayerNorm', 'addRmsNorm'] as const) {
      for (const pass of ['forward', 'backward'] as const) {
        for (const shape of rowShapes) rows.push({ op, pass, shape, layout: 'channels-first', dtype });
      }
    }
    for (const pass of ['forward', 'backward'] as const) {
      for (const shape of keptShapes) {
        rows.push({ op: 'layerNorm', pass, shape, layout: 'channels-first', dtype, axes: [1] });
      }
    }
    rows.push(...batchRows(dtype));
    for (const layout of layouts) {
      for (const pass of ['forward', 'backward'] as const) {
        for (const shape of groupShapes) {
          rows.push({ op: 'groupNorm', pass, shape: inLayout(shape, layout), layout, dtype, groups: 32 });
        }
        for (const shape of instanceShapes) {
          rows.push({ op: 'instanceNorm', pass, shape: inLayout(shape, layout), layout, dtype });
        }
      }
    }
  }
  return rows;
}

function batchRows(dtype: Row['dtype']): Row[] {
  const kinds = [
    { training: true, pass: 'forward' },
    { training: true, pass: 'backward' },
    { training: true, pass: 'forward+backward' },
    { training: true, relu: true, pass: 'forward' },
    { training: true, relu: true, pass: 'backward' },
    { training: false, pass: 'forward' },
    { training: false, pass: 'backward' },
  ] as const;
  return layouts.flatMap((layout) =>
    kinds.flatMap((kind): Row[] => {
      const row = (shape: readonly number[]): Row => ({ op: 'batchNorm', shape, layout, dtype, ...kind });
      // For peers that have no backward pass by itself, which take minutes for the others.
      if (kind.pass === 'forward+backward') {
        return batchShapes.slice(0, 3).map((shape) => row(inLayout(shape, layout)));
      }
      const extra = kind.training && !('relu' in kind);
      return [
        ...(extra ? smallImageShapes : []).map((shape) => row(inLayout(shape, layout))),
        ...batchShapes.map((shape) => row(inLayout(shape, layout))),
        // With two dimensions the layouts are one.
        ...(layout === 'channels-first' ? [row(featureShape)] : []),
      ];
    }),
  );
}

/** Rows whose x takes 4, 64 and 512 MiB and which are alike otherwise: the time of a byte must not depend on how many there are. */
export function linearRows(): Row[] {
  const common = { layout: 'channels-first', dtype: 'f32' } as const;
  return (['forward', 'backward'] as const).flatMap((pass) =>
    [4, 64, 512].flatMap((mebibytes): Row[] => [
      ...(['layerNorm', 'rmsNorm', 'addLayerNorm', 'addRmsNorm'] as const).map((op) => ({
        ...common,
        op,
        pass,
        shape: [256 * mebibytes, 1024],
      })),
      { ...common, op: 'groupNorm', pass, shape: [4 * mebibytes, 64, 32, 32], groups: 32 },
      { ...common, op: 'instanceNorm', pass, shape: [4 * mebibytes, 64, 32, 32] },
      { ...common, op: 'batchNorm', pass, shape: [4 * mebibytes, 64, 32, 32], training: true },
      {
        ...common,
        op: 'batchNorm',
        pass,
        shape: [4 * mebibytes, 32, 32, 64],
        layout: 'channels-last',
        training: true,
      },
    ]),
  );
}

/** The row's name, which --filter matches: `layerNorm forward 4096×1024 f32`. */
export function rowName({ op, pass, shape, layout, dtype, axes, groups, training, relu }: Row): string {
  const last = layout === 'channels-last' ? ' channels-last' : '';
  const mode = training ? 'training' : 'evaluation';
  const kind = groups ?? (op === 'batchNorm' ? `${mode}${relu ? '+relu' : ''}` : undefined);
  if (axes) return `${op}(axes ${axes}) ${pass} ${shape.join('×')} ${dtype}`;
  return `${op}${kind ? `(${kind})` : ''} ${pass} ${shape.join('×')}${last} ${dtype}`;
}

export function isResidual(op: Op): boolean {
  return op === 'addLayerNorm' || op === 'addRmsNorm';
}

export function isRms(op: Op): boolean {
  return op === 'rmsNorm' || op === 'addRmsNorm';
}

/** Elements of the tensor that is normalized. */
export function elementsOf({ shape }: Row): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Elements of a set that stay on chip between the sums and the result: 64 per thread of the smallest largest workgroup. */
const onChip = 16384;

/**
 * Reads and writes of x's size that the op cannot do without: the denominator of every GB/s. What is reduced together and
 * does not stay on chip is read for the sums, and again for the result: a channel of a batch, a large group or plane. A
 * row counts as if it always stayed. With a residual, forward reads and writes one tensor more, and backward adds the
 * gradient of the sum.
 */
export function idealPasses(row: Row): number {
  const { op, pass, shape, layout, groups, training } = row;
  const [once, twice] = [
    { forward: 2, backward: 3, 'forward+backward': 5 }, // 1R + 1W, 2R + 1W
    { forward: 3, backward: 5, 'forward+backward': 8 }, // 2R + 1W, 4R + 1W
  ];
  if (op === 'batchNorm') return (training ? twice : once)[pass];
  if (op === 'groupNorm' || op === 'instanceNorm') {
    const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] as number;
    const setSize = elementsOf(row) / ((shape[0] as number) * (groups ?? channels));
    return (setSize > onChip ? twice : once)[pass];
  }
  return isResidual(op) ? 4 : once[pass]; // 2R + 2W, 3R + 1W
}

export function idealBytes(row: Row): number {
  return idealPasses(row) * elementsOf(row) * (row.dtype === 'f16' ? 2 : 4);
}
