// `npm run bench`: every op at fixed shapes in a browser: correctness first, then times, beside copy kernels and, with
// --peers, beside other libraries. bench/NOTES.md tells the method and what was measured.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { bundleBench } from '../bench/host/bundle.mjs';
import { isChecked, isCompared, verdicts } from '../bench/host/check.mjs';
import { engines } from '../bench/host/engines.mjs';
import { brief, header, line, summary } from '../bench/host/report.mjs';
import { serve } from '../bench/host/server.mjs';
import { root } from './lib/paths.mjs';
import { message } from './lib/steps.mjs';

const usage = `npm run bench -- [options]
  --engine NAME   ${Object.keys(engines).join(', ')} (default chromium)
  --filter TEXT   only rows whose name contains all words of TEXT, e.g. "layerNorm forward 4096"
  --quick         fewer and shorter samples
  --peers         beside onnxruntime-web and tfjs, in the same page and on the same device
  --check         with --peers: the rows and peers that bench/host/check.mjs compares; exit 1 unless all its lines hold
  --sweep         schedules side by side instead: what src/plan should choose here
  --json FILE     write the results
  --help`;

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', default: 'chromium' },
    filter: { type: 'string', default: '' },
    quick: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    sweep: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const timing = options.quick
  ? { rounds: 3, sampleMs: 30, maxRepeats: 50 }
  : { rounds: 7, sampleMs: 100, maxRepeats: 200 };

function wanted(name) {
  if (options.check && !isChecked(name)) return false;
  return options.filter
    .split(/\s+/)
    .filter(Boolean)
    .every((word) => name.includes(word));
}

function commit() {
  const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim();
  const hash = git('rev-parse', '--short', 'HEAD');
  return hash ? hash + (git('status', '--porcelain') ? ' with changes' : '') : 'unknown';
}

async function sweepRows(host, names) {
  const results = [];
  for (const name of names) {
    const { chosen, ms } = await host.sweep(name, timing);
    results.push({ name, chosen, ms });
    console.log(`\n${name} (default: ${chosen})`);
    for (const [schedule, one] of ms)
      console.log(`  ${schedule.padEnd(20)} ${typeof one === 'string' ? one : brief(one)}`);
  }
  return results;
}

async function benchRows(host, names, peers) {
  const rows = [];
  const failures = [];
  console.log(`\n${header(peers)}`);
  for (const name of names) {
    try {
      const wanted = options.check ? peers.filter((peer) => isCompared(name, peer)) : peers;
      const row = await host.run(name, { ...timing, peers: wanted });
      rows.push(row);
      console.log(line(row, peers));
    } catch (error) {
      failures.push(name);
      console.log(`${name} | FAILED: ${message(error)}`);
    }
  }
  return { rows, failures };
}

function verdict({ rows, failures }, peers) {
  console.log();
  let passed = failures.length === 0;
  for (const peer of peers) console.log(summary(rows, peer));
  if (failures.length > 0) console.log(`${failures.length} rows failed: ${failures.join('; ')}`);
  if (!options.check) return passed;
  for (const { held, text } of verdicts(rows, peers)) {
    console.log(`${held ? 'held  ' : 'BROKEN'} ${text}`);
    passed &&= held;
  }
  console.log(`check ${passed ? 'passed' : 'FAILED'}`);
  return passed;
}

async function main() {
  if (options.help) return void console.log(usage);
  const open = engines[options.engine];
  if (!open) throw new Error(`There is no engine ${options.engine}: ${Object.keys(engines).join(', ')}.`);
  const peers = options.peers || options.check;
  await bundleBench(peers);
  const server = await serve();
  const host = await open(server.url);
  try {
    const { rows: names, ...facts } = await host.start({ peers });
    const stamp = {
      ...facts,
      browser: host.version,
      commit: commit(),
      date: new Date().toISOString(),
      timing,
    };
    console.log(`adapter ${stamp.adapter} | ${stamp.browser} | commit ${stamp.commit} | ${stamp.date}`);
    console.log(
      `Wall-clock ms of one run: recording, one submit of as many runs as take about ${timing.sampleMs} ms, until the ` +
        `device is done; median of ${timing.rounds} samples taken in turns. GB/s by ideal bytes. Error: ‖y − y64‖/‖y64‖.`,
    );
    const chosen = names.filter(wanted);
    const result = options.sweep
      ? { sweep: await sweepRows(host, chosen) }
      : await benchRows(host, chosen, facts.peers);
    if (options.json) writeFileSync(options.json, `${JSON.stringify({ ...stamp, ...result }, null, 2)}\n`);
    if ('rows' in result && !verdict(result, facts.peers)) process.exitCode = 1;
  } finally {
    await host.close();
    server.close();
  }
}

await main();
process.exit(); // Dawn's threads would keep Node alive
