// A program as plain data: the numbers that execute.ts hands to WebGPU, and what the text of each kernel says.
import { boundBuffers, gridOf } from '../gpu/bound.ts';
import { byteSize, elementCount } from '../gpu/dtype.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import { spanOf } from '../gpu/layout.ts';
import { alignUp, type Kernel, type Program, type Step } from '../gpu/program.ts';
import type { Like } from './check.ts';
import type {
  DescribedBinding,
  DescribedDispatch,
  DescribedField,
  DescribedLimits,
  DescribedTensor,
  DescribedUniform,
  Description,
} from './description.ts';

/** A program, the tensors that it is for, and which of the outputs it adds to. */
export interface Described {
  program: Program;
  inputs: Readonly<Record<string, Like | undefined>>;
  outputs: Readonly<Record<string, Like | undefined>>;
  /** Of tensors that are not dense. */
  strides?: Readonly<Record<string, readonly number[]>> | undefined;
  accumulate?: Readonly<Record<string, boolean>> | undefined;
}

/** What a description is made of beside the names of op and pass. */
export function describeProgram(
  { program, inputs, outputs, strides = {}, accumulate = {} }: Described,
  facts: DeviceFacts,
): Omit<Description, 'abi' | 'op' | 'pass'> {
  const all = { ...inputs, ...outputs };
  const bindings = program.steps.flatMap(({ kernel }) => kernel.bindings);
  const bound = new Set(bindings.map(({ role }) => role));
  // Running statistics come with the inputs, since a call is given them.
  const updated = new Set(bindings.flatMap(({ role, updates }) => (updates ? [role] : [])));
  const tensor = (name: string): DescribedTensor => {
    const { shape, dtype } = all[name] as Like;
    const own = strides[name];
    const elements = own ? spanOf(shape, own) : elementCount(shape);
    const bytes = alignUp(elements * byteSize(dtype), 4);
    return { name, dtype, shape: [...shape], ...(own && { strides: [...own] }), bytes };
  };
  const there = (tensors: Described['inputs']) => Object.keys(tensors).filter((name) => tensors[name]);
  const dispatches = program.steps.map((step) => describeStep(step, program, all, facts));
  const described = {
    inputs: there(inputs)
      .filter((name) => bound.has(name) && !updated.has(name))
      .map(tensor),
    outputs: [...there(outputs), ...there(inputs).filter((name) => updated.has(name))].map((name) => ({
      ...tensor(name),
      inPlace: updated.has(name) || accumulate[name] === true,
    })),
    scratch: Object.entries(program.scratch)
      .filter(([name]) => bound.has(name))
      .map(([name, bytes]) => ({ name, bytes: alignUp(bytes, 4) })),
    dispatches,
  };
  const kernels = program.steps.map(({ kernel }) => kernel);
  const enabled = new Set(kernels.flatMap(({ enables }) => enables));
  const subgroups = kernels.map(({ constants }) => Number(constants.SUBGROUP ?? 0));
  return {
    ...described,
    features: (['shader-f16', 'subgroups'] as const).filter((name) =>
      enabled.has(name.replace('shader-', '')),
    ),
    subgroup: Math.max(0, ...subgroups),
    limits: limitsOf(described, kernels),
  };
}

const bytesOf = ({ shape, dtype }: Like): number => elementCount(shape) * byteSize(dtype);

function describeStep(
  step: Step,
  { scratch }: Program,
  tensors: Described['inputs'],
  facts: DeviceFacts,
): DescribedDispatch {
  const { kernel, workgroups } = step;
  const buffers = boundBuffers(step, scratch, (role) => {
    const like = tensors[role];
    return like && bytesOf(like);
  });
  const bindings = kernel.bindings.map(({ binding, name, role, access, type }, i): DescribedBinding => {
    const { offset, size } = buffers[i] as (typeof buffers)[number];
    const elementType = typeOf(kernel, type).replace(/^array<(.*)>$/, '$1');
    return { binding, name, resource: role, access, elementType, offset, bytes: size };
  });
  return {
    label: kernel.label,
    wgsl: kernel.code,
    entryPoint: 'main',
    workgroupSize: [numberOf(kernel, 'WORKGROUP'), 1, 1],
    bindings,
    uniform: kernel.fields.length > 0 ? uniformOf(step) : null,
    workgroups: [...gridOf(workgroups, facts.maxWorkgroupsPerDimension), 1],
  };
}

/** The uniform buffer of a dispatch. The host packs it as WGSL lays a struct of numbers out: four bytes each. */
function uniformOf({ kernel, params }: Step): DescribedUniform {
  const view = new DataView(params);
  const fields = kernel.fields.map(({ name, type }, i): DescribedField => {
    const offset = 4 * i;
    const read = { f32: view.getFloat32, i32: view.getInt32, u32: view.getUint32 }[type as 'u32'];
    const value = read.call(view, offset, true);
    return {
      name,
      type: type as DescribedField['type'],
      offset,
      value: Number.isFinite(value) ? value : null,
    };
  });
  const data = fields.map(({ offset }) => view.getUint32(offset, true));
  return { binding: 0, bytes: params.byteLength, fields, data };
}

/** A type of a kernel with its aliases resolved: `array<X4>` is `array<vec4<f16>>`. */
function typeOf(kernel: Kernel, type: string): string {
  const resolved = type.replaceAll(/\w+/g, (word) => String(kernel.constants[word] ?? word));
  return resolved === type ? type : typeOf(kernel, resolved);
}

/** A number of a kernel: as it stands there, or by the name of a constant; or a product or quotient of such. */
function numberOf({ constants }: Kernel, text: string): number {
  const [first, ...rest] = text.split(/\s*([*/])\s*/);
  const value = (word = '') => Number(String(constants[word.trim()] ?? word.trim()).replace(/u$/, ''));
  let result = value(first);
  for (let i = 0; i < rest.length; i += 2) {
    const other = value(rest[i + 1]);
    result = rest[i] === '*' ? result * other : Math.floor(result / other);
  }
  return result;
}

/** Bytes of the arrays in workgroup memory. */
function workgroupBytesOf(kernel: Kernel): number {
  return kernel.workgroupMemory.reduce((sum, declared) => {
    const [, element = '', count = ''] = /^array<(.+), ([\w */]+)>$/.exec(declared) ?? [];
    const type = typeOf(kernel, element);
    const [, lanes = '1', scalar = type] = /^vec(\d)<(\w+)>$/.exec(type) ?? [];
    const each = Number(lanes === '3' ? 4 : lanes) * (scalar === 'f16' ? 2 : 4);
    return sum + each * numberOf(kernel, count);
  }, 0);
}

function limitsOf(
  {
    inputs,
    outputs,
    scratch,
    dispatches,
  }: Pick<Description, 'inputs' | 'outputs' | 'scratch' | 'dispatches'>,
  kernels: readonly Kernel[],
): DescribedLimits {
  const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0);
  const bindings = dispatches.flatMap((one) => one.bindings);
  const invocations = most(dispatches.map(({ workgroupSize: [x, y, z] }) => x * y * z));
  let alignment = 256; // the most that a device may ask for
  while (bindings.some(({ offset }) => offset % alignment !== 0)) alignment /= 2;
  return {
    maxStorageBuffersPerShaderStage: most(dispatches.map((one) => one.bindings.length)),
    maxStorageBufferBindingSize: most(bindings.map(({ bytes }) => bytes)),
    maxBufferSize: most([...inputs, ...outputs, ...scratch].map(({ bytes }) => bytes)),
    maxComputeInvocationsPerWorkgroup: invocations,
    maxComputeWorkgroupSizeX: most(dispatches.map(({ workgroupSize: [x] }) => x)),
    maxComputeWorkgroupStorageSize: most(kernels.map(workgroupBytesOf)),
    maxComputeWorkgroupsPerDimension: most(dispatches.flatMap(({ workgroups }) => workgroups)),
    minStorageBufferOffsetAlignment: alignment,
  };
}
