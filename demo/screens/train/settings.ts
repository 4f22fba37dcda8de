// What the visitor has chosen; the URL holds all of it.
import { numberIn, oneOf, someOf } from '../../shared/settings.ts';

export const kinds = ['none', 'batch', 'layer', 'group', 'rms'] as const;
export type Kind = (typeof kinds)[number];

export const kindNames: Readonly<Record<Kind, string>> = {
  none: 'No norm',
  batch: 'BatchNorm',
  layer: 'LayerNorm',
  group: 'GroupNorm',
  rms: 'RMSNorm',
};

export const batchSizes = [1, 2, 4, 8, 16, 32, 64, 128] as const;
export const rates = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2] as const;
export const activations = ['sigmoid', 'relu'] as const;
/** What BatchNorm normalizes with while it is judged: its running statistics, or those of the batch. */
export const statistics = ['running', 'batch'] as const;

export interface Settings {
  /** Who takes part. */
  norms: Kind[];
  batch: (typeof batchSizes)[number];
  /** Learning rate. It may change while they run. */
  rate: (typeof rates)[number];
  activation: (typeof activations)[number];
  /** Hidden layers. */
  layers: number;
  statistics: (typeof statistics)[number];
  /** Whose activations are drawn beside those of the network without a norm. */
  beside: Exclude<Kind, 'none'>;
}

export const defaults: Readonly<Settings> = {
  norms: ['none', 'batch', 'layer', 'group', 'rms'],
  batch: 32,
  rate: 0.5,
  activation: 'sigmoid',
  layers: 3,
  statistics: 'running',
  beside: 'batch',
};

export const norms = kinds.filter((kind): kind is Exclude<Kind, 'none'> => kind !== 'none');

export function parseSettings(given: URLSearchParams): Settings {
  const batch = oneOf(batchSizes, given.get('batch'), defaults.batch);
  return {
    norms: someOf(kinds, given.get('norms'), defaults.norms),
    batch,
    rate: oneOf(rates, given.get('rate'), defaults.rate),
    activation: oneOf(activations, given.get('activation'), defaults.activation),
    layers: Math.round(numberIn([1, 6], given.get('layers'), defaults.layers)),
    statistics: oneOf(statistics, given.get('statistics'), defaults.statistics),
    beside: oneOf(norms, given.get('beside'), defaults.beside),
  };
}

/** What a change of makes the networks start anew. */
export const raceKey = ({ norms, batch, activation, layers }: Settings): string =>
  [norms, batch, activation, layers].join(' ');
