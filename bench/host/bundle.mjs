import { join } from 'node:path';
import { build } from 'vite';
import { cache, root } from '../../scripts/lib/paths.mjs';

export const bundleFile = join(cache, 'bench', 'bench.mjs');

/** Bundles the page's side of the bench and the library into one module. */
export async function bundleBench() {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      target: 'es2022',
      minify: false,
      outDir: join(cache, 'bench'),
      emptyOutDir: true,
      lib: { entry: join(root, 'bench/page.ts'), formats: ['es'], fileName: () => 'bench.mjs' },
    },
  });
}
