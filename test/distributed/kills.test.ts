/**
 * Ranks that are killed at random moments: processes (SIGKILL), Web Workers (terminate), ranks of one realm that just
 * stop. WEBGPU_NORM_KILLS says how often, over all transports together; who is killed and when follows from a seed.
 */
import { fork } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';
import { openPages, type Pages, type ProgramWindow } from './browser.ts';
import { type NatsServer, natsServer } from './nats-server.ts';
import { bundleProgram } from './programs/bundle.ts';
import { type Kill, killLoop, Mailbox, type Remote } from './programs/kill-loop.ts';
import type { Said } from './programs/rank.ts';

const kills = Number(process.env.WEBGPU_NORM_KILLS ?? 4);
const transports = ['nats', 'local', 'ports', 'channel'] as const;

let node: string;
let server: NatsServer;
let pages: Pages;
const env = { ...process.env, ...vulkanEnvironment('dawn') };

beforeAll(async () => {
  node = await bundleProgram('node');
  server = await natsServer();
  pages = await openPages();
});
afterAll(async () => {
  await pages?.close();
  await server?.stop();
});

function startProcess(): Remote {
  const child = fork(node, [], { env, silent: true });
  const mailbox = new Mailbox();
  child.on('message', (said) => mailbox.put(said as Said));
  child.stderr?.on('data', (text) => {
    if (!/^Warning: max/m.test(String(text))) console.error(String(text));
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.once('exit', (code) => mailbox.fail(`a process ended with ${code}`));
  return {
    send: (orders) => void child.send(orders),
    hear: () => mailbox.take(),
    kill() {
      child.kill('SIGKILL');
      return ended;
    },
  };
}

function check(all: readonly Kill[]): number {
  for (const { victim, failures } of all) {
    expect(failures).toHaveLength(2);
    for (const failure of failures) {
      expect(failure).toMatchObject({
        code: 'timeout',
        ranks: [victim],
        unchanged: true,
        leaked: 0,
        timers: 0,
      });
      // As far as the other survivor, too.
      expect(failure.state).toEqual(failures[0]?.state);
    }
  }
  return all.reduce((steps, { failures }) => steps + (failures[0]?.steps ?? 0), 0);
}

test.each(transports)('over %s', { timeout: 30_000 + 5000 * kills }, async (transport) => {
  const place = transports.indexOf(transport);
  const share = Math.floor((kills + transports.length - 1 - place) / transports.length);
  const seed = 1 + place;
  let all: Kill[];
  if (transport === 'nats' || transport === 'local') {
    all = await killLoop(transport, share, seed, startProcess, server.url);
  } else {
    const page = await pages.open();
    all = await page.evaluate(
      (...args) => (globalThis as unknown as ProgramWindow).program.killInWorkers(...args),
      transport,
      share,
      seed,
    );
    await page.close();
  }
  expect(all).toHaveLength(share);
  const steps = check(all);
  const slowest = Math.max(...all.flatMap(({ failures }) => failures.map(({ ms }) => ms)));
  console.log(
    `${transport}: ${share} kills in ${steps} steps, the slowest error after ${slowest.toFixed(0)} ms`,
  );
});
