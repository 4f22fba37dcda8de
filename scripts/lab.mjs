// `npm run lab`: what real GPU compilers make of every kernel, on a machine without a GPU. docs/lab.md explains it.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { bundleInside, compile } from './lab/compile.mjs';
import { judged } from './lab/judge.mjs';
import { failures, table, words, writeResults } from './lab/report.mjs';
import { checkMachine, ensureRoom } from './lab/rooms.mjs';
import { writeSummary } from './lab/summary.mjs';
import { targets, targetsNamed } from './lab/targets.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { message, Tally } from './lib/steps.mjs';

const usage = `npm run lab -- [target …] [options]
  targets         ${Object.keys(targets).join(', ')}; amd, nvidia, intel: all of these (default all)
  --quick         10 random calls per op and pass in place of 100; writes no results
  --count N       as many random calls per op and pass
  --all           a line for every kernel, not only for those that break a bound
  --only TEXT     lines whose kernel or variant has the text
  --wgsl FILE …   these files in place of the library's kernels
  --asm FOLDER    leaves the assembly of each kernel there, as <id>.txt`;

const values = ['only', 'asm', 'count'];

/** @param {string[]} args */
function parsed(args) {
  /** @type {{ names: string[], files: string[], only?: string, asm?: string, count?: string, quick?: boolean, all?: boolean, help?: boolean }} */
  const options = { names: [], files: [] };
  let wgsl = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    const name = arg.replace(/^--/, '');
    if (arg === '--wgsl') wgsl = true;
    else if (['--quick', '--all', '--help'].includes(arg)) options[name] = true;
    else if (arg.startsWith('--') && values.includes(name)) options[name] = args[++i];
    else if (arg.startsWith('--')) throw new Error(`There is no ${arg}.\n${usage}`);
    else (wgsl ? options.files : options.names).push(arg);
  }
  return options;
}

async function main() {
  const options = parsed(process.argv.slice(2));
  if (options.help) return void console.log(usage);
  const names = targetsNamed(options.names);
  const files = options.files.map((file) => ({
    name: basename(file, '.wgsl'),
    code: readFileSync(file, 'utf8'),
  }));
  checkNode();
  await ensureDependencies();
  try {
    checkMachine();
  } catch (error) {
    console.error(message(error));
    process.exitCode = 3;
    return;
  }
  const bundle = await bundleInside();
  const tally = new Tally();
  for (const id of names) await lab(id, bundle, files, options, tally);
  for (const failure of tally.failures) console.log(`failed: ${failure}`);
  console.log(`${tally}`);
  if (tally.failed > 0) process.exitCode = 1;
}

/**
 * @param {string} id
 * @param {string} bundle
 * @param {{ name: string, code: string }[]} files
 * @param {ReturnType<typeof parsed>} options
 * @param {Tally} tally counts the kernels, those that break a bound as failed
 */
async function lab(
  id,
  bundle,
  files,
  { quick = false, all = false, only = '', asm, count: asked = quick ? '10' : '100' },
  tally,
) {
  const target = targets[id];
  if (!target) return;
  await ensureRoom(target);
  console.log(`\n── ${id}: ${target.gpu}`);
  const began = performance.now();
  const count = Number(asked);
  if (!Number.isInteger(count) || count < 0) throw new Error(`--count ${asked}: give an integer from 0.`);
  const outcome = await compile(target, bundle, { count, files: files.length > 0 ? files : null, keep: asm });
  const lines = judged(target, outcome);
  const seconds = Math.round((performance.now() - began) / 1000);
  const bad = lines.filter(({ breaks }) => breaks.length > 0);
  const wanted = (files.length > 0 || all ? lines : bad).filter(({ family, variant }) =>
    `${family} ${variant}`.includes(only),
  );
  console.log(`${outcome.adapter.description}; ${JSON.stringify(outcome.facts)}`);
  if (wanted.length > 0) console.log(table(wanted));
  for (const [family, { kernels, broken }] of failures(lines))
    if (broken.size > 0) console.log(`${family}: of ${kernels} kernels ${words(broken)}`);
  console.log(`── ${id}: ${lines.length} kernels in ${seconds} s, ${bad.length} break a bound`);
  if (files.length === 0 && !quick) {
    writeResults(id, target, outcome, lines, count);
    writeSummary();
  }
  tally.passed += lines.length - bad.length;
  for (const { family, variant, breaks } of bad)
    tally.fail(`lab: ${id}: ${family} ${variant}`, breaks.join(', '));
}

// What is mounted ends with the commands; unfinished folders go when this process exits.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
try {
  await main();
} catch (error) {
  console.error(message(error));
  process.exitCode = 1;
}
// Whoever reads a pipe slowly gets all of it.
process.stdout.write('', () => process.exit());
