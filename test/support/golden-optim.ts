/** The golden file of the optimizers, test/golden/optim.json: its types, and settings under the library's names. */
import type { GoldenTensor } from './golden.ts';
import type { Kind, Settings } from './optim.ts';

type GoldenSettings = Record<string, unknown>;

export interface OptimCase {
  name: string;
  optimizer: Kind;
  settings: GoldenSettings;
  /** Settings of the first parameter and of the other two. */
  groups?: [GoldenSettings, GoldenSettings];
  /** Of the first group, by step, again and again. */
  lrs?: number[];
  dtype: 'f32' | 'f16';
  /** Steps and parameters without a gradient. */
  skip: [step: number, parameter: number][];
  initial: GoldenTensor[];
  /** By step, again and again, then by parameter. */
  gradients: GoldenTensor[][];
  /** By number of steps, then by parameter: param and the state. */
  after: Record<string, Record<string, GoldenTensor>[]>;
}

export interface OptimFile {
  cases: OptimCase[];
}

/** The steps of a trajectory. */
export const stepsOf = ({ after }: OptimCase): number => Math.max(...Object.keys(after).map(Number));

/** The settings of the group that a parameter is in. */
export function settingsOf({ settings, groups, lrs }: OptimCase, parameter: number, step: number): Settings {
  const group = groups?.[parameter === 0 ? 0 : 1];
  const first = !groups || parameter === 0;
  return {
    ...camel(settings),
    ...(group ? camel(group) : {}),
    ...(lrs && first ? { lr: lrs[step % lrs.length] as number } : {}),
  };
}

/** weight_decay is weightDecay here. */
export function camel(settings: GoldenSettings): Settings {
  const entries = Object.entries(settings).map(([name, value]) => [
    name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(entries) as Settings;
}
