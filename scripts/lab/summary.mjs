// The table of docs/lab.md: by family and target, from what lies under bench/lab/.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withBlock } from '../lib/blocks.mjs';
import { root } from '../lib/paths.mjs';
import { resultFolder } from './report.mjs';
import { targets } from './targets.mjs';

/** Writes the tables of docs/lab.md anew. */
export function writeSummary() {
  const results = Object.keys(targets).flatMap((id) => {
    const file = join(resultFolder, `${id}.json`);
    return existsSync(file) ? [JSON.parse(readFileSync(file, 'utf8'))] : [];
  });
  const file = join(root, 'docs', 'lab.md');
  const text = withBlock(readFileSync(file, 'utf8'), 'lab-targets', targetTable(results));
  writeFileSync(file, withBlock(text, 'lab-families', familyTable(results)));
}

/** @param {any[]} results */
function targetTable(results) {
  return [
    '| target | GPU | driver | kernels | break a bound | seconds |',
    '|---|---|---|---|---|---|',
    ...results.map(({ target, gpu, adapter, columns, kernels, seconds }) => {
      const failing = kernels.filter((one) => one[columns.indexOf('breaks')].length > 0).length;
      return `| ${target} | ${gpu} | ${adapter.description} | ${kernels.length} | ${failing} | ${seconds} |`;
    }),
  ].join('\n');
}

/** A cell: how many kernels spill, and how many are under the floor of occupancy, out of how many. @param {any[]} results */
function familyTable(results) {
  const families = [...new Set(results.flatMap(({ families }) => Object.keys(families)))].sort();
  const cell = ({ columns, kernels }, family) => {
    const at = (name) => columns.indexOf(name);
    const own = kernels.filter((one) => one[at('family')] === family);
    if (own.length === 0) return '–';
    const broken = own.map((one) => one[at('breaks')]);
    const count = (what) => broken.filter((breaks) => breaks.some((one) => one.startsWith(what))).length;
    const words = [
      [count('spills'), 'spill'],
      [count('occupancy'), 'low'],
      [count('narrow'), 'narrow'],
      [count('divisions'), 'divide'],
      [count('does not compile'), 'fail'],
    ];
    const told = words.flatMap(([number, word]) => (number ? [`${number} ${word}`] : []));
    return told.length > 0 ? `${told.join(', ')} of ${own.length}` : '✓';
  };
  /** Round trips in loops, as the first of AMD's targets has them. */
  const trips = (family) => {
    const amd = results.find(({ columns }) => columns.includes('loopTrips'));
    const at = amd?.columns.indexOf('loopTrips');
    const found = (amd?.kernels ?? [])
      .filter((one) => one[amd.columns.indexOf('family')] === family && one[at] !== null)
      .map((one) => one[at]);
    if (found.length === 0) return '–';
    const [low, high] = [Math.min(...found), Math.max(...found)];
    return low === high ? `${low}` : `${low} to ${high}`;
  };
  return [
    `| family | ${results.map(({ target }) => target).join(' | ')} | loop trips |`,
    `|---|${results.map(() => '---|').join('')}---|`,
    ...families.map(
      (family) => `| ${family} | ${results.map((one) => cell(one, family)).join(' | ')} | ${trips(family)} |`,
    ),
  ].join('\n');
}
