/** Second passes that merge the partial results of their sets themselves: how many dispatches that leaves, and where it pays. */
import { describe, expect, it } from 'vitest';
import { modelOfClass } from '../../src/gpu/device-model.ts';
import { type DescribedOp, type DescribeOptions, describe as describeNorm } from '../../src/kernels.ts';
import { mergesRows, mergingOf } from '../../src/plan/merging.ts';
import { random } from '../support/data.ts';
import { facts as floor } from '../support/variants.ts';

const classes = (['phone', 'integrated', 'desktop', 'datacenter'] as const).map((name) => ({
  ...floor,
  ...modelOfClass(name),
  subgroup: 32,
}));
const gpu = { ...floor, subgroup: 32 };

const kernelsOf = (op: DescribedOp, options: DescribeOptions, facts = gpu) =>
  describeNorm(op, options, facts).dispatches.map(({ label, bindings }) => {
    expect(bindings.length, label).toBeLessThanOrEqual(8);
    return label.split(',')[0];
  });

const running = { training: true, runningMean: true, runningVar: true, numBatchesTracked: true };
const affine = { weight: true, bias: true };

describe('BatchNorm in training over planes', () => {
  const shapes = [
    [32, 64, 56, 56],
    [128, 64, 56, 56],
    [64, 512, 14, 14],
    [8, 1024, 14, 14],
    [1, 3, 512, 512],
  ];

  it.each(shapes)('takes two dispatches and two: [%i, %i, %i, %i]', (...shape) => {
    for (const facts of classes) {
      for (const dtype of ['f32', 'f16'] as const) {
        for (const momentum of [0.1, null]) {
          expect(kernelsOf('batchNorm', { shape, dtype, momentum, ...affine, ...running }, facts)).toEqual([
            'rows/statistics',
            'rows/apply',
          ]);
        }
        const back = { shape, dtype, ...affine, training: true, pass: 'backward' } as const;
        for (const activation of ['none', 'relu'] as const) {
          expect(kernelsOf('batchNorm', { ...back, activation }, facts)).toEqual([
            'rows/backward_sums',
            'rows/backward_apply',
          ]);
        }
      }
    }
  });

  it('takes two and three with a residual, whose gradient is stored', () => {
    const residual = { shape: [32, 64, 56, 56], ...affine, residual: true, activation: 'relu' } as const;
    expect(kernelsOf('batchNorm', { ...residual, ...running })).toEqual(['rows/statistics', 'rows/apply']);
    expect(kernelsOf('batchNorm', { ...residual, training: true, pass: 'backward' })).toEqual([
      'merge/pack',
      'rows/backward_sums',
      'rows/backward_apply',
    ]);
  });

  it('merges apart where the kernel would have more bindings than there are', () => {
    const all = { shape: [32, 64, 56, 56], ...affine, residual: true, variance: true } as const;
    expect(kernelsOf('batchNorm', { ...all, ...running })).toContain('merge/statistics');
  });

  it('stores no statistics that nobody wants', () => {
    const { scratch } = describeNorm(
      'batchNorm',
      { shape: [32, 64, 56, 56], training: true, statistics: false },
      gpu,
    );
    expect(scratch.map(({ name }) => name)).toEqual(['partials']);
  });
});

describe('other norms that are split', () => {
  it.each([
    ['layerNorm', [16, 65_536], {}],
    ['rmsNorm', [16, 65_536], {}],
    ['addLayerNorm', [16, 65_536], {}],
    ['layerNorm', [1024, 32_768], {}],
    ['groupNorm', [2, 320, 64, 64], { numGroups: 32 }],
    ['instanceNorm', [1, 64, 256, 256], { weight: false, bias: false }],
  ] as const)('%s of [%s] takes at most two dispatches forward and three backward', (op, shape, more) => {
    for (const facts of classes.slice(1)) {
      const forward = kernelsOf(op, { shape: [...shape], ...more }, facts);
      const backward = kernelsOf(op, { shape: [...shape], ...more, pass: 'backward' }, facts);
      expect(forward).not.toContain('merge/statistics');
      expect(backward).not.toContain('merge/sums');
      expect(forward.length).toBeLessThanOrEqual(2);
      expect(backward.length).toBeLessThanOrEqual(3);
    }
  });
});

describe('merging in the second pass', () => {
  it('reads little beside what the pass itself reads and writes, and keeps the device full', () => {
    const next = random(5);
    const size = (most: number) => Math.max(1, Math.floor(most ** next()));
    for (let n = 0; n < 5000; n++) {
      const [positions, channels, inner, splits] = [size(4096), size(2048), size(1e5), size(64)];
      const segments = positions * channels;
      const lanes = 2 ** Math.floor(8 * next());
      const facts = classes[n % classes.length] ?? gpu;
      const bytes = 4 * segments * inner;
      const fewest = size(positions);
      const given = { segments, splits, lanes, positions, width: 1, bytes };
      const { planesPerPartial, mergesInApply } = mergingOf(given, fewest, facts);
      expect(planesPerPartial).toBeGreaterThanOrEqual(fewest);
      expect(planesPerPartial).toBeLessThanOrEqual(positions);
      const parts = Math.ceil(positions / planesPerPartial) * splits;
      const workers = channels * parts;
      if (mergesInApply) {
        expect(16 * parts * workers).toBeLessThanOrEqual(Math.max(2 ** 18, bytes / 8));
        // More planes than there have to be only where there are workers enough without.
        if (planesPerPartial > fewest) expect(2 * workers * lanes).toBeGreaterThan(facts.threads / 2);
      } else expect(planesPerPartial).toBe(fewest);
    }
  });

  it('is not for software adapters', () => {
    const software = { ...floor, ...modelOfClass('software'), software: true };
    const few = { segments: 4, splits: 1, lanes: 1, positions: 4, width: 1, bytes: 2 ** 30 };
    expect(mergingOf(few, 1, software)).toEqual({ planesPerPartial: 1, mergesInApply: false });
    expect(mergesRows(1, software)).toBe(false);
    expect(mergesRows(1, gpu)).toBe(true);
  });
});
