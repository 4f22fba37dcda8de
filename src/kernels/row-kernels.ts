import { rowBackward } from './backward.ts';
import type { NormKernels } from './descriptor.ts';
import { rowForward } from './forward.ts';

/** Of norms with a weight per column: LayerNorm, RMSNorm. */
export const rowKernels: NormKernels = { forward: rowForward, backward: rowBackward };
