/**
 * Runs the GPU cases of test/gpu/ inside one WebGPU engine and reports them to vitest one by one.
 *
 * WEBGPU_NORM_ENGINE names the engine (chromium, firefox, dawn, deno); WEBGPU_NORM_FILTER keeps the cases
 * whose name contains it, and WEBGPU_NORM_SHARE ("2/3") every third of them, from the second on. WEBGPU_NORM_FUZZ (seed, first and last
 * index) runs those configurations of the fuzz instead. Results also go to a file, for the table of scripts/test-engines.mjs.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { fingerprint } from '../scripts/lib/fingerprint.mjs';
import { resultFile } from '../scripts/lib/paths.mjs';
import { runsInSoftware } from '../scripts/lib/vulkan.mjs';
import { fuzzCases } from './gpu/fuzz.ts';
import { allCases } from './gpu/index.ts';
import { defaultTimeout, type Outcome } from './harness/case.ts';
import { type Engine, type EngineName, engineNames, openEngines } from './harness/engine.ts';
import { selfChecks } from './harness/self-check.ts';

const name = (process.env.WEBGPU_NORM_ENGINE || 'chromium') as EngineName;
if (!engineNames.includes(name)) {
  throw new Error(`WEBGPU_NORM_ENGINE is "${name}", expected one of ${engineNames.join(', ')}`);
}
const filter = process.env.WEBGPU_NORM_FILTER ?? '';
const share = process.env.WEBGPU_NORM_SHARE ?? '';
const [first = 1, engineCount = 1] = share ? share.split('/').map(Number) : [];
const sources = fingerprint();
const fuzz = process.env.WEBGPU_NORM_FUZZ;
const everyCase = fuzz ? fuzzCases(...(fuzz.split(' ').map(Number) as [number, number, number])) : allCases;
const cases = everyCase
  .filter((one) => one.name.includes(filter))
  .filter((_, index) => index % engineCount === first - 1);

/**
 * How many of the engine run cases beside each other. Software drivers compile in one thread, and that is most of the time: two take
 * little more than half of it. A GPU is not shared.
 */
const hosts = runsInSoftware() && availableParallelism() > 1 ? 2 : 1;
const test = hosts > 1 ? it.concurrent : it;

let engines: Engine[] = [];
/** Those without a case; vitest starts no more cases at a time than there are (maxConcurrency). */
const idle: Engine[] = [];
const outcomes = new Map<string, Outcome>();

describe(name, () => {
  beforeAll(async () => {
    engines = await openEngines(name, hosts);
    idle.push(...engines);
    const { version, facts } = engines[0] as Engine;
    console.log(
      `${version} on ${facts.description || facts.device || facts.architecture || 'unnamed adapter'}`,
    );
  });

  afterAll(async () => {
    const [first] = engines;
    if (!first) return;
    report(first);
    await Promise.all(engines.map((engine) => engine.close()));
  });

  for (const { name: caseName, timeout = defaultTimeout } of cases) {
    // The engine's own clock runs out first and says what happened; vitest's is only the safety net.
    test(caseName, { timeout: timeout + 10_000 }, async (context) => {
      const outcome = await run(caseName, timeout);
      outcomes.set(caseName, outcome);
      if (outcome.status === 'not-applicable') context.skip(outcome.reason);
      if (outcome.status === 'failed') throw asError(outcome);
    });
  }

  for (const { name: checkName, failure } of fuzz ? [] : selfChecks) {
    if (!checkName.includes(filter)) continue;
    test(checkName, { timeout: defaultTimeout + 10_000 }, async ({ expect }) => {
      const outcome = await run(checkName, defaultTimeout);
      expect(outcome.status).toBe('failed');
      expect(outcome.error?.message).toMatch(failure);
    });
  }
});

async function run(caseName: string, timeout: number): Promise<Outcome> {
  const engine = idle.shift();
  if (!engine) throw new Error(`${name} did not start, or has a case already`);
  try {
    return await engine.run(caseName, timeout);
  } finally {
    idle.push(engine);
  }
}

function asError({ error }: Outcome): Error {
  const failure = new Error(error?.message);
  failure.stack = `Error: ${error?.message}\n${error?.stack}`;
  return failure;
}

function report({ version, driver, facts }: Engine): void {
  const inOrder = cases.map((one) => outcomes.get(one.name)).filter((one) => one !== undefined);
  const reasons = new Map<string, number>();
  for (const { reason } of inOrder) if (reason) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const [reason, count] of reasons) console.log(`${count} not applicable: ${reason}`);
  for (const { name: from, notes } of inOrder) {
    for (const [key, value] of notes) console.log(`note: ${from}: ${key}: ${value}`);
  }
  const file = resultFile(fuzz ? `fuzz-${name}` : name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(
    file,
    JSON.stringify(
      { engine: name, version, driver, facts, filter, share, sources, outcomes: inOrder },
      null,
      1,
    ),
  );
}
