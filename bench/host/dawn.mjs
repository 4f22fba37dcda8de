import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { driverName, vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';
import { bundleFile } from './bundle.mjs';
import { dawnFlags } from './dawn-flags.mjs';

const require = createRequire(import.meta.url);

/**
 * Runs the bench in this very process, on the Dawn of the npm package `webgpu`.
 *
 * @returns {Promise<import('./engines.mjs').Host>}
 */
export async function openDawn() {
  Object.assign(process.env, vulkanEnvironment('dawn'));
  const { create, globals } = await import('webgpu');
  // All of Dawn's devices die with the object that create() returns: globalThis keeps it reachable.
  Object.assign(globalThis, globals, { dawn: create(dawnFlags) });
  const { bench } = await import(pathToFileURL(bundleFile).href);
  return {
    version: `Node ${process.versions.node}, webgpu ${require('webgpu/package.json').version}`,
    driver: driverName('dawn'),
    inProcess: true,
    start: (options) => bench.start({ gpu: globalThis.dawn, ...options }),
    run: bench.run,
    sweep: bench.sweep,
    overhead: bench.overhead,
    close: async () => {},
  };
}
