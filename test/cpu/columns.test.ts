/** Norms whose threads own columns: how rows are dealt to threads, and how few dispatches there are. */
import { describe, expect, it } from 'vitest';
import { modelOfClass } from '../../src/gpu/device-model.ts';
import type { DeviceFacts } from '../../src/gpu/facts.ts';
import { type DescribeOptions, describe as describeNorm } from '../../src/kernels.ts';
import { applySplits, rowSplits, rowsAtOnce } from '../../src/plan/columns.ts';
import { facts as floor } from '../support/variants.ts';

const gpu: DeviceFacts = { ...floor, subgroup: 32 };
const intel: DeviceFacts = { ...gpu, subgroup: 16, backwardItems: 1 };
const cpu: DeviceFacts = { ...floor, ...modelOfClass('software'), software: true, subgroup: 4 };

const kernelsOf = (options: DescribeOptions, facts: Partial<DeviceFacts> = {}) =>
  describeNorm('batchNorm', options, facts).dispatches.map(({ label }) => label.split(',')[0]);

const threadsOf = (options: DescribeOptions, facts: Partial<DeviceFacts> = {}) =>
  describeNorm('batchNorm', options, facts).dispatches.map(
    ({ workgroups, workgroupSize }) => workgroups[0] * workgroups[1] * (workgroupSize[0] as number),
  );

describe('rows of columns', () => {
  it('each have one thread, in a sum and in a pass that writes', () => {
    for (const facts of [gpu, cpu, intel]) {
      for (const rows of [1, 2, 3, 7, 8, 9, 31, 32, 33, 100, 4095, 4097, 1_000_003]) {
        for (const splits of [1, 2, 7, 31, 500]) {
          const sums = rowSplits(rows, splits, facts);
          expect(sums.splits).toBe(splits);
          expect(sums.splits * sums.split_length).toBeGreaterThanOrEqual(rows);
          for (const columns of [1, 16, 4096, 1_000_000]) {
            const own = applySplits(rows, columns, sums, 128, facts);
            expect(own.splits * own.split_length).toBeGreaterThanOrEqual(rows);
            // None is empty, and all but the last walk whole steps.
            if (!facts.software) {
              expect((own.splits - 1) * own.split_length).toBeLessThan(rows);
              expect(own.split_length % rowsAtOnce(facts)).toBe(0);
              if (own.splits > 1) expect(own.split_length).toBeGreaterThanOrEqual(8);
            }
          }
        }
      }
    }
  });

  it('are walked as the sums walked them on a software adapter, one by one', () => {
    const sums = rowSplits(1000, 7, cpu);
    expect(sums).toEqual({ splits: 7, split_length: 143 });
    expect(applySplits(1000, 16, sums, 128, cpu)).toBe(sums);
    expect(rowsAtOnce(cpu)).toBe(1);
    const options: DescribeOptions = { shape: [1000, 64], training: true, pass: 'backward' };
    for (const { wgsl } of describeNorm('batchNorm', options, cpu).dispatches) {
      expect(wgsl).not.toContain('AT_ONCE');
    }
  });

  it('are under way one by one where registers are few and a kernel holds much', () => {
    const abreast = (options: Partial<DescribeOptions>, facts: DeviceFacts) =>
      describeNorm('batchNorm', { shape: [4096, 64], training: true, ...options }, facts)
        .dispatches.filter(({ wgsl }) => /\b\w+_abreast\(|load_upstream\(/.test(wgsl))
        .map(({ label }) => label.split(',')[0]);
    const all = ['channels/backward_sums', 'channels/backward_apply'];
    expect(abreast({}, intel)).toEqual(['channels/apply']);
    expect(abreast({}, gpu)).toEqual(['channels/statistics', 'channels/apply']);
    expect(abreast({ pass: 'backward' }, intel)).toEqual(['channels/backward_apply']);
    expect(abreast({ pass: 'backward', activation: 'relu' }, intel)).toEqual([]);
    expect(abreast({ pass: 'backward', activation: 'relu' }, gpu)).toEqual(all);
  });

  it('are no more splits than there may be workgroups for', () => {
    const options: DescribeOptions = { shape: [1_000_000, 8], training: true };
    for (const maxWorkgroupsPerDimension of [4, 16, 64]) {
      for (const pass of ['forward', 'backward'] as const) {
        for (const { workgroups } of describeNorm(
          'batchNorm',
          { ...options, pass, schedule: { splits: 8 } },
          { ...gpu, maxWorkgroupsPerDimension },
        ).dispatches) {
          expect(workgroups[0] * workgroups[1]).toBeLessThanOrEqual(maxWorkgroupsPerDimension ** 2);
        }
      }
    }
  });

  it('fill a GPU where they leave no partial results', () => {
    for (const shape of [
      [32, 112, 112, 64],
      [65_536, 512],
    ]) {
      const options: DescribeOptions = { shape, layout: 'channels-last', training: true };
      for (const pass of ['forward', 'backward'] as const) {
        const threads = threadsOf({ ...options, pass }, gpu);
        expect(threads.length).toBe(3);
        expect(threads[2]).toBeGreaterThan(100_000);
      }
    }
  });
});

describe('BatchNorm in training', () => {
  const running = { training: true, runningMean: true, runningVar: true, numBatchesTracked: true };

  it.each([
    ['columns', 'channels', [64, 8, 8, 32], 'channels-last', [gpu, cpu]],
    ['planes, where each thread would merge alone,', 'rows', [8, 32, 16, 16], 'channels-first', [cpu]],
  ] as const)('of %s takes three dispatches and three', (_, family, shape, layout, devices) => {
    for (const facts of devices) {
      expect(kernelsOf({ shape: [...shape], layout, ...running }, facts)).toEqual([
        `${family}/statistics`,
        'merge/statistics',
        `${family}/apply`,
      ]);
      expect(kernelsOf({ shape: [...shape], layout, training: true, pass: 'backward' }, facts)).toEqual([
        `${family}/backward_sums`,
        'merge/sums',
        `${family}/backward_apply`,
      ]);
    }
  });

  it('counts in the first pass, and in a dispatch of its own where there is none', () => {
    const options: DescribeOptions = { shape: [64, 32], ...running };
    expect(kernelsOf({ ...options, momentum: null })).toEqual([
      'channels/statistics',
      'merge/statistics',
      'channels/apply',
    ]);
    expect(kernelsOf({ ...options, shape: [0, 32] })).toEqual(['merge/count']);
  });

  it('merges dweight and dbias by themselves where a channel is several sets', () => {
    const { dispatches } = describeNorm('instanceNorm', {
      shape: [4, 9, 9, 8],
      layout: 'channels-last',
      pass: 'backward',
    });
    expect(dispatches.map(({ label }) => label.split(',')[0])).toEqual([
      'channels/backward_sums',
      'merge/sums',
      'channels/backward_apply',
      'merge/gradients',
    ]);
  });
});
