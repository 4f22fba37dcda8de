import { describe, expect, it } from 'vitest';
import { verdicts } from '../../bench/host/check.mjs';
import { line } from '../../bench/host/report.mjs';
import { benchRows, idealPasses, type Row, rowName } from '../../bench/rows.ts';

const all = benchRows(false);
const peers = ['onnxruntime-web 1.0', 'tfjs 1.0'];

/** Results in which we take a millisecond, so many by a peer's clock, and reach the whole of a copy. */
const results = (change: (name: string) => { peerMs?: number | null; copyFraction?: number } = () => ({})) =>
  all.map((row) => {
    const name = rowName(row);
    const { peerMs = 12, copyFraction = 1 } = change(name);
    return {
      ...row,
      name,
      ms: 1,
      wallMs: 1,
      copyFraction,
      peers: Object.fromEntries(peers.map((peer) => [peer, peerMs])),
      peerDetails: {},
    };
  });

const cheap = { moduleUs: 0.075, byHandUs: 0.06 };

const broken = (rows: ReturnType<typeof results>, overhead = cheap) =>
  verdicts(rows, peers, all.length, overhead).filter(({ held }) => !held);

describe('the check of the bench', () => {
  it('holds where every row is faster by enough, and near enough to a copy', () => {
    expect(broken(results())).toEqual([]);
  });

  it('breaks on a single row that is not faster by half, and names it', () => {
    const slow = 'batchNorm(training) forward 8×64×56×56 f32';
    const lines = broken(results((name) => (name === slow ? { peerMs: 1.4 } : {})));
    expect(lines.map(({ name }) => name)).toEqual(['Every row that a peer runs, beside the fastest']);
    expect(lines[0]?.text).toContain(slow);
  });

  it('breaks where the geometric mean is too small', () => {
    const lines = broken(results(() => ({ peerMs: 9.9 })));
    expect(lines.map(({ name }) => name)).toEqual([
      'Geometric mean beside onnxruntime-web',
      'Geometric mean beside tfjs',
    ]);
  });

  it('does not count what a peer could not run', () => {
    const some = results((name) => (name.startsWith('batchNorm') ? { peerMs: null } : {}));
    expect(broken(some)).toEqual([]);
    expect(broken(results(() => ({ peerMs: null })))).toHaveLength(3);
  });

  it.each([
    ['layerNorm forward 4096×1024 f32', 0.59, 'LayerNorm and RMSNorm forward 4096×1024'],
    ['batchNorm(training) backward 8×64×56×56 f32', 0.49, 'BatchNorm in training, forward and backward'],
    ['rmsNorm backward 1×1048576 f32', 0.24, 'Every row of 64 KiB or more'],
  ])('breaks where %s reaches %s of the copy', (slow, copyFraction, verdict) => {
    const lines = broken(results((name) => (name === slow ? { copyFraction } : {})));
    expect(lines.map(({ name }) => name)).toEqual([verdict]);
    expect(lines[0]?.text).toContain(slow);
  });

  it('breaks where recording costs half as much again as its WebGPU calls, and 0.1 µs more', () => {
    expect(broken(results(), { moduleUs: 0.15, byHandUs: 0.06 })).toEqual([]);
    expect(broken(results(), { moduleUs: 0.17, byHandUs: 0.06 }).map(({ name }) => name)).toEqual([
      'Recording',
    ]);
    expect(broken(results(), { moduleUs: 2.9, byHandUs: 2 })).toEqual([]);
    expect(broken(results(), { moduleUs: 3.1, byHandUs: 2 }).map(({ name }) => name)).toEqual(['Recording']);
  });

  it('breaks where rows are missing', () => {
    expect(broken(results().slice(1)).map(({ name }) => name)).toEqual(['Every row measured']);
    expect(broken([]).length).toBe(verdicts([], peers, all.length, cheap).length - 1);
  });
});

describe('a line of the bench', () => {
  it('says why a row was not run, and why a peer was not', () => {
    expect(line({ name: 'a row', notRun: 'no memory' }, peers)).toBe('a row | not run: no memory');
    const details = { ms: null, why: 'took 30 s a run' };
    const row = {
      ...results()[0],
      ...{
        spread: [1, 1],
        gbps: 1,
        copy: { name: 'grid', ms: 1, fastest: 1 },
        relError: 0,
        compared: 'all',
        strategy: 'thread',
      },
      peers: { 'tfjs 1.0': null },
      peerDetails: { 'tfjs 1.0': details },
    };
    expect(line(row, peers)).toMatch(/ \| – \| took 30 s a run$/);
  });
});

describe('the rows of the bench', () => {
  it('have names of their own', () => {
    const names = benchRows(true).map(rowName);
    expect(new Set(names).size).toBe(names.length);
  });

  it('count a tensor as often as it must be read and written', () => {
    const passes = (name: string) => idealPasses(all.find((row) => rowName(row) === name) as Row);
    expect(passes('layerNorm forward 1×1048576 f32')).toBe(2);
    expect(passes('rmsNorm backward 4096×1024 f32')).toBe(3);
    expect(passes('addLayerNorm forward 4096×1024 f32')).toBe(4);
    expect(passes('addRmsNorm backward 4096×1024 f32')).toBe(4);
    expect(passes('batchNorm(training) forward 8×64×56×56 f32')).toBe(3);
    expect(passes('batchNorm(training+relu) backward 8×64×56×56 f32')).toBe(5);
    expect(passes('batchNorm(training) forward+backward 8×64×56×56 f32')).toBe(8);
    expect(passes('batchNorm(evaluation) forward 8×64×56×56 f32')).toBe(2);
    expect(passes('batchNorm(evaluation) backward 8×64×56×56 f32')).toBe(3);
    expect(passes('instanceNorm backward 32×256×14×14 f32')).toBe(3);
    expect(passes('instanceNorm backward 1×32×1048576 f32')).toBe(5);
    expect(passes('groupNorm(32) forward 2×128×128×512 channels-last f32')).toBe(3);
  });
});
