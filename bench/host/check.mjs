// What `npm run bench -- --check` holds the rows to: on a software adapter, beside the peers.
import { brief, comparison, speedUp } from './report.mjs';

/** How many times as fast as the fastest peer every row must be that a peer can run. */
const leastSpeedUp = 1.5;
/** And in geometric mean, as each peer. */
const leastMean = 10;
/** Tensors of which no row may be slower than a quarter of a copy, in bytes. */
const smallest = 65536;

/** Shares of the copy, by the rows that must reach them. */
const shares = [
  {
    name: 'LayerNorm and RMSNorm forward 4096×1024',
    rows: /^(layerNorm|rmsNorm) forward 4096×1024 f32$/,
    least: 0.6,
  },
  {
    name: 'BatchNorm in training, forward and backward',
    rows: /^batchNorm\(training\) (forward|backward) .* f32$/,
    least: 0.5,
  },
];

const bytesOf = ({ shape, dtype }) =>
  shape.reduce((product, size) => product * size, dtype === 'f16' ? 2 : 4);

/** A line about the least of a quantity; not held where no row has it. */
function leastOf(name, rows, quantity, least, say) {
  const measured = rows
    .map((row) => ({ row, value: quantity(row) }))
    .filter(({ value }) => value !== undefined)
    .sort((a, b) => a.value - b.value);
  const [worst] = measured;
  const below = measured.filter(({ value }) => value < least).length;
  const held = worst !== undefined && below === 0;
  const text = worst
    ? `${measured.length} rows, ${below} below ${say(least)}; the worst, ${worst.row.name}: ${say(worst.value)}`
    : 'no rows';
  return { name, held, text: `${name}: ${text}` };
}

/**
 * Half as much again as the WebGPU calls alone. Those take less than 0.1 µs in a browser, where a tenth of a microsecond may
 * come on top.
 */
const mostOverhead = (byHandUs) => Math.max(1.5 * byHandUs, byHandUs + 0.1);

/** @param {{ moduleUs: number, byHandUs: number }} overhead of overhead.ts */
export const overheadText = ({ moduleUs, byHandUs }) =>
  `Recording a warm LayerNorm.forward: ${moduleUs.toFixed(3)} µs, its WebGPU calls by hand ${byHandUs.toFixed(3)}`;

const percent = (value) => `${Math.round(100 * value)} %`;
const times = (value) => `×${brief(value)}`;

/**
 * Every line's verdict.
 *
 * @param {any[]} rows RowResults of measure.ts
 * @param {string[]} peers
 * @param {number} count how many rows there must be
 * @param {{ moduleUs: number, byHandUs: number }} overhead of overhead.ts
 */
export function verdicts(rows, peers, count, overhead) {
  const fastest = (row) => {
    const all = peers.map((peer) => speedUp(row, peer)).filter((one) => one !== undefined);
    return all.length > 0 ? Math.min(...all) : undefined;
  };
  return [
    {
      name: 'Every row measured',
      held: rows.length === count,
      text: `Every row measured: ${rows.length} of ${count}`,
    },
    leastOf('Every row that a peer runs, beside the fastest', rows, fastest, leastSpeedUp, times),
    ...['onnxruntime-web', 'tfjs'].map((library) => {
      const peer = peers.find((one) => one.startsWith(library)) ?? library;
      const { rows: compared, geometricMean } = comparison(rows, peer);
      const name = `Geometric mean beside ${library}`;
      const text = `${name}: ${times(geometricMean)} over ${compared} rows, at least ${times(leastMean)}`;
      return { name, held: compared > 0 && geometricMean >= leastMean, text };
    }),
    ...shares.map(({ name, rows: which, least }) => {
      const theirs = rows.filter((row) => which.test(row.name));
      return leastOf(name, theirs, (row) => row.copyFraction, least, percent);
    }),
    {
      name: 'Recording',
      held: overhead.moduleUs <= mostOverhead(overhead.byHandUs),
      text: `${overheadText(overhead)}, at most ${brief(mostOverhead(overhead.byHandUs))}`,
    },
    leastOf(
      'Every row of 64 KiB or more',
      rows.filter((row) => bytesOf(row) >= smallest),
      (row) => row.copyFraction,
      0.25,
      percent,
    ),
  ];
}
