// `npx webgpu-norm` from the packed package.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type App, makeApp } from './app.ts';
import { run } from './run.ts';

let app: App;
beforeAll(async () => {
  app = await makeApp(['webgpu']);
}, 120_000);
afterAll(() => app?.remove());

const cli = (...args: string[]) =>
  run(process.execPath, [join(app.folder, 'node_modules/webgpu-norm/bin/webgpu-norm.mjs'), ...args], {
    cwd: app.folder,
    engine: 'dawn',
  });

it('tells what it can do', async () => {
  const { status, stdout } = await cli('--help');
  expect(status).toBe(0);
  for (const name of ['doctor', 'bench', 'launch']) {
    expect(stdout).toContain(name);
    const help = await cli(name, '--help');
    expect(help.status).toBe(0);
    expect(help.stdout).toContain(`webgpu-norm ${name}`);
    expect((await cli(name, '-h')).stdout).toBe(help.stdout);
  }
  expect((await cli('-h')).stdout).toBe(stdout);
});

it('tells its version', async () => {
  const { version } = JSON.parse(
    readFileSync(join(app.folder, 'node_modules/webgpu-norm/package.json'), 'utf8'),
  );
  expect(await cli('--version')).toMatchObject({ status: 0, stdout: `${version}\n` });
});

it('returns 2 for a mistake, and says which', async () => {
  for (const [args, said] of [
    [['nope'], "There is no command 'nope'"],
    [['doctor', '--jason'], '--jason'],
    [['bench', 'extra'], 'extra'],
  ] as const) {
    const { status, stdout, stderr } = await cli(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(said);
  }
});

it('doctor checks every norm on this adapter', async () => {
  const plain = await cli('doctor');
  expect(plain.status, plain.stdout).toBe(0);
  expect(plain.stdout).toMatch(/all is well\n$/);
  const { status, stdout } = await cli('doctor', '--json');
  const { versions, adapter, features, limits, used, selfCheck, passed } = JSON.parse(stdout);
  expect(status).toBe(0);
  expect(passed).toBe(true);
  expect(versions.node).toBe(process.versions.node);
  expect(adapter).not.toBe('');
  expect(features).toBeInstanceOf(Array);
  expect(limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
  expect(used.f16).toBe(features.includes('shader-f16'));
  expect(selfCheck).toHaveLength(16);
  for (const { error, bound } of selfCheck) {
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThanOrEqual(bound);
  }
});

it('bench times every norm', async () => {
  const { status, stdout } = await cli('bench', '--quick', '--json');
  expect(status).toBe(0);
  const { results } = JSON.parse(stdout);
  expect(results).toHaveLength(8);
  for (const { forward, backward } of results) {
    for (const { ms, gbps, ofCopy } of [forward, backward]) {
      expect(Math.min(ms, gbps, ofCopy)).toBeGreaterThan(0);
    }
  }
});

it('without the package webgpu, says to install it', async () => {
  rmSync(join(app.folder, 'node_modules', 'webgpu'));
  const { status, stdout } = await cli('doctor', '--json');
  expect(status).toBe(1);
  expect(JSON.parse(stdout).error).toMatchObject({
    code: 'no-webgpu',
    fix: expect.stringContaining('npm install webgpu'),
  });
  const bench = await cli('bench');
  expect(bench.status).toBe(1);
  expect(bench.stderr).toContain('npm install webgpu');
});
