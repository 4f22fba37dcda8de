/** @param {number} value three significant digits, without an exponent */
export const brief = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** @param {string[]} names */
export function header(names) {
  const peers = names.map((name) => `${name}: ms (min–max)  error  speed-up`);
  return ['row', 'ms (min–max)', 'GB/s', 'of copy', 'error', 'schedule', ...peers].join(' | ');
}

const range = ({ ms, spread }) => `${brief(ms)} (${brief(spread[0])}–${brief(spread[1])})`;

/**
 * @param {any} row a RowResult of measure.ts
 * @param {string[]} names of the peers
 */
export function line(row, names) {
  const peers = names.map((name) => {
    const peer = row.peerDetails[name];
    return peer ? `${range(peer)}  ${peer.relError.toExponential(1)}  ×${brief(peer.ms / row.ms)}` : '–';
  });
  const copy = `${Math.round(100 * row.copyFraction)} % (${row.copy.name})`;
  const error = row.relError.toExponential(1);
  return [row.name, range(row), brief(row.gbps), copy, error, row.strategy, ...peers].join(' | ');
}

/**
 * How ours compare with a peer over the rows that both have.
 *
 * @param {any[]} rows
 * @param {string} peer
 */
export function comparison(rows, peer) {
  const both = rows.filter((row) => peer in row.peers);
  const logs = both.map((row) => Math.log(row.peers[peer] / row.ms));
  return {
    rows: both.length,
    slower: both.filter((row) => row.ms >= row.peers[peer]).map(({ name }) => name),
    geometricMean: Math.exp(logs.reduce((sum, log) => sum + log, 0) / Math.max(1, logs.length)),
  };
}

/** @param {any[]} rows @param {string} peer */
export function summary(rows, peer) {
  const { rows: count, slower, geometricMean } = comparison(rows, peer);
  const where = slower.length > 0 ? ` (${slower.join('; ')})` : '';
  return `${peer}: ${count} rows compared, slower in ${slower.length}${where}, geometric mean of the speed-up ×${brief(geometricMean)}`;
}
