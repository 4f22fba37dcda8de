// The networks of the race: fully connected layers, the same but for the norm before each activation.
import {
  BatchNorm1d,
  type Gpu,
  GroupNorm,
  LayerNorm,
  type Module,
  RMSNorm,
  Sequential,
} from '../../../src/index.ts';
import { ReLU, Sigmoid } from '../../network/activation.ts';
import { classes, pixels } from '../../network/digits.ts';
import { Linear } from '../../network/linear.ts';
import type { Kind, Settings } from './settings.ts';

export const hidden = 64;
export const groups = 8;

/** Standard deviation of the weights: small with sigmoids, as in the BatchNorm paper; He's with ReLU. */
export const stdOf = ({ activation }: Pick<Settings, 'activation'>, inFeatures: number): number =>
  activation === 'sigmoid' ? 0.1 : Math.sqrt(2 / inFeatures);

function normOf(gpu: Gpu, kind: Kind): Module | undefined {
  switch (kind) {
    case 'none':
      return undefined;
    case 'batch':
      return new BatchNorm1d(gpu, hidden);
    case 'layer':
      return new LayerNorm(gpu, hidden);
    case 'group':
      return new GroupNorm(gpu, groups, hidden);
    case 'rms':
      return new RMSNorm(gpu, hidden);
  }
}

export interface Network {
  model: Sequential;
  /** Modules whose outputs go into an activation, layer by layer. */
  taps: Module[];
  /** The first layer, whose output is the first norm's input. */
  first: Module;
  batchNorms: BatchNorm1d[];
}

/** The same seed for every kind: the same weights at first. */
export function networkOf(gpu: Gpu, kind: Kind, settings: Pick<Settings, 'activation' | 'layers'>): Network {
  const modules: Module[] = [];
  const taps: Module[] = [];
  const batchNorms: BatchNorm1d[] = [];
  let width = pixels;
  for (let i = 0; i < settings.layers; i++) {
    const linear = new Linear(gpu, width, hidden, { std: stdOf(settings, width), seed: i + 1 });
    const norm = normOf(gpu, kind);
    if (norm instanceof BatchNorm1d) batchNorms.push(norm);
    const activation = settings.activation === 'sigmoid' ? new Sigmoid(gpu) : new ReLU(gpu);
    modules.push(linear, ...(norm ? [norm] : []), activation);
    taps.push(norm ?? linear);
    width = hidden;
  }
  modules.push(new Linear(gpu, width, classes, { std: stdOf(settings, width), seed: settings.layers + 1 }));
  return { model: new Sequential(gpu, ...modules), taps, first: modules[0] as Module, batchNorms };
}
