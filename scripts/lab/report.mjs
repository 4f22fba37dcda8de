// What the lab prints, and what it leaves under bench/lab/: a JSON and a table per target.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/paths.mjs';

export const resultFolder = join(root, 'bench', 'lab');

/** Columns of the table: what the line has, and how the table calls it. @type {[string, string][]} */
const columns = [
  ['threads', 'wave'],
  ['registers', 'registers'],
  ['occupancy', 'occupancy'],
  ['spills', 'spills'],
  ['scratch', 'scratch'],
  ['shared', 'shared'],
  ['instructions', 'instructions'],
  ['loopInstructions', 'in the loop'],
  ['loads', 'loads'],
  ['stores', 'stores'],
  ['narrow', 'narrow'],
  ['divisions', 'divisions'],
  ['allDivisions', 'in all'],
  ['barriers', 'barriers'],
  ['loopTrips', 'loop trips'],
  ['trips', 'trips'],
];

/** @param {import('./judge.mjs').Line[]} lines */
const columnsOf = (lines) =>
  columns.filter(([name]) =>
    lines.some((line) => line[name] !== null && line[name] !== undefined && line[name] !== ''),
  );

/** @param {unknown} value */
const shown = (value) => (value === null || value === undefined || value === '' ? '–' : String(value));

/** Lines under each other, for a terminal. @param {import('./judge.mjs').Line[]} lines */
export function table(lines) {
  const used = columnsOf(lines);
  const rows = [
    ['kernel', ...used.map(([, title]) => title)],
    ...lines.map((line) => [
      `${line.breaks.length > 0 ? '! ' : '  '}${line.family} ${line.variant} #${line.id}`,
      ...(line.error ? [line.error.split('\n')[0] ?? ''] : used.map(([name]) => shown(line[name]))),
    ]),
  ];
  const widths =
    rows[0]?.map((_, i) =>
      Math.max(...rows.map((row) => (row.length > 2 || i === 0 ? (row[i] ?? '').length : 0))),
    ) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  '),
    )
    .join('\n');
}

/** How many kernels of a family break what. @param {import('./judge.mjs').Line[]} lines */
export function failures(lines) {
  /** @type {Map<string, { kernels: number, broken: Map<string, number[]> }>} */
  const families = new Map();
  for (const { family, breaks } of lines) {
    const entry = families.get(family) ?? { kernels: 0, broken: new Map() };
    families.set(family, entry);
    entry.kernels++;
    for (const one of breaks) {
      const [, what = '', value = ''] = /^(does not compile|\w+)(?: (\d+))?/.exec(one) ?? [];
      entry.broken.set(what, [...(entry.broken.get(what) ?? []), Number(value)]);
    }
  }
  return families;
}

/** `spills: 3, 12 to 340`. @param {Map<string, number[]>} broken */
export function words(broken) {
  return [...broken]
    .map(([what, values]) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const range = what === 'does not compile' ? '' : low === high ? ` (${low})` : ` (${low} to ${high})`;
      return `${what} ${values.length}${range}`;
    })
    .join(', ');
}

/**
 * The files of a target: every kernel as a line of JSON, and a table of its families.
 *
 * @param {string} id
 * @param {import('./targets.mjs').Target} target
 * @param {import('./compile.mjs').Outcome} outcome
 * @param {import('./judge.mjs').Line[]} lines
 * @param {number} count random calls per op and pass
 */
export function writeResults(id, target, { adapter, facts }, lines, count) {
  mkdirSync(resultFolder, { recursive: true });
  const names = [
    'id',
    'family',
    'variant',
    'rows',
    'uses',
    ...columnsOf(lines).map(([name]) => name),
    'breaks',
  ];
  const rows = lines.map((line) => JSON.stringify(names.map((name) => line[name] ?? null)));
  const head = {
    target: id,
    gpu: target.gpu,
    adapter,
    facts,
    randomCalls: count,
    bounds: target.bounds,
  };
  const families = Object.fromEntries(
    [...failures(lines)].map(([family, { kernels, broken }]) => [family, { kernels, breaks: words(broken) }]),
  );
  const text = JSON.stringify({ ...head, families, columns: names });
  writeFileSync(
    join(resultFolder, `${id}.json`),
    `${text.slice(0, -1)},"kernels":[\n${rows.join(',\n')}\n]}\n`,
  );
  writeFileSync(join(resultFolder, `${id}.md`), markdown(target, adapter, lines, count));
}

/** `4`, or `1 to 4`. @param {import('./judge.mjs').Line[]} lines @param {string} name */
function range(lines, name) {
  const found = lines.map((line) => line[name]).filter((value) => typeof value === 'number');
  if (found.length === 0) return '–';
  const [low, high] = [Math.min(...found), Math.max(...found)];
  return low === high ? `${low}` : `${low} to ${high}`;
}

/** What a family's line shows. @type {[string, string][]} */
const ranges = ['registers', 'occupancy', 'spills', 'scratch', 'instructions', 'loopTrips', 'trips'].map(
  (name) => [name, columns.find(([own]) => own === name)?.[1] ?? name],
);

/**
 * @param {import('./targets.mjs').Target} target
 * @param {Record<string, unknown>} adapter
 * @param {import('./judge.mjs').Line[]} lines
 * @param {number} count
 */
function markdown(target, adapter, lines, count) {
  const failing = lines.filter(({ breaks }) => breaks.length > 0).length;
  const used = ranges.filter(([name]) => range(lines, name) !== '–');
  return [
    `# ${target.gpu}`,
    '',
    `${adapter.description}. ${lines.length} kernels, of which ${failing} break a bound: those of the bench's rows and of ${count} random calls`,
    'per op and pass. Made by `npm run lab`; docs/lab.md explains the columns, and the JSON beside this has a line per kernel.',
    '',
    `| family | kernels | ${used.map(([, title]) => title).join(' | ')} | kernels that break a bound (values) |`,
    `|---|---|${used.map(() => '---|').join('')}---|`,
    ...[...failures(lines)].map(([family, { kernels, broken }]) => {
      const own = lines.filter((line) => line.family === family);
      const cells = used.map(([name]) => range(own, name));
      return `| ${family} | ${kernels} | ${cells.join(' | ')} | ${words(broken) || '–'} |`;
    }),
    '',
  ].join('\n');
}
