// `npm run setup`: the dependencies and a browser, and with --engines everything the four-engine run needs.
import { ensureEngine, ensureNats } from './lib/install.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { message, option } from './lib/steps.mjs';

/** @type {import('./lib/vulkan.mjs').Engine[]} */
const engines = ['chromium', 'firefox', 'dawn', 'deno'];

try {
  checkNode();
  await ensureDependencies();
  for (const engine of option('engines') ? engines : engines.slice(0, 1)) {
    await ensureEngine(engine);
    console.log(`${engine}: ready`);
  }
  await ensureNats();
  console.log('nats-server: ready');
} catch (error) {
  console.error(message(error));
  process.exitCode = 1;
}
