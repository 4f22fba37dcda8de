// Two commits' results of the same rows, beside each other.

/** @typedef {{ name: string, spread: number[] }} Measured a row; `spread` has the fastest sample first, in milliseconds */

/** The fastest sample of each row of several runs. @param {Measured[][]} runs @returns {Map<string, number>} */
function fastest(runs) {
  const times = new Map();
  for (const { name, spread } of runs.flat())
    times.set(name, Math.min(times.get(name) ?? Infinity, spread[0] ?? Infinity));
  return times;
}

/**
 * A line per row that both have, and how many rows are too slow. A row that only one of them has is named; one that failed here, but not
 * there, is too slow.
 *
 * @param {Measured[][]} there runs of the other commit
 * @param {Measured[][]} here runs of the checkout
 * @param {number} most the largest ratio of times that is not too slow
 */
export function comparison(there, here, most) {
  const [before, now] = [fastest(there), fastest(here)];
  const lines = [];
  let tooSlow = 0;
  let logs = 0;
  let both = 0;
  for (const [name, old] of before) {
    const ms = now.get(name);
    const ratio = ms === undefined ? Infinity : ms / old;
    const slow = ratio > most;
    if (slow) tooSlow++;
    if (ms === undefined) lines.push(`${name} | ${old.toPrecision(4)} | failed here | TOO SLOW`);
    else {
      both++;
      logs += Math.log(ratio);
      lines.push(
        `${name} | ${old.toPrecision(4)} | ${ms.toPrecision(4)} | ${ratio.toFixed(2)}${slow ? ' TOO SLOW' : ''}`,
      );
    }
  }
  for (const name of now.keys()) if (!before.has(name)) lines.push(`${name} | not there | | new`);
  const mean = both > 0 ? Math.exp(logs / both).toFixed(3) : 'none';
  return {
    text: [
      'row | ms there | ms here | ratio',
      ...lines,
      `geometric mean of ${both} rows: ${mean}; more than ${most}: ${tooSlow}`,
    ].join('\n'),
    tooSlow,
  };
}
