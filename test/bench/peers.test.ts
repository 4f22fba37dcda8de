// Ours against onnxruntime-web and tfjs in one page: every line of bench/host/check.mjs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verdicts } from '../../bench/host/check.mjs';
import { benchRows } from '../../bench/rows.ts';
import { root } from '../../scripts/lib/paths.mjs';
import { node } from '../../scripts/lib/run.mjs';

const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-bench-'));
const file = join(folder, 'result.json');
afterAll(() => rmSync(folder, { recursive: true }));

const lines = verdicts([], [], 0, { moduleUs: 0, byHandUs: 0 }).map(
  ({ name }, index) => [name, index] as const,
);

describe('peers', () => {
  let result: {
    peers: string[];
    f16: boolean;
    rows: { name: string }[];
    failures: unknown[];
    overhead: [{ moduleUs: number; byHandUs: number }];
  };

  beforeAll(async () => {
    // Its exit status is the check's own verdict; the tests below tell which part of it fails.
    await node(join(root, 'scripts', 'bench.mjs'), ['--check', '--quick', '--json', file], {
      timeout: 3_590_000,
    });
    result = JSON.parse(readFileSync(file, 'utf8'));
  }, 3_600_000);

  it('are there, and no row fails', () => {
    // A row fails where ours is further from float64 than allowed.
    expect(result.failures).toEqual([]);
    expect(result.peers).toEqual([
      expect.stringMatching(/^onnxruntime-web /),
      expect.stringMatching(/^tfjs /),
    ]);
  });

  it.each(lines)('%s', (_, index) => {
    const { rows, peers, f16, overhead } = result;
    const verdict = verdicts(rows, peers, benchRows(f16).length, overhead[0])[index];
    expect(verdict?.held, verdict?.text).toBe(true);
  });
});
