// Checks the package as npm packs it: publint, arethetypeswrong, no runtime dependencies, and what it weighs in a bundle.
// Needs `npm run build`. Writes the tarball where the tests of the examples take it from.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { build } from 'vite';
import { pack } from './lib/pack.mjs';
import { root } from './lib/paths.mjs';

/**
 * Bytes that a minified, gzipped bundle may have, by what it exports: 3 % above what was measured last, so that the next fix does not
 * trip them. What is measured is printed.
 *
 * @type {{ name: string, code: string, most: number }[]}
 */
const budgets = [
  { name: 'import { LayerNorm }', code: "export { LayerNorm } from 'webgpu-norm'", most: 59_500 },
  { name: 'import { init, LayerNorm }', code: "export { init, LayerNorm } from 'webgpu-norm'", most: 66_900 },
  { name: 'import { init, layerNorm }', code: "export { init, layerNorm } from 'webgpu-norm'", most: 45_300 },
  {
    name: 'import { init, layerNorm, layerNormBackward }',
    code: "export { init, layerNorm, layerNormBackward } from 'webgpu-norm'",
    most: 59_500,
  },
  { name: 'everything', code: "export * from 'webgpu-norm'", most: 95_600 },
  { name: 'import { SGD }', code: "export { SGD } from 'webgpu-norm/optim'", most: 16_500 },
  {
    name: 'import { AdamW, OneCycleLR }',
    code: "export { AdamW, OneCycleLR } from 'webgpu-norm/optim'",
    most: 19_000,
  },
  { name: 'everything of optim', code: "export * from 'webgpu-norm/optim'", most: 83_500 },
];
/** Likewise of the file that is minified already. */
const single = { path: 'dist/webgpu-norm.min.js', most: 95_600 };

/** @type {string[]} */
const problems = [];
const { file, files } = await pack();
const tarball = readFileSync(file);
const { buffer, byteOffset, byteLength } = tarball;
const bytes = buffer.slice(byteOffset, byteOffset + byteLength);

const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true });
for (const message of messages) problems.push(`publint: ${formatMessage(message, pkg)}`);
if (Object.keys(pkg.dependencies ?? {}).length > 0) problems.push('There are runtime dependencies.');

const types = await checkPackage(createPackageFromTarballData(new Uint8Array(bytes)), {
  excludeEntrypoints: [/package\.json/],
});
// The package is ES modules alone, which is not for require(). Resolution as of Node 10 finds the types of each entry point.
for (const problem of 'problems' in types ? types.problems : []) {
  const kind = 'resolutionKind' in problem ? problem.resolutionKind : '';
  if (kind !== 'node16-cjs') problems.push(`arethetypeswrong: ${JSON.stringify(problem)}`);
}

for (const needed of ['dist/index.js', 'dist/index.d.ts', single.path, 'README.md', 'LICENSE']) {
  if (!files.includes(needed)) problems.push(`${needed} is not in the package.`);
}
for (const path of files) {
  if (/^(test|demo|bench|scripts\/.*\.mjs|node_modules)/.test(path))
    problems.push(`${path} is in the package.`);
}

for (const { name, code, most } of budgets) weigh(name, await bundle(code), most);
weigh(single.path, readFileSync(join(root, single.path), 'utf8'), single.most);

/** @param {string} name @param {string} code @param {number} most */
function weigh(name, code, most) {
  const size = gzipSync(code, { level: 9 }).length;
  console.log(`${name}: ${size} bytes gzipped, at most ${most}`);
  if (size > most) problems.push(`${name} has ${size} bytes gzipped, more than ${most}.`);
}

/** @param {string} code */
async function bundle(code) {
  const result = await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins: [
      {
        name: 'entry',
        resolveId: (id) =>
          id === 'virtual:entry' ? id : id === 'webgpu-norm' ? `${root}/dist/index.js` : undefined,
        load: (id) => (id === 'virtual:entry' ? code : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: { input: 'virtual:entry', preserveEntrySignatures: 'strict' },
    },
  });
  if (!('output' in result)) throw new Error('One bundle was expected.');
  return result.output[0].code;
}

console.log(`${files.length} files, ${tarball.length} bytes packed`);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
