/** The arithmetic of the model: how long a dispatch takes at least, from what its threads do and what a GPU has. */
import { cyclesPerInstruction, type ModelDevice } from './devices.ts';

/** What a compiler made of a kernel. */
export interface Code {
  /** In the units of the lab's target; null where every thread has its registers whatever the kernel needs. */
  occupancy: number | null;
  /** Threads that run in step. */
  wave: number;
  /** Bytes of workgroup memory. */
  shared: number;
  /** Of the whole kernel, and of the loop that a thread spends its time in; null where it has none. */
  instructions: number;
  loopInstructions: number | null;
  /** Round trips to memory that follow one another, likewise. */
  trips: number;
  loopTrips: number | null;
}

/** What a dispatch has to do. */
export interface Work {
  workgroups: number;
  workgroup: number;
  /** That move to or from memory: each once, whatever a cache serves again. */
  bytes: number;
  /** How often a thread goes through its loop. */
  iterations: number;
}

/**
 * What a dispatch waits for most: memory; for loads that each thread has to wait for, because there are few threads, because registers or
 * workgroup memory leave few of them side by side, or although the GPU is full; for arithmetic.
 */
export type Limit = 'bandwidth' | 'threads' | 'occupancy' | 'round trips' | 'arithmetic';

export interface Time {
  /** Without what a dispatch costs beside its work. */
  ns: number;
  limit: Limit;
  /** The part of the bandwidth that it can have. */
  bound: number;
  /** Threads side by side; the round trips and the instructions of each. */
  resident: number;
  trips: number;
  instructions: number;
}

/** Threads of a workgroup size that a GPU holds side by side. */
export function capacity(
  code: Pick<Code, 'occupancy' | 'wave' | 'shared'>,
  workgroup: number,
  device: ModelDevice,
): number {
  const perUnit = device.threadsPerUnit === 'wave' ? code.wave : device.threadsPerUnit;
  const threads = (code.occupancy ?? device.fullOccupancy) * perUnit;
  const byRegisters = Math.floor(threads / workgroup);
  const byMemory = code.shared > 0 ? Math.floor(device.shared / code.shared) : byRegisters;
  return device.cores * workgroup * Math.max(1, Math.min(byRegisters, byMemory));
}

/**
 * By Little's law: a thread waits `trips` times for memory, and for each of its instructions; the GPU has so many threads side by side and
 * does the others after them.
 */
export function timeOf(work: Work, code: Code, device: ModelDevice): Time {
  const threads = work.workgroups * work.workgroup;
  const full = capacity({ ...code, occupancy: device.fullOccupancy, shared: 0 }, work.workgroup, device);
  const held = capacity(code, work.workgroup, device);
  const resident = Math.min(threads, held);
  const each = (whole: number, loop: number | null) =>
    loop === null ? whole : Math.max(0, whole - loop) + work.iterations * loop;
  const trips = each(code.trips, code.loopTrips);
  const instructions = each(code.instructions, code.loopInstructions);

  const memory = work.bytes / device.bandwidth;
  const alone = trips * device.latency + (instructions * cyclesPerInstruction) / device.clock;
  const waiting = (alone * threads) / resident;
  const arithmetic = (threads * instructions) / (device.cores * device.lanes * device.clock);
  const ns = Math.max(memory, waiting, arithmetic);
  const scarce = threads < held ? 'threads' : held < full ? 'occupancy' : 'round trips';
  const limit = ns === memory ? 'bandwidth' : ns === arithmetic ? 'arithmetic' : scarce;
  return { ns, limit, bound: memory / ns, resident, trips, instructions };
}
