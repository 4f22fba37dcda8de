// Whether the cost of a byte depends on how many there are.

/** The largest factor between the times of a byte. */
const most = 1.5;

/** @param {readonly number[]} values */
const factor = (values) => Math.max(...values) / Math.min(...values);

/**
 * Nanoseconds per KiB of x by its size, and the factor between the largest and the smallest, op by op, beside that of the best copy of
 * as many bytes, whose caches the op has too. Both are of fastest samples: what else the machine does only adds.
 *
 * @param {readonly any[]} rows
 * @returns {{ name: string, sizes: { mebibytes: number, ns: number }[], factor: number, copy: number, holds: boolean }[]} `holds`:
 * the factor is at most 1.5, or the copy's own if that is more.
 */
export function linearity(rows) {
  const ops = new Map();
  for (const row of rows) {
    const name = `${row.op} ${row.pass}${row.layout === 'channels-last' ? ' channels-last' : ''}`;
    ops.set(name, [...(ops.get(name) ?? []), row]);
  }
  return [...ops].map(([name, some]) => {
    const kibibytes = some.map(({ shape }) => shape.reduce((a, b) => a * b, 4) / 1024);
    const sizes = some.map(({ spread: [fastest] }, i) => ({
      mebibytes: kibibytes[i] / 1024,
      ns: (1e6 * fastest) / kibibytes[i],
    }));
    const ours = factor(sizes.map(({ ns }) => ns));
    const copy = factor(some.map((row, i) => row.copy.fastest / kibibytes[i]));
    return { name, sizes, factor: ours, copy, holds: ours <= Math.max(most, copy) };
  });
}

/**
 * Prints it.
 *
 * @param {{ rows: any[], notRun: any[], failures: any[] }} result
 * @returns {boolean} whether all ran, and every op's factor holds
 */
export function isLinear({ rows, notRun, failures }) {
  const ops = linearity(rows);
  console.log('\nop | MiB of x: ns per KiB | factor | of the copy');
  for (const { name, sizes, factor, copy, holds } of ops) {
    const text = sizes.map(({ mebibytes, ns }) => `${mebibytes}: ${ns.toPrecision(3)}`).join(', ');
    console.log(`${name} | ${text} | ${factor.toFixed(2)}${holds ? '' : ' FAILS'} | ${copy.toFixed(2)}`);
  }
  for (const { name } of [...notRun, ...failures]) console.log(`${name} | not run`);
  return failures.length + notRun.length === 0 && ops.every(({ holds }) => holds);
}
