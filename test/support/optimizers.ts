/** What the cases of the optimizers share: parameters with gradients of one's choice. */

import { type FloatDType, type Gpu, type HostTensor, Parameter } from '../../src/index.ts';
import { Adagrad, Adam, Adamax, AdamW, type Optimizer, RMSprop, SGD } from '../../src/optim/index.ts';
import type { Kind, Settings } from './optim.ts';

export type { Kind } from './optim.ts';

/** Any of the optimizers. */
export type AnyOptimizer = Optimizer<{ lr: number }>;

export const parameterOf = (
  gpu: Gpu,
  values: ArrayLike<number>,
  shape: readonly number[],
  dtype: FloatDType = 'f32',
) => new Parameter(gpu.tensor(values, shape, { dtype }));

export function setGradient(parameter: Parameter, values: ArrayLike<number> | undefined): void {
  parameter.zeroGrad();
  if (!values) return;
  parameter.takeGradient().write(values);
  parameter.keepGradient();
}

const classes = { SGD, Adam, AdamW, RMSprop, Adagrad, Adamax };

export function optimizerOf(
  kind: Kind,
  params: Iterable<Parameter> | Iterable<{ params: Iterable<Parameter> } & Settings>,
  settings: Settings & { masterCopies?: boolean } = {},
): AnyOptimizer {
  const made = classes[kind] as unknown as new (params: unknown, settings: unknown) => AnyOptimizer;
  return new made(params, settings);
}

/** All of them. */
export const kinds: readonly Kind[] = ['SGD', 'Adam', 'AdamW', 'RMSprop', 'Adagrad', 'Adamax'];

/** As a file holds a tensor; counts too are f32 there. */
export const host = (values: ArrayLike<number>, shape: readonly number[] = [values.length]): HostTensor => ({
  dtype: 'f32',
  shape,
  data: Float32Array.from(values),
});
