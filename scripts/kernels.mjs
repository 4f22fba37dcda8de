// `npm run kernels`: docs/shaders and the golden descriptions of the tests, from shaders/ and src/.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runnerImport } from 'vite';
import { kernelSamples } from './lib/kernel-samples.mjs';
import { root } from './lib/paths.mjs';
import { wgslModules } from './lib/wgsl-modules.mjs';

const { module } = await runnerImport(join(root, 'src/kernels.ts'), {
  configFile: false,
  root,
  plugins: [wgslModules()],
});
for (const [path, text] of kernelSamples(/** @type {any} */ (module).describe)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  console.log(path);
}
