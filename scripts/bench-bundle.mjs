// `npm run bench:bundle`: the bench as one file for a bare machine with a GPU, in dist-bench/.
import { relative } from 'node:path';
import { bareFile, bundleBare } from '../bench/host/bundle.mjs';
import { commit } from './lib/commit.mjs';
import { root } from './lib/paths.mjs';

await bundleBare(commit());
console.log(
  `${relative(root, bareFile)}: copy it to a machine with Node 20 or newer and, beside it or above,`,
);
console.log(
  'node_modules/webgpu (npm install webgpu); or set DAWN_NODE to the dawn.node of that package. Then there:',
);
console.log('  node webgpu-norm-bench.mjs --json results.json');
