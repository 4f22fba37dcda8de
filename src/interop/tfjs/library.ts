import type * as Core from '@tensorflow/tfjs-core';

/** What is used of tfjs: `@tensorflow/tfjs` has it, and so has `@tensorflow/tfjs-core`. */
export type TensorFlow = Pick<
  typeof Core,
  | 'add'
  | 'engine'
  | 'env'
  | 'getBackend'
  | 'getGradient'
  | 'getKernel'
  | 'mul'
  | 'reciprocal'
  | 'registerGradient'
  | 'registerKernel'
  | 'relu'
  | 'reshape'
  | 'rsqrt'
  | 'serialization'
  | 'square'
  | 'stack'
  | 'sub'
  | 'sum'
  | 'tidy'
  | 'unregisterGradient'
  | 'unregisterKernel'
  | 'zerosLike'
  | 'batchNorm'
>;
