// The table of CONTRIBUTING.md: how each norm sees x, and the kernels that it takes on a GPU.

/**
 * What of src/ the table is made from.
 *
 * @typedef {{
 *   describe: typeof import('../../src/kernels.ts').describe,
 *   forwardCall: typeof import('../../src/ops/op-options.ts').forwardCall,
 *   familyOf: typeof import('../../src/plan/strategy.ts').familyOf,
 *   scheduleKept: typeof import('../../src/plan/kept.ts').scheduleKept,
 *   scheduleForward: typeof import('../../src/plan/schedule.ts').scheduleForward,
 *   scheduleBackward: typeof import('../../src/plan/schedule.ts').scheduleBackward,
 *   modelOfClass: typeof import('../../src/gpu/device-model.ts').modelOfClass,
 * }} Library
 * @typedef {import('../../src/ops/op-options.ts').NormOp} NormOp
 * @typedef {{ norm: string, op: NormOp, shape: number[], options?: object, forward?: object }} Row
 */

/** A desktop's GPU that has subgroups, and no larger limits than every WebGPU device. */
const limits = {
  software: false,
  iterations: Number.POSITIVE_INFINITY,
  f16: true,
  subgroup: 32,
  maxInvocations: 256,
  maxBindingBytes: 2 ** 27,
  maxWorkgroupsPerDimension: 65_535,
  offsetAlignment: 256,
};

const last = /** @type {const} */ ({ layout: 'channels-last' });
const training = { training: true };
const evaluation = { training: false };
/** What only the forward pass in evaluation is told. */
const running = { runningMean: true, runningVar: true };

/** What has rows: norms that differ in nothing else share a line. @type {NormOp[]} */
const rowNorms = ['layerNorm', 'rmsNorm', 'l2Norm', 'addLayerNorm', 'addRmsNorm'];

/** @type {Row[]} */
const rows = [
  ...[
    [4096, 1024],
    [1024, 32_768],
    [16, 65_536],
  ].flatMap((shape) => rowNorms.map((op) => ({ norm: op, op, shape }))),
  ...rowNorms.map((op) => ({ norm: op, op, shape: [8, 96, 56, 56], options: { axes: [1] } })),
  { norm: 'groupNorm', op: 'groupNorm', shape: [32, 256, 14, 14], options: { numGroups: 32 } },
  { norm: 'groupNorm', op: 'groupNorm', shape: [2, 320, 64, 64], options: { numGroups: 32 } },
  { norm: 'groupNorm', op: 'groupNorm', shape: [8, 64, 64, 320], options: { numGroups: 32, ...last } },
  { norm: 'instanceNorm', op: 'instanceNorm', shape: [32, 256, 14, 14] },
  { norm: 'instanceNorm', op: 'instanceNorm', shape: [1, 64, 256, 256] },
  { norm: 'instanceNorm', op: 'instanceNorm', shape: [32, 14, 14, 256], options: last },
  { norm: 'batchNorm in training', op: 'batchNorm', shape: [32, 64, 56, 56], options: training },
  { norm: 'batchNorm in training', op: 'batchNorm', shape: [256, 512, 2, 2], options: training },
  { norm: 'batchNorm in training', op: 'batchNorm', shape: [1024, 256], options: training },
  {
    norm: 'batchNorm in training',
    op: 'batchNorm',
    shape: [32, 56, 56, 64],
    options: { ...training, ...last },
  },
  {
    norm: 'batchNorm in evaluation',
    op: 'batchNorm',
    shape: [32, 64, 56, 56],
    options: evaluation,
    forward: running,
  },
  {
    norm: 'batchNorm in evaluation',
    op: 'batchNorm',
    shape: [32, 56, 56, 64],
    options: { ...evaluation, ...last },
    forward: running,
  },
];

const head = [
  'norm',
  'x, for example',
  '[samples, positions, channels, inner], groups',
  'family',
  'forward',
  'backward',
];

/** @param {readonly string[]} cells */
const line = (cells) => `| ${cells.join(' | ')} |`;

/**
 * The table, as Markdown.
 *
 * @param {Library} library
 */
export function kernelTable({
  describe,
  forwardCall,
  familyOf,
  scheduleKept,
  scheduleForward,
  scheduleBackward,
  modelOfClass,
}) {
  const facts = { ...modelOfClass('desktop'), ...limits };
  /** The norms of each line, by its other cells. @type {Map<string, string[]>} */
  const lines = new Map();
  for (const { norm, op, shape, options = {}, forward = {} } of rows) {
    const { geometry } = forwardCall(op, shape, { ...options, ...forward });
    const { samples, positions, channels, inner, groups } = geometry;
    /** @param {string} strategy @param {object} asked */
    const kernels = (strategy, asked) => {
      const { dispatches } = describe(op, { shape, ...options, ...asked }, facts);
      return `${strategy}: ${dispatches.map(({ label }) => `\`${label.split(',')[0]}\``).join(', ')}`;
    };
    const cells = line([
      `[${shape.join(', ')}]${'layout' in options ? ', channels last' : 'axes' in options ? `, axes [${options.axes}]` : ''}`,
      `[${[samples, positions, channels, inner].join(', ')}], ${groups}`,
      familyOf(geometry, facts),
      kernels((geometry.runs ? scheduleKept : scheduleForward)(geometry, facts).strategy, forward),
      kernels((geometry.runs ? scheduleKept : scheduleBackward)(geometry, facts).strategy, {
        pass: 'backward',
      }),
    ]);
    lines.set(cells, [...(lines.get(cells) ?? []), norm]);
  }
  return [
    line(head),
    line(head.map(() => '---')),
    ...[...lines].map(([cells, norms]) => `| ${norms.join(', ')} ${cells}`),
  ].join('\n');
}
