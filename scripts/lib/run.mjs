import { spawn } from 'node:child_process';
import { root } from './paths.mjs';

/**
 * Runs a program in the checkout, its output going straight to ours. With `quiet` nothing of it is shown
 * unless the program fails, and then only its last `quiet` lines.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, timeout?: number, shell?: boolean, quiet?: number }} [options]
 * @returns {Promise<number>} the exit status; 124 when the time ran out, 127 when it could not be started
 */
export function run(command, args, { env = {}, timeout = 0, shell = false, quiet } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: quiet !== undefined ? ['ignore', 'pipe', 'pipe'] : 'inherit',
      env: { ...process.env, ...env },
      shell,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-20_000);
      });
    }
    const end = (status) => {
      clearTimeout(timer);
      if (status !== 0 && quiet) console.log(output.trimEnd().split('\n').slice(-quiet).join('\n'));
      resolve(status);
    };
    const timer =
      timeout > 0
        ? setTimeout(() => {
            child.kill('SIGKILL');
            end(124);
          }, timeout)
        : undefined;
    child.on('error', () => end(127));
    child.on('close', (code) => end(code ?? 1));
  });
}

/**
 * Runs a Node script: mostly a tool from node_modules.
 *
 * @param {string} script
 * @param {string[]} [args]
 * @param {Parameters<typeof run>[2]} [options]
 */
export function node(script, args = [], options = {}) {
  return run(process.execPath, [script, ...args], options);
}
