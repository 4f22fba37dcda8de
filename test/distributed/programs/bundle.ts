/** Bundles a program with the library, for Node or for browsers. */
import { join } from 'node:path';
import { build } from 'vite';
import { cache, root } from '../../../scripts/lib/paths.mjs';
import { wgslModules } from '../../../scripts/lib/wgsl-modules.mjs';

export async function bundleProgram(name: 'node' | 'page' | 'thread' | 'worker'): Promise<string> {
  const outDir = join(cache, 'programs', name);
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    publicDir: false,
    plugins: [wgslModules()],
    build: {
      target: 'es2022',
      minify: false,
      outDir,
      emptyOutDir: true,
      lib: {
        entry: join(root, 'test/distributed/programs', `${name}.ts`),
        formats: ['es'],
        fileName: () => `${name}.mjs`,
      },
      rolldownOptions: {
        external: name === 'node' || name === 'thread' ? [/^node:/, /^@nats-io\//, 'webgpu'] : [],
      },
    },
  });
  return join(outDir, `${name}.mjs`);
}
