// What a run prints: rows, and how ours compare with the peers.

/** @param {number} value three significant digits, without an exponent */
export const brief = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** @param {string[]} names */
export function header(names) {
  const peers = names.map((name) => `${name}: ms (min–max)  error  speed-up`);
  return ['row', 'ms (min–max)', 'GB/s', 'of copy', 'error', 'schedule', ...peers].join(' | ');
}

const range = ({ ms, spread }) => `${brief(ms)} (${brief(spread[0])}–${brief(spread[1])})`;

/** How many times as long a peer takes, by a clock that both have; undefined where it was not timed. */
export function speedUp(row, peer) {
  const ms = row.peers[peer];
  if (typeof ms !== 'number') return undefined;
  return ms / (row.peerDetails[peer]?.gpuClock ? row.ms : row.wallMs);
}

function peerCell(row, name) {
  const peer = row.peerDetails[name];
  if (!peer) return '–';
  if (peer.ms === null) return peer.why;
  return `${range(peer)}  ${peer.relError.toExponential(1)}  ×${brief(speedUp(row, name) ?? 0)}`;
}

/**
 * @param {any} row an Outcome of measure.ts
 * @param {string[]} names of the peers
 */
export function line(row, names) {
  if ('notRun' in row) return `${row.name} | not run: ${row.notRun}`;
  const copy = `${Math.round(100 * row.copyFraction)} % (${row.copy.name})`;
  const error = `${row.relError.toExponential(1)}${row.compared === 'all' ? '' : ` (${row.compared})`}`;
  const peers = names.map((name) => peerCell(row, name));
  return [row.name, range(row), brief(row.gbps), copy, error, row.strategy, ...peers].join(' | ');
}

/**
 * How ours compare with a peer over the rows that both have.
 *
 * @param {any[]} rows RowResults of measure.ts
 * @param {string} peer
 */
export function comparison(rows, peer) {
  const speedUps = rows.map((row) => speedUp(row, peer)).filter((one) => one !== undefined);
  const logs = speedUps.map(Math.log);
  return {
    rows: speedUps.length,
    slower: rows.filter((row) => (speedUp(row, peer) ?? 1) < 1).map(({ name }) => name),
    geometricMean: Math.exp(logs.reduce((sum, log) => sum + log, 0) / Math.max(1, logs.length)),
  };
}

/** @param {any[]} rows @param {string} peer */
export function summary(rows, peer) {
  const { rows: count, slower, geometricMean } = comparison(rows, peer);
  const where = slower.length > 0 ? ` (${slower.join('; ')})` : '';
  return `${peer}: ${count} rows compared, slower in ${slower.length}${where}, geometric mean of the speed-up ×${brief(geometricMean)}`;
}
