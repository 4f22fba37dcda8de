// Between the page and the worker that checks.
import type { CheckedOp, DType, Settings } from './settings.ts';

export type Question =
  | { type: 'start' }
  | { type: 'list'; settings: Settings }
  | { type: 'check'; index: number };

export interface Verdict {
  op: CheckedOp;
  dtype: DType;
  strategy: string;
  /** Shapes, layouts, modes and offsets that were run, each twice. */
  runs: number;
  /** The largest relative error of any output, as a share of what it may be; and which. */
  share: number;
  output: string;
  error: number;
  bound: number;
  /** Why it failed, where it did. */
  failure: string | undefined;
  /** Milliseconds, the reference included. */
  took: number;
}

export type Answer =
  | { type: 'facts'; adapter: string; features: string[] }
  | { type: 'list'; count: number }
  | { type: 'verdict'; verdict: Verdict };
