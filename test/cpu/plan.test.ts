/** Which strategy is chosen, from facts alone. */
import { describe, expect, it } from 'vitest';
import { gridOf } from '../../src/gpu/bound.ts';
import { modelOfClass } from '../../src/gpu/device-model.ts';
import { NormError } from '../../src/gpu/errors.ts';
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import { backwardProgram } from '../../src/kernels/backward.ts';
import { castProgram } from '../../src/kernels/cast.ts';
import { forwardProgram } from '../../src/kernels/forward.ts';
import { chunksOf, stretchesOf } from '../../src/plan/chunks.ts';
import {
  batchNormGeometry,
  elementCount,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
} from '../../src/plan/geometry.ts';
import { checkGrid } from '../../src/plan/grid.ts';
import { scheduleBackward, scheduleForward } from '../../src/plan/schedule.ts';
import { checkSchedule, familyOf } from '../../src/plan/strategy.ts';
import { facts as floor } from '../support/variants.ts';

const gpu: DeviceFacts = { ...floor, subgroup: 32, maxInvocations: 1024, maxBindingBytes: 2 ** 32 - 4 };
const cpu: DeviceFacts = { ...floor, ...modelOfClass('software'), software: true, subgroup: 4 };
const row = (rows: number, cols: number) => layerNormGeometry([rows, cols], [cols]);

describe('forward strategies', () => {
  const table: [string, Geometry, string, string][] = [
    // what, geometry, on a GPU, on a software adapter
    ['4096 rows of 1024', row(4096, 1024), 'registers', 'thread'],
    ['many rows of 64', row(65_536, 64), 'registers', 'thread'],
    ['rows of 8192', row(8192, 8192), 'registers', 'thread'],
    ['1024 rows of 12,288', row(1024, 12_288), 'registers', 'thread'],
    ['rows of 16,384', row(1024, 16_384), 'registers', 'thread'],
    ['many rows of 32,768', row(1024, 32_768), 'workgroup', 'thread'],
    ['64 rows of 65,536', row(64, 65_536), 'split', 'thread'],
    ['one row of 1 M', row(1, 1_048_576), 'split', 'split'],
    ['GroupNorm NCHW', groupNormGeometry([8, 320, 64, 64], 32, 'channels-first'), 'split', 'thread'],
    ['InstanceNorm NCHW', instanceNormGeometry([32, 256, 14, 14], 'channels-first'), 'registers', 'thread'],
    ['InstanceNorm NHWC', instanceNormGeometry([32, 14, 14, 256], 'channels-last'), 'split', 'split'],
  ];
  it.each(table)('%s', (_, geometry, onGpu, onCpu) => {
    expect(scheduleForward(geometry, gpu).strategy).toBe(onGpu);
    expect(scheduleForward(geometry, cpu).strategy).toBe(onCpu);
  });

  it('keeps a thread within the iterations that an old llvmpipe runs', () => {
    const old = { ...cpu, iterations: 60_000 };
    const long = scheduleForward(row(64, 65_536), old);
    expect([long.strategy, long.fourRows]).toEqual(['thread', false]);
    expect(scheduleForward(row(64, 262_144), old).strategy).toBe('split');
    expect(scheduleForward(row(1, 16_777_216), old).splits * 60_000).toBeGreaterThan(16_777_216 / 4);
    const image = instanceNormGeometry([1, 4096, 4096, 4], 'channels-last');
    expect(scheduleForward(image, old).splits * 60_000).toBeGreaterThan(4096 * 4096);
    expect(scheduleForward(row(64, 65_536), cpu).fourRows).toBe(true);
  });

  it('gives a row as many lanes as fill the device, and no more than one subgroup where rows alone do', () => {
    const shape = (rows: number, cols: number, facts = gpu) => {
      const { team, items } = scheduleForward(row(rows, cols), facts);
      return [team.lanes, items, team.workgroup];
    };
    // Four quads a lane, but no fewer lanes than load 128 bytes side by side.
    expect(shape(65_536, 64)).toEqual([8, 2, 128]);
    expect(shape(4096, 1024)).toEqual([64, 4, 128]);
    expect(shape(4096, 4096)).toEqual([256, 4, 256]);
    expect(shape(8192, 8192)).toEqual([512, 4, 512]);
    expect(shape(8192, 16_384)).toEqual([512, 8, 512]);
    // Few rows: more lanes.
    expect(shape(512, 1024)).toEqual([256, 1, 256]);
    expect(shape(1, 4096)).toEqual([1024, 1, 1024]);
    expect(shape(1, 4096, { ...gpu, maxInvocations: 256 })).toEqual([256, 4, 256]);
    expect(shape(512, 1024, { ...gpu, ...modelOfClass('phone') })).toEqual([64, 4, 128]);
    // Many rows: one subgroup.
    expect(shape(65_536, 1024)).toEqual([32, 8, 128]);
    expect(shape(65_536, 1024, { ...gpu, ...modelOfClass('datacenter') })).toEqual([32, 8, 128]);
    expect(shape(65_536, 2048)).toEqual([128, 4, 128]);
  });

  it('keeps no more in registers than the device has', () => {
    const intel = { ...gpu, ...modelOfClass('integrated'), forwardItems: 8, backwardItems: 1 };
    for (const rows of [1, 100, 10_000, 1_000_000]) {
      for (const cols of [64, 1000, 4096, 5000, 16_384, 65_536]) {
        for (const facts of [gpu, intel, { ...intel, maxInvocations: 256 }]) {
          const forward = scheduleForward(row(rows, cols), facts);
          const backward = scheduleBackward(row(rows, cols), facts);
          expect(forward.items).toBeLessThanOrEqual(facts.forwardItems);
          expect(backward.items).toBeLessThanOrEqual(facts.backwardItems);
          expect(forward.items * forward.team.lanes).toBeLessThanOrEqual(4096);
          expect(backward.items * backward.team.lanes).toBeLessThanOrEqual(2048);
        }
      }
    }
  });

  it('refuses batchInvariant of norms that have no rows', () => {
    const check = (geometry: Geometry) => checkSchedule(geometry, 'forward', gpu, { batchInvariant: true });
    expect(() => check(row(4, 64))).not.toThrow();
    expect(() => check(groupNormGeometry([4, 64], 8, 'channels-first'))).not.toThrow();
    for (const geometry of [
      batchNormGeometry([4, 8, 3, 3], 'channels-first'),
      groupNormGeometry([4, 8, 3, 3], 2, 'channels-first'),
      instanceNormGeometry([4, 3, 3, 8], 'channels-last'),
    ]) {
      expect(() => check(geometry)).toThrow(/batchInvariant is of norms over rows/);
    }
  });

  it('lays a row out by its length alone where that is asked for', () => {
    for (const facts of [gpu, cpu, { ...gpu, ...modelOfClass('phone') }]) {
      for (const cols of [64, 1024, 4096, 20_000, 100_000]) {
        const seen = [1, 7, 64, 1000, 65_536, 1_000_000].map((rows) =>
          [scheduleForward, scheduleBackward].map((schedule) => {
            const { strategy, team, items, splits } = schedule(row(rows, cols), facts, {
              batchInvariant: true,
            });
            return [strategy, team.lanes, items, splits];
          }),
        );
        expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(1);
      }
    }
  });

  it('uses no barrier on a software adapter and shuffles where there are subgroups', () => {
    for (const geometry of [row(4096, 1024), row(1, 1_048_576), row(3, 5)]) {
      expect(scheduleForward(geometry, cpu).team.reduction).toBe('serial');
      expect(scheduleForward(geometry, cpu).merge.reduction).toBe('serial');
    }
    expect(scheduleForward(row(4096, 1024), gpu).team.reduction).toBe('subgroups');
    expect(scheduleForward(row(4096, 1024), { ...gpu, subgroup: 0 }).team.reduction).toBe('portable');
  });

  it('loads four at a time only where every segment is aligned', () => {
    expect(scheduleForward(row(4, 1024), gpu).vec4).toBe(true);
    expect(scheduleForward(row(4, 1023), gpu).vec4).toBe(false);
    expect(scheduleForward(instanceNormGeometry([2, 6, 5, 7], 'channels-last'), gpu).vec4).toBe(false);
  });
});

describe('backward strategies', () => {
  it('keeps rows on chip while registers last', () => {
    expect(scheduleBackward(row(4096, 1024), gpu).strategy).toBe('registers');
    expect(scheduleBackward(row(4096, 8192), gpu).strategy).toBe('registers');
    expect(scheduleBackward(row(4096, 16_384), gpu).strategy).toBe('split');
    expect(scheduleBackward(row(1, 1_048_576), gpu).strategy).toBe('split');
    expect(scheduleBackward(row(4096, 1024), cpu).strategy).toBe('thread');
    const image = instanceNormGeometry([32, 256, 14, 14], 'channels-first');
    expect(scheduleBackward(image, gpu).strategy).toBe('workgroup');
  });

  it('makes no split empty', () => {
    for (const rows of [1, 2, 3, 5, 255, 257, 4097, 65_537]) {
      const { gradientSplits } = scheduleBackward(row(rows, 64), gpu);
      const rowsPerSplit = Math.ceil(rows / gradientSplits);
      expect(Math.ceil(rows / rowsPerSplit)).toBe(gradientSplits);
    }
  });

  it('gives each workgroup of rows in registers one split, with rows for all of its row-groups', () => {
    for (const rows of [1, 2, 3, 5, 255, 257, 4097, 65_537]) {
      for (const [cols, lanes, workgroup] of [
        [64, 4, 128],
        [256, 16, 64],
        [1024, 64, 128],
        [4096, 256, 256],
      ] as const) {
        for (const splits of [undefined, 1, 3, 64, 100_000]) {
          const schedule = { strategy: 'registers', lanes, workgroup, splits } as const;
          const { gradientSplits, team } = scheduleBackward(row(rows, cols), gpu, schedule);
          const together = team.workgroup / team.lanes;
          expect(gradientSplits).toBeLessThanOrEqual(Math.min(splits ?? rows, Math.ceil(rows / together)));
          const each = Math.ceil(rows / (gradientSplits * together));
          expect(Math.ceil(rows / (each * together))).toBe(gradientSplits);
        }
      }
    }
  });

  it('keeps many threads of a GPU busy with rows in registers, and no thread with a row or two', () => {
    const threads = (rows: number, cols: number, elementBytes: number) => {
      const { gradientSplits, team } = scheduleBackward(row(rows, cols), gpu, {}, elementBytes);
      return gradientSplits * team.workgroup;
    };
    for (const bytes of [2, 4]) {
      expect(threads(8192, 8192, bytes)).toBeGreaterThan(60_000);
      expect(threads(4096, 1024, bytes)).toBeGreaterThan(30_000);
      expect(threads(131_072, 128, bytes)).toBeGreaterThan(60_000);
      expect(threads(64, 4096, bytes)).toBe(64 * 256);
      const { gradientSplits } = scheduleBackward(row(4096, 1024), gpu, {}, bytes);
      expect(gradientSplits * (32 / bytes)).toBeLessThanOrEqual(4096);
    }
  });
});

describe('teams', () => {
  it('leave short segments few lanes where there are many', () => {
    const lanes = (batch: number, channels: number, size: number, facts = gpu) =>
      scheduleForward(batchNormGeometry([batch, channels, size, size], 'channels-first'), facts).team.lanes;
    // 49 quads each, and 1024.
    expect(lanes(2, 16, 14)).toBe(64);
    expect(lanes(256, 512, 14)).toBe(8);
    expect(lanes(8, 320, 64)).toBe(64);
    expect(lanes(8, 320, 64, { ...gpu, ...modelOfClass('datacenter') })).toBe(128);
    expect(lanes(8, 320, 64, { ...gpu, ...modelOfClass('integrated') })).toBe(64);
    // No more quads than a chunk.
    expect(lanes(8, 320, 256)).toBe(256);
    expect(lanes(256, 512, 14, cpu)).toBe(1);
  });

  it('grow where few sets leave a GPU idle', () => {
    const lanes = (samples: number, facts = gpu, options = {}) => {
      const geometry = groupNormGeometry([samples, 320, 64, 64], 32, 'channels-first');
      const { strategy, team } = scheduleBackward(geometry, facts, options);
      return [strategy, team.lanes];
    };
    expect(lanes(8)).toEqual(['workgroup', 512]);
    expect(lanes(32)).toEqual(['workgroup', 256]);
    expect(lanes(8, { ...gpu, maxInvocations: 256 })).toEqual(['workgroup', 256]);
    expect(lanes(8, { ...gpu, ...modelOfClass('phone') })).toEqual(['workgroup', 256]);
    expect(lanes(8, gpu, { workgroup: 64 })).toEqual(['workgroup', 64]);
  });

  it('have up to a workgroup of lanes for a result of many parts', () => {
    const merge = (shape: number[], facts = gpu) =>
      scheduleBackward(batchNormGeometry(shape, 'channels-last'), facts).merge;
    expect(merge([1, 2048, 2048, 2])).toEqual({ workgroup: 1024, lanes: 1024, reduction: 'subgroups' });
    expect(merge([1, 2048, 2048, 2], { ...gpu, maxInvocations: 256 }).lanes).toBe(256);
    expect(merge([1, 2048, 2048, 2], { ...gpu, maxInvocations: 384 }).lanes).toBe(256);
    expect(merge([8, 56, 56, 64])).toMatchObject({ workgroup: 128, lanes: 128 });
    // Where barriers are dear, a single lane as ever.
    expect(merge([1, 2048, 2048, 2], cpu).lanes).toBe(1);
    const gradients = (rows: number) => scheduleBackward(row(rows, 256), gpu).gradients.lanes;
    expect(gradients(512)).toBe(32);
    expect(gradients(16_384)).toBe(64);
  });
});

describe('geometry families', () => {
  it('sends contiguous sets to rows and strided ones to channels', () => {
    expect(familyOf(row(4, 5), gpu)).toBe('rows');
    expect(familyOf(groupNormGeometry([2, 6, 5, 7], 3, 'channels-first'), gpu)).toBe('rows');
    expect(familyOf(groupNormGeometry([2, 5, 7, 6], 3, 'channels-last'), gpu)).toBe('channels');
    // [N, C] in groups: each group of a sample is a row.
    expect(familyOf(groupNormGeometry([2, 6], 3, 'channels-first'), gpu)).toBe('rows');
    expect(familyOf(groupNormGeometry([2, 6], 6, 'channels-first'), gpu)).toBe('channels');
  });

  it('walks large images by planes and small ones by columns', () => {
    const families = (side: number) => {
      const geometry = batchNormGeometry([64, 512, side, side], 'channels-first');
      return [familyOf(geometry, cpu), familyOf(geometry, gpu)];
    };
    expect(families(14)).toEqual(['planes', 'planes']);
    expect(families(7)).toEqual(['channels', 'planes']);
    expect(families(2)).toEqual(['channels', 'channels']);
    // Columns of so many channels would take more scratch than there is: planes share partials.
    expect(familyOf(batchNormGeometry([256, 2048, 7, 7], 'channels-first'), cpu)).toBe('planes');
    expect(familyOf(batchNormGeometry([2, 512, 7, 7], 'channels-first'), cpu)).toBe('planes');
  });
});

describe('columns', () => {
  const folds = (shape: readonly number[], layout: 'channels-first' | 'channels-last' = 'channels-last') =>
    [cpu, gpu].map((facts) => {
      const { positionsPerRow, vec4 } = scheduleForward(batchNormGeometry(shape, layout), facts);
      return [positionsPerRow, vec4];
    });

  it('are as many positions as fill quads, and on a GPU a memory transaction or more', () => {
    expect(folds([32, 14, 14, 256])).toEqual([
      [1, true],
      [1, true],
    ]);
    expect(folds([4, 256, 256, 3])).toEqual([
      [4, true],
      [64, true],
    ]);
    expect(folds([3, 5, 7, 3])).toEqual([
      [1, false],
      [1, false],
    ]);
    expect(folds([64, 3, 2, 1], 'channels-first')).toEqual([
      [2, true],
      [32, true],
    ]);
  });

  it('take little scratch however small the images are', () => {
    for (const facts of [cpu, gpu]) {
      const geometry = batchNormGeometry([512, 512, 2, 2], 'channels-first');
      const { splits, positionsPerRow } = scheduleForward(geometry, facts);
      expect(16 * splits * positionsPerRow * 512 * 4).toBeLessThanOrEqual(elementCount(geometry) / 2);
    }
  });
});

describe('chunks', () => {
  it('is one where everything fits', () => {
    expect(chunksOf(row(1000, 64), 4, [8, 4], {}, { ...gpu, maxBindingBytes: 2 ** 20 })).toEqual([
      { firstSample: 0, samples: 1000 },
    ]);
  });

  it('covers all samples, each part within the limit from an aligned offset before it', () => {
    const limited = { ...gpu, maxBindingBytes: 65_536 };
    for (const [cols, bytes] of [
      [68, 4],
      [33, 4],
      [33, 2],
      [1000, 2],
      [16_320, 4],
    ] as const) {
      const chunks = chunksOf(row(5000, cols), bytes, [16], {}, limited);
      let next = 0;
      for (const { firstSample, samples } of chunks) {
        expect(firstSample).toBe(next);
        expect(samples * cols * bytes + 256).toBeLessThanOrEqual(65_536);
        next += samples;
      }
      expect(next).toBe(5000);
    }
  });

  it('takes samples that nearly fill a binding, of any length', () => {
    const floorBinding = { ...gpu, maxBindingBytes: 2 ** 27 };
    expect(chunksOf(row(8, 16_000_001), 4, [], {}, floorBinding)).toHaveLength(4);
    const image = instanceNormGeometry([16, 3, 1080, 1920], 'channels-first');
    expect(chunksOf(image, 4, [24], {}, floorBinding)).toHaveLength(4);
  });

  it('counts scratch that is larger than x', () => {
    const flat = groupNormGeometry([18_432, 512], 8, 'channels-first');
    expect(chunksOf(flat, 4, [16 * 512], {}, { ...gpu, maxBindingBytes: 2 ** 27 })).toHaveLength(2);
  });

  it('holds samples that fill a binding exactly where they are aligned by themselves', () => {
    const floorBinding = { ...gpu, maxBindingBytes: 2 ** 27 };
    const halves = (samples: number, each: number) =>
      Array.from({ length: samples / each }, (_, i) => ({ firstSample: each * i, samples: each }));
    const image = groupNormGeometry([2, 128, 512, 512], 32, 'channels-first');
    expect(chunksOf(image, 4, [16 * 128], {}, floorBinding)).toEqual(halves(2, 1));
    const last = instanceNormGeometry([4, 512, 512, 128], 'channels-last');
    expect(chunksOf(last, 2, [16 * 128], {}, floorBinding)).toEqual(halves(4, 2));
    expect(chunksOf(row(64, 2 ** 22), 4, [], {}, floorBinding)).toEqual(halves(64, 8));
    // Half of an alignment is the most that lies before any of these.
    expect(chunksOf(row(8, 2 ** 24 - 32), 4, [], {}, floorBinding)).toEqual(halves(8, 2));
    // Every second one would begin 128 bytes after an aligned offset.
    expect(() => chunksOf(row(2, 2 ** 25 - 32 + 16), 4, [], {}, floorBinding)).toThrow(/aligned offset/);
  });

  it('refuses a row that no binding holds', () => {
    expect(() => chunksOf(row(2, 2 ** 20), 4, [8, 4], {}, { ...gpu, maxBindingBytes: 65_536 })).toThrow(
      NormError,
    );
  });

  it('says which size is too large, and advises what would help', () => {
    const limited = { ...gpu, maxBindingBytes: 65_536 };
    const errorOf = (body: () => unknown): NormError => {
      try {
        body();
      } catch (error) {
        return error as NormError;
      }
      throw new Error('nothing was refused');
    };
    const refusal = (geometry: Geometry, elementBytes = 4, whole = {}) =>
      errorOf(() => chunksOf(geometry, elementBytes, [], whole, limited));
    const long = refusal(row(2, 20_000));
    expect(long.message).toMatch(/^One row of x takes 80000 bytes; the device binds at most 65536/);
    expect(long.fix).toMatch(/larger limit.*f16.*shorter rows/);
    expect(long.fix).not.toMatch(/batch/);
    const image = refusal(groupNormGeometry([2, 8, 64, 64], 2, 'channels-first'));
    expect(image.message).toMatch(/^One sample of x takes 131072 bytes/);
    expect(image.fix).toMatch(/smaller samples: a smaller batch does not help/);
    const alone = refusal(groupNormGeometry([1, 8, 64, 128], 2, 'channels-first'), 2);
    expect(alone.message).toMatch(/^x takes 131072 bytes/);
    expect(alone.fix).not.toMatch(/batch|f16/);
    const norm = refusal(batchNormGeometry([4, 8, 64, 64], 'channels-first'));
    expect(norm.message).toMatch(/^x takes 524288 bytes/);
    expect(norm.fix).toMatch(/smaller tensor/);
    const sets = refusal(groupNormGeometry([10_000, 8], 8, 'channels-first'));
    expect(sets.message).toMatch(/^The mean of all sets takes 640000 bytes/);
    expect(sets.fix).toMatch(/along its batch/);
    const parameter = refusal(row(4, 16), 4, { 'A parameter': 100_000 });
    expect(parameter.message).toMatch(/^A parameter takes 100000 bytes/);
    expect(parameter.fix).toMatch(/a smaller batch does not help/);
  });

  it('keeps element indices below 2^32, in f16 too', () => {
    const vast = { ...gpu, maxBindingBytes: 2 ** 36 };
    for (const bytes of [2, 4]) {
      const chunks = chunksOf(row(2 ** 23, 1024), bytes, [16], {}, vast);
      expect(chunks.reduce((sum, { samples }) => sum + samples, 0)).toBe(2 ** 23);
      expect(chunks).toHaveLength(3);
      for (const { samples } of chunks) expect(samples * 1024).toBeLessThan(2 ** 32);
      expect(() => chunksOf(row(2, 2 ** 32), bytes, [], {}, vast)).toThrow(NormError);
    }
    const casts = castProgram(2 ** 33, 'f16', 'f16', vast).steps.map(
      ({ kernel, params }) =>
        new Uint32Array(params)[kernel.fields.findIndex(({ name }) => name === 'cols')] as number,
    );
    expect(casts).toHaveLength(3);
    expect(casts.reduce((sum, count) => sum + count)).toBe(2 ** 33);
  });

  it('cuts what is done element by element anywhere', () => {
    const limited = { ...gpu, maxBindingBytes: 4096 };
    for (const [segments, length, bytes] of [
      [7, 255, 4],
      [7, 255, 2],
      [3, 5000, 4],
      [3, 5001, 2],
      [5, 1024, 4],
      [9, 64, 4],
    ] as const) {
      let next = 0;
      for (const { segment, count, cols, first } of stretchesOf(segments, length, bytes, limited)) {
        expect(first).toBe(next);
        expect(segment).toBe(Math.floor(first / length));
        expect(count === 1 || cols === length).toBe(true);
        expect(count * cols * bytes + ((first * bytes) % 256)).toBeLessThanOrEqual(4096);
        next += count * cols;
      }
      expect(next).toBe(segments * length);
    }
    expect(() => stretchesOf(2, 1025, 4, limited, true)).toThrow(/One segment of x takes 4100 bytes/);
  });
});

describe('grids', () => {
  const narrow = { ...gpu, maxWorkgroupsPerDimension: 16 };
  const like = {
    kind: 'moments',
    dtype: 'f32',
    paramDtype: 'f32',
    eps: 1e-5,
    weight: true,
    bias: true,
  } as const;
  const rest = {
    weightOffset: 0,
    castFirst: false,
    activation: 'none',
    negativeSlope: 0,
    residual: 'none',
  } as const;
  const d = (geometry: Geometry) => ({ ...like, ...rest, geometry, schedule: {} });
  const wanted = { dweight: true, dbias: true, dsum: false, accumulate: { dweight: false, dbias: false } };

  it('are filled several times where samples would need more workgroups than there are', () => {
    for (const geometry of [
      row(100_000, 64),
      row(4096, 1024),
      groupNormGeometry([1000, 8, 100], 4, 'channels-first'),
      instanceNormGeometry([1000, 10, 10, 16], 'channels-last'),
    ]) {
      const programs = [
        forwardProgram(d(geometry), narrow),
        backwardProgram({ ...d(geometry), ...wanted }, narrow),
      ];
      for (const { steps } of programs) {
        for (const { workgroups, kernel } of steps) expect(workgroups, kernel.label).toBeLessThanOrEqual(256);
      }
    }
    for (const { workgroups } of castProgram(1_000_000, 'f32', 'f16', narrow).steps) {
      expect(workgroups).toBeLessThanOrEqual(256);
    }
  });

  it('that are still too small are refused by the plan', () => {
    const program = castProgram(1_000_000, 'f32', 'f16', gpu);
    expect(checkGrid(program, gpu)).toBe(program);
    expect(() => checkGrid(program, narrow)).toThrow(
      /15625 workgroups is needed; the device runs at most 16 by 16/,
    );
  });
});

describe('dispatch folding', () => {
  it('covers the workgroups with two dimensions within the limit', () => {
    for (const workgroups of [1, 65_535, 65_536, 200_000, 16_777_216, 65_535 * 65_535]) {
      const [columns, lines] = gridOf(workgroups, 65_535);
      expect(columns * lines).toBeGreaterThanOrEqual(workgroups);
      expect(columns).toBeLessThanOrEqual(65_535);
      expect(lines).toBeLessThanOrEqual(65_535);
      expect((lines - 1) * columns).toBeLessThan(workgroups);
    }
    expect(() => gridOf(65_535 * 65_535 + 1, 65_535)).toThrow(NormError);
  });
});
