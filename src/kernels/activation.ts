import type { ShaderSource } from './sources.ts';
import * as shaders from './sources.ts';

/**
 * What may follow a norm, each as torch.nn has it: ReLU, LeakyReLU, ReLU6, SiLU, GELU (the exact one, with Φ and not
 * tanh), Hardswish.
 */
export type Activation = 'none' | 'relu' | 'leakyRelu' | 'relu6' | 'silu' | 'gelu' | 'hardswish';

/** The shader of each. */
export const activationShaders: Readonly<Record<Activation, ShaderSource>> = {
  none: shaders.activationsNone,
  relu: shaders.activationsRelu,
  leakyRelu: shaders.activationsLeakyRelu,
  relu6: shaders.activationsRelu6,
  silu: shaders.activationsSilu,
  gelu: shaders.activationsGelu,
  hardswish: shaders.activationsHardswish,
};
