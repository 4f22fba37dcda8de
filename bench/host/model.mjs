// `npm run bench -- --model CLASS`: predicted times for GPUs that are not at hand. Runs nothing.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { root } from '../../scripts/lib/paths.mjs';
import { wgslModules } from '../../scripts/lib/wgsl-modules.mjs';

const labFolder = join(root, 'bench', 'lab');

/**
 * Prints the predictions. Those for all rows are left in bench/lab as well.
 *
 * @param {string} name of devices
 * @param {string} filter of rows
 */
export async function runModel(name, filter) {
  const settings = { configFile: /** @type {const} */ (false), root, plugins: [wgslModules()] };
  const { module } = await runnerImport(join(root, 'bench', 'model', 'model.ts'), settings);
  const { predictAll, page, text } = /** @type {any} */ (module);
  const words = filter.split(/\s+/).filter(Boolean);
  for (const [id, predictions] of predictAll(name, labFolder, words)) {
    console.log(text(predictions));
    if (words.length > 0) continue;
    const file = join(labFolder, `model-${id}.md`);
    writeFileSync(file, page(predictions));
    console.log(`── written to bench/lab/model-${id}.md`);
  }
}
