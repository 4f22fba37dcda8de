/** `webgpu-norm launch`. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-launch-'));
const script = join(folder, 'script.mjs');

beforeAll(() => {
  writeFileSync(
    script,
    `const { RANK, LOCAL_RANK, WORLD_SIZE, NATS_URL, GROUP_NAME } = process.env;
    console.log(RANK, LOCAL_RANK, WORLD_SIZE, NATS_URL.startsWith('nats://127.0.0.1:'), GROUP_NAME.length > 0, ...process.argv.slice(2));
    console.error('to stderr');
    if (process.argv.includes('fail') && RANK === '1') process.exit(7);
    if (process.argv.includes('fail')) setTimeout(() => {}, 60_000);`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: string[]): Promise<{ code: number | null; out: string[]; err: string[] }> {
  const child = spawn(process.execPath, [join(root, 'bin', 'webgpu-norm.mjs'), ...args], {
    env: { ...process.env, NATS_URL: '' },
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const lines = (text: string) => text.trimEnd().split('\n');
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, out: lines(out), err: lines(err) }));
  });
}

test('ranks get their environment and arguments; their output is told apart', async () => {
  const { code, out, err } = await run('launch', '--nproc', '3', script, '--nproc', 'x');
  expect(code).toBe(0);
  expect(out.sort()).toEqual([0, 1, 2].map((rank) => `[${rank}] ${rank} ${rank} 3 true true --nproc x`));
  expect(err.sort()).toEqual([0, 1, 2].map((rank) => `[${rank}] to stderr`));
});

test('ranks of the second of two machines', async () => {
  const { code, out } = await run(
    ...['launch', '--nproc=2', '--nodes=2', '--node=1', '--nats=nats://127.0.0.1:4222', script],
  );
  expect(code).toBe(0);
  expect(out.sort()).toEqual(['[2] 2 0 4 true true', '[3] 3 1 4 true true']);
});

test('one rank that fails stops all, and its code is the code', async () => {
  const { code, err } = await run('launch', '--nproc', '3', script, 'fail');
  expect(code).toBe(7);
  expect(err).toContain('[1] ended with 7: stopping all ranks');
});

test.each([
  [[], /launch .*once per rank/],
  [['start'], /no command 'start'/],
  [['launch', '--nproc', '0', script], /--nproc needs an integer/],
  [['launch', '--nproc', '2', 'absent.mjs'], /There is no absent.mjs/],
  [['launch', '--nproc', '2', '--nodes', '2', script], /--nats/],
  [['launch', '--nproc', '2', '--node', '1', script], /--node is 1/],
])('arguments %j', async (args, words) => {
  const { code, out, err } = await run(...args);
  expect(code).toBe(args.length === 0 ? 0 : 2);
  expect([...out, ...err].join('\n')).toMatch(words);
});
