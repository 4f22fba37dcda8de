/** Every strategy of every op against float64, at every offset, in f32 and f16, twice with equal bits. */
import type { ScheduleOptions, Strategy } from '../../src/index.ts';
import { strategiesOf } from '../../src/plan/schedule.ts';
import type { Case, Requirement } from '../harness/case.ts';
import { type DataOptions, geometryOf, ops, type Subject, summary, verifyAll } from '../support/subject.ts';

const offsets = [0, 1e2, 1e4, 1e5];

/** Small shapes with and without tails, past the thresholds at which a strategy starts to differ from the naive one. */
function shapesOf(op: Subject['op']): Omit<Subject, 'op'>[] {
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
// and slots is reached with 32 threads too.
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
    if (strategy === 'tile')
      return [way({ lanes: 8 * 4 }), way({ lanes: 16 }), way({ lanes: 32, vec4: false })];
    if (strategy === 'split') return [way({ slots: 3, lanes: 8 }), way({ slots: 2, lanes: 1 })];
    return [way({})];
  });
}

const named: Record<string, DataOptions[]> = {
  'mean/std from 0 to 1e5': offsets.map((offset) => ({ offset })),
  'outlier of 1e5 std': [{ outlier: true }],
};

const longest = ({ shape, trailing = 1 }: Subject) =>
  shape.slice(shape.length - trailing).reduce((product, size) => product * size, 1);

const f32: Case[] = ops.flatMap((op) =>
  (['thread', 'tile', 'workgroup', 'split'] as const).flatMap((strategy) =>
    waysOf(strategy).flatMap(({ schedule, requires }) => {
      const subjects: Subject[] = shapesOf(op)
        .map((shape) => ({ op, ...shape, schedule }))
        // Every op's forward or backward has this strategy; where one of the two has not, it takes its own.
        .filter((subject) => strategiesOf(geometryOf(subject), 'forward').includes(strategy))
        .filter((subject) => strategy !== 'tile' || longest(subject) <= 4 * 8 * (schedule.lanes ?? 1));
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
            for (const [what, data] of Object.entries(named)) {
              const list = subjects.flatMap((subject) => data.map((one) => ({ ...subject, data: one })));
              t.note(`${name}, ${what}`, summary(await verifyAll(t.gpu, list)));
            }
          },
        } satisfies Case,
      ];
    }),
  ),
);

const f16: Case[] = ops.flatMap((op) =>
  (['f16', 'f32'] as const).map(
    (paramDtype): Case => ({
      name: `accuracy: ${op} f16 with ${paramDtype} parameters`,
      requires: ['f16'],
      async run(t) {
        const list = shapesOf(op).flatMap((shape) => {
          const subject: Subject = { op, ...shape, dtype: 'f16', paramDtype };
          const strategies = strategiesOf(geometryOf(subject), 'forward').filter(
            (strategy) => strategy !== 'tile' || longest(subject) <= 1024,
          );
          return strategies.flatMap((strategy) =>
            [0, 10].map((offset) => ({
              ...subject,
              schedule:
                strategy === 'tile' ? { strategy, lanes: 32, workgroup: 32 } : { strategy, workgroup: 16 },
              data: { offset },
            })),
          );
        });
        t.note(`${op} f16/${paramDtype}`, summary(await verifyAll(t.gpu, list)));
      },
    }),
  ),
);

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

export const cases: Case[] = [...f32, ...f16, ...variants];
