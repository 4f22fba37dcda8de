import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Everything the scripts and tests write between runs; `npm ci` clears it, git never sees it. */
export const cache = join(root, 'node_modules', '.cache', 'webgpu-norm');

/** @param {string} name an engine's name */
export const resultFile = (name) => join(cache, 'results', `${name}.json`);

/** The entry points of the tools, started with this very Node: no shell, no PATH, the same on Windows. */
export const bin = {
  vite: join(root, 'node_modules', 'vite', 'bin', 'vite.js'),
  vitest: join(root, 'node_modules', 'vitest', 'vitest.mjs'),
  tsc: join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
  biome: join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome'),
  typedoc: join(root, 'node_modules', 'typedoc', 'bin', 'typedoc'),
  puppeteer: join(root, 'node_modules', 'puppeteer', 'lib', 'cjs', 'puppeteer', 'node', 'cli.js'),
};
