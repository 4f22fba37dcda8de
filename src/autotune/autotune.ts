import { checkContext } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import { Gpu } from '../gpu/gpu.ts';
import { checkOptions, checkSignal, type OptionNames } from '../gpu/options.ts';
import { scratchBytes } from '../gpu/program.ts';
import { shown } from '../gpu/shown.ts';
import { Stopwatch } from '../gpu/stopwatch.ts';
import { byteSize, sizesOf } from '../gpu/tensor.ts';
import { backwardDescriptor, forwardDescriptor } from '../ops/descriptors.ts';
import { callOf, type NormOp, type NormOpOptions, normOpNames, prepareOptionsOf } from '../ops/op-options.ts';
import { checkInput } from '../ops/prepare-norm.ts';
import { splitOnly } from '../ops/programs.ts';
import { checkSchedule, type ScheduleOptions } from '../plan/strategy.ts';
import { backwardFacts, workspaceCap } from '../plan/workspace.ts';
import { type Candidate, candidatesOf, nameOf } from './candidates.ts';
import { compare, type Trial, type TrialResults, trialOf } from './trial.ts';
import { classOf, foundOf, readStored, store, type TuningStorage, useFound } from './tuned.ts';

/** How far a run of autotune is. */
export interface AutotuneProgress {
  /** Steps that are done: every schedule is tried once, then timed `rounds` times. */
  done: number;
  total: number;
  /** The schedule of the last step: `split workgroup=64`. */
  name: string;
}

/** Options of {@link autotune}. */
export interface AutotuneOptions extends Omit<NormOpOptions, 'schedule'> {
  /** Default 'forward'. */
  pass?: 'forward' | 'backward' | undefined;
  /** Where to look for the choice, and to leave it: `localStorage`, or what `fileStorage(path)` of `webgpu-norm/node` makes. */
  storage?: TuningStorage | undefined;
  /** Ends the run; autotune then rejects with its reason. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: AutotuneProgress) => void) | undefined;
  /** Measures even where the choice is known. Default false. */
  again?: boolean | undefined;
  /** Those to try beside the default. Default: all that the norm could have and that differ. */
  schedules?: readonly ScheduleOptions[] | undefined;
  /** Times that every schedule is timed, in turns; at most 1000. Default 5. */
  rounds?: number | undefined;
  /** Milliseconds that one timing should take. Default 20. */
  sampleMs?: number | undefined;
}

const { schedule: _, ...opNames } = normOpNames;
const names = {
  ...opNames,
  pass: 'string',
  storage: 'other',
  signal: 'other',
  onProgress: 'function',
  again: 'boolean',
  schedules: 'other',
  rounds: 'number',
  sampleMs: 'number',
} as const satisfies OptionNames<AutotuneOptions>;

/** A schedule that autotune tried. */
export interface TriedSchedule {
  /** `default`, `default again` or the overrides: `split workgroup=64`. */
  name: string;
  schedule: ScheduleOptions;
  /** Median milliseconds of a run; null for one that was refused. */
  ms: number | null;
  /** Why it was refused. */
  problem?: string | undefined;
}

/** What {@link autotune} found. */
export interface Autotuned {
  /** What calls of this shape class use from now on; null for the default. */
  chosen: ScheduleOptions | null;
  /** All that were tried, the default twice; none where the choice was known. */
  candidates: TriedSchedule[];
  /** Whether the two timings of the default agree. If not, the default is kept and nothing is remembered. */
  trustworthy: boolean;
  /** Whether the choice was known, from memory or from the storage. */
  known: boolean;
  /** What was wrong with the storage, if anything; the rest holds all the same. */
  problem?: string | undefined;
}

/** A winner must beat the default by that share of its time, and by twice what the default differs from itself. */
const margin = 0.1;

/**
 * Measures the schedules that a norm could have on this device, and has later calls of the same shape class use the fastest,
 * modules included. A class is: pass, op's family, dtype, epilogue, whether runs divide by four, and the number and the length
 * of the sets to the nearest power of two.
 *
 * A choice never changes results beyond the order in which partial sums are merged: each schedule's results on random
 * inputs are first compared with the default's, and one that differs by more than rounding is refused. Times are taken
 * in turns, by the device's timestamps where those can be believed. The default is timed under two names: where these differ by
 * more than a tenth, nothing is chosen. A winner is a tenth faster, and ahead in all rounds but one.
 *
 * Works on tensors of its own, which take several times the size of x and are freed at the end; nothing of the context is
 * touched but the choice. Pipelines that were compiled for it stay with the device, as all do. What runs on the device
 * meanwhile disturbs the times.
 *
 * @param op - the function's name, such as 'layerNorm'; its backward goes by the same.
 * @param shape - of x.
 * @throws the signal's reason; NormError as the function, `out-of-memory`, `device-lost`. The choice is then as it was.
 */
export async function autotune(
  gpu: Gpu,
  op: NormOp,
  shape: ArrayLike<number>,
  options: AutotuneOptions = {},
): Promise<Autotuned> {
  checkContext(gpu);
  checkOptions('autotune', options, names);
  const { pass = 'forward', storage, signal, again = false } = options;
  const sizes = sizesOf(shape);
  checkSignal(signal);
  if (pass !== 'forward' && pass !== 'backward') {
    throw new NormError('value', `There is no pass '${shown(pass)}'.`, "Use 'forward' or 'backward'.");
  }
  if (options.schedules !== undefined && !Array.isArray(options.schedules)) {
    throw new NormError('value', `schedules are ${shown(options.schedules)}.`, 'Pass a list of schedules.');
  }
  signal?.throwIfAborted();
  const call = callOf(op, sizes, options);
  const prepared = prepareOptionsOf(op, options);
  checkInput(gpu, call, prepared);
  const described = {
    forward: forwardDescriptor(call, prepared),
    backward: backwardDescriptor(call, prepared),
  };
  const d = described[pass];
  const name = classOf(pass, d, gpu.facts);
  const found = foundOf(gpu);
  const { stored, problems } = storage ? readStored(gpu, storage) : { stored: new Map(), problems: [] };
  const remembered = found.get(name) ?? stored.get(name);
  if (!again && remembered !== undefined) {
    found.set(name, remembered);
    useFound(gpu);
    return { chosen: remembered, candidates: [], trustworthy: true, known: true, problem: problems[0] };
  }
  const forward = pass === 'forward';
  const split = forward ? splitOnly.forward(described.forward) : splitOnly.backward(described.backward);
  const elementBytes = byteSize(d.dtype);
  const capFacts = forward ? gpu.facts : backwardFacts(d.geometry, gpu.facts);
  const cap = workspaceCap(d.geometry, elementBytes, capFacts);
  const make = (schedule: ScheduleOptions) =>
    forward
      ? call.forward({ ...described.forward, schedule }, gpu.facts)
      : call.backward({ ...described.backward, schedule }, gpu.facts);
  for (const schedule of options.schedules ?? []) {
    checkSchedule(d.geometry, pass, gpu.facts, schedule, split);
  }
  const candidates = (
    options.schedules?.map((schedule) => ({ name: nameOf(schedule), schedule })) ??
    candidatesOf(d.geometry, pass, gpu.facts, split, elementBytes)
  ).filter(({ schedule }) => scratchBytes(make(schedule)) <= cap);
  // A context of its own: what it makes goes when it goes.
  const own = new Gpu(gpu.device, gpu.adapterInfo, false, gpu.facts);
  try {
    const trial = trialOf(own, op, call, sizes, { ...options, pass });
    const { chosen, tried, trustworthy } = await benchmark(own, trial, candidates, options);
    let problem = problems[0];
    if (trustworthy) {
      found.set(name, chosen);
      useFound(gpu);
      if (storage) problem = store(gpu, storage, name, chosen) ?? problem;
    }
    return { chosen, candidates: tried, trustworthy, known: false, problem };
  } catch (error) {
    // What was waited for fails before the loss of the device is known.
    await Promise.race([own.lost, new Promise((next) => setTimeout(next))]);
    own.checkAlive();
    throw error;
  } finally {
    own.destroy();
  }
}

interface Timed extends Candidate {
  repeats: number;
  samples: number[];
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.POSITIVE_INFINITY;

async function benchmark(
  own: Gpu,
  trial: Trial,
  candidates: readonly Candidate[],
  { rounds = 5, sampleMs = 20, signal, onProgress }: AutotuneOptions,
) {
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000 && sampleMs > 0)) {
    throw new NormError(
      'value',
      `${rounds} rounds of ${sampleMs} ms cannot be timed.`,
      'Use 5 and 20; at most 1000 rounds.',
    );
  }
  const all = [{ name: 'default', schedule: {} }, ...candidates, { name: 'default again', schedule: {} }];
  const total = all.length * (1 + rounds);
  let done = 0;
  const step = (name: string) => {
    done += 1;
    onProgress?.({ done, total, name });
    signal?.throwIfAborted();
  };
  const watch = new Stopwatch(own.device);
  try {
    const refused: TriedSchedule[] = [];
    const timed: Timed[] = [];
    let expected: TrialResults | undefined;
    for (const { name, schedule } of all) {
      const record = (pass: GPUComputePassEncoder) => trial.record(pass, schedule);
      try {
        await own.prepare(trial.program(schedule));
        trial.clear();
        await watch.time(record, 1); // allocates
        await own.idle();
        const results = await trial.results();
        expected ??= results;
        const problem = compare(results, expected);
        if (problem) throw new NormError('value', problem, 'Use another schedule.');
        const once = await watch.time(record, 1);
        const repeats = Math.max(1, Math.min(200, Math.round(sampleMs / Math.max(once, 1e-3))));
        if (timed.length === 0) await watch.prove(record, repeats);
        timed.push({ name, schedule, repeats, samples: [] });
      } catch (error) {
        own.checkAlive();
        if (!expected) throw error; // the default itself
        refused.push({ name, schedule, ms: null, problem: (error as Error).message });
        done += rounds; // it will not be timed
      }
      step(name);
    }
    const { stamped } = watch;
    for (let round = 0; round < rounds; round++) {
      for (const { name, schedule, repeats, samples } of timed) {
        const ms = await watch.time((pass) => trial.record(pass, schedule), repeats);
        samples.push(ms / repeats);
        step(name);
      }
    }
    await own.idle();
    const { chosen, trustworthy } = winnerOf(timed);
    const tried = timed.map(({ name, schedule, samples }) => ({ name, schedule, ms: median(samples) }));
    const believed = trustworthy && stamped === watch.stamped;
    return { chosen: believed ? chosen : null, tried: [...tried, ...refused], trustworthy: believed };
  } finally {
    watch.destroy();
  }
}

/** @internal The fastest candidate if it is clearly ahead of the first and the last, which are the default. */
export function winnerOf(timed: readonly Pick<Timed, 'schedule' | 'samples'>[]): {
  chosen: ScheduleOptions | null;
  trustworthy: boolean;
} {
  const [first, last] = [timed[0], timed.at(-1)];
  if (!first || !last) return { chosen: null, trustworthy: false };
  const [one, two] = [median(first.samples), median(last.samples)];
  const usual = Math.min(one, two);
  const noise = Math.abs(one - two) / usual;
  if (!(noise <= margin)) return { chosen: null, trustworthy: false };
  const limit = 1 - Math.max(margin, 2 * noise);
  const ahead = timed.slice(1, -1).filter(({ samples }) => {
    const rounds = samples.filter((ms, i) => ms < Math.min(first.samples[i] ?? 0, last.samples[i] ?? 0));
    return median(samples) <= limit * usual && rounds.length >= samples.length - 1;
  });
  const best = ahead.sort((a, b) => median(a.samples) - median(b.samples))[0];
  return { chosen: best?.schedule ?? null, trustworthy: true };
}
