// `npm run bench:against -- REF`: whether the checkout is as fast as another commit. Both are measured in turns in one go, since the same
// kernel takes up to a third longer from one day or machine to another.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { comparison } from '../bench/host/against.mjs';
import { cache, root } from './lib/paths.mjs';
import { node, run } from './lib/run.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { message } from './lib/steps.mjs';

const usage = `npm run bench:against -- REF [options]
  REF             the commit to compare with, as git names it: HEAD~3, v0.1.0, c98eaca
  --filter TEXT   only rows whose name contains all words of TEXT
  --engine NAME   as of npm run bench (default chromium)
  --rounds N      how often each of the two is measured; the fastest sample counts (default 2)
  --most RATIO    a row that takes this much longer than at REF fails (default 1.05)
  Start it with nothing beside. Exits with 1 if a row failed or is too slow.`;

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      filter: { type: 'string', default: '' },
      engine: { type: 'string', default: 'chromium' },
      rounds: { type: 'string', default: '2' },
      most: { type: 'string', default: '1.05' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void console.log(usage);
  const [ref, ...more] = positionals;
  if (!ref || more.length > 0) throw new Error(`One commit to compare with is needed.\n${usage}`);
  const [rounds, most] = [Number(values.rounds), Number(values.most)];
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds}: an integer from 1.`);
  if (!(most > 0)) throw new Error(`--most ${values.most}: a ratio such as 1.05.`);
  checkNode();
  await ensureDependencies();
  const other = await checkoutOf(ref);
  const there = [];
  const here = [];
  for (let round = 1; round <= rounds; round++) {
    for (const { name, folder, runs } of [
      { name: ref, folder: other, runs: there },
      { name: 'the checkout', folder: root, runs: here },
    ]) {
      console.log(`round ${round} of ${rounds}, ${name}`);
      runs.push(await measured(folder, values));
    }
  }
  const { text, tooSlow } = comparison(there, here, most);
  console.log(text);
  if (tooSlow > 0) process.exitCode = 1;
}

/** A worktree of the commit with its dependencies, gone when this process ends. @param {string} ref */
async function checkoutOf(ref) {
  const folder = join(mkdtempSync(join(tmpdir(), 'bench-against-')), 'checkout');
  const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  const added = git('worktree', 'add', '--detach', folder, ref);
  if (added.status !== 0) throw new Error(`git has no checkout of ${ref}: ${added.stderr.trim()}`);
  process.once('exit', () => {
    git('worktree', 'remove', '--force', folder);
    rmSync(join(folder, '..'), { recursive: true, force: true });
  });
  console.log(`Installing the dependencies of ${ref}.`);
  const status = await run('npm', ['--prefix', folder, 'ci', '--no-audit', '--no-fund'], { quiet: 12 });
  if (status !== 0) throw new Error(`npm ci of ${ref} failed (exit ${status}).`);
  return folder;
}

/** The rows of one run. @param {string} folder @param {{ filter: string, engine: string }} options */
async function measured(folder, { filter, engine }) {
  const file = join(cache, 'bench-against.json');
  // The bench of an older commit writes where it is told to, and makes no folder.
  mkdirSync(cache, { recursive: true });
  rmSync(file, { force: true });
  const options = ['--quick', '--engine', engine, '--filter', filter, '--json', file];
  const status = await node(join(folder, 'scripts', 'bench.mjs'), options, { quiet: 12 });
  if (status !== 0 && !existsSync(file)) throw new Error(`The bench of ${folder} ended with ${status}.`);
  return JSON.parse(readFileSync(file, 'utf8')).rows;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
try {
  await main();
} catch (error) {
  console.error(message(error));
  process.exitCode = 1;
}
