import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findDeno } from '../../scripts/lib/browsers.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { driverName, vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';
import { suiteFile } from './bundle.ts';
import type { AdapterFacts, Outcome } from './case.ts';
import type { Host } from './engine.ts';

interface Reply {
  id: number;
  value?: unknown;
  error?: string;
}

/** Runs the suite in a child process, Node with Dawn or Deno, talking JSON lines over its stdin and stdout. */
export async function openProcess(name: 'dawn' | 'deno', url: string): Promise<Host> {
  const hostFile = join(root, 'test', 'harness', 'host.mjs');
  const args = [hostFile, suiteFile, `${url}/data`];
  const child = spawn(
    name === 'deno' ? findDeno() : process.execPath,
    name === 'deno' ? ['run', '--allow-all', '--no-config', '--no-lock', ...args] : args,
    {
      cwd: root,
      stdio: ['pipe', 'pipe', 'pipe'],
      // The Vulkan loader complains on every start where no session has set XDG_RUNTIME_DIR.
      env: { XDG_RUNTIME_DIR: tmpdir(), NO_COLOR: '1', ...process.env, ...vulkanEnvironment(name) },
    },
  );

  const waiting = new Map<number, (reply: Reply) => void>();
  let lastWords = '';
  const heard = (text: string) => {
    lastWords = (lastWords + text).slice(-2000);
  };
  child.stderr.setEncoding('utf8').on('data', heard);
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('@')) return heard(`${line}\n`);
    const reply: Reply = JSON.parse(line.slice(1));
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  child.stdin.on('error', () => {}); // a write to a dead child: `died` tells the story
  const died = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(`exit ${code ?? signal}. ${lastWords.trim()}`));
  });

  let last = 0;
  const call = <T>(method: string, argument?: string): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, (reply) =>
        reply.error === undefined ? resolve(reply.value as T) : reject(new Error(reply.error)),
      );
      child.stdin.write(`${JSON.stringify({ id, method, argument })}\n`);
    });

  const dead = died.then((reason) => Promise.reject(new Error(`${name} did not start: ${reason}`)));
  const version = await Promise.race([call<string>('version'), dead]);
  dead.catch(() => {});
  return {
    version,
    driver: driverName(name),
    start: () => call<AdapterFacts>('start'),
    run: (one) => call<Outcome>('run', one),
    died,
    async close() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await died;
      clearTimeout(timer);
    },
  };
}
