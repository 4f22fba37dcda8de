/** Norms whose weight and bias differ between samples (AdaLN, AdaGN, AdaIN), or between rows, and whose weight is γ − 1. */
import {
  addLayerNorm,
  groupNorm,
  groupNormBackward,
  init,
  instanceNorm,
  layerNorm,
  layerNormBackward,
  type NormError,
  rmsNorm,
  type Strategy,
} from '../../src/index.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { type DataOptions, plannedGeometry, type Subject, summary, verifyAll } from '../support/subject.ts';

const strategies: Strategy[] = ['thread', 'registers', 'workgroup', 'split'];

type Listed = Subject & { data?: DataOptions };

/** Many samples and few, of many rows and of one; rows that are aligned to four elements and rows that are not. */
const shapes: Listed[] = [
  { op: 'layerNorm', shape: [3, 22, 48], apart: 1, zeroCentered: true, data: { offset: 100, dyMean: 1 } },
  { op: 'layerNorm', shape: [9, 5, 35], apart: 1 },
  { op: 'layerNorm', shape: [2, 3, 4, 6, 5], trailing: 2, apart: 2, activation: 'silu' },
  { op: 'layerNorm', shape: [5, 7, 20], apart: 2, zeroCentered: true },
  { op: 'layerNorm', shape: [4, 9, 40], apart: 1, activation: 'relu', residual: true },
  { op: 'layerNorm', shape: [2, 3, 4100], apart: 1 },
  { op: 'rmsNorm', shape: [7, 11, 32], apart: 1, zeroCentered: true },
  { op: 'rmsNorm', shape: [3, 5, 24], apart: 1, cast: 'llama' },
  { op: 'addRmsNorm', shape: [6, 11, 22], apart: 1 },
  { op: 'addLayerNorm', shape: [3, 34, 16], apart: 1, zeroCentered: true },
  { op: 'layerNorm', shape: [12, 64], zeroCentered: true },
];

// Aligned rows and others, with a sum and without.
const few = shapes.filter((_, i) => [0, 1, 8].includes(i));

/** Channels of samples: planes of whole quads and others, none, few and many channels in a group. */
const channels: Listed[] = [
  { op: 'groupNorm', shape: [3, 12, 6, 6], groups: 4, apart: 1, zeroCentered: true, data: { offset: 100 } },
  { op: 'groupNorm', shape: [2, 10, 5, 3], groups: 2, apart: 1, activation: 'silu' },
  { op: 'groupNorm', shape: [5, 24], groups: 3, apart: 1 },
  { op: 'groupNorm', shape: [4, 6, 130], groups: 1, apart: 1, activation: 'relu', residual: true },
  { op: 'instanceNorm', shape: [3, 7, 4, 8], apart: 1, data: { dyMean: 1 } },
  { op: 'instanceNorm', shape: [2, 3, 17, 59], apart: 1, zeroCentered: true, gate: true },
  { op: 'instanceNorm', shape: [1, 5, 40], apart: 1 },
];

/** Norms over channels whose weight is γ − 1 for all samples. */
const zeroCentered: Listed[] = [
  { op: 'groupNorm', shape: [3, 12, 7, 5], groups: 4, zeroCentered: true },
  { op: 'groupNorm', shape: [3, 7, 5, 12], groups: 4, zeroCentered: true, layout: 'channels-last' },
  { op: 'instanceNorm', shape: [2, 5, 33], zeroCentered: true, evaluation: true },
  { op: 'batchNorm', shape: [40, 10], zeroCentered: true, activation: 'gelu' },
  { op: 'batchNorm', shape: [6, 5, 4, 9], zeroCentered: true, residual: true, activation: 'relu' },
  { op: 'batchNorm', shape: [6, 4, 9, 5], zeroCentered: true, layout: 'channels-last', evaluation: true },
];

const forced = (strategy: Strategy, list = few, lanes = 4): Listed[] =>
  list.map((subject) => ({
    ...subject,
    schedule: {
      strategy,
      workgroup: 16,
      ...(strategy === 'registers' ? { lanes, workgroup: 32 } : {}),
      ...(strategy === 'split' ? { splits: 2 } : {}),
    },
  }));

/** Fails unless the call is refused with that code, in a message that has those words. */
function refused(what: string, body: () => unknown, code: string, words = ''): void {
  let found = 'nothing';
  try {
    body();
  } catch (error) {
    const { code, message } = error as NormError;
    found = message.includes(words) ? code : `${code}: ${message}`;
  }
  assertEqual(found, code, what);
}

export const cases: Case[] = [
  {
    name: 'modulated rows: as they come',
    timeout: 180_000,
    async run(t) {
      t.note('errors', summary(await verifyAll(t.gpu, shapes)));
    },
  },
  ...strategies.map(
    (strategy): Case => ({
      name: `modulated rows: ${strategy}`,
      timeout: 180_000,
      async run(t) {
        t.note('errors', summary(await verifyAll(t.gpu, forced(strategy))));
      },
    }),
  ),
  {
    name: 'modulated channels: as they come',
    timeout: 180_000,
    async run(t) {
      t.note('errors', summary(await verifyAll(t.gpu, [...channels, ...zeroCentered])));
    },
  },
  {
    name: 'modulated channels: with the facts of GPUs',
    timeout: 180_000,
    async run(t) {
      const gpu = await init({ device: t.device, facts: { deviceClass: 'datacenter' } });
      t.note('errors', summary(await verifyAll(gpu, [...channels, ...zeroCentered])));
      gpu.destroy();
    },
  },
  {
    name: 'modulated channels: every strategy',
    timeout: 180_000,
    async run(t) {
      for (const strategy of strategies) {
        const list = channels.filter((subject) =>
          strategiesOf(plannedGeometry(subject), 'forward').includes(strategy),
        );
        t.note(strategy, summary(await verifyAll(t.gpu, forced(strategy, list, 32))));
      }
    },
  },
  {
    name: 'modulated channels: bf16',
    timeout: 180_000,
    async run(t) {
      const list = [...channels, ...zeroCentered].map((subject) => ({
        ...subject,
        dtype: 'bf16' as const,
        data: {},
      }));
      t.note('errors', summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: 'modulated channels: the same weight for every sample has the bits of one weight for all',
    async run({ gpu }) {
      const x = gpu.tensor(normal(2 * 6 * 20), [2, 6, 20]);
      const dy = gpu.tensor(normal(2 * 6 * 20, { seed: 5 }), [2, 6, 20]);
      const values = normal(6, { seed: 2 });
      const options = { numGroups: 3, activation: 'silu' } as const;
      const [one, each] = [[6], [2, 6]].map((shape) => {
        const tile = Float32Array.from({ length: shape.length * 6 }, (_, i) => values[i % 6] as number);
        const affine = { weight: gpu.tensor(tile, shape), bias: gpu.tensor(tile, shape) };
        const { y, mean, rstd } = groupNorm(gpu, x, { ...options, ...affine });
        return { y, mean, rstd, ...groupNormBackward(gpu, dy, x, { ...options, ...affine, mean, rstd }) };
      });
      for (const name of ['y', 'mean', 'rstd', 'dx'] as const) {
        assertEqual(await each?.[name].data(), await one?.[name].data(), name);
      }
      assertEqual([...(each?.dweight?.shape ?? [])], [2, 6], 'shape of dweight');
      assertEqual([...(each?.mean.shape ?? [])], [2, 3, 2], 'shape of mean');
    },
  },
  {
    name: 'modulated rows and channels: no samples',
    async run({ gpu }) {
      const x = gpu.zeros([0, 6, 4]);
      const weight = gpu.zeros([0, 6]);
      const { y, mean, rstd } = groupNorm(gpu, x, { numGroups: 2, weight });
      const { dweight } = groupNormBackward(gpu, y, x, { numGroups: 2, weight, mean, rstd });
      assertEqual([...(dweight?.shape ?? []), dweight?.size], [0, 6, 0], 'dweight of channels');
      const rows = { normalizedShape: 4, weight: gpu.zeros([0, 1, 4]) };
      const made = layerNorm(gpu, x, rows);
      const back = layerNormBackward(gpu, made.y, x, { ...rows, mean: made.mean, rstd: made.rstd });
      assertEqual([...(back.dweight?.shape ?? []), back.dweight?.size], [0, 1, 4, 0], 'dweight of rows');
    },
  },
  {
    name: 'modulated channels: what cannot be is refused',
    async run({ gpu }) {
      const x = gpu.tensor(normal(2 * 6 * 20), [2, 6, 20]);
      const [own, wrong] = [gpu.zeros([2, 6]), gpu.zeros([3, 6])];
      const last = gpu.zeros([2, 20]);
      const running = { runningMean: gpu.zeros([6]), runningVar: gpu.zeros([6]) };
      refused('other samples', () => groupNorm(gpu, x, { numGroups: 2, weight: wrong }), 'shape', '[6]');
      const options = { numGroups: 2, layout: 'channels-last', weight: last } as const;
      refused('channels last', () => groupNorm(gpu, x, options), 'value', 'channels last');
      refused(
        'running statistics',
        () => instanceNorm(gpu, x, { weight: own, ...running }),
        'value',
        'running statistics',
      );
    },
  },
  {
    name: 'modulated rows: f16',
    requires: ['f16'],
    timeout: 180_000,
    async run(t) {
      const half = [...shapes.slice(0, 4), ...forced('registers')];
      const rounded = { op: 'rmsNorm', shape: [3, 5, 24], cast: 'llama', zeroCentered: true } as const;
      const list: Listed[] = [
        ...half.map((subject) => ({ ...subject, dtype: 'f16' as const, data: {} })),
        // x̂ is rounded before it meets 1 + weight.
        { ...rounded, dtype: 'bf16', apart: 1 },
        { ...rounded, dtype: 'f16' },
      ];
      t.note('errors', summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: 'modulated rows: with the facts of GPUs',
    timeout: 180_000,
    async run(t) {
      for (const facts of [
        { software: false },
        { deviceClass: 'datacenter' },
        { deviceClass: 'integrated', forwardItems: 8, backwardItems: 1 },
      ] as const) {
        const gpu = await init({ device: t.device, facts });
        t.note(JSON.stringify(facts), summary(await verifyAll(gpu, few)));
        gpu.destroy();
      }
    },
  },
  {
    name: 'modulated rows: weights of all ones before the normalized size are those of every row',
    async run({ gpu }) {
      const x = gpu.tensor(normal(6 * 24), [2, 3, 24]);
      const values = normal(24, { seed: 2 });
      const plain = rmsNorm(gpu, x, { normalizedShape: 24, weight: gpu.tensor(values, [24]) });
      const broadcast = rmsNorm(gpu, x, { normalizedShape: 24, weight: gpu.tensor(values, [1, 1, 24]) });
      assertEqual(await broadcast.y.data(), await plain.y.data(), 'y');
    },
  },
  {
    name: 'modulated rows: what cannot be is refused',
    async run({ gpu, device }) {
      const x = gpu.tensor(normal(6 * 24), [2, 3, 24]);
      const ones = (...shape: number[]) => gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b)), shape);
      for (const shape of [
        [1, 3, 24],
        [2, 24],
        [3, 1, 24],
        [2, 2, 24],
        [2, 1, 12],
        [2, 1, 1, 24],
      ]) {
        refused(
          `weight [${shape}]`,
          () => layerNorm(gpu, x, { normalizedShape: 24, weight: ones(...shape) }),
          'shape',
        );
      }
      const weight = ones(2, 1, 24);
      const options = { normalizedShape: 24, weight };
      refused('bias of another shape', () => layerNorm(gpu, x, { ...options, bias: ones(24) }), 'shape');
      refused('groups', () => rmsNorm(gpu, x, { ...options, numGroups: 2 }), 'shape');
      const small = await init({ device, facts: { maxBindingBytes: 512 } });
      const own = small.tensor(normal(6 * 24), [2, 3, 24]);
      const its = small.tensor(new Float32Array(48), [2, 1, 24]);
      refused(
        'more than a binding',
        () => addLayerNorm(small, own, own, { normalizedShape: 24, weight: its }),
        'limit',
      );
      small.destroy();
    },
  },
  {
    name: 'modulated rows: gradients are added to what their tensors hold',
    async run({ gpu }) {
      const x = gpu.tensor(normal(6 * 24), [2, 3, 24]);
      const dy = gpu.tensor(normal(6 * 24, { seed: 3 }), [2, 3, 24]);
      const weight = gpu.tensor(normal(48, { seed: 2 }), [2, 1, 24]);
      const bias = gpu.tensor(normal(48, { seed: 4 }), [2, 1, 24]);
      const options = { normalizedShape: 24, weight, bias };
      const { mean, rstd } = layerNorm(gpu, x, options);
      const once = layerNormBackward(gpu, dy, x, { ...options, mean, rstd });
      const out = { dweight: gpu.tensor(new Float32Array(48).fill(0.5), [2, 1, 24]) };
      layerNormBackward(gpu, dy, x, {
        ...options,
        mean,
        rstd,
        out,
        accumulate: true,
        wants: { dweight: true },
      });
      const alone = Array.from(await (once.dweight as typeof weight).data(), (value) =>
        Math.fround(value + 0.5),
      );
      assertEqual(Array.from(await out.dweight.data()), alone, 'dweight');
      assertEqual([...(once.dbias as typeof bias).shape], [2, 1, 24], 'shape of dbias');
    },
  },
];
