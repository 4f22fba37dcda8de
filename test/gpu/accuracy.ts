/** Every strategy of every op against float64, at every offset, in f32, f16 and bf16, twice with equal bits. */
import type { FloatDType, Gpu, ScheduleOptions, Strategy } from '../../src/index.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { assert } from '../harness/assert.ts';
import type { Case, Context, Requirement } from '../harness/case.ts';
import {
  asOnGpu,
  type DataOptions,
  geometryOf,
  nameOf,
  ops,
  type Subject,
  strategiesRun,
  summary,
  verifyAll,
  verifyOn,
} from '../support/subject.ts';

/** Small shapes with and without tails, past the thresholds at which a strategy starts to differ from the naive one. */
export function shapesOf(op: Subject['op']): Omit<Subject, 'op'>[] {
  if (op === 'groupNorm') {
    return [
      { shape: [2, 6, 5, 7], groups: 3 },
      { shape: [3, 8, 4, 4], groups: 2 },
      { shape: [2, 4, 130], groups: 1 },
      { shape: [2, 5, 7, 6], groups: 3, layout: 'channels-last' },
      { shape: [3, 40, 8], groups: 2, layout: 'channels-last' },
      { shape: [2, 3, 3, 2, 5], groups: 5, layout: 'channels-last' },
      { shape: [5, 12], groups: 3 },
    ];
  }
  if (op === 'instanceNorm') {
    return [
      { shape: [2, 3, 67] },
      { shape: [2, 3, 6, 6] },
      { shape: [2, 3, 4, 3, 2] },
      { shape: [2, 67, 3], layout: 'channels-last' },
      { shape: [2, 6, 6, 8], layout: 'channels-last' },
    ];
  }
  return [{ shape: [5, 2] }, { shape: [9, 68] }, { shape: [7, 769] }, { shape: [2, 3, 4, 5], trailing: 2 }];
}

interface Way {
  schedule: ScheduleOptions;
  requires: Requirement[];
}

// Small workgroups: a software adapter runs one workgroup's barriers on one core, and every merge of lanes, subgroups
// and splits is reached with 32 threads too.
function waysOf(strategy: Strategy): Way[] {
  if (strategy === 'thread') {
    return [true, false].map((fourRows) => ({
      schedule: { strategy, workgroup: 8, fourRows },
      requires: [],
    }));
  }
  const reductions = [
    { reduction: 'portable', requires: [] },
    { reduction: 'subgroups', requires: ['subgroups'] },
  ] as const;
  return reductions.flatMap(({ reduction, requires }) => {
    const schedule = { strategy, reduction, workgroup: 32 };
    const way = (more: ScheduleOptions): Way => ({
      schedule: { ...schedule, ...more },
      requires: [...requires],
    });
    if (strategy === 'registers')
      return [way({ lanes: 8 * 4 }), way({ lanes: 16 }), way({ lanes: 32, vec4: false })];
    if (strategy === 'split') return [way({ splits: 3, lanes: 8 }), way({ splits: 2, lanes: 1 })];
    return [way({})];
  });
}

// dy with a mean and a constant dy too: with a mean of 0, what careless sums lose cancels like the sums themselves.
const named: Record<string, DataOptions[]> = {
  'mean/std from 0 to 1e5': [
    { offset: 0 },
    { offset: 1e2, dyMean: 1 },
    { offset: 1e4, dyMean: 0.1, dyStd: 0 },
    { offset: 1e5, dyMean: 1 },
  ],
  'outlier of 1e5 std': [{ outlier: true, dyMean: 1 }],
  'up to 3e38': [{ magnitude: 1e19, dyMean: 1 }, { magnitude: 1e30 }, { magnitude: 3e38, dyMean: 1 }],
  // Where eps is no part of the answer. A standard deviation below 5e-32 may be NaN: test/gpu/range.ts.
  'down to 1e-28': [{ magnitude: 1e-20 }, { magnitude: 1e-28, dyMean: 1 }],
};
const withoutEps = 'down to 1e-28';

/** Notes where a backward pass has not the strategy that the case names. Throws where a forward pass has not. */
function noteStrategies(t: Context, gpu: Gpu, subjects: readonly Subject[]): void {
  const others = new Map<string, number>();
  for (const subject of subjects) {
    const wanted = subject.schedule?.strategy;
    const { backward } = strategiesRun(gpu, subject);
    if (wanted && backward !== wanted) {
      const what = `no backward '${wanted}' of ${subject.op}`;
      const which = `${backward} instead`;
      others.set(`${what}: ${which}`, (others.get(`${what}: ${which}`) ?? 0) + 1);
    }
  }
  for (const [what, count] of others) t.note(what, `${count} of ${subjects.length} subjects`);
}

const longest = ({ shape, trailing = 1 }: Subject) =>
  shape.slice(shape.length - trailing).reduce((product, size) => product * size, 1);

const f32: Case[] = ops.flatMap((op) =>
  (['thread', 'registers', 'workgroup', 'split'] as const).flatMap((strategy) =>
    waysOf(strategy).flatMap(({ schedule, requires }) => {
      const subjects: Subject[] = shapesOf(op)
        .map((shape) => ({ op, ...shape, schedule }))
        // Every op's forward or backward has this strategy; where one of the two has not, it takes its own.
        .filter((subject) => strategiesOf(geometryOf(subject), 'forward').includes(strategy))
        .filter((subject) => strategy !== 'registers' || longest(subject) <= 4 * 8 * (schedule.lanes ?? 1));
      if (subjects.length === 0) return [];
      const { strategy: _, ...rest } = schedule;
      const name = `${op} ${strategy} ${Object.entries(rest)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ')}`;
      return [
        {
          name: `accuracy: ${name}`,
          requires,
          async run(t) {
            noteStrategies(t, t.gpu, subjects);
            for (const [what, data] of Object.entries(named)) {
              const eps = what === withoutEps ? { eps: 0 } : {};
              const list = subjects.flatMap((subject) =>
                data.map((one) => ({ ...subject, ...eps, data: one })),
              );
              t.note(`${name}, ${what}`, summary(await verifyAll(t.gpu, list)));
            }
          },
        } satisfies Case,
      ];
    }),
  ),
);

/** Every strategy of every shape of an op, in a storage type. */
export const storedSubjects = (
  op: Subject['op'],
  dtype: FloatDType,
  paramDtype: FloatDType,
): (Subject & { data: DataOptions })[] =>
  shapesOf(op).flatMap((shape) => {
    const subject: Subject = { op, ...shape, dtype, paramDtype };
    const strategies = strategiesOf(geometryOf(subject), 'forward').filter(
      (strategy) => strategy !== 'registers' || longest(subject) <= 1024,
    );
    return strategies.flatMap((strategy) =>
      [{ offset: 0 }, { offset: 10, dyMean: 1 }].map((data) => ({
        ...subject,
        schedule:
          strategy === 'registers' ? { strategy, lanes: 32, workgroup: 32 } : { strategy, workgroup: 16 },
        data,
      })),
    );
  });

const narrow: Case[] = ops.flatMap((op) =>
  (
    [
      ['f16', 'f16'],
      ['f16', 'f32'],
      ['bf16', 'bf16'],
      ['bf16', 'f32'],
    ] as const
  ).map(
    ([dtype, paramDtype]): Case => ({
      name: `accuracy: ${op} ${dtype} with ${paramDtype} parameters`,
      async run(t) {
        const all = storedSubjects(op, dtype, paramDtype);
        // Two neighbours differ in their data alone. Only functions of storage differ between these types: some kernels are enough.
        const list = dtype === paramDtype && dtype === 'f16' ? all : all.filter((_, i) => i % 6 < 2);
        t.note(`${op} ${dtype}/${paramDtype}`, summary(await verifyAll(t.gpu, list)));
      },
    }),
  ),
);

// Where RMSNorm's casts round, narrow types show.
const casts: Case[] = (['rmsNorm', 'addRmsNorm'] as const).flatMap((op) =>
  (
    [
      ['llama', 'f16'],
      ['gemma', 'f16'],
      ['llama', 'bf16'],
    ] as const
  ).map(
    ([cast, dtype]): Case => ({
      name: `accuracy: ${op} ${dtype}, cast ${cast}`,
      async run(t) {
        // Few, as every kernel is compiled for this alone: with and without a tail, and the other dtype of weight.
        const all = [
          { shape: [9, 68], paramDtype: dtype },
          { shape: [7, 769], paramDtype: dtype },
          { shape: [9, 68], paramDtype: 'f32' },
        ] as const;
        const chosen = cast === 'gemma' || op === 'addRmsNorm' ? all.slice(0, 1) : all;
        const list = chosen.flatMap((one) => {
          const subject: Subject = { op, ...one, cast, dtype };
          return strategiesOf(geometryOf(subject), 'forward').map((strategy) => ({
            ...subject,
            schedule: { strategy, workgroup: 32, ...(strategy === 'registers' ? { lanes: 32 } : {}) },
            data: { offset: 1, dyMean: 1 },
          }));
        });
        noteStrategies(t, t.gpu, list);
        t.note(`${op} ${dtype} ${cast}`, summary(await verifyAll(t.gpu, list)));
      },
    }),
  ),
);

/** What would be chosen on a GPU, on whatever adapter this is: other merges, splits and lanes than its own. */
const onGpu: Case[] = ops.map((op) => ({
  name: `accuracy: ${op} as on a GPU`,
  async run(t) {
    await asOnGpu(t.device, async (gpu) => {
      const list = shapesOf(op).flatMap((shape) => {
        const subject: Subject = { op, ...shape };
        const named = strategiesOf(geometryOf(subject), 'forward').map(
          (strategy): Subject => ({ ...subject, schedule: { strategy, workgroup: 32 } }),
        );
        const whole = named.filter(
          ({ schedule }) => schedule?.strategy !== 'registers' || longest(subject) <= 1024,
        );
        // The residual's forms have the same merges and splits.
        const more = op === 'layerNorm' || op === 'groupNorm' ? whole : [];
        return [subject, ...more].map((one) => ({ ...one, data: { offset: 1e4, dyMean: 1 } }));
      });
      noteStrategies(t, gpu, list);
      t.note(op, summary(await verifyAll(gpu, list)));
    });
  },
}));

/** As many rows as make a lane take four of them, too short for more than a lane. */
const shortRows: Case[] = [
  {
    name: 'accuracy: many rows of one quad or less',
    async run(t) {
      const list = (['layerNorm', 'rmsNorm'] as const).flatMap((op) =>
        [
          [100, 3],
          [130, 2],
          [64, 4],
          [67, 1],
        ].flatMap((shape) =>
          [
            {},
            { strategy: 'thread' },
            { strategy: 'thread', fourRows: true },
            { strategy: 'registers' },
            { strategy: 'workgroup' },
            { strategy: 'workgroup', workgroup: 1 },
            { strategy: 'workgroup', workgroup: 1, fourRows: true },
            { strategy: 'split', lanes: 1 },
            { strategy: 'split', lanes: 1, splits: 1, fourRows: true },
          ].map((schedule) => ({ op, shape, schedule: schedule as ScheduleOptions, data: { dyMean: 1 } })),
        ),
      );
      noteStrategies(t, t.gpu, list);
      t.note('own schedules', summary(await verifyAll(t.gpu, list)));
      await asOnGpu(t.device, async (gpu) => {
        const some = list.filter(({ op, shape }) => op === 'layerNorm' && shape[0] === 100);
        noteStrategies(t, gpu, some);
        t.note('as on a GPU', summary(await verifyAll(gpu, some)));
      });
    },
  },
];

/** Gradients that are sums of very many terms, of a dy that does not cancel: each loses what its summation loses. */
const longSums: Case[] = (
  [
    [{ op: 'layerNorm', shape: [20_000, 512] }, 500],
    [{ op: 'layerNorm', shape: [65_537, 64] }, 4096],
    // Splits of 1024 rows, as scratch leaves no room for more: without blocks dbias is off by 9.7e-6.
    [
      {
        op: 'layerNorm',
        shape: [8192, 64],
        schedule: { strategy: 'registers', splits: 8, lanes: 16, workgroup: 32 },
      },
    ],
    [{ op: 'rmsNorm', shape: [100_000, 16] }, 8192],
    [{ op: 'layerNorm', shape: [100_000, 16] }, 8192],
    [{ op: 'groupNorm', shape: [1, 4096, 16], groups: 1 }],
    // Without a weight the terms of the sums are as constant as dy is.
    [{ op: 'groupNorm', shape: [1, 4096, 16], groups: 1, affine: false }],
    [{ op: 'groupNorm', shape: [1, 16, 4096], groups: 1, layout: 'channels-last', affine: false }],
    [{ op: 'layerNorm', shape: [2, 65_536], affine: false }],
    [{ op: 'groupNorm', shape: [1, 16, 4096], groups: 1, layout: 'channels-last' }],
    [{ op: 'instanceNorm', shape: [64, 2, 40, 40] }],
  ] as [Subject, number?][]
).map(([subject, distinct]) => ({
  name: `accuracy: long sums, ${nameOf(subject)}`,
  timeout: 180_000,
  async run(t) {
    await asOnGpu(t.device, async (gpu) => {
      const failures: string[] = [];
      // A constant dy is the harder one: every rounding is to the same side.
      const constant = { dyMean: 0.1, dyStd: 0 };
      for (const dy of subject.shape[0] === 20_000 ? [constant] : [constant, { dyMean: 1 }]) {
        const data = { ...dy, ...(distinct ? { distinct } : {}) };
        try {
          const worst = await verifyOn({ 'own schedule': t.gpu, 'as on a GPU': gpu }, subject, data);
          t.note(`dy of mean ${dy.dyMean}`, summary(worst));
        } catch (error) {
          failures.push((error as Error).message);
        }
      }
      assert(failures.length === 0, failures.join('\n'));
    });
  },
}));

const variants: Case[] = [
  {
    name: 'accuracy: parameters on and off, casts, eps, many dimensions',
    async run(t) {
      const list: Subject[] = [
        ...ops.map((op): Subject => ({ op, ...(shapesOf(op)[1] as Omit<Subject, 'op'>), affine: false })),
        { op: 'rmsNorm', shape: [5, 66], cast: 'gemma' },
        { op: 'rmsNorm', shape: [5, 64], cast: 'llama' },
        { op: 'addRmsNorm', shape: [5, 64], cast: 'gemma' },
        { op: 'layerNorm', shape: [4, 33], eps: 0.5 },
        { op: 'layerNorm', shape: [4, 32], eps: 1e-12 },
        { op: 'layerNorm', shape: [2, 3, 4, 5, 6], trailing: 3 },
        { op: 'layerNorm', shape: [64], trailing: 1 },
        { op: 'groupNorm', shape: [2, 8, 2, 3, 4], groups: 4, eps: 0 },
        { op: 'groupNorm', shape: [2, 3, 1, 2, 2, 2], groups: 3 },
        { op: 'groupNorm', shape: [4, 6], groups: 2, layout: 'channels-last' },
      ];
      t.note('variants', summary(await verifyAll(t.gpu, list)));
    },
  },
];

export const cases: Case[] = [...f32, ...narrow, ...casts, ...onGpu, ...shortRows, ...longSums, ...variants];
