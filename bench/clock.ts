/** How time is taken: by the GPU's own timestamps where they can be trusted, else by the wall clock around a submit. */
import { makeCopies } from './copy.ts';

/** Milliseconds of several runs: by the clock's method, and from the start of recording until the device is done. */
export interface Sample {
  ms: number;
  wallMs: number;
}

/** Something to time: does `times` runs and resolves when the device has finished them. */
export type Sampler = (times: number) => Promise<Sample>;

export interface Clock {
  /** `timestamp-query` or `wall clock`, and why. */
  method: string;
  /** Of recorded work: `times` runs in one compute pass, one submit. */
  sampler(record: (pass: GPUComputePassEncoder) => void): Sampler;
  /** Of calls that submit by themselves, as a peer's: by the wall clock alone. */
  callSampler(run: (times: number) => Promise<void>): Sampler;
}

/** Firefox looks for finished work every 100 ms, or when something is submitted. */
const needsNudges = globalThis.navigator?.userAgent?.includes('Firefox') ?? false;

async function finished(queue: GPUQueue): Promise<void> {
  const nudge = needsNudges ? setInterval(() => queue.submit([]), 1) : undefined;
  await queue.onSubmittedWorkDone();
  clearInterval(nudge);
}

function callSampler(device: GPUDevice): Clock['callSampler'] {
  return (run) => async (times) => {
    const began = performance.now();
    await run(times);
    await finished(device.queue);
    const wallMs = performance.now() - began;
    return { ms: wallMs, wallMs };
  };
}

function wallClock(device: GPUDevice, why: string): Clock {
  return {
    method: `wall clock around whole submits (${why})`,
    callSampler: callSampler(device),
    sampler: (record) => async (times) => {
      const began = performance.now();
      const encoder = device.createCommandEncoder({ label: 'bench' });
      const pass = encoder.beginComputePass();
      for (let i = 0; i < times; i++) record(pass);
      pass.end();
      device.queue.submit([encoder.finish()]);
      await finished(device.queue);
      const wallMs = performance.now() - began;
      return { ms: wallMs, wallMs };
    },
  };
}

interface Stamps {
  begin: bigint;
  end: bigint;
}

/** A sampler by timestamps, which also says what they were. */
function stamped(
  device: GPUDevice,
): (record: (pass: GPUComputePassEncoder) => void) => (times: number) => Promise<Sample & Stamps> {
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
  const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const resolved = device.createBuffer({ size: 16, usage: QUERY_RESOLVE | COPY_SRC });
  const staging = device.createBuffer({ size: 16, usage: COPY_DST | MAP_READ });
  return (record) => async (times) => {
    const began = performance.now();
    const encoder = device.createCommandEncoder({ label: 'bench' });
    const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const pass = encoder.beginComputePass({ timestampWrites });
    for (let i = 0; i < times; i++) record(pass);
    pass.end();
    encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16);
    device.queue.submit([encoder.finish()]);
    await finished(device.queue);
    const wallMs = performance.now() - began;
    await staging.mapAsync(GPUMapMode.READ);
    const [begin = 0n, end = 0n] = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return { ms: Number(end - begin) / 1e6, wallMs, begin, end };
  };
}

const largest = (a: bigint, b: bigint): bigint => (b === 0n ? a : largest(b, a % b));

/**
 * Timestamps are trusted where five long dispatches take what the wall clock says, within 20 % in the median, where time
 * never runs backwards, and where they are fine enough: browsers coarsen them to 100 µs.
 *
 * @param sampleMs - what a sample will take; a hundred of the steps of the timestamps must fit.
 */
export async function makeClock(device: GPUDevice, sampleMs: number): Promise<Clock> {
  if (!device.features.has('timestamp-query')) return wallClock(device, 'the device has no timestamp-query');
  const samplerOf = stamped(device);
  const copies = makeCopies(device, 2 ** 26);
  try {
    const [record] = Object.values(copies.record);
    const sample = samplerOf(record as (pass: GPUComputePassEncoder) => void);
    await sample(1);
    const once = (await sample(8)).wallMs / 8;
    const times = Math.min(2000, Math.ceil(100 / once));
    const ratios: number[] = [];
    const stamps: bigint[] = [];
    for (let round = 0; round < 5; round++) {
      const { ms, wallMs, begin, end } = await sample(times);
      ratios.push(ms / wallMs);
      stamps.push(begin, end);
    }
    if (stamps.some((one, i) => i > 0 && one < (stamps[i - 1] as bigint))) {
      return wallClock(device, 'timestamps run backwards');
    }
    const ratio = ratios.sort((a, b) => a - b)[2] as number;
    if (!(Math.abs(ratio - 1) <= 0.2)) {
      return wallClock(device, `timestamps say ${ratio.toPrecision(2)} of the wall clock`);
    }
    const stepNs = Number(stamps.reduce(largest, 0n));
    if (stepNs > sampleMs * 1e4) return wallClock(device, `timestamps are ${stepNs / 1e6} ms apart`);
    return {
      method: `timestamp-query (steps of ${stepNs} ns, ${ratio.toPrecision(2)} of the wall clock)`,
      callSampler: callSampler(device),
      sampler: samplerOf,
    };
  } finally {
    copies.destroy();
  }
}
