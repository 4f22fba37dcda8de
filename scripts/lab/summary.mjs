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
  const blocks = { 'lab-targets': targetTable, 'lab-families': familyTable, 'lab-items': itemsTable };
  let text = readFileSync(file, 'utf8');
  for (const [name, make] of Object.entries(blocks)) text = withBlock(text, name, make(results));
  writeFileSync(file, text);
}

/** @param {any[]} results */
function targetTable(results) {
  return [
    '| target | GPU | driver | kernels | break a bound |',
    '|---|---|---|---|---|',
    ...results.map(({ target, gpu, adapter, columns, kernels }) => {
      const failing = kernels.filter((one) => one[columns.indexOf('breaks')].length > 0).length;
      return `| ${target} | ${gpu} | ${adapter.description} | ${kernels.length} | ${failing} |`;
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

/** Kernels that keep a row in registers, by quads per thread: what is left of the occupancy, and most spills. @param {any[]} results */
function itemsTable(results) {
  const items = (line, { columns }) =>
    Number(/ items (\d+)/.exec(line[columns.indexOf('variant')])?.[1] ?? 0);
  const rows = ['rows/forward_registers', 'rows/backward_registers'].flatMap((family) => {
    const most = family === 'rows/forward_registers' ? 16 : 8;
    return Array.from({ length: most }, (_, index) => ({ family, count: index + 1 }));
  });
  const cell = (result, { family, count }) => {
    const { columns, kernels } = result;
    const at = (name) => columns.indexOf(name);
    const own = kernels.filter((one) => one[at('family')] === family && items(one, result) === count);
    if (own.length === 0) return '–';
    const least = columns.includes('occupancy')
      ? Math.min(...own.map((one) => one[at('occupancy')]))
      : undefined;
    const spills = Math.max(...own.map((one) => one[at('spills')]));
    const words = [least === undefined ? '' : `${least}`, spills > 0 ? `${spills} spills` : ''].filter(
      Boolean,
    );
    return words.join(', ') || '0 spills';
  };
  return [
    `| family | items | ${results.map(({ target }) => target).join(' | ')} |`,
    `|---|---|${results.map(() => '---|').join('')}`,
    ...rows.map(
      (row) => `| ${row.family} | ${row.count} | ${results.map((one) => cell(one, row)).join(' | ')} |`,
    ),
  ].join('\n');
}
