// Ours against onnxruntime-web in one page: LayerNorm and RMSNorm forward, each row faster, five times overall.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comparison } from '../../bench/host/report.mjs';
import { rowShapes } from '../../bench/rows.ts';
import { root } from '../../scripts/lib/paths.mjs';
import { node } from '../../scripts/lib/run.mjs';

const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-bench-'));
const file = join(folder, 'result.json');
afterAll(() => rmSync(folder, { recursive: true }));

describe('onnxruntime-web', () => {
  let result: { peers: string[]; rows: { op: string; name: string }[]; failures: string[] };

  beforeAll(async () => {
    // Its exit status is the check's own verdict; the tests below tell which part of it fails.
    await node(join(root, 'scripts', 'bench.mjs'), ['--check', '--quick', '--json', file], {
      timeout: 570_000,
    });
    result = JSON.parse(readFileSync(file, 'utf8'));
  }, 600_000);

  it('is compared at all shapes, with correct results', () => {
    expect(result.failures).toEqual([]);
    for (const op of ['layerNorm', 'rmsNorm']) {
      expect(result.rows.filter((row) => row.op === op)).toHaveLength(rowShapes.length);
    }
  });

  it('is slower in every row, and five times overall', () => {
    expect(result.peers).toHaveLength(1);
    for (const peer of result.peers) {
      const { rows, slower, geometricMean } = comparison(result.rows, peer);
      expect(rows).toBe(2 * rowShapes.length);
      expect(slower).toEqual([]);
      expect(geometricMean).toBeGreaterThanOrEqual(5);
    }
  });
});
