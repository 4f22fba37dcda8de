import { describe, expect, it } from 'vitest';
import { isChecked, isCompared, lines, verdicts } from '../../bench/host/check.mjs';
import { benchRows, idealPasses, rowName } from '../../bench/rows.ts';

const names = benchRows(false).map(rowName);
const peers = ['onnxruntime-web 1.0', 'tfjs 1.0'];

/** Results in which we take a millisecond and every peer that a line compares so many. */
const results = (ms: (name: string) => number) =>
  names.filter(isChecked).map((name) => ({
    name,
    ms: 1,
    peers: Object.fromEntries(peers.filter((peer) => isCompared(name, peer)).map((peer) => [peer, ms(name)])),
  }));

describe('the check of the bench', () => {
  it('holds where every row is faster by enough', () => {
    const held = verdicts(
      results(() => 6),
      peers,
    );
    expect(held.map((line) => line.held)).toEqual(lines.map(() => true));
  });

  it('breaks on a single slower row', () => {
    const slow = 'batchNorm(training) forward 8×64×56×56 f32';
    const some = verdicts(
      results((name) => (name === slow ? 0.9 : 1000)),
      peers,
    );
    const broken = some.filter((line) => !line.held);
    expect(broken.map((line) => line.slower)).toEqual([[slow]]);
  });

  it('breaks where the geometric mean is too small, only where one is asked for', () => {
    const close = verdicts(
      results(() => 4.9),
      peers,
    );
    expect(close.map((line) => line.held)).toEqual(lines.map(({ least }) => least === undefined));
  });

  it('breaks where rows are missing', () => {
    expect(verdicts([], peers).some((line) => line.held)).toBe(false);
  });
});

describe('the rows of the bench', () => {
  it('have names of their own', () => {
    const all = benchRows(true).map(rowName);
    expect(new Set(all).size).toBe(all.length);
  });

  it('count a batch as often as it must be read', () => {
    const passes = (name: string) =>
      idealPasses(benchRows(false).find((row) => rowName(row) === name) as ReturnType<typeof benchRows>[0]);
    expect(passes('batchNorm(training) forward 8×64×56×56 f32')).toBe(3);
    expect(passes('batchNorm(training) backward 8×64×56×56 f32')).toBe(5);
    expect(passes('batchNorm(training) forward+backward 8×64×56×56 f32')).toBe(8);
    expect(passes('batchNorm(evaluation) forward 8×64×56×56 f32')).toBe(2);
    expect(passes('instanceNorm backward 8×64×56×56 f32')).toBe(3);
  });
});
