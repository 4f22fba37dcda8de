// The passes of a BatchNorm module in two steps each: what is to be done, and what to call with its result.
import type { Tensor } from '../gpu/tensor.ts';
import type { BatchNorm } from '../nn/batch-norm.ts';
import type { ForwardOptions, ModulePrepareOptions, ResidualBackwardOptions } from '../nn/norm-module.ts';
import { prepareNorm } from '../ops/prepare-norm.ts';
import { ReplicaBackward, ReplicaForward } from './replicated.ts';

/** forward over the norm's replicas. */
export function forwardInSteps(
  norm: BatchNorm,
  x: Tensor,
  { out, residual, schedule, yDtype }: ForwardOptions,
): { forward: ReplicaForward; keep(result: { mean: Tensor; rstd: Tensor }): void } {
  const { gpu, bias } = norm;
  gpu.checkUsable(x, 'x');
  const { call, running } = norm.replica(x.shape);
  const options = { schedule, yDtype, ...norm.forwardOptions(residual, out), running };
  return {
    forward: new ReplicaForward(gpu, call, x, bias?.data, options),
    keep: ({ mean, rstd }) => norm.keepForward({ call, x, mean, rstd, residual, yDtype }),
  };
}

/** backward likewise; `keep` says that the gradients of the parameters are written. */
export function backwardInSteps(
  norm: BatchNorm,
  dy: Tensor,
  { out, outResidual, schedule }: ResidualBackwardOptions,
): { backward: ReplicaBackward; residual: Tensor | undefined; keep(): void } {
  const saved = norm.lastForward();
  const { call, x, mean, residual } = saved;
  norm.gpu.checkUsable(x, 'x');
  const options = { schedule, ...norm.backwardOptions(saved, out, outResidual) };
  return {
    backward: new ReplicaBackward(norm.gpu, call, dy, x, mean as Tensor, options),
    residual,
    keep: () => norm.keepGradients({}), // submitted: these passes cannot be recorded
  };
}

/** Compiles what these need. */
export async function prepareInSteps(
  norm: BatchNorm,
  shape: readonly number[],
  options: ModulePrepareOptions,
): Promise<void> {
  const { call } = norm.replica(shape);
  const common = norm.prepareOptions(options);
  const stages = ['local', 'joined'] as const;
  await Promise.all(stages.map((stage) => prepareNorm(norm.gpu, call, { ...common, stage })));
}
