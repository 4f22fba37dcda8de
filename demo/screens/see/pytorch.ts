// PyTorch's own f32 error, as test/golden/ has it.
import measured from '../../../test/golden/pytorch-error.json';
import type { State } from './state.ts';
import { layoutOf } from './task.ts';

const names = {
  layer: 'layerNorm',
  rms: 'rmsNorm',
  group: 'groupNorm',
  instance: 'instanceNorm',
  batch: 'batchNorm',
  response: '',
} as const;

export interface TorchError {
  torch: string;
  device: string;
  offset: number;
  shapes: number[][];
  runs: number;
  /** Medians. */
  y: number;
  dx: number;
}

/** The error of the same norm at the measured offset that is nearest; undefined where none was measured. */
export function torchError(state: State): TorchError | undefined {
  const layout = layoutOf(state);
  const same = measured.errors.filter(
    (entry) => entry.op === names[state.norm] && (!('layout' in entry) || entry.layout === layout),
  );
  const distance = (offset: number): number => Math.abs(Math.log((offset + 1) / (state.offset + 1)));
  const [nearest] = same.sort((a, b) => distance(a.offset) - distance(b.offset));
  if (!nearest) return undefined;
  const { offset, shapes, runs, y, dx } = nearest;
  return { torch: measured.torch, device: measured.device, offset, shapes, runs, y: y.median, dx: dx.median };
}
