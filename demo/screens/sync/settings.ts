import { numberIn, oneOf } from '../../shared/settings.ts';

/** How the batch is normalized: each replica for itself, all together, or in one place. */
export const kinds = ['batch', 'sync', 'whole'] as const;
export type Kind = (typeof kinds)[number];

export const kindNames: Readonly<Record<Kind, string>> = {
  batch: 'BatchNorm, each replica for itself',
  sync: 'SyncBatchNorm',
  whole: 'BatchNorm of one big batch',
};

export const mostReplicas = 8;
export const batchSizes = [1, 2, 4, 8, 16] as const;

export interface Settings {
  replicas: number;
  /** Of each replica. */
  batch: (typeof batchSizes)[number];
}

export const defaults: Readonly<Settings> = { replicas: 4, batch: 2 };

export function parseSettings(given: URLSearchParams): Settings {
  return {
    replicas: Math.round(numberIn([1, mostReplicas], given.get('replicas'), defaults.replicas)),
    batch: oneOf(batchSizes, given.get('batch'), defaults.batch),
  };
}
