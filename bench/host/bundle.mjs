import { basename, dirname, join } from 'node:path';
import { build } from 'vite';
import { cache, root } from '../../scripts/lib/paths.mjs';
import { wgslModules } from '../../scripts/lib/wgsl-modules.mjs';

export const bundleFolder = join(cache, 'bench');
export const bundleFile = join(bundleFolder, 'bench.mjs');
export const bareFile = join(root, 'dist-bench', 'webgpu-norm-bench.mjs');

/** @param {string} entry @param {string} fileName */
async function bundle(entry, fileName) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    plugins: [wgslModules()],
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

/**
 * Bundles all of it, the host's side too, into one file that needs nothing but Node and the package `webgpu`.
 *
 * @param {string} commit what the results are stamped with
 */
export async function bundleBare(commit) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    plugins: [wgslModules()],
    define: { 'process.env.WEBGPU_NORM_COMMIT': JSON.stringify(commit) },
    ssr: { noExternal: true, external: ['webgpu'] },
    build: {
      target: 'node20',
      minify: false,
      ssr: join(root, 'bench', 'host', 'bare.mjs'),
      outDir: dirname(bareFile),
      rolldownOptions: { output: { entryFileNames: basename(bareFile), codeSplitting: false } },
    },
  });
}
