// `npm run test:engines`: the GPU cases on every engine. Options: --engine=firefox,dawn picks some,
// --filter=text keeps the cases whose name contains it, --share deals the cases out, so that each runs on one of the engines.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { fingerprint } from './lib/fingerprint.mjs';
import { ensureEngine } from './lib/install.mjs';
import { resultFile } from './lib/paths.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { attempt, closing, message, option, step, textOption } from './lib/steps.mjs';
import { testDemo, testGpu } from './lib/tests.mjs';

/** @type {import('./lib/vulkan.mjs').Engine[]} */
const engines = ['chromium', 'firefox', 'dawn', 'deno'];

if (option('help') !== undefined) {
  console.log(
    'npm run test:engines -- [--engine=NAME,NAME] [--filter=TEXT] [--share]\n' +
      '  engines: chromium, firefox, dawn, deno (default: all)\n' +
      '  --share: each case runs on one of the engines instead of on all',
  );
  process.exit();
}

await closing(async (tally) => {
  const filter = textOption('filter') ?? '';
  const shared = option('share') !== undefined;
  const picked = (textOption('engine') ?? engines.join()).split(',');
  for (const name of picked) {
    if (!engines.some((one) => one === name)) {
      throw new Error(`--engine=${name}: the engines are ${engines.join(', ')}`);
    }
  }
  await step('set-up', async () => {
    checkNode();
    await ensureDependencies();
  });

  /** @param {string} name which share of the cases the engine runs, such as 1/3; none where it runs all */
  const shareOf = (name) => (shared ? `${picked.indexOf(name) + 1}/${picked.length}` : '');

  /** @type {Map<string, string>} for the engines that could not be set up: why */
  const problems = new Map();
  for (const name of engines.filter((one) => picked.includes(one))) {
    rmSync(resultFile(name), { force: true });
    // Whatever happens to one engine, the others still have something to say.
    try {
      await step(`set-up for ${name}`, () => ensureEngine(name));
    } catch (error) {
      tally.fail(`set-up for ${name}`, message(error));
      problems.set(name, message(error));
      continue;
    }
    await attempt(tally, `GPU tests in ${name}`, () => testGpu(tally, name, filter, shareOf(name)));
    if (name !== 'firefox' || filter) continue;
    // The table is about the GPU cases.
    await attempt(tally, 'Demo page in Firefox', () => testDemo(tally, 'firefox'));
  }

  console.log();
  printTable(engines, picked, problems);
});

function printTable(engines, picked, problems) {
  const now = fingerprint();
  const header = ['engine', 'adapter', 'driver', 'f16', 'subgroups', 'passed', 'failed', 'n/a'];
  const rows = [header];
  const remarks = [];
  for (const name of engines) {
    const file = resultFile(name);
    const result = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
    const ran = picked.includes(name);
    // A result of an earlier command counts as long as nothing it depends on has changed.
    if (!ran && (!result || result.sources !== now || result.filter !== '' || result.share !== '')) continue;
    if (!result) {
      rows.push([name, '-', '-', '-', '-', '-', '-', '-']);
      remarks.push(problems.get(name) ?? `GPU tests in ${name}: it did not start, see above`);
      continue;
    }
    const { version, driver, facts, outcomes } = result;
    const count = (status) => outcomes.filter((one) => one.status === status).length;
    rows.push([
      `${name} (${version})${ran ? '' : ' *'}`,
      facts.description ||
        [facts.vendor, facts.architecture, facts.device].filter(Boolean).join(' ') ||
        'not told',
      driver ?? 'its own',
      facts.f16 ? 'yes' : 'no',
      facts.subgroups ? (facts.subgroupSizes?.join('–') ?? 'yes') : 'no',
      String(count('passed')),
      String(count('failed')),
      String(count('not-applicable')),
    ]);
    for (const [reason, number] of tallyReasons(outcomes))
      remarks.push(`${name}: ${number} not applicable: ${reason}`);
    if (!ran) remarks.push(`* ${name}: from an earlier run, nothing has changed since`);
  }
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  if (remarks.length > 0) console.log(`\n${remarks.join('\n')}`);
}

/** @param {{ reason?: string }[]} outcomes */
function tallyReasons(outcomes) {
  /** @type {Map<string, number>} */
  const reasons = new Map();
  for (const { reason } of outcomes) if (reason) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  return reasons;
}
