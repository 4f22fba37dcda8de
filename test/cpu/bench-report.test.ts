import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { chart } from '../../bench/host/chart.mjs';
import { linearity } from '../../bench/host/linear.mjs';
import {
  linearPage,
  loadResults,
  readmeBlock,
  resultFolder,
  rowsPage,
  summaryTable,
} from '../../bench/host/results.mjs';
import { withBlock } from '../../scripts/lib/blocks.mjs';
import { root } from '../../scripts/lib/paths.mjs';

const results = loadResults();
const text = (...path: string[]) => readFileSync(join(root, ...path), 'utf8');

describe('figures are those of the committed results (npm run bench:report)', () => {
  it('in README', () => {
    const readme = text('README.md');
    expect(results.length).toBeGreaterThan(0);
    expect(readme).toBe(withBlock(readme, 'bench', readmeBlock(results)));
  });

  it.each(results)('in the tables of $name', ({ name, result, linear }) => {
    const page = (file: string) => readFileSync(join(resultFolder, `${file}.md`), 'utf8');
    expect(page(name)).toBe(rowsPage(name, result));
    if (linear) expect(page(`${name}-linear`)).toBe(linearPage(name, linear));
  });

  it('in the chart', () => {
    expect(text('docs', 'bench.svg')).toBe(chart(results));
  });
});

describe('a report', () => {
  const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-report-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const row = {
    name: 'layerNorm forward 4096×1024 f32',
    ...{ op: 'layerNorm', pass: 'forward', shape: [4096, 1024], layout: 'channels-first', dtype: 'f32' },
    ...{
      ms: 2,
      wallMs: 4,
      spread: [2, 2],
      gbps: 16.8,
      copyFraction: 0.9,
      relError: 6e-8,
      strategy: 'registers',
    },
    ...{ repeats: 1, samples: 1, peers: {}, peerDetails: {} },
  };
  const run = {
    ...{
      adapter: 'a GPU',
      driver: 'd',
      software: false,
      engine: 'dawn',
      version: 'v',
      cores: 4,
      commit: 'c',
    },
    ...{ date: '2026-01-01T00:00:00Z', command: 'run', method: 'timestamp-query', peers: [], notRun: [] },
    ...{ timing: { rounds: 3, sampleMs: 30, maxRepeats: 9 }, failures: [], rows: [row] },
  };
  const torchRow = {
    ...row,
    ms: 3,
    peers: { 'torch.compile': 2.5 },
    peerDetails: { 'torch.compile': { ms: 2.5 } },
  };
  const torch = {
    ...run,
    engine: 'pytorch',
    version: 'PyTorch 9',
    peers: ['torch.compile'],
    rows: [torchRow],
  };

  it('has PyTorch of the same GPU among the peers, by the clock of the GPU', () => {
    writeFileSync(join(folder, 'dawn-a-gpu.json'), JSON.stringify(run));
    writeFileSync(join(folder, 'dawn-b-gpu.json'), JSON.stringify(run));
    writeFileSync(join(folder, 'pytorch-a-gpu.json'), JSON.stringify(torch));
    const [one, two, ...others] = loadResults(folder);
    expect(others).toEqual([]);
    expect(two?.result.peers).toEqual([]);
    const cells = summaryTable(one?.result).split('\n').at(-1)?.split(' | ');
    expect(cells?.slice(-2)).toEqual(['×1.50', '×1.25 |']);
  });

  it.each([{ ms: 2.01 }, { gbps: 16.9 }, { copyFraction: 0.89 }, { peers: { tfjs: 8.1 } }])(
    'changes with every figure: %o',
    (change) => {
      const block = (one: object) =>
        readmeBlock([{ name: 'x', result: { ...run, peers: ['tfjs'], rows: [one] } }]);
      const before = { ...row, peers: { tfjs: 8 } };
      expect(block({ ...before, ...change })).not.toBe(block(before));
    },
  );

  it('compares the time of a byte by fastest samples, with what a copy does where that is less even', () => {
    const sized = (mebibytes: number, fastest: number, copy: number, op = 'layerNorm') => ({
      ...row,
      ...{ op, shape: [mebibytes * 256, 1024], spread: [fastest, 100], copy: { fastest: copy } },
    });
    const ops = linearity([
      ...[sized(4, 4, 2), sized(64, 96, 32)],
      ...[sized(4, 4, 2, 'rmsNorm'), sized(64, 100, 32, 'rmsNorm')],
      ...[sized(4, 4, 2, 'groupNorm'), sized(64, 100, 50, 'groupNorm')],
    ]);
    expect(ops.map(({ holds }) => holds)).toEqual([true, false, true]);
    expect(ops[0]?.factor).toBeCloseTo(1.5);
    expect(ops[0]?.sizes.map(({ mebibytes }) => mebibytes)).toEqual([4, 64]);
  });

  it('of the time of a byte has what ran under its size, and says what did not', () => {
    const sized = (mebibytes: number, op: string) => ({
      ...row,
      ...{ op, shape: [mebibytes * 256, 1024], spread: [mebibytes, 9], copy: { fastest: mebibytes } },
    });
    const linear = {
      ...run,
      rows: [sized(64, 'rmsNorm'), sized(4, 'layerNorm'), sized(64, 'layerNorm')],
      notRun: [{ name: 'rmsNorm forward 1024×1024 f32', notRun: 'no memory' }],
    };
    const page = linearPage('x', linear);
    expect(page).toContain('| rmsNorm forward | – | 977 | ×1.00 | ×1.00 |');
    expect(page).toContain('| layerNorm forward | 977 | 977 | ×1.00 | ×1.00 |');
    expect(page).toContain('- Not run: rmsNorm forward 1024×1024 f32: no memory');
    expect(readmeBlock([{ name: 'x', result: run, linear }])).toContain('without 1 rows that did not run');
    writeFileSync(join(folder, 'dawn-c-gpu-linear.json'), JSON.stringify({ ...linear, linear: true }));
    expect(() => loadResults(folder)).toThrow('dawn-c-gpu-linear.json has no run beside it');
  });
});
