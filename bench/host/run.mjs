// A run of the bench, wherever its host is: rows one after the other, what they print, and what is written.
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { overheadText, verdicts } from './check.mjs';
import { isLinear } from './linear.mjs';
import { progress } from './progress.mjs';
import { brief, header, line, summary } from './report.mjs';

/**
 * @typedef {object} Options
 * @property {string} engine
 * @property {string} filter
 * @property {boolean} quick
 * @property {string} [peers] `all`, or the first letters of their names with commas between
 * @property {boolean} check
 * @property {boolean} sweep
 * @property {boolean} linear
 * @property {string} [model] the devices to predict for
 * @property {string} [json]
 * @property {boolean} help
 */

export const commonUsage = `  --filter TEXT   only rows whose name contains all words of TEXT, e.g. "layerNorm forward 4096"
  --quick         fewer and shorter samples
  --linear        x of 4, 64 and 512 MiB instead: the time of a byte must not depend on how many there are
  --sweep         schedules side by side instead: what src/plan should choose here
  --json FILE     write the results, row by row
  --help`;

/**
 * @returns {Options}
 * @throws Error on options that exclude each other.
 */
export function parseOptions(args = process.argv.slice(2), engine = 'chromium') {
  // With or without names.
  const bare = (one, next) => one === '--peers' && (next === undefined || next.startsWith('-'));
  const whole = args.map((one, i) => (bare(one, args[i + 1]) ? '--peers=all' : one));
  const { values } = parseArgs({
    args: whole,
    options: {
      engine: { type: 'string' },
      filter: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      peers: { type: 'string' },
      check: { type: 'boolean', default: false },
      sweep: { type: 'boolean', default: false },
      linear: { type: 'boolean', default: false },
      model: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { check, sweep, linear, peers, quick, model } = values;
  const predicts = model !== undefined;
  const kinds = [check && '--check', sweep && '--sweep', linear && '--linear', predicts && '--model'].filter(
    Boolean,
  );
  if (kinds.length > 1) throw new Error(`Either ${kinds.join(' or ')}.`);
  if (linear && quick) throw new Error('--linear has samples of its own: without --quick.');
  if (sweep && peers !== undefined) throw new Error('--sweep has no peers.');
  if (check && peers && peers !== 'all') throw new Error('--check is beside all peers.');
  if (predicts) {
    const measuring = Object.entries({ engine: values.engine, quick, peers, json: values.json });
    const [extra] = measuring.find(([, value]) => value) ?? [];
    if (extra) throw new Error(`--model predicts and measures nothing: without --${extra}.`);
  }
  return /** @type {Options} */ ({ ...values, engine: values.engine ?? engine });
}

/** A row that takes longer has hung: its engine is given up. */
const rowLimitMs = 15 * 60_000;

const message = (error) => (error instanceof Error ? error.message : String(error));

function inTime(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('given up after 15 minutes')), rowLimitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** What a row's error says when the engine, or the device, is gone and not only the row. */
const isGone = (error) =>
  /lost|destroyed|crash|closed|detached|given up|Deno ended|Target|Protocol/i.test(message(error));

/** What hangs in this very process goes on: a second engine beside it would measure that, too. */
const isStuck = (host, error) => Boolean(host.inProcess) && /given up/.test(message(error));

/**
 * @param {() => Promise<import('./engines.mjs').Host>} open
 * @param {Options} options
 * @param {{ engine: string, commit: string, program: string }} about what started it
 * @returns {Promise<boolean>} whether all is as it must be
 */
export async function runBench(open, options, { engine, commit, program }) {
  const timing = options.linear
    ? { rounds: 3, sampleMs: 300, maxRepeats: 1000 } // a run over 512 MiB takes seconds, and more than one is wanted
    : options.quick
      ? { rounds: 3, sampleMs: 30, maxRepeats: 1000 }
      : { rounds: 7, sampleMs: 100, maxRepeats: 5000 };
  const withPeers = options.check || options.peers !== undefined;
  let host = await open();
  try {
    const start = () => host.start({ peers: withPeers, sampleMs: timing.sampleMs });
    const { rows: usual, linear, peers: found, ...facts } = await start();
    const all = options.linear ? linear : usual;
    const peers = peersOf(options, found);
    const stamp = {
      ...facts,
      driver: host.driver ?? 'its own',
      engine,
      version: host.version,
      cores: availableParallelism(),
      commit,
      date: new Date().toISOString(),
      command: commandOf(program, options),
      ...(options.linear ? { linear: true } : {}),
      timing,
      peers,
    };
    console.log(
      `adapter ${stamp.adapter}, driver ${stamp.driver} | ${stamp.engine} ${stamp.version}, ${stamp.cores} cores | ` +
        `commit ${stamp.commit} | ${stamp.date}`,
    );
    console.log(
      `Milliseconds of one run by ${stamp.method}; samples of as many runs as take about ${timing.sampleMs} ms, median of ` +
        `${timing.rounds} in turns. Peers by the wall clock. GB/s by ideal bytes. Error: ‖y − y64‖/‖y64‖.`,
    );
    const words = options.filter.split(/\s+/).filter(Boolean);
    const chosen = all.filter((name) => words.every((word) => name.includes(word)));
    if (chosen.length === 0) throw new Error(`No row's name contains all of: ${options.filter}`);
    const write = (result) => {
      if (options.json) writeFileSync(options.json, resultText(stamp, result));
    };
    const reopen = async () => {
      await inTime(host.close()).catch(() => {});
      host = await open();
      await start();
    };
    if (options.sweep) return await sweepRows(() => host, reopen, chosen, timing, write);
    const overhead = await host.overhead();
    console.log(overheadText(overhead));
    const result = await benchRows(
      () => host,
      reopen,
      chosen,
      peers,
      timing,
      (rows) => write({ overhead: [overhead], ...rows }),
    );
    if (options.linear) return isLinear(result);
    return conclude({ ...result, overhead }, peers, all.length, options.check);
  } finally {
    await host.close().catch(() => {});
  }
}

/** Those of the engine's peers that are asked for. @param {Options} options @param {string[]} found */
function peersOf({ peers }, found) {
  if (!peers || peers === 'all') return found;
  const names = peers.split(',');
  const unknown = names.filter((name) => !found.some((peer) => peer.startsWith(name)));
  if (unknown.length > 0) throw new Error(`There is no peer ${unknown.join(', ')}: ${found.join(', ')}.`);
  return found.filter((peer) => names.some((name) => peer.startsWith(name)));
}

/** JSON with a row per line, so that differences between two runs can be read, and without digits that are noise. */
function resultText(stamp, result) {
  const isMeasured = (value) => typeof value === 'number' && !Number.isInteger(value);
  const short = (_, value) => (isMeasured(value) ? Number(value.toPrecision(6)) : value);
  const lines = Object.entries(result).map(([name, rows]) => {
    const texts = rows.map((row) => `\n  ${JSON.stringify(row, short)}`);
    return ` ${JSON.stringify(name)}: [${texts.join(',')}${texts.length > 0 ? '\n ' : ''}]`;
  });
  return `${JSON.stringify(stamp, short, 1).replace(/\n}$/, '')},\n${lines.join(',\n')}\n}\n`;
}

/** What gives the same results again. @param {string} program @param {Options} options */
function commandOf(program, { engine, filter, quick, peers, check, sweep, linear }) {
  const words = [
    engine !== 'chromium' && program.startsWith('npm') && `--engine ${engine}`,
    filter && `--filter "${filter}"`,
    quick && '--quick',
    linear && '--linear',
    sweep && '--sweep',
    check ? '--check' : peers && (peers === 'all' ? '--peers' : `--peers ${peers}`),
  ].filter(Boolean);
  return [program, ...words].join(' ').replace(/ --$/, '');
}

/** Whether every row could be swept. */
async function sweepRows(current, reopen, names, timing, write) {
  const sweep = [];
  const failures = [];
  for (const name of names) {
    try {
      const { chosen, ms } = await inTime(current().sweep(name, timing));
      sweep.push({ name, chosen, ms });
      write({ sweep, failures });
      console.log(`\n${name} (default: ${chosen})`);
      for (const [schedule, one] of ms)
        console.log(`  ${schedule.padEnd(20)} ${typeof one === 'string' ? one : brief(one)}`);
    } catch (error) {
      failures.push({ name, why: message(error) });
      console.log(`\n${name} | FAILED: ${message(error)}`);
      write({ sweep, failures });
      if (isStuck(current(), error)) break;
      if (isGone(error)) await reopen();
    }
  }
  return failures.length === 0;
}

/** A row that takes its engine down runs again without peers, in another one. */
async function benchRows(current, reopen, names, peers, timing, write) {
  const rows = [];
  const notRun = [];
  const failures = [];
  const bar = progress(names.length);
  console.log(`\n${header(peers)}`);
  const take = (row) => {
    ('notRun' in row ? notRun : rows).push(row);
    write({ rows, notRun, failures });
    bar.clear();
    console.log(line(row, peers));
  };
  for (const [i, name] of names.entries()) {
    bar.show(i, name);
    const run = (beside) => inTime(current().run(name, { ...timing, peers: beside }));
    try {
      try {
        take(await run(peers));
      } catch (error) {
        if (!isGone(error) || isStuck(current(), error)) throw error;
        bar.clear();
        console.log(`${name} | ${message(error)}: started again, without peers`);
        await reopen();
        const row = await run([]);
        for (const peer of 'notRun' in row ? [] : peers) {
          row.peers[peer] = null;
          row.peerDetails[peer] = { ms: null, why: 'the engine or its device did not survive this row' };
        }
        take(row);
      }
    } catch (error) {
      failures.push({ name, why: message(error) });
      bar.clear();
      console.log(`${name} | FAILED: ${message(error)}`);
      write({ rows, notRun, failures });
      if (isStuck(current(), error)) break;
      if (isGone(error)) await reopen();
    }
  }
  bar.clear();
  return { rows, notRun, failures };
}

function conclude({ rows, notRun, failures, overhead }, peers, count, check) {
  console.log();
  for (const peer of peers) console.log(summary(rows, peer));
  if (notRun.length > 0) console.log(`${notRun.length} rows not run`);
  if (failures.length > 0) {
    console.log(`${failures.length} rows failed: ${failures.map(({ name }) => name).join('; ')}`);
  }
  let passed = failures.length === 0;
  if (!check) return passed;
  for (const { held, text } of verdicts(rows, peers, count, overhead)) {
    console.log(`${held ? 'held  ' : 'BROKEN'} ${text}`);
    passed &&= held;
  }
  console.log(`check ${passed ? 'passed' : 'FAILED'}`);
  return passed;
}
