// Whether the cost of a byte depends on how many there are.

/** The largest factor between the times of a byte. */
const most = 1.5;

/** @param {readonly number[]} values */
const factor = (values) => Math.max(...values) / Math.min(...values);

/**
 * Prints, op by op, nanoseconds per KiB of x by its size, and the factor between the largest and the smallest, beside that of the
 * best copy of as many bytes, whose caches the op has too: both of fastest samples.
 *
 * @param {{ rows: any[], notRun: any[], failures: any[] }} result
 * @returns {boolean} whether all ran, and each op's factor is at most 1.5, or the copy's own if that is more
 */
export function isLinear({ rows, notRun, failures }) {
  const ops = new Map();
  for (const row of rows) {
    const name = `${row.op} ${row.pass}${row.layout === 'channels-last' ? ' channels-last' : ''}`;
    ops.set(name, [...(ops.get(name) ?? []), row]);
  }
  let holds = failures.length === 0 && notRun.length === 0;
  console.log('\nop | MiB of x: ns per KiB | factor | of the copy');
  for (const [name, sizes] of ops) {
    const kibibytes = sizes.map(({ shape }) => shape.reduce((a, b) => a * b, 4) / 1024);
    // The fastest sample: what else the machine does only adds.
    const perKib = sizes.map(({ spread: [fastest] }, i) => (1e6 * fastest) / kibibytes[i]);
    const ours = factor(perKib);
    const copy = factor(sizes.map(({ copy: { fastest } }, i) => fastest / kibibytes[i]));
    const text = perKib.map((ns, i) => `${kibibytes[i] / 1024}: ${ns.toPrecision(3)}`).join(', ');
    const fails = ours > Math.max(most, copy);
    console.log(`${name} | ${text} | ${ours.toFixed(2)}${fails ? ' FAILS' : ''} | ${copy.toFixed(2)}`);
    if (fails) holds = false;
  }
  for (const { name } of [...notRun, ...failures]) console.log(`${name} | not run`);
  return holds;
}
