/** GroupNorm of [N, C], LayerNorm and RMSNorm in groups: every group of a row is a set of its own, with weights of its own. */
import { init, LayerNorm, layerNorm, RMSNorm, rmsNorm, type Strategy } from '../../src/index.ts';
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { type DataOptions, type Subject, summary, verifyAll } from '../support/subject.ts';

const strategies: Strategy[] = ['thread', 'registers', 'workgroup', 'split'];

type Listed = Subject & { data?: DataOptions };

/** Aligned and unaligned groups, few rows and many, with what follows the norm. */
const shapes: Listed[] = [
  { op: 'groupNorm', shape: [70, 48], groups: 6, data: { offset: 100, dyMean: 1 } },
  { op: 'groupNorm', shape: [9, 35], groups: 5 },
  { op: 'groupNorm', shape: [5, 30], groups: 3, activation: 'silu' },
  { op: 'groupNorm', shape: [33, 40], groups: 2, activation: 'relu', residual: true },
  { op: 'groupNorm', shape: [3, 4100], groups: 2 },
  { op: 'groupNorm', shape: [20, 24], groups: 12, affine: false },
  { op: 'rmsNorm', shape: [37, 32], groups: 4 },
  { op: 'layerNorm', shape: [4, 5, 6, 8], trailing: 2, groups: 3 },
  { op: 'addRmsNorm', shape: [66, 22], groups: 2 },
  { op: 'addLayerNorm', shape: [18, 64], groups: 4 },
];

const forced = shapes.flatMap((subject) =>
  strategies.map(
    (strategy): Listed => ({
      ...subject,
      schedule: {
        strategy,
        workgroup: 16,
        ...(strategy === 'registers' ? { lanes: subject.shape[1] === 4100 ? 256 : 4, workgroup: 256 } : {}),
        ...(strategy === 'split' ? { splits: 2 } : {}),
      },
    }),
  ),
);

export const cases: Case[] = [
  {
    name: 'grouped rows: every strategy',
    timeout: 120_000,
    async run(t) {
      t.note('errors', summary(await verifyAll(t.gpu, [...shapes, ...forced])));
    },
  },
  {
    name: 'grouped rows: f16',
    timeout: 120_000,
    async run(t) {
      const half = [...shapes, ...forced].map((subject) => ({ ...subject, dtype: 'f16' as const, data: {} }));
      t.note('errors', summary(await verifyAll(t.gpu, half)));
    },
  },
  {
    name: 'grouped rows: of a single element, which every norm maps to bias or to its sign',
    async run(t) {
      const list: Listed[] = [
        { op: 'layerNorm', shape: [9, 8], groups: 8 },
        { op: 'rmsNorm', shape: [9, 8], groups: 8 },
      ];
      t.note('errors', summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: 'grouped rows: of modules, which do what the functions do',
    async run({ gpu }) {
      const x = gpu.tensor(normal(6 * 24), [2, 3, 24]);
      const options = { normalizedShape: 24, numGroups: 4 };
      const rms = new RMSNorm(gpu, 24, { numGroups: 4 });
      assertEqual(await rms.forward(x).data(), await rmsNorm(gpu, x, options).y.data(), 'RMSNorm');
      const layer = new LayerNorm(gpu, 24, { numGroups: 4 });
      const made = layerNorm(gpu, x, options);
      assertEqual(await layer.forward(x).data(), await made.y.data(), 'LayerNorm');
      assertEqual([...made.mean.shape, ...made.rstd.shape], [2, 3, 4, 2, 2, 3, 4], 'shapes of statistics');
      assertEqual([...layer.backward(x).shape], [2, 3, 24], 'shape of dx');
      assertEqual([...(layer.weight?.grad?.shape ?? [])], [24], 'shape of dweight');
    },
  },
  {
    name: 'grouped rows: in parts, as on a GPU and as on a software adapter',
    timeout: 120_000,
    async run(t) {
      for (const software of [true, false]) {
        const facts = { maxBindingBytes: 16_384, leastWorkspace: 32_768, software };
        const gpu = await init({ device: t.device, facts });
        const long: Listed[] = [
          { op: 'groupNorm', shape: [301, 40], groups: 5 },
          { op: 'rmsNorm', shape: [301, 40], groups: 5 },
          { op: 'groupNorm', shape: [130, 33], groups: 11, activation: 'relu', residual: true },
        ];
        t.note(software ? 'as on a software adapter' : 'as on a GPU', summary(await verifyAll(gpu, long)));
        gpu.destroy();
      }
    },
  },
];
