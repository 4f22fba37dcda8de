/** What small limits of a device must not refuse: samples that fill a binding, and what is done element by element. */
import {
  type Activation,
  batchNorm,
  init,
  instanceNorm,
  type Layout,
  layerNorm,
  localResponseNorm,
} from '../../src/index.ts';
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import { type Subject, summary, verifyAll } from '../support/subject.ts';

const bound = 65_536;

/** Each sample, or some of them, take exactly as many bytes as a binding holds. */
const filling: Subject[] = [
  { op: 'groupNorm', shape: [2, 4, 4096], groups: 2 },
  { op: 'groupNorm', shape: [3, 4096, 4], groups: 2, layout: 'channels-last' },
  { op: 'instanceNorm', shape: [2, 4, 64, 64] },
  { op: 'layerNorm', shape: [2, 16_384] },
  { op: 'addRmsNorm', shape: [3, 16_384] },
  { op: 'addLayerNorm', shape: [128, 256] },
];

interface Evaluated {
  shape: number[];
  layout: Layout;
}

/** Runs that end at alignments and beside them, planes and columns, and planes longer than a binding. */
const evaluated: Evaluated[] = [
  { shape: [8, 3, 30, 30], layout: 'channels-first' },
  { shape: [8, 30, 30, 3], layout: 'channels-last' },
  { shape: [3, 5, 101, 23], layout: 'channels-first' },
  { shape: [2, 3, 128, 136], layout: 'channels-first' },
  { shape: [1, 2, 131, 137], layout: 'channels-first' },
  { shape: [2, 151, 67, 3], layout: 'channels-last' },
  { shape: [100, 7, 40], layout: 'channels-last' },
  { shape: [90, 70, 3], layout: 'channels-first' },
];

export const cases: Case[] = [
  ...(['f32', 'f16', 'bf16'] as const).map(
    (dtype): Case => ({
      name: `limits: samples that fill a binding, ${dtype}`,
      timeout: 120_000,
      async run({ device, note }) {
        // Half as many bytes a sample in f16 and bf16.
        const facts = { maxBindingBytes: dtype === 'f32' ? bound : bound / 2 };
        const gpu = await init({ device, facts });
        note(
          'filling',
          summary(
            await verifyAll(
              gpu,
              filling.map((subject) => ({ ...subject, dtype })),
            ),
          ),
        );
        gpu.destroy();
      },
    }),
  ),
  {
    name: 'limits: grids of 16 by 16 workgroups are filled several times, or refused before anything is made',
    timeout: 120_000,
    async run({ device, note }) {
      const gpu = await init({ device, facts: { maxWorkgroupsPerDimension: 16 } });
      const schedule = { workgroup: 4 };
      const list: Subject[] = [
        { op: 'layerNorm', shape: [3000, 8], schedule: { strategy: 'thread', ...schedule } },
        { op: 'layerNorm', shape: [700, 24], schedule: { strategy: 'split', ...schedule } },
        { op: 'groupNorm', shape: [300, 4, 12], groups: 2, schedule },
        { op: 'instanceNorm', shape: [300, 5, 6], layout: 'channels-last', schedule },
      ];
      note('grids', summary(await verifyAll(gpu, list)));
      const x = gpu.tensor(normal(200_000), [200_000]);
      const image = gpu.zeros([1, 100, 64, 64]);
      refuses(gpu, 'limit', () => localResponseNorm(gpu, image, { size: 5 }));
      refuses(gpu, 'limit', () =>
        layerNorm(gpu, x, {
          normalizedShape: 200_000,
          schedule: { strategy: 'split', splits: 2000, workgroup: 1 },
        }),
      );
      gpu.destroy();
    },
  },
  {
    name: 'limits: evaluation is cut wherever a binding ends',
    timeout: 120_000,
    async run({ gpu, device }) {
      const tiny = await init({ device, facts: { maxBindingBytes: bound } });
      const dtypes = ['f32', 'f16', 'bf16'] as const;
      for (const { shape, layout } of evaluated) {
        for (const dtype of dtypes) {
          const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] as number;
          const size = shape.reduce((product, length) => product * length, 1);
          const outputs = [gpu, tiny].map((context) => {
            const of = (seed: number, length: number, mean = 0) => normal(length, { seed, mean });
            const x = context.tensor(of(1, size, 3), shape, { dtype });
            const vector = (seed: number, mean: number) =>
              context.tensor(of(seed, channels, mean), [channels]);
            const options = {
              weight: vector(2, 1),
              bias: vector(3, 0),
              runningMean: vector(4, 3),
              runningVar: context.tensor(of(5, channels).map(Math.abs), [channels]),
              activation: 'silu' as Activation,
              residual: context.tensor(of(6, size), shape, { dtype }),
              layout,
            };
            const results = [
              batchNorm(context, x, { ...options, training: false }).y,
              instanceNorm(context, x, { ...options, training: false }).y,
            ];
            return Promise.all(results.map((y) => y.data()));
          });
          const [whole, parts] = (await Promise.all(outputs)) as [Float32Array[], Float32Array[]];
          const label = `[${shape}] ${layout} ${dtype}`;
          assertEqual(parts[0], whole[0], `batchNorm ${label}`);
          assertEqual(parts[1], whole[1], `instanceNorm ${label}`);
        }
      }
      tiny.destroy();
    },
  },
];
