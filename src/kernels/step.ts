// A dispatch: a kernel linked with what its pass has chosen, and the numbers that it reads.
import type { DType } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Kernel, KernelBinding, Step } from '../gpu/program.ts';
import { type Choices, type Linked, link } from '../shaders/link.ts';
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
  'exp_inf',
  'square_avg',
  'grad_avg',
  'square_sum',
  'master_param',
  'grad',
  'average',
]);

type Native = Pick<DeviceFacts, 'f16'>;

/** Whether WGSL has no such type on the device: elements are then packed, two a word (shaders/shared/storage.wgsl). */
export const isPacked = (dtype: DType, { f16 }: Native): boolean =>
  dtype === 'bf16' || (dtype === 'f16' && !f16);

/** The types of x and its likes, of weight and its likes, and of y and dy. */
export const storageChoices = (
  dtype: DType,
  paramDtype: DType,
  facts: Native,
  yDtype: DType = dtype,
): Choices => ({
  ...storedAs('X', dtype, facts),
  ...storedAs('Y', yDtype, facts),
  ...storedAs('W', paramDtype, facts),
  STORES_F16: dtype === 'f16' && facts.f16,
});

/** The type of x and its likes (`X`), of y and dy (`Y`), or of weight and its likes (`W`). */
export function storedAs(which: 'X' | 'Y' | 'W', dtype: DType, facts: Native): Choices {
  const packed = isPacked(dtype, facts);
  return {
    [which]: packed ? 'u32' : dtype,
    [`${which}4`]: packed ? 'vec2<u32>' : undefined,
    [`SHARED_${which}`]: packed ? 'atomic<u32>' : undefined,
    [`${which}_PACKED`]: packed,
    [`${which}_BF16`]: dtype === 'bf16',
  };
}

/** The dtypes of the tensors that a kernel binds, for its label. */
function dtypesOf({ constants }: Linked, choices: Choices): string[] {
  const bound = (['X', 'Y', 'W'] as const).filter((which) =>
    [which, `${which}4`, `SHARED_${which}`].some((alias) => alias in constants),
  );
  const names = bound.map((which) => {
    if (!choices[`${which}_PACKED`]) return String(constants[which]);
    return choices[`${which}_BF16`] ? 'bf16' : 'packed f16';
  });
  return [...new Set(names)];
}

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
  // Kernels of a module that were linked with the same choices: the parts of a large tensor have the same.
  const kernels = linkedKernels.get(module) ?? new Map<string, Kernel>();
  linkedKernels.set(module, kernels);
  let key = JSON.stringify(sources);
  for (const name in choices) {
    const value = choices[name];
    key += ` ${name} ${typeof value === 'object' ? value.name : value}`;
  }
  const before = kernels.get(key);
  if (before) return before;
  const { SHARED } = choices;
  const shared = typeof SHARED === 'string' ? SHARED.split(' ') : [];
  const linked = link(module, choices, (name) => shared.includes(sources[name] ?? name));
  const { LANES } = linked.constants;
  const types = dtypesOf(linked, choices).join(' ');
  const lanes = LANES === undefined ? '' : `${LANES} lanes`;
  const bindings: KernelBinding[] = [];
  for (const binding of linked.bindings) {
    const role = sources[binding.name] ?? binding.name;
    bindings.push({ ...binding, role, updates: binding.writes && updated.has(role) });
  }
  const label = [linked.name, types, lanes].filter(Boolean).join(', ').slice(0, 60);
  const kernel = { ...linked, label, bindings };
  kernels.set(key, kernel);
  return kernel;
}

const linkedKernels = new WeakMap<ShaderModule, Map<string, Kernel>>();

/** What a dispatch has beside its kernel. Numbers that the kernel does not read are ignored; those that it lacks are 0. */
export type StepParts = Omit<Step, 'kernel' | 'params'> & { numbers: Readonly<Record<string, number>> };

export function stepOf(kernel: Kernel, { numbers, ...rest }: StepParts): Step {
  return { kernel, params: packed(kernel.fields, numbers), ...rest };
}

/** The contents of a kernel's uniform buffer. */
function packed(fields: Kernel['fields'], numbers: Readonly<Record<string, number>>): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(4 * fields.length));
  for (const [i, { name, type }] of fields.entries()) {
    const value = name === 'opaque_ones' ? 0xffffffff : (numbers[name] ?? 0);
    if (type === 'f32') view.setFloat32(4 * i, value, true);
    else view.setUint32(4 * i, value, true);
  }
  return view.buffer;
}
