// What `npm run bench -- --check` holds the rows to.
import { brief, comparison } from './report.mjs';

/**
 * Rows that must be faster than a peer's, each of them, and by how much in geometric mean.
 *
 * @typedef {object} Line
 * @property {string} name
 * @property {RegExp} rows matched against a row's name
 * @property {RegExp} peer matched against a peer's name
 * @property {number} count how many rows there must be
 * @property {number} [least] geometric mean of the speed-up; 1 where it is not given
 */

const images = '(4×3×256×256|32×256×14×14|8×64×56×56)';
const imagesLast = '(4×256×256×3|32×14×14×256|8×56×56×64) channels-last';

/** @type {Line[]} */
export const lines = [
  {
    name: 'LayerNorm and RMSNorm forward beside onnxruntime-web',
    rows: /^(layerNorm|rmsNorm) forward .* f32$/,
    peer: /^onnxruntime-web/,
    count: 10,
    least: 5,
  },
  {
    name: 'BatchNorm training, forward and forward+backward, beside tfjs',
    rows: new RegExp(`^batchNorm\\(training\\) forward(\\+backward)? (${images}|${imagesLast}) f32$`),
    peer: /^tfjs/,
    count: 12,
    least: 5,
  },
  {
    name: 'BatchNorm evaluation and InstanceNorm forward beside onnxruntime-web',
    rows: new RegExp(`^(batchNorm\\(evaluation\\)|instanceNorm) forward ${images} f32$`), // it has no channels last
    peer: /^onnxruntime-web/,
    count: 6,
  },
  {
    name: 'BatchNorm evaluation and InstanceNorm forward beside tfjs',
    rows: new RegExp(`^(batchNorm\\(evaluation\\)|instanceNorm) forward (${images}|${imagesLast}) f32$`),
    peer: /^tfjs/,
    count: 12,
  },
];

/** @param {string} row the name of one */
export const isChecked = (row) => lines.some(({ rows }) => rows.test(row));

/** @param {string} row @param {string} peer whether a line compares the two */
export const isCompared = (row, peer) => lines.some((line) => line.rows.test(row) && line.peer.test(peer));

/**
 * Every line's verdict. A line some of whose rows were not measured is not held.
 *
 * @param {any[]} rows RowResults of measure.ts
 * @param {string[]} peers
 */
export function verdicts(rows, peers) {
  return lines.map(({ name, rows: which, peer: wanted, count, least = 1 }) => {
    const peer = peers.find((one) => wanted.test(one)) ?? '';
    const result = comparison(
      rows.filter((row) => which.test(row.name)),
      peer,
    );
    const held = result.rows === count && result.slower.length === 0 && result.geometricMean >= least;
    const where = result.slower.length > 0 ? `; slower: ${result.slower.join('; ')}` : '';
    const text = `${name}: ${result.rows} of ${count} rows, ×${brief(result.geometricMean)} (at least ×${least})${where}`;
    return { name, held, text, ...result };
  });
}
