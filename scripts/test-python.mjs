// `npm run test:python`: what a maintainer checks against Python and PyTorch: safetensors files, state dicts, the rows of the bench.
import { ensurePython } from './lib/install.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { attempt, closing, step } from './lib/steps.mjs';
import { testPython } from './lib/tests.mjs';

await closing(async (tally) => {
  await step('set-up', async () => {
    checkNode();
    await ensureDependencies();
    await ensurePython();
  });
  await attempt(tally, 'Files and scripts shared with Python', () => testPython(tally));
});
