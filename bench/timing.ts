/** Wall-clock time of whole submits. */

/** Something to time: does `times` runs and resolves when the device has finished them. Returns milliseconds. */
export type Sampler = (times: number) => Promise<number>;

export interface Timing {
  /** Median milliseconds of one run. */
  ms: number;
  min: number;
  max: number;
  /** Runs per sample. */
  repeats: number;
  samples: number;
}

export interface TimingOptions {
  /** Samples of each contestant. */
  rounds: number;
  /** Milliseconds that a sample should take, so that the latency of a submit drowns. */
  sampleMs: number;
  maxRepeats: number;
}

/**
 * A sampler of recorded work: `times` runs in one encoder, one submit, until the device has finished. Recording is
 * timed too: it is part of what a caller waits for, and of what a peer's run call does.
 */
export function submitSampler(device: GPUDevice, record: (encoder: GPUCommandEncoder) => void): Sampler {
  return async (times) => {
    const began = performance.now();
    const encoder = device.createCommandEncoder({ label: 'bench' });
    for (let i = 0; i < times; i++) record(encoder);
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - began;
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/**
 * Times the contestants side by side: one sample of each per round, so that whatever else the machine does hits all of
 * them. A warm-up run first finds out how many runs make a sample. One so slow that a single run takes ten samples'
 * time is sampled in three rounds only.
 */
export async function race<Name extends string>(
  contestants: Readonly<Record<Name, Sampler>>,
  { rounds, sampleMs, maxRepeats }: TimingOptions,
): Promise<Record<Name, Timing>> {
  const entries = Object.entries(contestants) as [Name, Sampler][];
  const plans = new Map<Name, { repeats: number; rounds: number; samples: number[] }>();
  for (const [name, sample] of entries) {
    let once = await sample(1); // compiles, allocates
    if (once < 10 * sampleMs) once = Math.min(await sample(1), (await sample(2)) / 2);
    const repeats = Math.max(1, Math.min(maxRepeats, Math.ceil(sampleMs / once)));
    plans.set(name, { repeats, rounds: once > 10 * sampleMs ? Math.min(3, rounds) : rounds, samples: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, sample] of entries) {
      const plan = plans.get(name);
      if (!plan || round >= plan.rounds) continue;
      plan.samples.push((await sample(plan.repeats)) / plan.repeats);
    }
  }
  const timings: Partial<Record<Name, Timing>> = {};
  for (const [name, { repeats, samples }] of plans) {
    timings[name] = {
      ms: median(samples),
      min: Math.min(...samples),
      max: Math.max(...samples),
      repeats,
      samples: samples.length,
    };
  }
  return timings as Record<Name, Timing>;
}
