import { backwardProgram } from './backward.ts';
import type { BackwardKernels, ForwardKernels } from './descriptor.ts';
import { forwardProgram } from './forward.ts';

/** Both passes of norms with a weight per channel: GroupNorm, InstanceNorm, BatchNorm. */
export const channelKernels: ForwardKernels & BackwardKernels = {
  forward: forwardProgram,
  backward: backwardProgram,
};
