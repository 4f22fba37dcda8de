import { join } from 'node:path';
import { build } from 'vite';
import { cache, root } from '../../scripts/lib/paths.mjs';

export const bundleFolder = join(cache, 'bench');
export const bundleFile = join(bundleFolder, 'bench.mjs');

/** @param {string} entry @param {string} fileName */
async function bundle(entry, fileName) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      target: 'es2022',
      minify: false,
      outDir: bundleFolder,
      emptyOutDir: false,
      lib: { entry: join(root, entry), formats: ['es'], fileName: () => fileName },
    },
  });
}

/**
 * Bundles the page's side of the bench and the library into one module, and what a peer has no module of its own for.
 *
 * @param {boolean} peers
 */
export async function bundleBench(peers) {
  await bundle('bench/page.ts', 'bench.mjs');
  if (peers) await bundle('bench/peers/tfjs-library.ts', 'tfjs.mjs');
}
