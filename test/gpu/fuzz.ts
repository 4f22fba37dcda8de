/** Random configurations against float64. `npm run fuzz` runs as many as one likes; these are the first 300 of a seed. */
import { type Gpu, init } from '../../src/index.ts';
import type { Case, Context } from '../harness/case.ts';
import { runConfiguration, shrunk, type Verdict } from '../support/fuzz.ts';
import {
  type Configuration,
  configurationOf,
  describeConfiguration,
  type FactsName,
  factsOf,
  fitted,
} from '../support/fuzz-config.ts';

/** As many are submitted before the first of them is read. */
const together = 10;

async function run(t: Context, seed: number, first: number, last: number): Promise<void> {
  const contexts: Partial<Record<FactsName, Gpu>> = {};
  for (const name of Object.keys(factsOf) as FactsName[])
    contexts[name] = await init({ device: t.device, facts: factsOf[name] });
  const gpuOf = ({ facts }: Configuration) => contexts[facts] as Gpu;
  const failures: string[] = [];
  const refusals: Record<string, number> = {};
  const worst: Record<string, number> = {};
  const uncaptured: string[] = [];
  const listen = (event: GPUUncapturedErrorEvent) => void uncaptured.push(event.error.message);
  t.device.addEventListener('uncapturederror', listen);
  /** Everything that the configurations caused has been reported after it. */
  const verdictsOf = async (list: readonly Configuration[]): Promise<Verdict[]> => {
    const verdicts = await Promise.all(
      list.map((one) =>
        runConfiguration(gpuOf(one), one).catch(
          (error: Error): Verdict => ({ wrong: `rejected: ${error.message}`, errors: [] }),
        ),
      ),
    );
    await t.device.queue.onSubmittedWorkDone();
    await new Promise((resolve) => setTimeout(resolve, 0));
    return verdicts;
  };
  try {
    for (let from = first; from <= last; from += together) {
      const indices = Array.from({ length: Math.min(together, last - from + 1) }, (_, i) => from + i);
      const list = indices.map((index) => fitted(configurationOf(seed, index), t.gpu.facts));
      const verdicts = await verdictsOf(list);
      if (uncaptured.length > 0) {
        // Which of them it was shows when each runs alone.
        for (const [i, one] of list.entries()) {
          uncaptured.length = 0;
          await verdictsOf([one]);
          const [message] = uncaptured;
          if (message) (verdicts[i] as Verdict).wrong ??= `uncaptured error: ${message.split('\n')[0]}`;
        }
        uncaptured.length = 0;
      }
      for (const [i, { wrong, refused, errors }] of verdicts.entries()) {
        if (refused) refusals[refused] = (refusals[refused] ?? 0) + 1;
        for (const { output, share } of errors) worst[output] = Math.max(worst[output] ?? 0, share);
        if (!wrong) continue;
        const one = list[i] as Configuration;
        const small = failures.length < 3 ? `\n    simplest: ${await shrunk(gpuOf, one, wrong)}` : '';
        failures.push(`--only ${seed}-${indices[i]}: ${wrong}\n    ${describeConfiguration(one)}${small}`);
      }
    }
  } finally {
    t.device.removeEventListener('uncapturederror', listen);
    for (const gpu of Object.values(contexts)) gpu.destroy();
  }
  const count = last - first + 1;
  t.note('configurations', String(count));
  t.note('wrong', String(failures.length));
  for (const [code, number] of Object.entries(refusals)) t.note(`refused: ${code}`, String(number));
  for (const [output, share] of Object.entries(worst))
    t.note(`largest error of its bound: ${output}`, share.toFixed(2));
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${count} configurations are wrong:\n${failures.join('\n')}`);
}

/** Configurations `first` to `last` of a seed, as one case. */
export function fuzzCase(seed: number, first: number, last: number): Case {
  return {
    name: `fuzz: seed ${seed}, ${first} to ${last}`,
    timeout: 300_000,
    run: (t) => run(t, seed, first, last),
  };
}

/** Configurations `first` to `last` of a seed, in cases of so many. */
export function fuzzCases(seed: number, first: number, last: number, size = 50): Case[] {
  return Array.from({ length: Math.ceil((last - first + 1) / size) }, (_, i) =>
    fuzzCase(seed, first + i * size, Math.min(last, first + (i + 1) * size - 1)),
  );
}

/** The case of that name, for any seed; undefined where the name is of another kind. */
export function fuzzCaseNamed(name: string): Case | undefined {
  const [, ...numbers] = /^fuzz: seed (\d+), (\d+) to (\d+)$/.exec(name) ?? [];
  const [seed, first, last] = numbers.map(Number);
  return seed === undefined || first === undefined || last === undefined
    ? undefined
    : fuzzCase(seed, first, last);
}

export const cases: Case[] = fuzzCases(1, 0, 299);
