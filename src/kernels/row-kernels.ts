import { rowBackward } from './backward.ts';
import type { BackwardKernels, ForwardKernels } from './descriptor.ts';
import { rowForward } from './forward.ts';

/** Both passes of norms with a weight per column: LayerNorm, RMSNorm. */
export const rowKernels: ForwardKernels & BackwardKernels = { forward: rowForward, backward: rowBackward };
