/** Ranks that train in step: Node processes over NATS, pages over its WebSocket, Web Workers without a server. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';
import { bounds } from '../support/tolerances.ts';
import { openPages, type Pages, type ProgramWindow } from './browser.ts';
import { groupName } from './fabrics.ts';
import { type NatsServer, natsServer } from './nats-server.ts';
import { bundleProgram } from './programs/bundle.ts';
import { batchSizes } from './programs/training.ts';

let server: NatsServer;
let pages: Pages;

beforeAll(async () => {
  server = await natsServer();
  pages = await openPages();
});
afterAll(async () => {
  await pages?.close();
  await server?.stop();
});

/** One process alone with the joined batch. */
async function alone(sizes: readonly number[]): Promise<number[]> {
  const page = await pages.open();
  const state = await page.evaluate(
    (all) => (globalThis as unknown as ProgramWindow).program.trainAlone(all),
    sizes,
  );
  await page.close();
  return state;
}

/** All ranks alike, and like training alone; counts and running statistics included. */
function check(states: readonly number[][], expected: readonly number[]): number {
  for (const state of states) expect(state).toEqual(states[0]);
  let worst = 0;
  states[0]?.forEach((value, i) => {
    const off = Math.abs(value - (expected[i] as number)) / Math.max(1, Math.abs(expected[i] as number));
    worst = Math.max(worst, off);
  });
  expect(states[0]).toHaveLength(expected.length);
  expect(expected).toContain(50); // numBatchesTracked: it did train
  expect(worst).toBeLessThan(1e-5);
  return worst;
}

function launch(nproc: number, script: string): Promise<{ code: number | null; lines: string[] }> {
  const args = ['launch', '--nproc', String(nproc), '--nats', server.url, script, 'train'];
  const child = spawn(process.execPath, [join(root, 'bin', 'webgpu-norm.mjs'), ...args], {
    env: { ...process.env, ...vulkanEnvironment('dawn') },
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    if (!text.includes('Warning: max')) console.error(text);
  });
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, lines: out.trim().split('\n') }));
  });
}

test('four Node processes over NATS', async () => {
  const { code, lines } = await launch(4, await bundleProgram('node'));
  expect(code).toBe(0);
  const states = lines.map((line) => JSON.parse(line.replace(/^\[\d\] /, '')));
  expect(states).toHaveLength(4);
  const worst = check(states, await alone(batchSizes));
  console.log(`four Node processes: ${worst.toExponential(1)} from training alone after 50 steps`);
});

test('three pages over the WebSocket of NATS', async () => {
  const sizes = batchSizes.slice(0, 3);
  const group = groupName();
  const opened = await Promise.all(sizes.map(() => pages.open()));
  const states = await Promise.all(
    opened.map((page, rank) =>
      page.evaluate(
        (...args) => (globalThis as unknown as ProgramWindow).program.trainOverNats(...args),
        rank,
        sizes,
        group,
        server.webSocketUrl,
      ),
    ),
  );
  await Promise.all(opened.map((page) => page.close()));
  const worst = check(states, await alone(sizes));
  console.log(`three pages: ${worst.toExponential(1)} from training alone after 50 steps`);
});

test('a page with four workers and no server', async () => {
  const page = await pages.open();
  const states = await page.evaluate(
    (sizes) => (globalThis as unknown as ProgramWindow).program.trainInWorkers(sizes),
    batchSizes,
  );
  await page.close();
  const worst = check(states, await alone(batchSizes));
  console.log(`four workers: ${worst.toExponential(1)} from training alone after 50 steps`);
});

test('SyncBatchNorm of 1 to 8 replicas equals one BatchNorm, over every transport', async () => {
  const page = await pages.open();
  for (const transport of ['local', 'ports', 'channel', 'nats'] as const) {
    const errors: number[] = [];
    for (let size = 1; size <= 8; size++) {
      errors.push(
        await page.evaluate(
          (...args) => (globalThis as unknown as ProgramWindow).program.verify(...args),
          transport,
          size,
          server.webSocketUrl,
        ),
      );
    }
    const worst = Math.max(...errors);
    console.log(`${transport}: largest relative error ${worst.toExponential(1)}`);
    expect(worst).toBeLessThanOrEqual(bounds.replicas);
  }
  await page.close();
});

test('a page is refused without credentials, and by a server that is not there', async () => {
  const guarded = await natsServer({ user: 'alice', password: 'secret' });
  const page = await pages.open();
  const errors: string[] = [];
  for (const url of [guarded.webSocketUrl, 'ws://127.0.0.1:9']) {
    errors.push(
      await page.evaluate(
        (address) =>
          (globalThis as unknown as ProgramWindow).program.trainOverNats(0, [2], 'g', address).then(
            () => 'joined',
            (error) => `${error.code}: ${error.message}`,
          ),
        url,
      ),
    );
  }
  await page.close();
  await guarded.stop();
  expect(errors[0]).toMatch(/^connection: .*refused the credentials/);
  expect(errors[1]).toMatch(/^connection: .*cannot be reached/);
});
