// Between the page and the worker that measures.
import type { Outcome } from '../../../bench/measure.ts';
import type { BenchFacts } from '../../../bench/page.ts';
import type { TunedPass } from '../../../bench/tune.ts';
import type { AutotuneProgress } from '../../../src/autotune/index.ts';

/** Items of a storage. */
export type Entries = [key: string, value: string][];

export type Question =
  | { type: 'start'; peers: boolean }
  | { type: 'measure'; row: string; rounds: number; peers: readonly string[] }
  /** `entries` are those of the page's storage: a worker has none. */
  | { type: 'tune'; row: string; rounds: number; entries: Entries };

export type Answer =
  | { type: 'facts'; facts: BenchFacts }
  | { type: 'result'; result: Outcome }
  /** Null where it was stopped. */
  | { type: 'tuned'; passes: TunedPass[] | null; entries: Entries };

/** What the worker tells while it tunes. */
export type News = AutotuneProgress;
