// `npx webgpu-norm` from the packed package.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describe } from '../../src/kernels.ts';
import { facts as everyDevice } from '../support/variants.ts';
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
  for (const name of ['doctor', 'bench', 'launch', 'export', 'shader']) {
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
    [['export'], 'Which op, of which shape?'],
    [['export', 'rmsNorm', '4x4'], '--out is missing'],
    [['shader', 'rmsNorm', '4x4', '--out', 'here'], 'shader prints'],
    [['shader', 'rmsNorm', '4x4', 'more'], "'more' is one argument too many"],
    [['shader', 'rmsNorm', '4x'], "The shape is '4x'"],
    [['shader', 'normNorm', '4x4'], "There is no op 'normNorm'"],
    [['shader', 'rmsNorm', '4x4', '--bias'], 'RMSNorm has no bias'],
    [['shader', 'rmsNorm', '4x4', '--eps', 'small'], "--eps is 'small', which is no number"],
    [['shader', 'rmsNorm', '4x4', '--weight', '--no-weight'], 'contradict each other'],
    [['shader', 'rmsNorm', '4x4', '--pass', 'back'], "no pass 'back'"],
    [['shader', 'rmsNorm', '4x4', '--wants', 'weight'], "--wants is 'weight'"],
    [['shader', 'rmsNorm', '4x4', '--facts', 'nowhere.json'], '--facts: '],
    [['shader', 'rmsNorm', '4x4', '--facts', '{"subgroups":4}'], "facts has no option 'subgroups'"],
    [['shader', 'rmsNorm', '4x4', '--schedule', '{"strategy":"fast"}'], "no strategy 'fast'"],
    [['shader', 'rmsNorm', '4x4', '--dtypes', 'f16'], '--dtypes'],
  ] as const) {
    const { status, stdout, stderr } = await cli(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(said);
  }
});

it('export writes a manifest and one file for each shader that differs', async () => {
  const facts = { ...everyDevice, iterations: null };
  writeFileSync(join(app.folder, 'facts.json'), JSON.stringify(facts));
  const args = [
    'rmsNorm',
    '300x64',
    '--pass',
    'backward',
    '--dtype',
    'f16',
    '--param-dtype',
    'f32',
    '--no-dsum',
  ];
  const more = ['--cast', 'gemma', '--wants', 'dweight', '--accumulate', '--normalized-shape', '64'];
  const { status, stdout, stderr } = await cli(
    'export',
    ...args,
    ...more,
    '--facts',
    'facts.json',
    '--schedule',
    '{"strategy":"split"}',
    '--out',
    'some/where',
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const folder = join(app.folder, 'some/where');
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const described = describe(
    'rmsNorm',
    {
      shape: [300, 64],
      pass: 'backward',
      dtype: 'f16',
      paramDtype: 'f32',
      dsum: false,
      cast: 'gemma',
      wants: { dweight: true, dbias: false },
      accumulate: true,
      normalizedShape: [64],
      schedule: { strategy: 'split' },
    },
    facts,
  );
  expect(manifest.dispatches.length).toBeGreaterThan(1);
  const names = new Set<string>();
  for (const dispatch of manifest.dispatches) {
    names.add(dispatch.wgsl);
    expect(stdout).toContain(dispatch.wgsl);
    dispatch.wgsl = readFileSync(join(folder, dispatch.wgsl), 'utf8').trimEnd();
  }
  expect(manifest).toEqual(described);
  expect(readdirSync(folder).sort()).toEqual(['manifest.json', ...names].sort());
});

it('export takes numbers, names, flags and null as the library does', async () => {
  const numbers = ['--eps', '1e-3', '--negative-slope', '0.2', '--momentum', 'null'];
  const names = ['--layout', 'channels-last', '--activation', 'leakyRelu', '--running-variance', 'biased'];
  const flags = [
    '--training',
    '--variance',
    '--no-weight',
    '--running-mean',
    '--running-var',
    '--num-batches-tracked',
  ];
  const { status, stderr } = await cli(
    'export',
    'batchNorm',
    '2x6x6x4',
    ...numbers,
    ...names,
    ...flags,
    '--out',
    'batch',
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const folder = join(app.folder, 'batch');
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  for (const dispatch of manifest.dispatches) {
    dispatch.wgsl = readFileSync(join(folder, dispatch.wgsl), 'utf8').trimEnd();
  }
  expect(manifest).toEqual(
    describe('batchNorm', {
      shape: [2, 6, 6, 4],
      eps: 1e-3,
      negativeSlope: 0.2,
      momentum: null,
      layout: 'channels-last',
      activation: 'leakyRelu',
      runningVariance: 'biased',
      training: true,
      variance: true,
      weight: false,
      runningMean: true,
      runningVar: true,
      numBatchesTracked: true,
    }),
  );
});

it('export tells its flags from the tables of the library', async () => {
  const { stdout } = await cli('export', '--help');
  for (const flag of [
    '--[no-]weight ',
    '--eps NUMBER',
    '--normalized-shape SIZES',
    '--wants NAMES',
    '--schedule JSON',
  ])
    expect(stdout).toContain(`\n  ${flag}`);
});

it('shader prints each shader once', async () => {
  const { status, stdout } = await cli(
    'shader',
    'batchNorm',
    '2x4x6x6',
    '--training',
    '--activation',
    'relu',
  );
  const options = { shape: [2, 4, 6, 6], training: true, activation: 'relu' } as const;
  const codes = new Set(describe('batchNorm', options).dispatches.map(({ wgsl }) => wgsl));
  expect(status).toBe(0);
  expect(codes.size).toBeGreaterThan(1);
  for (const code of codes) expect(stdout.split(code)).toHaveLength(2);
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
