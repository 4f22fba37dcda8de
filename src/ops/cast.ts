import { BufferUsage } from '../gpu/constants.ts';
import { execute, type RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { alignUp } from '../gpu/program.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { castProgram } from '../kernels/cast.ts';
import { checkOperands, checkTarget, floatDType } from './check.ts';

/** A new tensor with the values of x in another dtype; f16 and bf16 round to nearest even. Submits at once. */
export function cast(gpu: Gpu, x: Tensor, dtype: FloatDType): Tensor {
  gpu.checkUsable(x, 'x');
  return gpu.orNothing(() => {
    const y = gpu.empty(x.shape, { dtype });
    castInto(gpu, x, y);
    return y;
  });
}

/** y = x, which has as many elements, in the dtype of y; see {@link copyProblem}. Submits at once. */
export function copyInto(gpu: Gpu, x: Tensor, y: Tensor): void {
  if (samePlace(x, y)) return;
  if (!copies(x, y)) {
    castInto(gpu, x, y);
    return;
  }
  gpu.faults.submitting('copy', [y], () => {
    const encoder = gpu.device.createCommandEncoder({ label: 'copy' });
    encoder.copyBufferToBuffer(x.buffer, x.offset, y.buffer, y.offset, alignUp(x.byteLength, 4));
    gpu.device.queue.submit([encoder.finish({ label: 'copy' })]);
  });
}

/** Why {@link copyInto} cannot copy x to y, if it cannot. */
export function copyProblem(x: Tensor, y: Tensor): string | undefined {
  if (samePlace(x, y)) return undefined;
  if (x.buffer === y.buffer) return 'it shares its GPUBuffer with what it is copied to';
  return x.dtype === 'u32' && !copies(x, y) ? 'its buffers lack COPY_SRC or COPY_DST' : undefined;
}

const samePlace = (x: Tensor, y: Tensor): boolean =>
  x.buffer === y.buffer && x.offset === y.offset && x.dtype === y.dtype;

/** Whether the bytes can be copied as they are, in multiples of four; behind a wrapped tensor, they are not ours. */
const copies = (x: Tensor, y: Tensor): boolean =>
  x.dtype === y.dtype &&
  (y.owned || y.byteLength % 4 === 0) &&
  (x.buffer.usage & BufferUsage.COPY_SRC) !== 0 &&
  (y.buffer.usage & BufferUsage.COPY_DST) !== 0;

/** y = x, which has as many elements, in the dtype of y, by a kernel. */
export function castInto(gpu: Gpu, x: Tensor, y: Tensor, target: RecordOptions = {}): void {
  checkTarget(target);
  checkOperands(gpu, { x }, { y });
  const program = castProgram(x.size, floatDType(x, 'x'), floatDType(y, 'y'), gpu.facts);
  execute(gpu, program, { x, y }, target, 'cast');
}
