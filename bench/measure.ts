/** One row: the correctness gate, then ours, the copy kernels and the peers, round by round. */
import { type Gpu, NormError } from '../src/index.ts';
import type { Clock, Sampler } from './clock.ts';
import { type Copies, makeCopies } from './copy.ts';
import { type PeerResult, PeerTeam } from './peer-team.ts';
import type { Peer } from './peers/index.ts';
import { idealBytes, type Op, type Pass, type Row, rowName } from './rows.ts';
import { makeSubject, type Subject } from './subject.ts';
import { benchmark, type Timing, type TimingOptions } from './timing.ts';

/** What a row measured; bench/results/README.md describes the fields. */
export interface RowResult {
  name: string;
  op: Op;
  pass: Pass;
  shape: readonly number[];
  layout: Row['layout'];
  dtype: Row['dtype'];
  axes?: readonly number[];
  groups?: number;
  training?: boolean;
  relu?: boolean;
  /** Median of one run; `spread` is the fastest and the slowest sample. */
  ms: number;
  spread: [number, number];
  /** By the wall clock, as peers are timed. */
  wallMs: number;
  gbps: number;
  /** Share of the best copy kernel's speed. */
  copyFraction: number;
  /** The fastest copy kernel, and the milliseconds that it takes for the row's ideal bytes: the median, and the fastest sample. */
  copy: { name: string; ms: number; fastest: number };
  relError: number;
  bound: number;
  /** What of the results was compared with float64. */
  compared: string;
  strategy: string;
  repeats: number;
  samples: number;
  /** Milliseconds by peer; null where it failed or takes too long. Peers without such an op are left out. */
  peers: Record<string, number | null>;
  peerDetails: Record<string, PeerResult>;
}

/** A row that this device cannot run. */
export interface NotRun {
  name: string;
  notRun: string;
}

export type Outcome = RowResult | NotRun;

const spreadOf = ({ min, max }: Timing): [number, number] => [min, max];

/** @throws Error if a result is further from float64 than the bound: a time without its correctness does not count. */
export async function measure(
  gpu: Gpu,
  clock: Clock,
  row: Row,
  peers: readonly Peer[],
  options: TimingOptions,
): Promise<Outcome> {
  await gpu.idle().catch(() => {}); // what a peer of the row before has left behind
  let subject: Subject | undefined;
  let copies: Copies | undefined;
  const team = new PeerTeam(peers, clock);
  try {
    subject = makeSubject(gpu, row);
    const { record } = subject;
    const ours = clock.sampler((pass) => record({ pass }));
    await ours(1);
    await gpu.idle();
    const { error, bound } = await subject.check();
    if (!(error <= bound)) {
      throw new Error(`${rowName(row)}: relative error ${error.toExponential(1)}, allowed ${bound}`);
    }
    copies = await checkedCopies(gpu.device, idealBytes(row));
    const candidates: Record<string, Sampler> = { ours };
    for (const [name, copy] of Object.entries(copies.record)) {
      candidates[`copy ${name}`] = clock.sampler(copy);
    }
    Object.assign(candidates, await team.prepare(subject));
    const timings = await benchmark(candidates, options);
    return result(row, subject, copies, { error, bound }, timings, team.results(timings));
  } catch (error) {
    // Whatever a lost device made fail: that it is lost is what has happened.
    await Promise.race([gpu.lost, new Promise((next) => setTimeout(next))]);
    gpu.checkAlive();
    const lack = error instanceof NormError && (error.code === 'limit' || error.code === 'out-of-memory');
    if (!lack) throw error;
    return { name: rowName(row), notRun: error.message };
  } finally {
    await team.destroy();
    copies?.destroy();
    subject?.destroy();
  }
}

async function checkedCopies(device: GPUDevice, bytes: number): Promise<Copies> {
  device.pushErrorScope('out-of-memory');
  const copies = makeCopies(device, bytes);
  const lack = await device.popErrorScope();
  if (lack) {
    copies.destroy();
    throw new NormError('out-of-memory', `The copy beside it needs ${copies.bytes} bytes.`, '');
  }
  await copies.check();
  return copies;
}

function result(
  row: Row,
  { compared, strategy }: Subject,
  copies: Copies,
  { error, bound }: { error: number; bound: number },
  timings: Record<string, Timing | Error>,
  peerDetails: Record<string, PeerResult>,
): RowResult {
  const timed = Object.entries(timings).filter(([name]) => name === 'ours' || name.startsWith('copy '));
  for (const [, timing] of timed) if (timing instanceof Error) throw timing;
  const all = new Map(timed as [string, Timing][]);
  const ours = all.get('ours') as Timing;
  all.delete('ours');
  const best = [...all].reduce((a, b) => (b[1].ms < a[1].ms ? b : a));
  const share = idealBytes(row) / copies.bytes;
  const copyMs = best[1].ms * share;
  return {
    name: rowName(row),
    ...row,
    ms: ours.ms,
    spread: spreadOf(ours),
    wallMs: ours.wallMs,
    gbps: idealBytes(row) / ours.ms / 1e6,
    copyFraction: copyMs / ours.ms,
    copy: { name: best[0].replace('copy ', ''), ms: copyMs, fastest: best[1].min * share },
    relError: error,
    bound,
    compared,
    strategy: strategy(),
    repeats: ours.repeats,
    samples: ours.samples,
    peers: Object.fromEntries(Object.entries(peerDetails).map(([name, { ms }]) => [name, ms])),
    peerDetails,
  };
}
