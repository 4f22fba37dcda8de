// The layers' kernels as programs of the library, which binds, caches and records them. f32 only.
import { execute, type Operands } from '../../src/gpu/execute.ts';
import type { Program } from '../../src/gpu/program.ts';
import { type Gpu, NormError, type RecordOptions } from '../../src/index.ts';
import { kernelOf, stepOf } from '../../src/kernels/step.ts';
import { remember } from '../../src/ops/programs.ts';
import activation from './activation.wgsl';
import activationBackward from './activation_backward.wgsl';
import columnSums from './column_sums.wgsl';
import crossEntropy from './cross_entropy.wgsl';
import matmul from './matmul.wgsl';
import tally from './tally.wgsl';

export const shaders = { matmul, columnSums, activation, activationBackward, crossEntropy, tally } as const;

/**
 * Records one dispatch.
 *
 * @param sizes - the numbers of the shader, by name.
 * @param threads - of workgroups of 64.
 */
export function dispatch(
  gpu: Gpu,
  name: keyof typeof shaders,
  flags: Readonly<Record<string, boolean>>,
  sizes: Readonly<Record<string, number>>,
  threads: number,
  operands: Operands,
  target: RecordOptions,
): void {
  for (const [role, tensor] of Object.entries(operands)) {
    if (!tensor) continue;
    gpu.checkUsable(tensor, role);
    if (tensor.dtype === 'f16') {
      throw new NormError('dtype', `${role} is f16.`, 'The layers of the demo compute in f32.');
    }
  }
  const label = `network.${name}`;
  const program = remember(gpu, label, { flags, sizes }, () => programOf(name, flags, sizes, threads));
  const { encoder, pass } = target;
  execute(gpu, program, operands, { encoder, pass }, label);
}

function programOf(
  name: keyof typeof shaders,
  flags: Readonly<Record<string, boolean>>,
  sizes: Readonly<Record<string, number>>,
  threads: number,
): Program {
  const step = stepOf(kernelOf(shaders[name], flags), {
    numbers: sizes,
    ranges: {},
    workgroups: Math.ceil(threads / 64),
  });
  return { steps: [step], scratch: {} };
}
