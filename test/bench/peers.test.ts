// Ours against onnxruntime-web and tfjs in one page: every line of bench/host/check.mjs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lines, verdicts } from '../../bench/host/check.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { node } from '../../scripts/lib/run.mjs';

const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-bench-'));
const file = join(folder, 'result.json');
afterAll(() => rmSync(folder, { recursive: true }));

describe('peers', () => {
  let result: { peers: string[]; rows: { name: string }[]; failures: string[] };

  beforeAll(async () => {
    // Its exit status is the check's own verdict; the tests below tell which part of it fails.
    await node(join(root, 'scripts', 'bench.mjs'), ['--check', '--quick', '--json', file], {
      timeout: 890_000,
    });
    result = JSON.parse(readFileSync(file, 'utf8'));
  }, 900_000);

  it('compute the same, and so do we', () => {
    // A row fails where ours is further from float64 than allowed, or where a peer computes something else.
    expect(result.failures).toEqual([]);
    expect(result.peers).toEqual([
      expect.stringMatching(/^onnxruntime-web /),
      expect.stringMatching(/^tfjs /),
    ]);
  });

  it.each(lines.map(({ name }, index) => [name, index] as const))('%s', (_, index) => {
    const { rows, slower, geometricMean } = verdicts(result.rows, result.peers)[index] as ReturnType<
      typeof verdicts
    >[number];
    const { count, least = 1 } = lines[index] as (typeof lines)[number];
    expect(rows).toBe(count);
    expect(slower).toEqual([]);
    expect(geometricMean).toBeGreaterThanOrEqual(least);
  });
});
