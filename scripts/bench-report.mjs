// `npm run bench:report`: README's figures, the tables beside the results and the chart, from bench/results/*.json.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chart } from '../bench/host/chart.mjs';
import { linearPage, loadResults, readmeBlock, resultFolder, rowsPage } from '../bench/host/results.mjs';
import { withBlock } from './lib/blocks.mjs';
import { root } from './lib/paths.mjs';

const results = loadResults();
if (results.length === 0) throw new Error('There is no result in bench/results.');
const readme = join(root, 'README.md');
writeFileSync(readme, withBlock(readFileSync(readme, 'utf8'), 'bench', readmeBlock(results)));
for (const { name, result, linear } of results) {
  writeFileSync(join(resultFolder, `${name}.md`), rowsPage(name, result));
  if (linear) writeFileSync(join(resultFolder, `${name}-linear.md`), linearPage(name, linear));
}
writeFileSync(join(root, 'docs', 'bench.svg'), chart(results));
console.log(
  `README.md, docs/bench.svg and bench/results/*.md, from ${results.map(({ name }) => name).join(', ')}`,
);
