// What is committed of descriptions: docs/shaders, for people to read, the table of CONTRIBUTING.md, and test/golden/kernels-*.json,
// which hold the format.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { manifestOf } from '../../bin/export.mjs';
import { withBlock } from './blocks.mjs';
import { kernelTable } from './kernel-table.mjs';
import { root } from './paths.mjs';

/** @typedef {{ op: string, options: Record<string, unknown>, kernel: string, what: string }} Sample */

const rows = { shape: [4096, 1024], schedule: { strategy: 'registers' } };
const image = { shape: [32, 64, 56, 56] };
const training = { training: true, runningMean: true, runningVar: true };

/** By file: one dispatch of a norm. @type {Record<string, Sample>} */
const samples = {
  'layer-norm-forward': {
    op: 'layerNorm',
    options: rows,
    kernel: 'rows/forward_registers',
    what: 'LayerNorm forward: rows stay in registers, x is read once.',
  },
  'layer-norm-backward': {
    op: 'layerNorm',
    options: { ...rows, pass: 'backward' },
    kernel: 'rows/backward_registers',
    what: 'LayerNorm backward: dx, and the partial sums of dweight and dbias, in one pass.',
  },
  'layer-norm-gradients': {
    op: 'layerNorm',
    options: { ...rows, pass: 'backward' },
    kernel: 'merge/gradients',
    what: 'LayerNorm backward: dweight and dbias from their partial sums.',
  },
  'rms-norm-forward': {
    op: 'rmsNorm',
    options: { ...rows, dtype: 'f16' },
    kernel: 'rows/forward_registers',
    what: 'RMSNorm forward in f16: arithmetic is f32, and one rounding at the store.',
  },
  'batch-norm-statistics': {
    op: 'batchNorm',
    options: { ...image, ...training },
    kernel: 'rows/statistics',
    what: 'BatchNorm forward in training, first of two: partial statistics.',
  },
  'batch-norm-merge': {
    op: 'batchNorm',
    options: { shape: [32, 56, 56, 64], layout: 'channels-last', ...training },
    kernel: 'merge/statistics',
    what: 'BatchNorm forward in training, channels last, second of three: mean, rstd and the running statistics.',
  },
  'batch-norm-apply': {
    op: 'batchNorm',
    options: { ...image, ...training },
    kernel: 'rows/apply',
    what: 'BatchNorm forward in training, second of two: mean, rstd, the running statistics and y.',
  },
  'group-norm-forward': {
    op: 'groupNorm',
    options: { shape: [8, 320, 32, 32], numGroups: 32, activation: 'silu' },
    kernel: 'rows/forward_registers',
    what: 'GroupNorm forward with SiLU, as diffusion models have it: each group stays in registers.',
  },
  'layer-norm-2d-forward': {
    op: 'layerNorm',
    options: { shape: [8, 96, 56, 56], axes: [1] },
    kernel: 'kept/forward',
    what: 'LayerNorm over the channels of [N, C, H, W], forward: threads own pixels, lanes share channels.',
  },
};

/** By file: descriptions whose schedules are asked for, so that they change with the format and not with what is chosen. */
const goldens = {
  'layer-norm-backward': [
    'layerNorm',
    {
      shape: [96, 64],
      dtype: 'f16',
      paramDtype: 'f32',
      pass: 'backward',
      accumulate: true,
      schedule: { strategy: 'registers', workgroup: 64, lanes: 16, splits: 8 },
    },
    {},
  ],
  'batch-norm-forward': [
    'batchNorm',
    {
      shape: [4, 3, 8, 8],
      ...training,
      numBatchesTracked: true,
      schedule: { strategy: 'split', workgroup: 32, splits: 1 },
    },
    {},
  ],
  'layer-norm-in-parts': [
    'layerNorm',
    { shape: [130, 256], schedule: { strategy: 'workgroup', workgroup: 64 } },
    { maxBindingBytes: 65_536, maxWorkgroupsPerDimension: 16 },
  ],
};

const call = (op, options) =>
  `describe('${op}', ${JSON.stringify(options)
    .replaceAll(/"(\w+)":/g, '$1: ')
    .replaceAll('"', "'")
    .replaceAll(',', ', ')})`;

/** A dispatch as a file that a person reads. @param {Sample} sample @param {any} plan @param {any} dispatch */
function page({ op, options, what }, plan, { label, wgsl, bindings, workgroups, uniform }) {
  const tensors = new Map([...plan.inputs, ...plan.outputs].map((one) => [one.name, one]));
  const lines = [
    what,
    `${call(op, options)}: ${label}`,
    '',
    `workgroups: ${workgroups.join(' × ')}`,
    ...(uniform
      ? [`uniform: ${uniform.fields.map(({ name, value }) => `${name} ${value}`).join(', ')}`]
      : []),
    ...bindings.map(({ binding, resource, bytes }) => {
      const tensor = tensors.get(resource);
      const held = tensor ? `${tensor.dtype} [${tensor.shape.join(', ')}]` : `scratch, ${bytes} bytes`;
      return `binding ${binding}: ${resource}, ${held}`;
    }),
    '',
    'Made by npm run kernels from shaders/.',
  ];
  return `${lines.map((line) => `// ${line}`.trimEnd()).join('\n')}\n${wgsl}\n`;
}

/**
 * The files and what they hold.
 *
 * @param {import('./kernel-table.mjs').Library} library
 * @returns {Map<string, string>} by path
 */
export function kernelSamples(library) {
  const describe = /** @type {(op: any, options: any, facts?: any) => any} */ (library.describe);
  const files = new Map();
  for (const [name, sample] of Object.entries(samples)) {
    const plan = describe(sample.op, sample.options);
    const dispatch = plan.dispatches.find(({ label }) => label.startsWith(sample.kernel));
    if (!dispatch) {
      const there = plan.dispatches.map(({ label }) => label).join('; ');
      throw new Error(`docs/shaders/${name}.wgsl shows ${sample.kernel}, but there are ${there}.`);
    }
    files.set(`docs/shaders/${name}.wgsl`, page(sample, plan, dispatch));
  }
  for (const [name, [op, options, facts]] of Object.entries(goldens)) {
    const { manifest } = manifestOf(describe(op, options, facts));
    files.set(
      `test/golden/kernels-${name}.json`,
      `${JSON.stringify({ op, options, facts, manifest }, null, 1)}\n`,
    );
  }
  const contributing = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
  files.set('CONTRIBUTING.md', withBlock(contributing, 'kernels', kernelTable(library)));
  return files;
}
