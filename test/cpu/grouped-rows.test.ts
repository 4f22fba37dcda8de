/** A group of columns is a row of its own: few dispatches, whatever the shape. */
import { expect, it } from 'vitest';
import { describe, type NormError } from '../../src/kernels.ts';

const count = (...given: Parameters<typeof describe>) => describe(...given).dispatches.length;

it.each([
  [65_536, 512, 32],
  [4096, 2048, 8],
  [512, 4096, 32],
])('%i rows of %i in %i groups take one dispatch forward and two backward', (rows, cols, numGroups) => {
  const shape = [rows, cols];
  const facts = { subgroup: 32 };
  for (const op of ['groupNorm', 'rmsNorm', 'layerNorm'] as const) {
    expect([op, count(op, { shape, numGroups }, facts)]).toEqual([op, 1]);
    expect([op, count(op, { shape, numGroups, pass: 'backward' }, facts)]).toEqual([op, 2]);
  }
});

it('weights of their own for samples take no more dispatches than one for all', () => {
  const shape = [16, 256, 1152];
  const facts = { subgroup: 32 };
  const modulated = { shape, parameterShape: [16, 1, 1152], zeroCenteredGamma: true };
  for (const op of ['layerNorm', 'rmsNorm'] as const) {
    expect([op, count(op, modulated, facts)]).toEqual([op, 1]);
    expect([op, count(op, { ...modulated, pass: 'backward' }, facts)]).toEqual([op, 2]);
  }
});

it('channels with weights of their own for samples take no more dispatches than with one weight for all', () => {
  const facts = { subgroup: 32 };
  for (const [op, groups] of [
    ['groupNorm', { numGroups: 32 }],
    ['instanceNorm', {}],
  ] as const) {
    const plain = { shape: [8, 320, 32, 32], ...groups };
    const modulated = { ...plain, parameterShape: [8, 320], zeroCenteredGamma: true };
    for (const pass of ['forward', 'backward'] as const) {
      const allowed = count(op, { ...plain, pass }, facts);
      expect(count(op, { ...modulated, pass }, facts), `${op} ${pass}`).toBeLessThanOrEqual(allowed);
    }
  }
});

it('gradients of weights of no samples take no dispatch', () => {
  const rows = { shape: [0, 6, 4], parameterShape: [0, 1, 4], pass: 'backward' } as const;
  const channels = { shape: [0, 6, 4], parameterShape: [0, 6], pass: 'backward' } as const;
  expect(count('layerNorm', rows)).toBe(0);
  expect(count('groupNorm', { ...channels, numGroups: 2 })).toBe(0);
  expect(count('instanceNorm', channels)).toBe(0);
});

it('norms over axes without kept elements do nothing, in each of their conventions', () => {
  const nothing = { shape: [257, 0], axes: [0] };
  const cases = [
    ['layerNorm', {}],
    ['rmsNorm', {}],
    ['l2Norm', {}],
    ['l2Norm', { epsMode: 'add' }],
  ] as const;
  for (const [op, own] of cases) expect(count(op, { ...nothing, ...own }), op).toBe(0);
});

it('refuses groups that do not divide a row', () => {
  const codeOf = (numGroups: number) => {
    try {
      describe('rmsNorm', { shape: [4, 8], numGroups });
    } catch (error) {
      return (error as NormError).code;
    }
    return 'none';
  };
  expect([3, 16, 0, 1.5, -2].map(codeOf)).toEqual(['shape', 'shape', 'value', 'value', 'value']);
});
