/** Norms whose threads own columns, laid out as on a GPU: rows walked several abreast, merges of many parts, batches counted by the merge. */
import { BatchNorm1d, type FloatDType, type Gpu, init } from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { RunningReference } from '../support/running.ts';
import { asOnGpu, type DataOptions, type Subject, verifyOn } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

type Datum = Subject & { data?: DataOptions };

const layout = 'channels-last';

/** Lends the contexts of two GPUs: one whose subgroups are the adapter's, one without, which has another number of rows under way. */
async function onGpus<T>(device: GPUDevice, body: (contexts: Record<string, Gpu>) => Promise<T>): Promise<T> {
  const portable = await init({ device, facts: { software: false, subgroup: 0 } });
  try {
    return await asOnGpu(device, (own) => body({ own, portable }));
  } finally {
    portable.destroy();
  }
}

const verified = (name: string, list: () => readonly Datum[], requires: Case['requires'] = []): Case => ({
  name: `columns: ${name}`,
  requires,
  timeout: 300_000,
  async run(t) {
    const worst: Record<string, number> = {};
    await onGpus(t.device, async (contexts) => {
      for (const { data = {}, ...subject } of list()) {
        for (const [output, error] of Object.entries(await verifyOn(contexts, subject, data)))
          worst[output] = Math.max(worst[output] ?? 0, error);
      }
    });
    t.note(
      name,
      Object.entries(worst)
        .map(([output, error]) => `${output} ${error.toExponential(2)}`)
        .join(', '),
    );
  },
});

/** About multiples of four, of a chunk of backward sums (16) and of forward ones (64); odd, so that rows stay rows. */
const rowCounts = [2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 31, 33, 63, 64, 65, 67, 127, 129, 131, 261, 1027];
const rowChannels = [1, 2, 3, 5, 8, 63, 130, 132];

const rows = (): Datum[] =>
  rowCounts.map((count, i) => ({
    op: 'batchNorm',
    shape: [count, rowChannels[i % rowChannels.length] as number],
    data: { offset: i % 3 === 0 ? 1e4 : 1, dyMean: 1 },
  }));

/** One position, odd numbers of them, channels that are no multiple of four, groups of any width. */
const samples = (): Datum[] => [
  { op: 'groupNorm', shape: [3, 1, 12], groups: 3, layout },
  { op: 'groupNorm', shape: [2, 5, 7, 6], groups: 2, layout },
  { op: 'groupNorm', shape: [2, 13, 5, 12], groups: 12, layout },
  { op: 'groupNorm', shape: [3, 9, 9, 96], groups: 2, layout },
  { op: 'groupNorm', shape: [2, 11, 17, 99], groups: 3, layout },
  { op: 'groupNorm', shape: [2, 7, 19, 64], groups: 2, layout },
  { op: 'instanceNorm', shape: [3, 3, 1, 5], layout },
  { op: 'instanceNorm', shape: [2, 7, 5, 8], layout },
  { op: 'instanceNorm', shape: [2, 17, 13, 63], layout },
];

const many = (): Datum[] =>
  [1, 3, 40, 333, 1500].flatMap((splits): Datum[] => [
    { op: 'batchNorm', shape: [1501, 3], schedule: { splits } },
    { op: 'batchNorm', shape: [775, 8, 2, 1], schedule: { splits }, data: { offset: 1e5 } },
    { op: 'groupNorm', shape: [2, 37, 41, 15], groups: 5, layout, schedule: { splits } },
    {
      op: 'groupNorm',
      shape: [1, 37, 41, 80],
      groups: 2,
      layout,
      schedule: { splits },
      data: { offset: 1e3 },
    },
  ]);

/** Few, since each is a handful of kernels to compile. */
const variants = (dtype: FloatDType): Datum[] =>
  [
    { op: 'batchNorm', shape: [67, 8] } as const,
    { op: 'groupNorm', shape: [2, 9, 7, 6], groups: 3, layout } as const,
  ].flatMap((subject): Datum[] =>
    [{ affine: false }, { activation: 'relu', residual: true } as const].flatMap((more): Datum[] =>
      (subject.op === 'batchNorm' ? [false, true] : [false]).map((evaluation) => ({
        ...subject,
        ...more,
        dtype,
        paramDtype: dtype,
        evaluation,
      })),
    ),
  );

export const cases: Case[] = [
  verified('rows about multiples of what is under way', rows),
  verified('in evaluation', () => rows().map((one) => ({ ...one, evaluation: true }))),
  verified('of samples, groups of every width', samples),
  verified('many splits', many),
  verified('activations and residuals', () => variants('f32')),
  verified('f16', () => variants('f16')),
  {
    name: 'columns: the merge counts batches, unless all its threads read their number',
    async run(t) {
      const check = async (gpu: Gpu, what: string) => {
        for (const momentum of [0.1, 0, null]) {
          const module = new BatchNorm1d(gpu, 130, { momentum });
          const expected = new RunningReference(130);
          for (let step = 1; step <= 4; step++) {
            const shape = [66 + step, 130];
            const values = normal(130 * (66 + step), { mean: step, seed: step });
            expected.update(values, shape, 'channels-first', momentum);
            module.forward(gpu.tensor(values, shape)).destroy();
          }
          const { runningMean, runningVar, numBatchesTracked } = module;
          assert(runningMean && runningVar && numBatchesTracked);
          assertEqual([...(await numBatchesTracked.data())], [4], `${what}, momentum ${momentum}`);
          const found = [await runningMean.data(), await runningVar.data()] as Float32Array[];
          const [mean, variance] = found as [Float32Array, Float32Array];
          assert(relativeError(mean, expected.mean, expected.scale.mean) <= bounds.forward, `${what}: mean`);
          const off = relativeError(variance, expected.variance, expected.scale.variance);
          assert(off <= bounds.forward, `${what}: variance`);
          module.destroy();
        }
      };
      await check(t.gpu, 'as it is');
      await onGpus(t.device, async (contexts) => {
        for (const [what, gpu] of Object.entries(contexts)) await check(gpu, what);
      });
    },
  },
];
