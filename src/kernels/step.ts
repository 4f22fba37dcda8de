// A dispatch: a kernel linked with what its pass has chosen, and the numbers that it reads.
import type { FloatDType } from '../gpu/dtype.ts';
import type { Kernel, Step } from '../gpu/program.ts';
import { type Choices, link } from '../shaders/link.ts';
import type { ShaderModule } from '../shaders/module.ts';

/** Operands that kernels change in place; everything else that they write is made anew. */
const updated: ReadonlySet<string> = new Set([
  'running_mean',
  'running_var',
  'num_batches_tracked',
  'param',
  'steps',
  'momentum_buffer',
  'exp_avg',
  'exp_avg_sq',
  'max_exp_avg_sq',
  'average',
]);

/** The types of x and its likes, and of weight and its likes. */
export const storageChoices = (dtype: FloatDType | 'u32', paramDtype: FloatDType | 'u32'): Choices => ({
  X: dtype,
  W: paramDtype,
  STORES_F16: dtype === 'f16',
});

/**
 * A kernel with what it needs.
 *
 * @param sources - by the name of a buffer in WGSL the operand that it stands for, where that has another name.
 */
export function kernelOf(
  module: ShaderModule,
  choices: Choices,
  sources: Readonly<Record<string, string>> = {},
): Kernel {
  const kernels = linkedKernels.get(module) ?? new Map<string, Kernel>();
  linkedKernels.set(module, kernels);
  const key = JSON.stringify([choices, sources], nameOnly);
  const kernel = kernels.get(key) ?? makeKernel(module, choices, sources);
  kernels.set(key, kernel);
  return kernel;
}

/** Kernels that were linked before: the parts of a large tensor have the same. By module, then by choices and sources. */
const linkedKernels = new WeakMap<ShaderModule, Map<string, Kernel>>();

/** A module stands for itself by its name, which no other has. */
const nameOnly = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'declarations' in value
    ? (value as ShaderModule).name
    : value;

function makeKernel(
  module: ShaderModule,
  choices: Choices,
  sources: Readonly<Record<string, string>>,
): Kernel {
  const linked = link(module, choices);
  const { X, W, LANES } = linked.constants;
  const types = [...new Set([X, W])].filter(Boolean).join(' ');
  const lanes = LANES === undefined ? '' : `${LANES} lanes`;
  return {
    ...linked,
    label: [linked.name, types, lanes].filter(Boolean).join(', ').slice(0, 60),
    bindings: linked.bindings.map((binding) => {
      const role = sources[binding.name] ?? binding.name;
      return { ...binding, role, updates: binding.access === 'read_write' && updated.has(role) };
    }),
  };
}

/** What a dispatch has beside its kernel. Numbers that the kernel does not read are ignored; those that it lacks are 0. */
export type StepParts = Omit<Step, 'kernel' | 'params'> & { numbers: Readonly<Record<string, number>> };

export function stepOf(kernel: Kernel, { numbers, ...rest }: StepParts): Step {
  return { kernel, params: packed(kernel.fields, numbers), ...rest };
}

/** The contents of a kernel's uniform buffer. */
function packed(fields: Kernel['fields'], numbers: Readonly<Record<string, number>>): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(4 * fields.length));
  fields.forEach(({ name, type }, index) => {
    const value = name === 'opaque_ones' ? 0xffffffff : (numbers[name] ?? 0);
    if (type === 'f32') view.setFloat32(4 * index, value, true);
    else view.setUint32(4 * index, value, true);
  });
  return view.buffer;
}
