/**
 * Runs the GPU cases of test/gpu/ inside one WebGPU engine and reports them to vitest one by one.
 *
 * WEBGPU_NORM_ENGINE names the engine (chromium, firefox, dawn, deno); WEBGPU_NORM_FILTER keeps the cases
 * whose name contains it. Results also go to a file, for the table of scripts/test-engines.mjs.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprint } from '../scripts/lib/fingerprint.mjs';
import { resultFile } from '../scripts/lib/paths.mjs';
import { allCases } from './gpu/index.ts';
import { defaultTimeout, type Outcome } from './harness/case.ts';
import { type Engine, type EngineName, engineNames, openEngine } from './harness/engine.ts';
import { selfChecks } from './harness/self-check.ts';

const name = (process.env.WEBGPU_NORM_ENGINE || 'chromium') as EngineName;
if (!engineNames.includes(name)) {
  throw new Error(`WEBGPU_NORM_ENGINE is "${name}", expected one of ${engineNames.join(', ')}`);
}
const filter = process.env.WEBGPU_NORM_FILTER ?? '';
const sources = fingerprint();

let engine: Engine | undefined;
const outcomes: Outcome[] = [];

describe(name, () => {
  beforeAll(async () => {
    engine = await openEngine(name);
    const { version, facts } = engine;
    console.log(
      `${version} on ${facts.description || facts.device || facts.architecture || 'unnamed adapter'}`,
    );
  });

  afterAll(async () => {
    if (!engine) return;
    report(engine);
    await engine.close();
  });

  for (const { name: caseName, timeout = defaultTimeout } of allCases) {
    if (!caseName.includes(filter)) continue;
    // The engine's own clock runs out first and says what happened; vitest's is only the safety net.
    it(caseName, { timeout: timeout + 10_000 }, async (context) => {
      const outcome = await run(caseName, timeout);
      outcomes.push(outcome);
      if (outcome.status === 'not-applicable') context.skip(outcome.reason);
      if (outcome.status === 'failed') throw asError(outcome);
    });
  }

  for (const { name: checkName, failure } of selfChecks) {
    if (!checkName.includes(filter)) continue;
    it(checkName, { timeout: defaultTimeout + 10_000 }, async () => {
      const outcome = await run(checkName, defaultTimeout);
      expect(outcome.status).toBe('failed');
      expect(outcome.error?.message).toMatch(failure);
    });
  }
});

async function run(caseName: string, timeout: number): Promise<Outcome> {
  if (!engine) throw new Error(`${name} did not start`);
  return engine.run(caseName, timeout);
}

function asError({ error }: Outcome): Error {
  const failure = new Error(error?.message);
  failure.stack = `Error: ${error?.message}\n${error?.stack}`;
  return failure;
}

function report({ version, driver, facts }: Engine): void {
  const reasons = new Map<string, number>();
  for (const { reason } of outcomes) if (reason) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const [reason, count] of reasons) console.log(`${count} not applicable: ${reason}`);
  for (const { name: from, notes } of outcomes) {
    for (const [key, value] of notes) console.log(`note: ${from}: ${key}: ${value}`);
  }
  const file = resultFile(name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(
    file,
    JSON.stringify({ engine: name, version, driver, facts, filter, sources, outcomes }, null, 1),
  );
}
