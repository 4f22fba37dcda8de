// Between the page and the worker that trains.
import type { Trouble } from '../../shared/screen.ts';
import type { Kind, Settings } from './settings.ts';

/** Commands are numbered, so that a report can say which ones it knows of. */
export type Command = { id: number } & (
  | { type: 'set'; settings: Settings }
  | { type: 'reset' }
  | { type: 'play' }
  | { type: 'pause' }
  | { type: 'step' }
);

/** One network at one moment, judged by digits that it does not learn from. */
export interface Standing {
  kind: Kind;
  loss: number;
  accuracy: number;
  /** Why it does not go on, where it does not. */
  stopped: string | undefined;
}

/** Percent of the values at each bin, of what goes into the activations of a layer. */
export interface LayerHistogram {
  edges: Float64Array;
  none: Float64Array | undefined;
  beside: Float64Array | undefined;
  /** Mean and standard deviation, in words. */
  text: string;
}

/** Of channel 0 of the first BatchNorm: the running statistics, and those of some digits now. */
export interface Convergence {
  mean: number;
  variance: number;
  nowMean: number;
  nowVariance: number;
}

export interface Report {
  type: 'report';
  /** The last command that it knows of. */
  id: number;
  /** Which start of the race it is about. */
  race: number;
  step: number;
  playing: boolean;
  standings: Standing[];
  layers: LayerHistogram[];
  convergence: Convergence | undefined;
  adapter: string;
}

export type Answer = Report | { type: 'trouble'; trouble: Trouble };
