// `npm run bench:bundle` makes one file of this, of the bench and of the library, for a machine that has Node, a GPU and
// nothing else. WebGPU comes from the package `webgpu`, or from the file of Dawn's binding that DAWN_NODE names.
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { bench } from '../page.ts';
import { dawnFlags } from './dawn-flags.mjs';
import { commonUsage, parseOptions, runBench } from './run.mjs';

const usage = `node webgpu-norm-bench.mjs [options]
${commonUsage}`;

async function openBare() {
  const file = process.env.DAWN_NODE;
  const dawn = file ? createRequire(import.meta.url)(file) : await import('webgpu');
  // All of Dawn's devices die with the object that create() returns: globalThis keeps it reachable.
  Object.assign(globalThis, dawn.globals, { dawn: dawn.create(dawnFlags) });
  return {
    version: `Node ${process.versions.node}`,
    driver: process.env.VK_DRIVER_FILES && basename(process.env.VK_DRIVER_FILES, '.json'),
    inProcess: true,
    start: (options) => bench.start({ gpu: globalThis.dawn, ...options }),
    run: bench.run,
    sweep: bench.sweep,
    overhead: bench.overhead,
    close: async () => {},
  };
}

const options = parseOptions(process.argv.slice(2), 'dawn');
if (options.help) console.log(usage);
else {
  if (options.check || options.peers !== undefined) throw new Error('The peers need a browser.');
  if (options.model !== undefined) throw new Error('Predictions need the files of the repository.');
  if (options.engine !== 'dawn') throw new Error('This bundle has no engine but dawn.');
  // The bundle knows what it was made of.
  const commit = process.env.WEBGPU_NORM_COMMIT ?? 'unknown';
  const about = { engine: 'dawn', commit, program: 'node webgpu-norm-bench.mjs' };
  if (!(await runBench(openBare, options, about))) process.exitCode = 1;
}
process.exit(); // Dawn's threads would keep Node alive
