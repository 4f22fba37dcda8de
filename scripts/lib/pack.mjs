import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cache, root } from './paths.mjs';

/**
 * Packs what `npm run build` has built.
 *
 * @returns {Promise<{ file: string, files: string[] }>} the tarball, and the paths inside it
 */
export async function pack() {
  const folder = join(cache, 'pack');
  mkdirSync(folder, { recursive: true });
  const { stdout, stderr, status } = npm(
    ['pack', '--json', '--ignore-scripts', '--pack-destination', folder],
    root,
  );
  if (status !== 0) throw new Error(`npm pack failed:\n${stderr}`);
  const [{ filename, files }] = JSON.parse(stdout);
  return {
    file: join(folder, filename),
    files: files.map((/** @type {{ path: string }} */ { path }) => path),
  };
}

/**
 * npm, through its own script where npm started us, so that it needs no shell.
 *
 * @param {string[]} args
 * @param {string} cwd
 */
export function npm(args, cwd) {
  const { npm_execpath: script } = process.env;
  const [command, first] = script?.endsWith('.js') ? [process.execPath, [script]] : ['npm', []];
  const shell = command === 'npm' && process.platform === 'win32';
  return spawnSync(command, [...first, ...args], { cwd, shell, encoding: 'utf8', maxBuffer: 2 ** 26 });
}
