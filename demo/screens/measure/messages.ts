// Between the page and the worker that measures.
import type { Outcome } from '../../../bench/measure.ts';
import type { BenchFacts } from '../../../bench/page.ts';
import type { SweepResult } from '../../../bench/sweep.ts';

export type Question =
  | { type: 'start'; peers: boolean }
  | { type: 'measure'; row: string; rounds: number; peers: readonly string[] }
  | { type: 'sweep'; row: string; rounds: number };

export type Answer =
  | { type: 'facts'; facts: BenchFacts }
  | { type: 'result'; result: Outcome }
  | { type: 'schedules'; schedules: SweepResult };
