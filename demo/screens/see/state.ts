// What the visitor has chosen. The URL's fragment holds all of it, so that a link or a reload brings it back.
import { numberIn, oneOf } from '../../shared/settings.ts';

export const norms = ['layer', 'rms', 'group', 'instance', 'batch', 'response'] as const;
export const layouts = ['channels-first', 'channels-last'] as const;
export const extents = ['sample', 'position'] as const;
export const losses = ['patch', 'mean', 'squares', 'cubes'] as const;
export const windows = Array.from({ length: 12 }, (_, i) => i + 1);
export const groupCounts = [1, 2, 3, 4, 6, 12] as const;

export interface State {
  norm: (typeof norms)[number];
  /** What LayerNorm and RMSNorm reduce over: a whole sample, or the channels at each position. */
  over: (typeof extents)[number];
  layout: (typeof layouts)[number];
  groups: (typeof groupCounts)[number];
  /** γ of every element. */
  weight: number;
  /** β of every element. */
  bias: number;
  eps: number;
  /** Added to every element of x. */
  offset: number;
  loss: (typeof losses)[number];
  /** LocalResponseNorm: channels in a window, and the factor of their mean square. */
  window: number;
  alpha: number;
}

export const defaults: Readonly<State> = {
  norm: 'layer',
  over: 'sample',
  layout: 'channels-first',
  groups: 3,
  weight: 1,
  bias: 0,
  eps: 1e-5,
  offset: 0,
  loss: 'patch',
  window: 5,
  alpha: 1,
};

const ranges = {
  weight: [-2, 3],
  bias: [-3, 3],
  eps: [1e-12, 1],
  offset: [0, 1e5],
  alpha: [1e-4, 10],
} as const;

/** Reads settings such as `norm=group&groups=6`. What they lack, or have wrong, takes the default. */
export function parseState(given: URLSearchParams): State {
  const numberOf = (key: keyof typeof ranges): number => numberIn(ranges[key], given.get(key), defaults[key]);
  return {
    norm: oneOf(norms, given.get('norm'), defaults.norm),
    over: oneOf(extents, given.get('over'), defaults.over),
    layout: oneOf(layouts, given.get('layout'), defaults.layout),
    groups: oneOf(groupCounts, given.get('groups'), defaults.groups),
    weight: numberOf('weight'),
    bias: numberOf('bias'),
    eps: numberOf('eps'),
    offset: numberOf('offset'),
    loss: oneOf(losses, given.get('loss'), defaults.loss),
    window: oneOf(windows, given.get('window'), defaults.window),
    alpha: numberOf('alpha'),
  };
}
