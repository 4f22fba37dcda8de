/** Row norms whose weight and bias differ between samples (AdaLN), or between rows, and whose weight is γ − 1. */
import {
  addLayerNorm,
  init,
  layerNorm,
  layerNormBackward,
  type NormError,
  rmsNorm,
  type Strategy,
} from '../../src/index.ts';
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { type DataOptions, type Subject, summary, verifyAll } from '../support/subject.ts';

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

const forced = (strategy: Strategy): Listed[] =>
  few.map((subject) => ({
    ...subject,
    schedule: {
      strategy,
      workgroup: 16,
      ...(strategy === 'registers' ? { lanes: 4, workgroup: 32 } : {}),
      ...(strategy === 'split' ? { splits: 2 } : {}),
    },
  }));

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
      const refused = (what: string, body: () => unknown, code: string) => {
        let found = 'nothing';
        try {
          body();
        } catch (error) {
          found = (error as NormError).code;
        }
        assertEqual(found, code, what);
      };
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
