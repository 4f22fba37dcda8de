import saturation from '../../shaders/interfaces/saturation/tanh.wgsl';
import meanSquare from '../../shaders/interfaces/statistics/mean_square.wgsl';
import moments from '../../shaders/interfaces/statistics/moments.wgsl';
import { rowBackward } from './backward.ts';
import type { BackwardKernels, ForwardDescriptor, ForwardKernels } from './descriptor.ts';
import { rowForward, saturatedForward } from './forward.ts';
import { keptBackward } from './kept-backward.ts';
import { keptForward } from './kept-forward.ts';

type Forward = ForwardKernels['forward'];
type Backward = BackwardKernels['backward'];

// Norms with a weight per column, or per position of axes that others follow. Each names its statistic, so that a program with one of them
// comes without the other's shader.
const forwardOf = (d: ForwardDescriptor) => (d.geometry.runs ? keptForward : rowForward);
const layerNorm: Forward = (d, facts) => forwardOf(d)(d, facts, moments);
const rmsNorm: Forward = (d, facts) => forwardOf(d)(d, facts, meanSquare);
const backward: Backward = (d, facts) => (d.geometry.runs ? keptBackward : rowBackward)(d, facts);

// Each is written out: a bundler keeps what is spread into an object, whether anything uses that or not.
export const layerNormForward: ForwardKernels = { forward: layerNorm };
export const rmsNormForward: ForwardKernels = { forward: rmsNorm };
export const rowBackwardKernels: BackwardKernels = { backward };
export const layerNormKernels: ForwardKernels & BackwardKernels = {
  forward: layerNorm,
  backward,
};
export const rmsNormKernels: ForwardKernels & BackwardKernels = { forward: rmsNorm, backward };

// No norm, but the same map of columns behind tanh(alpha·x): DyT.
export const tanhForward: ForwardKernels = {
  forward: (d, facts) => saturatedForward(d, facts, saturation),
};
export const tanhBackward: BackwardKernels = {
  backward: (d, facts) => rowBackward(d, facts, { saturation }),
};
