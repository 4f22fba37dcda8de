// `npm run fuzz`: random configurations on one engine, against float64.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { ensureEngine } from './lib/install.mjs';
import { resultFile } from './lib/paths.mjs';
import { checkNode, ensureDependencies } from './lib/setup.mjs';
import { attempt, closing, option, step, textOption } from './lib/steps.mjs';
import { testFuzz } from './lib/tests.mjs';

const usage = `npm run fuzz -- [options]
  --count N        configurations (default 300)
  --seed S         which ones: an integer from 0 (default 1)
  --engine NAME    dawn (default), chromium, firefox or deno
  --only S-INDEX   the one configuration that a failure names`;

/** @type {import('./lib/vulkan.mjs').Engine[]} */
const engines = ['dawn', 'chromium', 'firefox', 'deno'];

async function main(tally) {
  const named = textOption('engine') ?? 'dawn';
  const engine = engines.find((one) => one === named);
  if (!engine) throw new Error(`--engine=${named}: the engines are ${engines.join(', ')}`);
  const integer = (name, otherwise) => {
    const text = textOption(name) ?? otherwise;
    if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name}=${text}: give an integer from 0`);
    return Number(text);
  };
  const only = textOption('only');
  const [, onlySeed, index] = /^(\d{1,9})-(\d{1,9})$/.exec(only ?? '') ?? [];
  if (only !== undefined && index === undefined)
    throw new Error(`--only=${only}: give seed-index, such as 1-42`);
  const seed = onlySeed ?? String(integer('seed', '1'));
  const count = only === undefined ? integer('count', '300') : 1;
  if (count === 0) throw new Error('--count=0: give at least 1');
  await step(`set-up for ${engine}`, async () => {
    checkNode();
    await ensureDependencies();
    await ensureEngine(engine);
  });
  const file = resultFile(`fuzz-${engine}`);
  rmSync(file, { force: true });
  const began = performance.now();
  await attempt(tally, `${count} configurations of seed ${seed} in ${engine}`, () =>
    testFuzz(tally, engine, index === undefined ? `${seed} 0 ${count - 1}` : `${seed} ${index} ${index}`),
  );
  const seconds = (performance.now() - began) / 1000;
  if (existsSync(file)) summarize(JSON.parse(readFileSync(file, 'utf8')).outcomes, count, seconds);
}

/** Sums what the cases noted; of shares of a bound, the largest counts. */
function summarize(outcomes, count, seconds) {
  /** @type {Map<string, number>} */
  const totals = new Map();
  for (const [key, value] of outcomes.flatMap(({ notes }) => notes)) {
    const before = totals.get(key) ?? 0;
    totals.set(key, key.startsWith('largest') ? Math.max(before, Number(value)) : before + Number(value));
  }
  const { configurations: ran = 0 } = Object.fromEntries(totals);
  for (const [key, value] of totals) console.log(`${key}: ${value}`);
  if (ran < count) console.log(`not run, or without an end: ${count - ran}`);
  console.log(`${(ran / seconds).toFixed(1)} configurations per second, start-up included`);
}

if (option('help')) console.log(usage);
else await closing(main);
