/** The peers of one row: prepared, held to float64, timed. None of them can end the row, let alone the run. */
import type { Clock, Sampler } from './clock.ts';
import type { Peer, PeerRun } from './peers/index.ts';
import { elementsOf, type Row } from './rows.ts';
import type { Subject } from './subject.ts';
import type { Timing } from './timing.ts';

export interface PeerResult {
  /** null: see `why`. */
  ms: number | null;
  /** Why there is no time. */
  why?: string;
  spread?: [number, number];
  relError?: number;
  repeats?: number;
  samples?: number;
}

/** A peer may be less exact than ours, but must do the same: so far off, it computes something else, or nothing. */
const mostError = 1e-3;

/** Milliseconds of one run that are worth waiting for. */
const mostMs = 20_000;

/** Milliseconds per element that a peer took for rows of a kind, in this run. */
const paces = new Map<string, number[]>();

/** Of two shapes or more, the best: a single one may be just what a peer is bad at. */
const expectedMs = (kind: string, elements: number): number => {
  const known = paces.get(kind) ?? [];
  return known.length > 1 ? Math.min(...known) * elements : 0;
};

const kindOf = (peer: Peer, { op, pass, layout, dtype, training, relu }: Row): string =>
  [peer.name, op, pass, layout, dtype, training, relu].join();

export class PeerTeam {
  readonly #peers: readonly Peer[];
  readonly #clock: Clock;
  readonly #runs = new Map<string, PeerRun>();
  readonly #results: Record<string, PeerResult> = {};

  constructor(peers: readonly Peer[], clock: Clock) {
    this.#peers = peers;
    this.#clock = clock;
  }

  /** Runs each once. @returns samplers of those that compute the same, soon enough. */
  async prepare(subject: Subject): Promise<Record<string, Sampler>> {
    const samplers: Record<string, Sampler> = {};
    for (const peer of this.#peers) {
      const sampler = await this.#prepare(peer, subject).catch((error: unknown) => {
        this.#fail(peer.name, error instanceof Error ? error.message : String(error));
        return undefined;
      });
      if (sampler) samplers[peer.name] = sampler;
    }
    return samplers;
  }

  async #prepare(peer: Peer, subject: Subject): Promise<Sampler | undefined> {
    const { name } = peer;
    const kind = kindOf(peer, subject.row);
    const elements = elementsOf(subject.row);
    const expected = expectedMs(kind, elements);
    if (expected > mostMs) {
      this.#fail(name, `would take about ${seconds(expected)}, by other shapes`);
      return undefined;
    }
    const run = await peer.prepare(subject);
    if (!run) return undefined;
    this.#runs.set(name, run);
    const sampler = this.#clock.callSampler((times) => run.run(times));
    const { wallMs } = await sampler(1);
    paces.set(kind, [...(paces.get(kind) ?? []), wallMs / elements]);
    const { error } = subject.compare(await run.results());
    if (!(error <= mostError)) {
      this.#fail(name, `relative error ${error.toExponential(1)}: not the same op`);
      return undefined;
    }
    this.#results[name] = { ms: null, relError: error };
    if (wallMs <= mostMs) return sampler;
    this.#fail(name, `took ${seconds(wallMs)}`);
    return undefined;
  }

  #fail(name: string, why: string): void {
    this.#results[name] = { ...this.#results[name], ms: null, why: why.split('\n')[0] as string };
  }

  results(timings: Readonly<Record<string, Timing | Error>>): Record<string, PeerResult> {
    for (const name of this.#runs.keys()) {
      const timing = timings[name];
      if (timing instanceof Error) this.#fail(name, timing.message);
      else if (timing) {
        const { ms, min, max, repeats, samples } = timing;
        const { relError } = this.#results[name] as PeerResult;
        this.#results[name] = { ms, spread: [min, max], relError: relError as number, repeats, samples };
      }
    }
    return this.#results;
  }

  async destroy(): Promise<void> {
    for (const run of this.#runs.values()) await run.destroy().catch(() => {});
    this.#runs.clear();
  }
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s a run`;
