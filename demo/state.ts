// What the visitor has chosen. The URL's fragment holds all of it, so that a link or a reload brings it back.

export const norms = ['layer', 'rms', 'group', 'instance'] as const;
export const layouts = ['channels-first', 'channels-last'] as const;
export const extents = ['sample', 'position'] as const;
export const losses = ['patch', 'mean', 'squares', 'cubes'] as const;
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
};

const ranges = {
  weight: [-2, 3],
  bias: [-3, 3],
  eps: [1e-12, 1],
  offset: [0, 1e5],
} as const;

function oneOf<T>(values: readonly T[], text: string | null, fallback: T): T {
  return values.find((value) => String(value) === text) ?? fallback;
}

function numberOf(key: keyof typeof ranges, text: string | null): number {
  const [low, high] = ranges[key];
  const value = text === null || text === '' ? Number.NaN : Number(text);
  return value >= low && value <= high ? value : defaults[key];
}

/** Reads a fragment such as `#norm=group&groups=6`. What it lacks, or has wrong, takes the default. */
export function parseState(hash: string): State {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  return {
    norm: oneOf(norms, given.get('norm'), defaults.norm),
    over: oneOf(extents, given.get('over'), defaults.over),
    layout: oneOf(layouts, given.get('layout'), defaults.layout),
    groups: oneOf(groupCounts, given.get('groups'), defaults.groups),
    weight: numberOf('weight', given.get('weight')),
    bias: numberOf('bias', given.get('bias')),
    eps: numberOf('eps', given.get('eps')),
    offset: numberOf('offset', given.get('offset')),
    loss: oneOf(losses, given.get('loss'), defaults.loss),
  };
}

export function formatState(state: State): string {
  const fields = Object.entries(state).map(([key, value]): [string, string] => [key, String(value)]);
  return `#${new URLSearchParams(fields)}`;
}
