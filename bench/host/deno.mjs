import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findDeno } from '../../scripts/lib/browsers.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { driverName, vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';
import { bundleFile } from './bundle.mjs';

/**
 * Runs the bench in Deno, a process of its own: a request per line on its stdin, a reply per line on its stdout.
 *
 * @returns {Promise<import('./engines.mjs').Host>}
 */
export async function openDeno() {
  const program = join(root, 'bench', 'host', 'deno-program.mjs');
  const args = ['run', '--allow-all', '--no-config', '--no-lock', program, bundleFile];
  const child = spawn(findDeno(), args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    // The Vulkan loader complains on every start where no session has set XDG_RUNTIME_DIR.
    env: { XDG_RUNTIME_DIR: tmpdir(), NO_COLOR: '1', ...process.env, ...vulkanEnvironment('deno') },
  });
  /** @type {{ resolve: (value: any) => void, reject: (error: Error) => void }[]} */
  const waiting = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('@')) return void console.error(line);
    const { value, error } = JSON.parse(line.slice(1));
    const asked = waiting.shift();
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new Error(error));
  });
  const ended = new Promise((resolve) => {
    const end = (/** @type {unknown} */ why) => {
      for (const { reject } of waiting.splice(0)) reject(new Error(`Deno ended: ${why}`));
      resolve(undefined);
    };
    child.on('error', end).on('close', (code, signal) => end(signal ?? `exit ${code}`));
  });
  child.stdin.on('error', () => {}); // a write to a dead child: its end tells the story
  const ask = (/** @type {string} */ method, /** @type {unknown[]} */ ...given) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      child.stdin.write(`${JSON.stringify({ method, given })}\n`);
    });
  return {
    version: await ask('version'),
    driver: driverName('deno'),
    start: (options) => ask('start', options),
    run: (row, options) => ask('run', row, options),
    sweep: (row, options) => ask('sweep', row, options),
    overhead: () => ask('overhead'),
    async close() {
      child.stdin.end();
      // One that hangs in a row does not hear of the end of its stdin.
      const late = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(late);
    },
  };
}
