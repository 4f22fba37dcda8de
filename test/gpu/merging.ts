/** Passes that merge the partial results of their sets themselves, as GPUs have them: planes, rows, and what happens once per set. */
import {
  BatchNorm2d,
  batchNorm,
  type FloatDType,
  type Gpu,
  InstanceNorm2d,
  init,
  layerNorm,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { RunningReference } from '../support/running.ts';
import { type DataOptions, type Subject, summary, verifyOn } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

type Datum = Subject & { data?: DataOptions };

/** Lends GPUs of so few threads that workers have several planes: with subgroups and without. */
async function onGpus<T>(device: GPUDevice, body: (contexts: Record<string, Gpu>) => Promise<T>): Promise<T> {
  const facts = { software: false };
  const contexts = {
    small: await init({ device, facts: { ...facts, threads: 64 } }),
    portable: await init({ device, facts: { ...facts, threads: 256, subgroup: 0 } }),
  };
  try {
    return await body(contexts);
  } finally {
    for (const gpu of Object.values(contexts)) gpu.destroy();
  }
}

const verified = (name: string, list: readonly Datum[], requires: Case['requires'] = []): Case => ({
  name: `merging: ${name}`,
  requires,
  timeout: 300_000,
  async run(t) {
    const worst: Record<string, number> = {};
    await onGpus(t.device, async (contexts) => {
      for (const { data = {}, ...subject } of list) {
        for (const [output, error] of Object.entries(await verifyOn(contexts, subject, data)))
          worst[output] = Math.max(worst[output] ?? 0, error);
      }
    });
    t.note(name, summary(worst));
  },
});

/** Planes of one quad to several splits, aligned or not; positions that do not fall into workers of equal size. */
const planes: Datum[] = [
  { op: 'batchNorm', shape: [37, 8, 8, 8] },
  { op: 'batchNorm', shape: [301, 3, 5, 9] },
  { op: 'batchNorm', shape: [1, 5, 40, 41] },
  { op: 'batchNorm', shape: [2, 3, 130, 130] },
  { op: 'batchNorm', shape: [513, 2, 4, 4] },
];

/** Rows, and samples whose channels are split. */
const split: Datum[] = [
  { op: 'layerNorm', shape: [3, 40_000] },
  { op: 'rmsNorm', shape: [2, 40_001] },
  { op: 'addLayerNorm', shape: [5, 20_000] },
  { op: 'addRmsNorm', shape: [3, 20_003] },
  { op: 'groupNorm', shape: [6, 8, 33, 32], groups: 2 },
  { op: 'groupNorm', shape: [1, 6, 70, 71], groups: 3 },
  { op: 'instanceNorm', shape: [2, 3, 100, 100] },
  { op: 'groupNorm', shape: [7, 44_000], groups: 2 },
];

const forced = split.map((one): Datum => ({ ...one, schedule: { strategy: 'split' } }));
const variants = (dtype: FloatDType): Datum[] =>
  [
    { op: 'batchNorm', shape: [19, 4, 6, 10] } as const,
    { op: 'groupNorm', shape: [3, 6, 9, 12], groups: 3, schedule: { strategy: 'split' } } as const,
    { op: 'layerNorm', shape: [5, 260], schedule: { strategy: 'split', splits: 3, workgroup: 16 } } as const,
  ].flatMap((subject): Datum[] =>
    [{ affine: false }, { activation: 'gelu' } as const, { activation: 'relu', residual: true } as const].map(
      (more) => ({ ...subject, ...more, dtype, paramDtype: dtype }),
    ),
  );

const large: DataOptions = { offset: 1e5, dyMean: 10 };
const magnitudes = [3e38, 1e30, 3e19, 1e-20].map((magnitude) => ({ magnitude }));

const runningOf = async ({ runningMean, runningVar, numBatchesTracked }: BatchNorm2d | InstanceNorm2d) => {
  const tensors = [runningMean, runningVar, numBatchesTracked] as Tensor[];
  const [mean, variance, batches] = await Promise.all(tensors.map((tensor) => tensor.data()));
  return { mean, variance, batches: batches?.[0] } as {
    mean: Float32Array;
    variance: Float32Array;
    batches: number;
  };
};

export const cases: Case[] = [
  verified('planes', [
    ...planes.map((one, i) => ({ ...one, ...(i % 2 === 0 ? { data: large } : {}) })),
    ...planes.slice(0, 2).map((one): Datum => ({ ...one, evaluation: true })),
  ]),
  verified('planes of every magnitude', [
    ...magnitudes.map(
      (data): Datum => ({
        op: 'batchNorm',
        shape: [37, 4, 6, 7],
        eps: data.magnitude < 1 ? 2 ** -149 : 1e-5,
        data,
      }),
    ),
  ]),
  verified(
    'rows and samples',
    forced.map((one, i) => ({ ...one, ...(i % 2 === 0 ? { data: large } : {}) })),
  ),
  verified('rows of every magnitude', [
    ...magnitudes.flatMap((data): Datum[] =>
      (['layerNorm', 'rmsNorm'] as const).map((op) => ({
        op,
        shape: [3, 3000],
        eps: data.magnitude < 1 ? 0 : 1e-5,
        schedule: { strategy: 'split', splits: 5, workgroup: 32 },
        data,
      })),
    ),
  ]),
  verified('activations and residuals', variants('f32')),
  // bf16 has the same kernels but for two functions, which test/gpu/accuracy.ts judges.
  verified('f16', [
    ...variants('f16'),
    ...planes.slice(0, 2).map((one): Datum => ({ ...one, dtype: 'f16' })),
  ]),
  {
    name: 'merging: running statistics move once a batch',
    timeout: 300_000,
    async run(t) {
      await onGpus(t.device, async (contexts) => {
        for (const [what, gpu] of Object.entries(contexts)) {
          for (const [Module, perInstance] of [
            [BatchNorm2d, false],
            [InstanceNorm2d, true],
          ] as const) {
            for (const momentum of perInstance ? [0.1] : [0.1, null]) {
              for (const affine of perInstance ? [true] : [true, false]) {
                const module = new Module(gpu, 6, { momentum, affine, trackRunningStats: true });
                const expected = new RunningReference(6, perInstance);
                for (let step = 1; step <= 2; step++) {
                  const shape = [40 + step, 6, 7, 8];
                  const values = normal(
                    shape.reduce((a, b) => a * b),
                    { mean: 100 * step, seed: step },
                  );
                  expected.update(values, shape, 'channels-first', momentum);
                  module.forward(gpu.tensor(values, shape)).destroy();
                }
                const name = `${what}, ${Module.name}, momentum ${momentum}, affine ${affine}`;
                const { mean, variance, batches } = await runningOf(module);
                assertEqual(batches, perInstance ? 0 : 2, name);
                const errors = [
                  relativeError(mean, expected.mean, expected.scale.mean),
                  relativeError(variance, expected.variance, expected.scale.variance),
                ];
                for (const error of errors) assert(error <= bounds.forward, `${name}: ${error}`);
                module.destroy();
              }
            }
          }
        }
      });
    },
  },
  {
    name: 'merging: statistics that nobody wants are not stored, and y is the same',
    async run(t) {
      await onGpus(t.device, async (contexts) => {
        for (const [what, gpu] of Object.entries(contexts)) {
          const image = gpu.tensor(normal(30 * 4 * 80, { mean: 7 }), [30, 4, 8, 10]);
          const rows = gpu.tensor(normal(2 * 40_000, { mean: 7 }), [2, 40_000]);
          const options = { normalizedShape: 40_000 };
          const kept = [batchNorm(gpu, image, { training: true }).y, layerNorm(gpu, rows, options).y];
          const bare = [
            batchNorm(gpu, image, { training: true, statistics: false }).y,
            layerNorm(gpu, rows, { ...options, statistics: false }).y,
          ];
          for (const [i, y] of kept.entries()) assertEqual(await bare[i]?.data(), await y.data(), what);
        }
      });
    },
  },
];
