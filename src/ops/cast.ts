import { execute } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { castProgram } from '../kernels/cast.ts';
import { checkOperands, floatDType } from './check.ts';

/** A new tensor with the values of x in another dtype; f16 rounds to nearest. Submits at once. */
export function cast(gpu: Gpu, x: Tensor, dtype: FloatDType): Tensor {
  gpu.checkUsable(x, 'x');
  const y = gpu.empty(x.shape, { dtype });
  castInto(gpu, x, y);
  return y;
}

/** y = x, converted to the dtype of y; as many elements. Submits at once. */
export function castInto(gpu: Gpu, x: Tensor, y: Tensor): void {
  checkOperands(gpu, { x }, { y });
  const program = castProgram(x.size, floatDType(x, 'x'), floatDType(y, 'y'), gpu.facts);
  execute(gpu, program, { x, y }, {}, 'cast');
}
