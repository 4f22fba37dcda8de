// `npm test`: everything that must hold before a commit, from a bare checkout. Option: --filter=text keeps the
// GPU cases whose name contains it.
import { join } from 'node:path';
import { ensureEngine, ensureNats } from './lib/install.mjs';
import { bin, root } from './lib/paths.mjs';
import { node } from './lib/run.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { attempt, closing, step, textOption } from './lib/steps.mjs';
import { testCpu, testDemo, testDistributed, testGpu, testInterop, testPackage } from './lib/tests.mjs';

await closing(async (tally) => {
  const filter = textOption('filter') ?? '';
  await step('set-up', async () => {
    checkNode();
    await ensureDependencies();
    // Chromium for GPU tests and pages; Dawn and Deno for process groups, examples and documentation; NATS for process groups.
    for (const engine of /** @type {const} */ (['chromium', 'dawn', 'deno'])) await ensureEngine(engine);
    await ensureNats();
  });
  await step('typecheck', async () => {
    for (const project of ['tsconfig.json', 'test/tsconfig.json', 'scripts/tsconfig.json']) {
      const status = await node(bin.tsc, ['-p', project]);
      if (status !== 0) return status;
    }
    return 0;
  });
  await step('lint', () => node(bin.biome, ['check']));
  await step('build', () => node(join(root, 'scripts', 'build.mjs')));
  await attempt(tally, 'CPU tests', () => testCpu(tally));
  await attempt(tally, 'Process groups', () => testDistributed(tally));
  await attempt(tally, 'GPU tests in Chromium', () => testGpu(tally, 'chromium', filter));
  await attempt(tally, 'Demo page in Chromium', () => testDemo(tally));
  await attempt(tally, 'onnxruntime-web, tfjs and TypeGPU in Chromium', () => testInterop(tally));
  await step('API reference', () => node(bin.typedoc));
  await step('Package', () => node(join(root, 'scripts', 'check-package.mjs')));
  await attempt(tally, 'Examples and documentation from the package', () => testPackage(tally));
  console.log(
    '\nNot run: the tests against Python and PyTorch (npm run test:python), other engines (npm run test:engines), ' +
      'other versions of TypeScript (npm run test:typescript).',
  );
});
