import { backwardProgram } from './backward.ts';
import type { BackwardKernels, ForwardKernels } from './descriptor.ts';
import { forwardProgram } from './forward.ts';

// Norms with a weight per channel: GroupNorm, InstanceNorm, BatchNorm. Each is written out, as in row-kernels.ts.
export const channelForward: ForwardKernels = { forward: forwardProgram };
export const channelBackward: BackwardKernels = { backward: backwardProgram };
export const channelKernels: ForwardKernels & BackwardKernels = {
  forward: forwardProgram,
  backward: backwardProgram,
};
