// Row norms without a mean: what their functions have in common.
import type { Gpu } from '../gpu/gpu.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { rmsNormForward, rowBackwardKernels } from '../kernels/row-kernels.ts';
import type { EpilogueOptions, GateOptions } from './epilogue.ts';
import type { BackwardOptions, BackwardResult, NormCall, NormOptions, StatisticsOption } from './norm.ts';
import { normBackward } from './norm-backward.ts';
import { normForward } from './norm-forward.ts';

type Epilogue = EpilogueOptions & GateOptions;

/** y and rstd, which is null where statistics are not wanted. */
export function forwardWithoutMean(
  gpu: Gpu,
  call: NormCall,
  x: Tensor,
  options: NormOptions & StatisticsOption & Epilogue,
): { y: Tensor; rstd: Tensor | null } {
  const epilogue = { ...options, epilogue: options };
  const { y, rstd } = normForward(gpu, { ...call, ...rmsNormForward }, x, undefined, undefined, epilogue);
  return { y, rstd: rstd ?? null };
}

/** All gradients but dbias. */
export function backwardWithoutMean(
  gpu: Gpu,
  call: NormCall,
  dy: Tensor,
  x: Tensor,
  options: BackwardOptions & Epilogue & { dsum?: Tensor | null | undefined },
): Omit<BackwardResult, 'dbias'> {
  const epilogue = { ...options, epilogue: options };
  const all = { ...call, ...rowBackwardKernels };
  const made: BackwardResult = normBackward(
    gpu,
    all,
    dy,
    x,
    undefined,
    options.dsum ?? undefined,
    false,
    epilogue,
  );
  const { dx, dweight, dresidual, dgate } = made;
  return { dx, dweight, dresidual, ...(dgate && { dgate }) };
}
