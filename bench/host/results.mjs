// What README and the tables beside the results show of them: text, made from committed files alone.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import { linearity } from './linear.mjs';
import { brief, comparison, speedUp } from './report.mjs';

export const resultFolder = join(root, 'bench', 'results');

/**
 * The committed runs by file name, each with PyTorch's figures of the same GPU among its peers: those of `pytorch-h200` beside
 * `dawn-h200` and `chromium-h200`. What adapters call themselves is no help: browsers keep the model to themselves.
 *
 * @returns {{ name: string, result: any, linear?: any }[]} `linear`: the run of `<name>-linear.json`
 */
export function loadResults(folder = resultFolder) {
  const all = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({
      name: file.replace(/\.json$/, ''),
      result: JSON.parse(readFileSync(join(folder, file), 'utf8')),
    }));
  const torch = all.filter(({ result }) => result.engine === 'pytorch');
  const linear = new Map(all.filter(({ result }) => result.linear).map(({ name, result }) => [name, result]));
  const ours = all
    .filter(({ result }) => result.engine !== 'pytorch' && !result.linear)
    .map((one) => ({ ...one, linear: linear.get(`${one.name}-linear`) }));
  for (const name of linear.keys()) {
    const beside = ours.some((one) => name === `${one.name}-linear`);
    if (!beside) throw new Error(`${name}.json has no run beside it whose name is the same but for -linear.`);
  }
  for (const { name, result } of ours) {
    for (const beside of torch) {
      const both = !result.software && !beside.result.software;
      if (both && gpuOf(name) === gpuOf(beside.name)) addTorch(result, beside.result);
    }
  }
  return ours;
}

/** What follows the engine in a file's name. */
const gpuOf = (name) => name.replace(/^[^-]*-/, '');

/** Two clocks of the GPU are compared: ours by its timestamps, PyTorch's by its events. */
function addTorch(result, torch) {
  const rows = new Map(torch.rows.map((row) => [row.name, row]));
  const eager = torch.version;
  result.peers.push(eager, ...torch.peers);
  for (const row of result.rows) {
    const other = rows.get(row.name);
    if (!other) continue;
    const { ms, spread, relError, repeats, samples } = other;
    Object.assign(row.peers, { [eager]: ms }, other.peers);
    Object.assign(
      row.peerDetails,
      { [eager]: { ms, spread, relError, repeats, samples } },
      other.peerDetails,
    );
    for (const peer of [eager, ...torch.peers]) {
      if (row.peerDetails[peer]) row.peerDetails[peer].gpuClock = true;
    }
  }
}

const titles = {
  layerNorm: 'LayerNorm',
  rmsNorm: 'RMSNorm',
  addLayerNorm: 'residual + LayerNorm',
  addRmsNorm: 'residual + RMSNorm',
  groupNorm: 'GroupNorm',
  instanceNorm: 'InstanceNorm',
};

/** What rows of one line of the table have in common: `BatchNorm in training + ReLU, backward`. */
export function kindOf({ op, pass, training, relu, axes }) {
  if (axes) return `${titles[op]} over channels, ${pass}`;
  const batch = `BatchNorm in ${training ? 'training' : 'evaluation'}${relu ? ' + ReLU' : ''}`;
  return `${titles[op] ?? batch}, ${pass}`;
}

/** Rows by kind, in the order of the run. */
export function byKind(rows) {
  /** @type {Map<string, any[]>} */
  const kinds = new Map();
  for (const row of rows) kinds.set(kindOf(row), [...(kinds.get(kindOf(row)) ?? []), row]);
  return kinds;
}

const percent = (share) => `${Math.round(100 * share)}`;
const markdown = (cells) => `| ${cells.join(' | ')} |`;
const table = (header, rows) =>
  [markdown(header), markdown(header.map(() => '---')), ...rows.map(markdown)].join('\n');

/** Rows by the shape that readers know best, where it is there. */
const known = ['4096×1024', '8×64×56×56', '8×320×64×64', '32×256×14×14'];

function exampleOf(rows) {
  return known.flatMap((shape) => rows.filter((row) => row.shape.join('×') === shape))[0] ?? rows[0];
}

function beside(rows, peer) {
  const { rows: count, geometricMean } = comparison(rows, peer);
  if (count === 0) return '–';
  const least = Math.min(...rows.map((row) => speedUp(row, peer)).filter((one) => one !== undefined));
  return count === 1
    ? `×${brief(least)}`
    : `×${brief(geometricMean)} (×${brief(least)} at least, ${count} rows)`;
}

/** One line per kind of row: an example, the range of shares of the copy, and speed-ups in geometric mean. */
export function summaryTable({ rows, peers }) {
  const f32 = rows.filter((row) => row.dtype === 'f32');
  const lines = [...byKind(f32)].map(([kind, some]) => {
    const example = exampleOf(some);
    const shares = some.map((row) => row.copyFraction).sort((a, b) => a - b);
    const range =
      some.length > 1 ? ` (${percent(shares[0])}–${percent(shares.at(-1))}, ${some.length} rows)` : '';
    return [
      kind,
      `${example.shape.join('×')}: ${brief(example.ms)} ms, ${brief(example.gbps)} GB/s`,
      `${percent(example.copyFraction)} %${range}`,
      ...peers.map((peer) => beside(some, peer)),
    ];
  });
  return table(
    ['norm and pass, f32', 'for example', 'of the copy', ...peers.map((peer) => `beside ${peer}`)],
    lines,
  );
}

const day = (date) => date.slice(0, 10);

/** On what and how it was measured, and by which command. */
export function stampText({
  adapter,
  software,
  driver,
  engine,
  version,
  cores,
  commit,
  date,
  method,
  timing,
  command,
}) {
  const machine = `${adapter}${software ? ` (software, ${cores} cores)` : ''}`;
  return (
    `${machine}, ${engine} (${version}), driver: ${driver}; commit ${commit}, ${day(date)}. Times by ${method}: median of ` +
    `${timing.rounds} samples of ${timing.sampleMs} ms. \`${command}\``
  );
}

/** All sizes of x that some op has, in MiB. @param {ReturnType<typeof linearity>} ops */
const sizesOf = (ops) =>
  [...new Set(ops.flatMap(({ sizes }) => sizes.map(({ mebibytes }) => mebibytes)))].sort((a, b) => a - b);

function linearText(name, { rows, notRun = [], failures = [] }) {
  const ops = linearity(rows);
  const most = Math.max(...ops.map(({ factor }) => factor));
  const missing = notRun.length + failures.length;
  return (
    `The time of a byte at ${sizesOf(ops).join(', ')} MiB of x is within a factor of ${most.toFixed(2)}, whatever the op` +
    `${missing > 0 ? `, without ${missing} rows that did not run` : ''} ([op by op](bench/results/${name}-linear.md)).`
  );
}

/** The time of a byte by the size of x. */
export function linearPage(name, result) {
  const ops = linearity(result.rows);
  const sizes = sizesOf(ops);
  const lines = ops.map((op) => [
    op.name,
    ...sizes.map((size) => {
      const one = op.sizes.find(({ mebibytes }) => mebibytes === size);
      return one ? brief(one.ns) : '–';
    }),
    `×${op.factor.toFixed(2)}`,
    `×${op.copy.toFixed(2)}`,
  ]);
  const columns = sizes.map((size) => `${size} MiB: ns per KiB of x`);
  const text = table(['op', ...columns, 'factor', "a copy's"], lines);
  return page(`${name}-linear`, result, `${text}${missingOf(result)}`);
}

/** The part of README that is made, without its markers. */
export function readmeBlock(results) {
  const parts = results.map(({ name, result, linear }) =>
    [
      stampText(result),
      '',
      summaryTable(result),
      '',
      `[All ${result.rows.length} rows](bench/results/${name}.md).${linear ? ` ${linearText(name, linear)}` : ''}`,
    ].join('\n'),
  );
  return [
    'Made by `npm run bench:report` from [bench/results](bench/results/README.md); [how it was measured](bench/NOTES.md). Share of',
    'the speed of the best copy kernel in the same run; other libraries in the same page on the same buffers: how many times as',
    'long they take, in geometric mean.',
    '',
    parts.join('\n\n'),
    '',
    '![How many times as long other libraries take, row by row](docs/bench.svg)',
  ].join('\n');
}

/** Every row of a run. */
export function rowsPage(name, result) {
  const { rows, peers } = result;
  const lines = rows.map((row) => [
    row.name,
    `${brief(row.ms)} (${brief(row.spread[0])}–${brief(row.spread[1])})`,
    brief(row.gbps),
    percent(row.copyFraction),
    row.relError.toExponential(1),
    row.strategy,
    ...peers.map((peer) => {
      const detail = row.peerDetails[peer];
      if (!detail) return '–';
      if (detail.ms === null) return detail.why;
      return `${brief(detail.ms)}, ×${brief(speedUp(row, peer) ?? 0)}`;
    }),
  ]);
  const header = [
    'row',
    'ms (min–max)',
    'GB/s',
    '% of copy',
    'error',
    'schedule',
    ...peers.map((peer) => `${peer}: ms, speed-up`),
  ];
  return page(name, result, `${table(header, lines)}${missingOf(result)}`);
}

function missingOf({ notRun = [], failures = [] }) {
  const lines = [
    ...notRun.map((row) => `- Not run: ${row.name}: ${row.notRun}`),
    ...failures.map((row) => `- Failed: ${row.name}: ${row.why}`),
  ];
  return lines.length > 0 ? `\n\n${lines.join('\n')}` : '';
}

const page = (name, result, text) =>
  `# ${name}\n\nMade by \`npm run bench:report\`; not to be edited.\n\n${stampText(result)}\n\n${text}\n`;
