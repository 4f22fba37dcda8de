// `npm run scaling`: what collectives cost on this machine, per transport, ranks and channels, and what the tree of ranks
// saves in large groups. docs/scaling.md has the numbers and the model. Options: --quick, --simulate (the tree alone)
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'vite';
import { startNats } from '../bin/nats-server.mjs';
import { ensureNats } from './lib/install.mjs';
import { cache, root } from './lib/paths.mjs';
import { message, option } from './lib/steps.mjs';
import { wgslModules } from './lib/wgsl-modules.mjs';

const outDir = join(cache, 'scaling');

try {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    plugins: [wgslModules()],
    build: {
      target: 'es2022',
      minify: false,
      outDir,
      emptyOutDir: true,
      lib: {
        entry: join(root, 'test/distributed/programs/scaling.ts'),
        formats: ['es'],
        fileName: () => 'scaling.mjs',
      },
      rolldownOptions: { external: [/^node:/, /^@nats-io\//] },
    },
  });
  const { measure, simulate } = await import(pathToFileURL(join(outDir, 'scaling.mjs')).href);
  if (!option('simulate')) {
    await ensureNats();
    const server = await startNats();
    await measure(server.url, join(outDir, 'scaling.mjs'), option('quick') ? 20 : 100);
    await server.stop();
  }
  await simulate();
} catch (error) {
  console.error(message(error));
  process.exitCode = 1;
}
process.exit();
