// The layers' kernels as programs of the library, which binds, caches and records them. f32 only.
import { execute, type Operands } from '../../src/gpu/execute.ts';
import type { Program } from '../../src/gpu/program.ts';
import { type Gpu, NormError, type RecordOptions } from '../../src/index.ts';
import { remember } from '../../src/ops/programs.ts';
import activation from './activation.wgsl?raw';
import activationBackward from './activation_backward.wgsl?raw';
import columnSums from './column_sums.wgsl?raw';
import crossEntropy from './cross_entropy.wgsl?raw';
import matmul from './matmul.wgsl?raw';
import tally from './tally.wgsl?raw';

interface Shader {
  text: string;
  /** Names of its bindings, by number; and of those that it writes. */
  reads: Readonly<Record<string, number>>;
  writes: Readonly<Record<string, number>>;
}

export const shaders = {
  matmul: { text: matmul, reads: { a: 1, b: 2, bias: 3 }, writes: { c: 4 } },
  columnSums: { text: columnSums, reads: { a: 1 }, writes: { c: 4 } },
  activation: { text: activation, reads: { x: 1 }, writes: { y: 4 } },
  activationBackward: { text: activationBackward, reads: { y: 1, dy: 2 }, writes: { dx: 4 } },
  crossEntropy: { text: crossEntropy, reads: { logits: 1, labels: 2 }, writes: { gradient: 4, scores: 5 } },
  tally: { text: tally, reads: { scores: 1 }, writes: { tally: 4 } },
} as const satisfies Record<string, Shader>;

/**
 * Records one dispatch.
 *
 * @param sizes - the fields of the shader's struct, in order, all u32.
 * @param threads - of workgroups of 64.
 */
export function dispatch(
  gpu: Gpu,
  name: keyof typeof shaders,
  flags: Readonly<Record<string, boolean>>,
  sizes: readonly number[],
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
  sizes: readonly number[],
  threads: number,
): Program {
  const { text, reads, writes }: Shader = shaders[name];
  const constants = Object.fromEntries(Object.entries(flags).map(([flag, on]) => [flag, Number(on)]));
  const bindings = [
    ...Object.entries(reads).map(([role, binding]) => ({ role, binding, writes: false })),
    ...Object.entries(writes).map(([role, binding]) => ({ role, binding, writes: true })),
  ];
  const key = ['network', name, ...Object.entries(constants).map((pair) => pair.join('='))].join('.');
  const step = {
    kernel: { key, code: () => text, constants, bindings },
    params: Uint32Array.from(sizes).buffer,
    ranges: {},
    workgroups: Math.ceil(threads / 64),
  };
  return { steps: [step], scratch: {} };
}
