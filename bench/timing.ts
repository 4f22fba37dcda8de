/** Contestants timed side by side. */
import type { Sample, Sampler } from './clock.ts';

export interface Timing {
  /** Median milliseconds of one run. */
  ms: number;
  min: number;
  max: number;
  /** Median by the wall clock, to compare with whom the clock cannot time otherwise. */
  wallMs: number;
  /** Runs per sample. */
  repeats: number;
  samples: number;
}

export interface TimingOptions {
  /** Samples of each candidate. */
  rounds: number;
  /** Milliseconds that a sample should take, so that the latency of a submit drowns. */
  sampleMs: number;
  maxRepeats: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** How a candidate is timed, and its samples so far. */
interface Plan {
  repeats: number;
  rounds: number;
  samples: Sample[];
}

/** Finds out how many runs make a sample. One so slow that a run takes ten samples' time is not run again. */
async function plan(sample: Sampler, { rounds, sampleMs, maxRepeats }: TimingOptions): Promise<Plan> {
  let times = 1;
  let last = await sample(times);
  if (last.wallMs > Math.max(1000, 10 * sampleMs)) return { repeats: 1, rounds: 0, samples: [last] };
  while (last.wallMs < sampleMs / 4 && times < maxRepeats) {
    times = Math.min(maxRepeats, 4 * times);
    last = await sample(times);
  }
  const repeats = Math.max(1, Math.min(maxRepeats, Math.ceil((sampleMs * times) / last.wallMs)));
  return { repeats, rounds, samples: [] };
}

/**
 * Times the candidates in turns: one sample of each per round, so that whatever else the machine does hits all of them.
 * Each must have run before. One that fails gets its error instead of a timing.
 */
export async function benchmark<Name extends string>(
  candidates: Readonly<Record<Name, Sampler>>,
  options: TimingOptions,
): Promise<Record<Name, Timing | Error>> {
  const entries = Object.entries(candidates) as [Name, Sampler][];
  const plans = new Map<Name, Plan>();
  const timings: Partial<Record<Name, Timing | Error>> = {};
  const guarded = async (name: Name, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      plans.delete(name);
      timings[name] = error instanceof Error ? error : new Error(String(error));
    }
  };
  for (const [name, sample] of entries) {
    await guarded(name, async () => void plans.set(name, await plan(sample, options)));
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, sample] of entries) {
      const own = plans.get(name);
      if (!own || round >= own.rounds) continue;
      await guarded(name, async () => {
        const { ms, wallMs } = await sample(own.repeats);
        own.samples.push({ ms: ms / own.repeats, wallMs: wallMs / own.repeats });
      });
    }
  }
  for (const [name, { repeats, samples }] of plans) {
    const all = samples.map(({ ms }) => ms);
    timings[name] = {
      ms: median(all),
      min: Math.min(...all),
      max: Math.max(...all),
      wallMs: median(samples.map(({ wallMs }) => wallMs)),
      repeats,
      samples: samples.length,
    };
  }
  return timings as Record<Name, Timing | Error>;
}
