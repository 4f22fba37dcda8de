/** What the cases of the optimizers share: parameters with gradients of one's choice. */

import { type FloatDType, type Gpu, type HostTensor, Parameter } from '../../src/index.ts';
import { AdamW, type AdamWSettings, SGD, type SGDSettings } from '../../src/optim/index.ts';

export type Kind = 'SGD' | 'AdamW';

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

export function optimizerOf(
  kind: Kind,
  params: Iterable<Parameter>,
  settings: Partial<SGDSettings & AdamWSettings>,
) {
  return kind === 'SGD' ? new SGD(params, settings) : new AdamW(params, settings);
}

/** As a file holds a tensor; counts too are f32 there. */
export const host = (values: ArrayLike<number>, shape: readonly number[] = [values.length]): HostTensor => ({
  dtype: 'f32',
  shape,
  data: Float32Array.from(values),
});
