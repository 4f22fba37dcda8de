// `npm run test:typescript`: the packed package's types in every TypeScript that it supports, which are installed for it.
import { join } from 'node:path';
import { root } from './lib/paths.mjs';
import { node } from './lib/run.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { attempt, closing, step } from './lib/steps.mjs';
import { testTypescript } from './lib/tests.mjs';
import { ensureTypescripts } from './lib/typescripts.mjs';

await closing(async (tally) => {
  await step('set-up', async () => {
    checkNode();
    await ensureDependencies();
    ensureTypescripts();
  });
  await step('build', () => node(join(root, 'scripts', 'build.mjs')));
  await attempt(tally, 'Types in every TypeScript', () => testTypescript(tally));
});
