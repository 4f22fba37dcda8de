/**
 * The bench as a host sees it: start once, then row by row. It needs a `navigator.gpu` and no document, so that what
 * runs it may be a browser's page, or Node or Deno with WebGPU.
 */
import { type Gpu, init } from '../src/index.ts';
import { type Clock, makeClock } from './clock.ts';
import { measure, type Outcome } from './measure.ts';
import { measureOverhead, type Overhead } from './overhead.ts';
import { firstPeerStart, type Peer, type PeerSources, peerStarts, servedPeers } from './peers/index.ts';
import { benchRows, linearRows, type Row, rowName } from './rows.ts';
import { candidates, type SweepResult, sweep } from './sweep.ts';
import type { TimingOptions } from './timing.ts';
import { type TunedPass, type TuneOptions, tune } from './tune.ts';

export interface BenchFacts {
  /** As the adapter calls itself. */
  adapter: string;
  software: boolean;
  /** How time is taken. */
  method: string;
  f16: boolean;
  peers: string[];
  rows: string[];
  /** Rows of growing size, for `--linear`. */
  linear: string[];
}

export interface Bench {
  /** `peers`: whether there are any, or where they come from. `sampleMs` tells how fine a clock must be. */
  start(options: { gpu: GPU; peers: boolean | PeerSources; sampleMs: number }): Promise<BenchFacts>;
  /** `peers` names those to run beside it. */
  run(name: string, options: TimingOptions & { peers: readonly string[] }): Promise<Outcome>;
  sweep(name: string, options: TimingOptions): Promise<SweepResult>;
  /** What recording costs the CPU. */
  overhead(): Promise<Overhead>;
  /** What autotune chooses. */
  tune(name: string, options: TuneOptions): Promise<TunedPass[]>;
}

let context: { gpu: Gpu; clock: Clock } | undefined;
let peers: Peer[] = [];
const rows = new Map<string, Row>();

/** One device for the whole run: with peers the one that the first brings, so that all use the same buffers. */
async function start({
  gpu: navigatorGpu,
  peers: wanted,
  sampleMs,
}: Parameters<Bench['start']>[0]): Promise<BenchFacts> {
  let gpu: Gpu;
  if (wanted) {
    const sources = wanted === true ? servedPeers : wanted;
    const { peer, device } = await firstPeerStart(sources);
    peers = [peer, ...(await Promise.all(peerStarts.map((startPeer) => startPeer(device, sources))))];
    gpu = await init({ device });
  } else {
    gpu = await init({ gpu: navigatorGpu });
  }
  const clock = await makeClock(gpu.device, sampleMs);
  context = { gpu, clock };
  const { facts, adapterInfo } = gpu;
  const [usual, linear] = [benchRows(facts.f16), linearRows()];
  for (const row of [...usual, ...linear]) rows.set(rowName(row), row);
  const words = [adapterInfo?.vendor, adapterInfo?.architecture, adapterInfo?.device]
    .filter(Boolean)
    .join(' ');
  return {
    adapter: adapterInfo?.description ? `${adapterInfo.description} (${words})` : words,
    software: facts.software,
    method: clock.method,
    f16: facts.f16,
    peers: peers.map(({ name }) => name),
    rows: usual.map(rowName),
    linear: linear.map(rowName),
  };
}

function started(name: string): { gpu: Gpu; clock: Clock; row: Row } {
  const row = rows.get(name);
  if (!context || !row) throw new Error(`no row ${name}`);
  return { ...context, row };
}

export const bench: Bench = {
  start,
  run(name, options) {
    const { gpu, clock, row } = started(name);
    const beside = peers.filter((peer) => options.peers.includes(peer.name));
    return measure(gpu, clock, row, beside, options);
  },
  overhead() {
    if (!context) throw new Error('not started');
    return measureOverhead(context.gpu);
  },
  sweep(name, options) {
    const { gpu, clock, row } = started(name);
    return sweep(gpu, clock, row, candidates(row, gpu.facts), options);
  },
  tune(name, options) {
    const { gpu, row } = started(name);
    return tune(gpu, row, options);
  },
};
