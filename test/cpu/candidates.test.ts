/** What autotune tries, and when it believes what it measured. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { winnerOf } from '../../src/autotune/autotune.ts';
import { candidatesOf } from '../../src/autotune/candidates.ts';
import { modelOfClass } from '../../src/gpu/device-model.ts';
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import { fileStorage } from '../../src/io/file-storage.ts';
import {
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  layerNormGeometry,
} from '../../src/plan/geometry.ts';
import { scheduleBackward, scheduleForward } from '../../src/plan/schedule.ts';
import { checkSchedule } from '../../src/plan/strategy.ts';
import { version } from '../../src/version.ts';
import { facts as floor } from '../support/variants.ts';

const gpu: DeviceFacts = { ...floor, subgroup: 32, maxInvocations: 1024 };
const cpu: DeviceFacts = { ...floor, ...modelOfClass('software'), software: true, subgroup: 0 };
const geometries: [string, Geometry, boolean][] = [
  ['rows', layerNormGeometry([4096, 1024], [1024]), false],
  ['one long row', layerNormGeometry([1, 1_048_576], [1_048_576]), false],
  ['groups', groupNormGeometry([8, 320, 64, 64], 32, 'channels-first'), false],
  ['planes', batchNormGeometry([8, 64, 56, 56], 'channels-first'), true],
  ['columns', batchNormGeometry([8, 56, 56, 64], 'channels-last'), true],
];

describe('candidates', () => {
  it.each(geometries)(
    'of %s are legal, and differ from the default and each other',
    (_, geometry, splitOnly) => {
      for (const facts of [gpu, cpu]) {
        for (const direction of ['forward', 'backward'] as const) {
          const schedule = direction === 'forward' ? scheduleForward : scheduleBackward;
          const found = candidatesOf(geometry, direction, facts, splitOnly);
          expect(found.length).toBeGreaterThan(2);
          expect(found.length).toBeLessThan(40);
          const made = found.map(({ schedule: options }) => {
            checkSchedule(geometry, direction, facts, options, splitOnly);
            return JSON.stringify(schedule(geometry, facts, options));
          });
          expect(new Set([...made, JSON.stringify(schedule(geometry, facts))]).size).toBe(found.length + 1);
          expect(new Set(found.map(({ name }) => name)).size).toBe(found.length);
          if (splitOnly) expect(found.every((one) => one.schedule.strategy === 'split')).toBe(true);
        }
      }
    },
  );

  it('have no barriers on a software adapter', () => {
    const found = candidatesOf(layerNormGeometry([4096, 1024], [1024]), 'forward', cpu);
    expect(found.some(({ schedule }) => schedule.strategy === 'registers')).toBe(false);
  });
});

describe('the winner', () => {
  const default1 = { schedule: {}, samples: [10, 11, 10, 12, 10] };
  const default2 = { schedule: {}, samples: [10.2, 10.5, 10.1, 12, 10] };
  const one = (samples: number[], splits = 2) => ({ schedule: { splits }, samples });

  it('is a tenth faster than the default, in all rounds but one', () => {
    expect(winnerOf([default1, one([8, 8, 8, 8, 30]), default2]).chosen).toEqual({ splits: 2 });
    expect(winnerOf([default1, one([9.5, 9.5, 9.5, 9.5, 9.5]), default2]).chosen).toBeNull();
    expect(winnerOf([default1, one([8, 8, 8, 30, 30]), default2]).chosen).toBeNull();
    const three = [default1, one([8, 8, 8, 8, 8]), one([7, 7, 7, 7, 7], 4), default2];
    expect(winnerOf(three)).toEqual({ chosen: { splits: 4 }, trustworthy: true });
  });

  it('is none where the default differs from itself', () => {
    const slow = { schedule: {}, samples: [12, 12, 12, 12, 12] };
    expect(winnerOf([default1, one([1, 1, 1, 1, 1]), slow])).toEqual({ chosen: null, trustworthy: false });
    // By 8 %: what is to win must be twice that ahead.
    const other = { schedule: {}, samples: [10.8, 10.8, 10.8, 12, 10.8] };
    expect(winnerOf([default1, one([8.6, 8.6, 8.6, 8.6, 8.6]), other]).chosen).toBeNull();
    expect(winnerOf([default1, one([8, 8, 8, 8, 8]), other]).chosen).toEqual({ splits: 2 });
  });
});

describe('fileStorage', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tuning-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('keeps items in a file', () => {
    const path = join(folder, 'tuning.json');
    expect(fileStorage(path).getItem('a')).toBeNull();
    fileStorage(path).setItem('a', '{"b":1}');
    fileStorage(path).setItem('c', 'd');
    expect([fileStorage(path).getItem('a'), fileStorage(path).getItem('c')]).toEqual(['{"b":1}', 'd']);
    expect(readdirSync(folder)).toEqual(['tuning.json']);
  });

  it('says so where the file is broken, and replaces it', () => {
    const path = join(folder, 'broken.json');
    for (const text of ['{', '[]', '3']) {
      writeFileSync(path, text);
      expect(() => fileStorage(path).getItem('a')).toThrow();
      fileStorage(path).setItem('a', 'b');
      expect(fileStorage(path).getItem('a')).toBe('b');
    }
    expect(() => fileStorage(join(folder, 'none', 'x')).setItem('a', 'b')).toThrow();
  });
});

it('names the version of the package', () => {
  const { version: published } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  expect(version).toBe(published);
});
