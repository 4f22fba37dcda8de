import gelu from '../../shaders/interfaces/activation/gelu.wgsl';
import hardswish from '../../shaders/interfaces/activation/hardswish.wgsl';
import leakyRelu from '../../shaders/interfaces/activation/leaky_relu.wgsl';
import relu from '../../shaders/interfaces/activation/relu.wgsl';
import relu6 from '../../shaders/interfaces/activation/relu6.wgsl';
import silu from '../../shaders/interfaces/activation/silu.wgsl';
import type { ShaderModule } from '../shaders/module.ts';

/**
 * What may follow a norm, each as torch.nn has it: ReLU, LeakyReLU, ReLU6, SiLU, GELU (the exact one, with Φ and not
 * tanh), Hardswish.
 */
export type Activation = 'none' | 'relu' | 'leakyRelu' | 'relu6' | 'silu' | 'gelu' | 'hardswish';

/** The shader of each; none needs none. */
export const activations: Readonly<Record<Activation, ShaderModule | undefined>> = {
  none: undefined,
  relu,
  leakyRelu,
  relu6,
  silu,
  gelu,
  hardswish,
};
