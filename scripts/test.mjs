// `npm test`: everything that must hold before a commit, from a bare checkout. Option: --filter=text keeps the
// GPU cases whose name contains it.
import { join } from 'node:path';
import { ensureEngine, ensureNats } from './lib/install.mjs';
import { bin, root } from './lib/paths.mjs';
import { node } from './lib/run.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { closing, step, textOption } from './lib/steps.mjs';
import { testCpu, testDemo, testDistributed, testGpu, testInterop, testPackage } from './lib/tests.mjs';

await closing(async (tally) => {
  const filter = textOption('filter') ?? '';
  await step('set-up', async () => {
    checkNode();
    await ensureDependencies();
    await ensureEngine('chromium');
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
  await step('CPU tests', () => testCpu(tally));
  await step('Process groups', () => testDistributed(tally));
  await step('GPU tests in Chromium', () => testGpu(tally, 'chromium', filter));
  await step('Demo page in Chromium', () => testDemo(tally));
  await step('onnxruntime-web and tfjs in Chromium', () => testInterop(tally));
  await step('API reference', () => node(bin.typedoc));
  await step('Package', () => node(join(root, 'scripts', 'check-package.mjs')));
  await step('set-up for Dawn and Deno', async () => {
    await ensureEngine('dawn');
    await ensureEngine('deno');
  });
  await step('Examples and documentation from the package', () => testPackage(tally));
});
