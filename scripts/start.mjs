// `npm start`: serves the demo. Options: --port=5173 --host[=address] --open
import { bin } from './lib/paths.mjs';
import { node } from './lib/run.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { message } from './lib/steps.mjs';

try {
  checkNode();
  await ensureDependencies();
  process.exitCode = await node(bin.vite, process.argv.slice(2));
} catch (error) {
  console.error(message(error));
  process.exitCode = 1;
}
