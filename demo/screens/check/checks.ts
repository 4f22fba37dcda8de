// What is checked: every op, storage type and strategy, on small shapes with and without tails.
import type { Gpu, ScheduleOptions, Strategy } from '../../../src/index.ts';
import { strategiesOf } from '../../../src/plan/strategy.ts';
import { setSize } from '../../../test/reference/index.ts';
import { type DataOptions, geometryOf, type Op, type Subject } from '../../../test/support/subject.ts';
import type { CheckedOp, DType } from './settings.ts';

export type Judged = Subject & { data: DataOptions };

export interface Check {
  op: CheckedOp;
  dtype: DType;
  /** What is forced; 'chosen' is what the library takes by itself, 'only' where there is one. */
  strategy: Strategy | 'chosen' | 'only';
  subjects: Judged[];
}

type Shape = Omit<Subject, 'op'>;

const rows: Shape[] = [{ shape: [9, 68] }, { shape: [7, 769] }, { shape: [2, 3, 4, 5], trailing: 2 }];
const images: Shape[] = [
  { shape: [2, 6, 5, 7] },
  { shape: [3, 8, 4, 4] },
  { shape: [2, 5, 7, 6], layout: 'channels-last' },
  { shape: [3, 20, 8], layout: 'channels-last' },
];
const batches: Shape[] = [...images, { shape: [4, 6, 9, 9] }, { shape: [12, 20] }];

const shapesOf: Record<Op, Shape[]> = {
  layerNorm: rows,
  rmsNorm: rows,
  addLayerNorm: rows,
  addRmsNorm: rows,
  l2Norm: rows,
  groupNorm: images.map((image) => ({ ...image, groups: 2 })),
  instanceNorm: [...images, ...images.map((image) => ({ ...image, evaluation: true }))],
  batchNorm: [...batches, ...batches.map((batch) => ({ ...batch, evaluation: true }))],
};

/** |mean| / std of 0 and of 1e5; f16 has no room for such a mean. */
const offsetsOf = (dtype: DType): DataOptions[] =>
  dtype === 'f32' ? [{}, { offset: 1e5, dyMean: 1 }] : [{}];

const dtypes: Record<DType, Pick<Subject, 'dtype' | 'paramDtype'>> = {
  f32: { dtype: 'f32' },
  f16: { dtype: 'f16' },
  mixed: { dtype: 'f16', paramDtype: 'f32' },
};

const widest = 32;

/** A small workgroup where a CPU plays the GPU: it pays for every barrier. */
function scheduleOf(strategy: Strategy, { facts }: Gpu): ScheduleOptions {
  if (strategy === 'thread') return { strategy, workgroup: facts.software ? 8 : 64 };
  const workgroup = facts.software ? widest : 64;
  if (strategy === 'split') return { strategy, workgroup, splits: 3 };
  return strategy === 'registers' ? { strategy, workgroup, lanes: workgroup } : { strategy, workgroup };
}

/** Registers of so many lanes hold no longer rows. */
const fits = (subject: Subject): boolean =>
  subject.schedule?.strategy !== 'registers' || setSize(geometryOf(subject)) <= 32 * widest;

export function checksOf(gpu: Gpu, op: CheckedOp, dtype: DType): Check[] {
  if (op === 'localResponseNorm') return [{ op, dtype, strategy: 'only', subjects: [] }];
  const all = shapesOf[op].flatMap((shape) =>
    offsetsOf(dtype).map((data): Judged => ({ op, ...shape, ...dtypes[dtype], data })),
  );
  const forced = (['thread', 'registers', 'workgroup', 'split'] as const).flatMap((strategy) => {
    const subjects = all
      .filter((subject) => strategiesOf(geometryOf(subject), 'forward').includes(strategy))
      // With running statistics a pass is one dispatch, whatever the strategy.
      .filter(({ evaluation }) => !evaluation)
      .map((subject) => ({ ...subject, schedule: scheduleOf(strategy, gpu) }))
      .filter(fits);
    return subjects.length > 0 ? [{ op, dtype, strategy, subjects }] : [];
  });
  return [{ op, dtype, strategy: 'chosen', subjects: all }, ...forced];
}
