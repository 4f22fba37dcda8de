// Between the page and its replicas: one worker each, and one more for the big batch.
import type { Kind, Settings } from './settings.ts';

export type Question =
  | { type: 'start'; settings: Settings }
  /** A replica gets a port of the hub; without one, the worker is the one with the big batch. */
  | { type: 'join'; rank: number; port: MessagePort }
  | { type: 'whole' }
  | { type: 'advance'; steps: number };

/** One network on one worker. */
export interface Standing {
  kind: Kind;
  loss: number;
  accuracy: number;
  /** Running statistics of channel 0 of the first norm. */
  mean: number;
  variance: number;
  stopped: string | undefined;
}

export interface Report {
  type: 'report';
  step: number;
  /** Of the replica of rank 0, and of the big batch: replicas have the same weights. */
  standings: Standing[];
  bytesSent: number;
  /** Why this replica cannot go on. */
  failure: string | undefined;
}

export type Answer = { type: 'ready'; adapter: string } | Report;
