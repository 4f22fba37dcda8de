/** What the loops that people write leave behind: nothing. From the packed package, on Dawn in Node. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type App, makeApp } from './app.ts';
import { run } from './run.ts';

interface Sample {
  tensors: number;
  tensorBytes: number;
  scratchBytes: number;
  /** Objects of the heap that are held. */
  objects: number;
}

let results: Record<string, [early: Sample, late: Sample]>;
let app: App;
beforeAll(async () => {
  app = await makeApp(['webgpu']);
  const program = join(app.folder, 'memory.mjs');
  copyFileSync(join(import.meta.dirname, 'memory.mjs'), program);
  const ended = await run(process.execPath, ['--expose-gc', program], { cwd: app.folder, engine: 'dawn' });
  expect(ended.status, ended.stderr).toBe(0);
  results = JSON.parse(ended.stdout.trim().split('\n').at(-1) ?? '');
});
afterAll(() => app?.remove());

it.each(['function', 'module', 'module with out', 'encoder'])('10,000 iterations of a loop: %s', (name) => {
  const [early, late] = results[name] as [Sample, Sample];
  expect(late.tensors - early.tensors).toBeLessThanOrEqual(0);
  expect(late.tensorBytes - early.tensorBytes).toBeLessThanOrEqual(0);
  expect(late.scratchBytes).toBe(early.scratchBytes);
  // 8,000 iterations lie between the two.
  expect(late.objects - early.objects).toBeLessThan(2_000);
});

it('an object that stayed of each iteration would be seen', () => {
  const [early, late] = results.leak as [Sample, Sample];
  expect(late.objects - early.objects).toBeGreaterThan(7_000);
});
