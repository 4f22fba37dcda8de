/**
 * Four ranks with DistributedDataParallel, noSync, uneven batches and ZeroRedundancyOptimizer, over ports and over NATS: after 50 steps
 * parameters and optimizer state are those of training alone.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';
import { type NatsServer, natsServer } from './nats-server.ts';
import { bundleProgram } from './programs/bundle.ts';
import { distance, size, type Trained } from './programs/data-parallel.ts';

let server: NatsServer;
let program: string;
let alone: Trained;

beforeAll(async () => {
  server = await natsServer();
  program = await bundleProgram('node');
  [alone] = (await run([program, 'data-parallel-alone'])) as [Trained];
});
afterAll(() => server?.stop());

/** What the ranks of a program print, a line each. */
async function run(args: readonly string[]): Promise<Trained[]> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...vulkanEnvironment('dawn') } });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    if (!text.includes('Warning: max')) console.error(text);
  });
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
  const lines = out.trim().split('\n');
  return lines.map((line) => JSON.parse(line.replace(/^\[\d\] /, '')));
}

function check(all: readonly Trained[], transport: string): void {
  expect(all).toHaveLength(size);
  for (const one of all) expect(one).toEqual(all[0]);
  const [first] = all as [Trained];
  const parameters = distance(first.parameters, alone.parameters);
  const state = distance(first.state, alone.state);
  console.log(
    `data parallel over ${transport}: parameters ${parameters.toExponential(1)} from training alone`,
  );
  expect(parameters).toBeLessThan(1e-6);
  expect(state).toBeLessThan(1e-6);
  // Steps are counted: it did train.
  expect(first.state).toContain(50);
}

test('over ports', async () => {
  check(await run([program, 'data-parallel-ports']), 'ports');
});

test('processes over NATS', async () => {
  const launch = [join(root, 'bin', 'webgpu-norm.mjs'), 'launch', '--nproc', String(size)];
  check(await run([...launch, '--nats', server.url, program, 'data-parallel']), 'NATS');
});
