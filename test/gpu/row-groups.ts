/** Rows in registers: rows that fill their lanes and rows that do not, and row-groups that share a workgroup. */
import {
  type Gpu,
  init,
  layerNorm,
  layerNormBackward,
  type ScheduleOptions,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal, withElement } from '../support/data.ts';
import { asOnGpu, type DataOptions, type Subject, summary, verifyAll } from '../support/subject.ts';

type Shape = readonly [rows: number, cols: number, schedule: ScheduleOptions];

// Lanes and workgroup are asked for, so that row-groups share a workgroup and surplus ones have no row.
const shapes: readonly Shape[] = [
  // Whole items, one to eight of them; of the last a workgroup may have no more than 128 threads.
  [37, 64, { lanes: 16, workgroup: 64 }],
  [70, 128, { lanes: 16, workgroup: 32 }],
  [9, 256, { lanes: 16, workgroup: 64, splits: 2 }],
  [33, 512, { lanes: 16, workgroup: 256 }],
  // A last item that some lanes lack, or all but one.
  [37, 52, { lanes: 16, workgroup: 64 }],
  [21, 68, { lanes: 16, workgroup: 64 }],
  [19, 196, { lanes: 16, workgroup: 32, splits: 3 }],
  // Rows that are no multiple of four, and loads of single elements.
  [25, 61, { lanes: 16, workgroup: 64 }],
  [14, 131, { lanes: 8, workgroup: 32 }],
  [18, 64, { lanes: 16, workgroup: 32, vec4: false }],
  [11, 3, { lanes: 4, workgroup: 16 }],
  // Fewer rows than row-groups; more lanes than quads; a lane per row.
  [1, 64, { lanes: 16, workgroup: 64 }],
  [3, 36, { lanes: 32, workgroup: 64 }],
  [40, 16, { lanes: 1, workgroup: 16 }],
  // No row-groups that could share.
  [6, 256, { lanes: 64, workgroup: 64 }],
  // Blocks of rows, which meet in the split.
  [601, 32, { lanes: 4, workgroup: 16, splits: 2 }],
];

const subjectsOf = (more: Partial<Subject> = {}, list = shapes): Subject[] =>
  list.map(([rows, cols, schedule]) => ({
    op: 'layerNorm',
    shape: [rows, cols],
    schedule: { strategy: 'registers', ...schedule },
    ...more,
  }));

// Two items, a last item that some lanes lack, single elements.
const few = shapes.filter((_, i) => [1, 4, 8].includes(i));

const verified = (name: string, list: () => (Subject & { data?: DataOptions })[]): Case => ({
  name: `row groups of registers: ${name}`,
  timeout: 180_000,
  async run(t) {
    t.note(name, summary(await verifyAll(t.gpu, list())));
  },
});

interface Passes {
  y: Float32Array;
  dx: Float32Array;
  dweight: Float32Array;
  dbias: Float32Array;
}

/** Forward and backward of rows of `cols`. */
async function passesOf(
  gpu: Gpu,
  cols: number,
  schedule: ScheduleOptions,
  { x, dy }: { x: Float32Array; dy: Float32Array },
): Promise<Passes> {
  const shape = [x.length / cols, cols];
  const options = { normalizedShape: [cols], schedule: { strategy: 'registers', ...schedule } } as const;
  const weight = gpu.tensor(normal(cols, { seed: 5, mean: 1 }), [cols]);
  const [xs, dys] = [gpu.tensor(x, shape), gpu.tensor(dy, shape)];
  const { y, mean, rstd } = layerNorm(gpu, xs, { ...options, weight });
  const { dx, dweight, dbias } = layerNormBackward(gpu, dys, xs, {
    ...options,
    ...{ mean, rstd, weight, wants: { dweight: true, dbias: true } },
  });
  const read = (tensor: Tensor | null) => (tensor as Tensor).data();
  const found = {
    y: await read(y),
    dx: await read(dx),
    dweight: await read(dweight),
    dbias: await read(dbias),
  };
  for (const one of [weight, xs, dys, y, mean, rstd, dx, dweight, dbias]) one?.destroy();
  return found;
}

export const cases: Case[] = [
  ...(['dy of mean 1', 'mean/std of 1e4'] as const).flatMap((what, i) =>
    [0, 1].map((part) =>
      verified(`${part === 0 ? 'whole rows' : 'other rows'}, ${what}`, () =>
        subjectsOf({}, part === 0 ? shapes.slice(0, 4) : shapes.slice(4)).map((one) => ({
          ...one,
          data: i === 0 ? { dyMean: 1 } : { offset: 1e4, dyMean: 0.1 },
        })),
      ),
    ),
  ),
  verified('rmsNorm', () =>
    subjectsOf({ op: 'rmsNorm' }, few).map((one) => ({ ...one, data: { dyMean: 1 } })),
  ),
  verified('residual and dsum', () => subjectsOf({ op: 'addLayerNorm' }, few)),
  verified('activation and residual', () => [
    ...subjectsOf({ activation: 'silu' }, few),
    ...subjectsOf({ activation: 'relu', residual: true }, few),
  ]),
  verified('no parameters', () => subjectsOf({ affine: false }, few)),
  verified('f16', () => subjectsOf({ dtype: 'f16', paramDtype: 'f32' }, few)),
  verified('f16 parameters', () => subjectsOf({ op: 'addRmsNorm', dtype: 'f16', paramDtype: 'f16' }, few)),
  {
    name: 'row groups of registers: subgroups of subgroups',
    requires: ['subgroups'],
    async run({ device, note }) {
      // What subgroups have is merged in several rounds where a row has more of them than a subgroup has lanes.
      for (const [subgroup, lanes] of [
        [2, 16],
        [4, 32],
      ] as const) {
        const small = await init({ device, facts: { software: false, subgroup } });
        const schedule = { strategy: 'registers', reduction: 'subgroups', lanes, workgroup: 32 } as const;
        const list: (Subject & { data: DataOptions })[] = (['layerNorm', 'rmsNorm'] as const).map((op) => ({
          ...{ op, shape: [5, 4 * lanes], schedule },
          data: { offset: 1e4, dyMean: 1 },
        }));
        note(`${lanes} lanes, ${subgroup} at a time`, summary(await verifyAll(small, list)));
        small.destroy();
      }
    },
  },
  {
    name: 'row groups of registers: what a row has is its own',
    async run(t) {
      // 13 rows of 4 row-groups each: the last row is done again by those that have none.
      const [rows, cols] = [13, 68];
      const schedule = { lanes: 8, workgroup: 32, splits: 2 };
      const x = normal(rows * cols, { mean: 2 });
      const dy = normal(rows * cols, { seed: 3, mean: 1 });
      const clean = await passesOf(t.gpu, cols, schedule, { x, dy });
      for (const row of [0, 6, rows - 1]) {
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const broken = await passesOf(t.gpu, cols, schedule, {
            x: withElement(x, row * cols + 67, value),
            dy,
          });
          const others = (a: Float32Array) => [...a.subarray(0, row * cols), ...a.subarray((row + 1) * cols)];
          assertEqual(others(broken.y), others(clean.y), `y beside row ${row} with ${value}`);
          assertEqual(others(broken.dx), others(clean.dx), `dx beside row ${row} with ${value}`);
          assertEqual([...broken.dbias], [...clean.dbias], `dbias, which does not depend on x`);
          assert(
            broken.y.subarray(row * cols, (row + 1) * cols).every(Number.isNaN),
            `row ${row} looks sound`,
          );
        }
        // A gradient that is no number stays in its column, too.
        const at = row * cols + 21;
        const lost = await passesOf(t.gpu, cols, schedule, { x, dy: withElement(dy, at, Number.NaN) });
        const column = (a: Float32Array) => [...a.subarray(0, 21), ...a.subarray(22)];
        assertEqual(column(lost.dweight), column(clean.dweight), `dweight beside a NaN of row ${row}`);
        assertEqual(column(lost.dbias), column(clean.dbias), `dbias beside a NaN of row ${row}`);
      }
    },
  },
  {
    name: 'row groups of registers: rows do not depend on how many there are',
    async run(t) {
      await asOnGpu(t.device, async (gpu) => {
        for (const [cols, schedule] of [
          [64, { lanes: 16, workgroup: 64 }],
          [100, { lanes: 8, workgroup: 32 }],
          [64, {}],
        ] as const) {
          const [x, dy] = [normal(200 * cols, { mean: 3 }), normal(200 * cols, { seed: 2 })];
          const all = await passesOf(gpu, cols, schedule, { x, dy });
          for (const rows of [1, 7, 64]) {
            const some = { x: x.subarray(0, rows * cols), dy: dy.subarray(0, rows * cols) };
            const { y, dx } = await passesOf(gpu, cols, schedule, some);
            assertEqual([...y], [...all.y.subarray(0, rows * cols)], `y of ${rows} rows`);
            assertEqual([...dx], [...all.dx.subarray(0, rows * cols)], `dx of ${rows} rows`);
          }
        }
      });
    },
  },
  {
    name: 'row groups of registers: surplus workgroups of a folded grid',
    async run({ device, note }) {
      const narrow = await init({ device, facts: { software: false, maxWorkgroupsPerDimension: 5 } });
      const list = subjectsOf({}, [
        [37, 64, { lanes: 16, workgroup: 32, splits: 7 }],
        [37, 60, { lanes: 16, workgroup: 32, splits: 7 }],
      ]);
      note('folded', summary(await verifyAll(narrow, list)));
      const [x, dy] = [normal(37 * 64), normal(37 * 64, { seed: 2 })];
      const schedule = { lanes: 16, workgroup: 32, splits: 7 };
      const folded = await passesOf(narrow, 64, schedule, { x, dy });
      const flat = await asOnGpu(device, (gpu) => passesOf(gpu, 64, schedule, { x, dy }));
      assertEqual([...folded.dweight], [...flat.dweight], 'dweight');
      assertEqual([...folded.dx], [...flat.dx], 'dx');
      narrow.destroy();
    },
  },
];
