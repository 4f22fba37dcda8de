import { backwardProgram } from './backward.ts';
import type { NormKernels } from './descriptor.ts';
import { forwardProgram } from './forward.ts';

/** Of norms with a weight per channel: GroupNorm, InstanceNorm, BatchNorm. */
export const channelKernels: NormKernels = { forward: forwardProgram, backward: backwardProgram };
