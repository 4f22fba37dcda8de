import type { Op, Pass } from '../../../bench/rows.ts';
import { oneOf, someOf } from '../../shared/settings.ts';

export const ops: readonly Op[] = [
  'layerNorm',
  'rmsNorm',
  'addLayerNorm',
  'addRmsNorm',
  'groupNorm',
  'instanceNorm',
  'batchNorm',
];
export const passes: readonly Pass[] = ['forward', 'backward', 'forward+backward'];
export const rounds = [1, 3, 5, 9] as const;

export interface Settings {
  ops: Op[];
  passes: Pass[];
  /** What a row's name must contain. */
  filter: string;
  /** Samples of each candidate. */
  rounds: (typeof rounds)[number];
  peers: boolean;
}

export const defaults: Readonly<Settings> = {
  ops: ['layerNorm'],
  passes: ['forward'],
  filter: '',
  rounds: 5,
  peers: false,
};

export function parseSettings(given: URLSearchParams): Settings {
  return {
    ops: someOf(ops, given.get('ops'), defaults.ops),
    passes: someOf(passes, given.get('passes'), defaults.passes),
    filter: given.get('filter') ?? defaults.filter,
    rounds: oneOf(rounds, given.get('rounds'), defaults.rounds),
    peers: given.get('peers') === 'true',
  };
}

/** The rows that the settings ask for, by name: `batchNorm(training) forward 8×64×56×56 f32`. */
export function rowsOf(all: readonly string[], settings: Settings): string[] {
  const wanted = settings.filter.trim().toLowerCase();
  return all.filter((name) => {
    const [op = '', pass = ''] = name.split(' ');
    return (
      settings.ops.includes(op.replace(/\(.*/, '') as Op) &&
      settings.passes.includes(pass as Pass) &&
      name.toLowerCase().includes(wanted)
    );
  });
}
