/** One row: the correctness gate, then ours, the copy kernels and the peers, round by round. */
import type { Gpu } from '../src/index.ts';
import { makeCopies } from './copy.ts';
import type { Peer, PeerRun } from './peers/index.ts';
import { idealBytes, type Op, type Pass, type Row, rowName } from './rows.ts';
import { makeSubject, type Subject } from './subject.ts';
import { race, type Sampler, submitSampler, type Timing, type TimingOptions } from './timing.ts';

export interface PeerResult {
  ms: number;
  spread: [number, number];
  relError: number;
  repeats: number;
}

export interface RowResult {
  name: string;
  op: Op;
  pass: Pass;
  shape: readonly number[];
  layout: Row['layout'];
  dtype: Row['dtype'];
  /** Median of one run; `spread` is the fastest and the slowest sample. */
  ms: number;
  spread: [number, number];
  gbps: number;
  /** Share of the best copy kernel's speed on as many bytes. */
  copyFraction: number;
  copy: { name: string; ms: number };
  relError: number;
  bound: number;
  strategy: string;
  repeats: number;
  samples: number;
  /** Milliseconds by peer. */
  peers: Record<string, number>;
  peerDetails: Record<string, PeerResult>;
}

const spreadOf = ({ min, max }: Timing): [number, number] => [min, max];

/** @throws Error if a result is further from float64 than the bound: a time without its correctness does not count. */
export async function measure(
  gpu: Gpu,
  row: Row,
  peers: readonly Peer[],
  options: TimingOptions,
): Promise<RowResult> {
  const subject = makeSubject(gpu, row);
  const copies = makeCopies(gpu.device, idealBytes(row));
  const runs = new Map<string, PeerRun>();
  try {
    const ours = submitSampler(gpu.device, (encoder) => subject.record(encoder));
    await ours(1);
    const { error, bound } = await subject.check();
    if (!(error <= bound)) {
      throw new Error(`${rowName(row)}: relative error ${error.toExponential(1)}, allowed ${bound}`);
    }
    await copies.check();
    const contestants: Record<string, Sampler> = { ours };
    for (const [name, record] of Object.entries(copies.record)) {
      contestants[`copy ${name}`] = submitSampler(gpu.device, record);
    }
    const errors = await preparePeers(peers, subject, runs);
    for (const [name, run] of runs) contestants[name] = peerSampler(gpu.device, run);
    const timings = await race(contestants, options);
    return result(row, subject, { error, bound }, timings, errors);
  } finally {
    for (const run of runs.values()) await run.destroy();
    copies.destroy();
    subject.destroy();
  }
}

/** A peer may be less exact than ours, but must do the same: so far off, it computes something else, or nothing. */
const mostPeerError = 1e-3;

async function preparePeers(peers: readonly Peer[], subject: Subject, runs: Map<string, PeerRun>) {
  const errors = new Map<string, number>();
  for (const peer of peers) {
    const run = await peer.prepare(subject);
    if (!run) continue;
    runs.set(peer.name, run);
    await run.run(1);
    const { error } = subject.judge(await run.results());
    if (!(error <= mostPeerError)) {
      throw new Error(`${peer.name}: relative error ${error.toExponential(1)}, this is not the same op`);
    }
    errors.set(peer.name, error);
  }
  return errors;
}

function peerSampler(device: GPUDevice, run: PeerRun): Sampler {
  return async (times) => {
    const began = performance.now();
    await run.run(times);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - began;
  };
}

function result(
  row: Row,
  subject: Subject,
  { error, bound }: { error: number; bound: number },
  timings: Record<string, Timing>,
  errors: Map<string, number>,
): RowResult {
  const ours = timings.ours as Timing;
  const copies = Object.entries(timings).filter(([name]) => name.startsWith('copy '));
  const best = copies.reduce((a, b) => (b[1].ms < a[1].ms ? b : a));
  const peerDetails: Record<string, PeerResult> = {};
  for (const [name, relError] of errors) {
    const timing = timings[name] as Timing;
    peerDetails[name] = { ms: timing.ms, spread: spreadOf(timing), relError, repeats: timing.repeats };
  }
  const { op, pass, shape, layout, dtype } = row;
  return {
    name: rowName(row),
    op,
    pass,
    shape,
    layout,
    dtype,
    ms: ours.ms,
    spread: spreadOf(ours),
    gbps: idealBytes(row) / ours.ms / 1e6,
    copyFraction: best[1].ms / ours.ms,
    copy: { name: best[0].replace('copy ', ''), ms: best[1].ms },
    relError: error,
    bound,
    strategy: subject.strategy(),
    repeats: ours.repeats,
    samples: ours.samples,
    peers: Object.fromEntries(Object.entries(peerDetails).map(([name, { ms }]) => [name, ms])),
    peerDetails,
  };
}
