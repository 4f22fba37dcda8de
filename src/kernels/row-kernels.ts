import meanSquare from '../../shaders/interfaces/statistics/mean_square.wgsl';
import moments from '../../shaders/interfaces/statistics/moments.wgsl';
import { rowBackward } from './backward.ts';
import type { BackwardKernels, ForwardKernels } from './descriptor.ts';
import { rowForward } from './forward.ts';

type Forward = ForwardKernels['forward'];

// Norms with a weight per column. Each names its statistic, so that a program with one of them comes without the other's shader.
const layerNorm: Forward = (d, facts) => rowForward(d, facts, moments);
const rmsNorm: Forward = (d, facts) => rowForward(d, facts, meanSquare);

// Each is written out: a bundler keeps what is spread into an object, whether anything uses that or not.
export const layerNormForward: ForwardKernels = { forward: layerNorm };
export const rmsNormForward: ForwardKernels = { forward: rmsNorm };
export const rowBackwardKernels: BackwardKernels = { backward: rowBackward };
export const layerNormKernels: ForwardKernels & BackwardKernels = {
  forward: layerNorm,
  backward: rowBackward,
};
export const rmsNormKernels: ForwardKernels & BackwardKernels = { forward: rmsNorm, backward: rowBackward };
