// `npm run kernels`: docs/shaders, the table of CONTRIBUTING.md and the golden descriptions of the tests, from shaders/ and src/.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runnerImport } from 'vite';
import { kernelSamples } from './lib/kernel-samples.mjs';
import { root } from './lib/paths.mjs';
import { wgslModules } from './lib/wgsl-modules.mjs';

const files = [
  'kernels',
  'ops/op-options',
  'plan/strategy',
  'plan/kept',
  'plan/schedule',
  'gpu/device-model',
];
const settings = { configFile: /** @type {const} */ (false), root, plugins: [wgslModules()] };
const loaded = await Promise.all(files.map((name) => runnerImport(join(root, `src/${name}.ts`), settings)));
const library = Object.assign({}, ...loaded.map(({ module }) => module));
for (const [path, text] of kernelSamples(library)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  console.log(path);
}
