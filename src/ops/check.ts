import { isFloatDType } from '../gpu/dtype.ts';
import { NormError } from '../gpu/errors.ts';
import { checkRecorder, type RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { shown } from '../gpu/shown.ts';
import type { DType, FloatDType, Tensor } from '../gpu/tensor.ts';
import type { Layout } from '../plan/geometry.ts';

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);

/** Throws `shape` unless the tensor has this shape. */
export function checkTensorShape(tensor: Pick<Like, 'shape'>, shape: readonly number[], name: string): void {
  if (!sameShape(tensor.shape, shape)) {
    throw new NormError(
      'shape',
      `${name} has shape [${tensor.shape}]; [${shape}] is needed.`,
      `Pass ${name} with that shape.`,
    );
  }
}

/** Throws `dtype` unless the tensor has this dtype. */
export function checkTensorDType(tensor: Pick<Like, 'dtype'>, dtype: DType, name: string): void {
  if (tensor.dtype !== dtype) {
    throw new NormError(
      'dtype',
      `${name} is ${tensor.dtype}; ${dtype} is needed.`,
      `Convert ${name}, or make it with { dtype: '${dtype}' }.`,
    );
  }
}

/** The tensor's dtype. Throws `dtype` unless it is one that norms compute with. */
export function floatDType({ dtype }: { dtype: DType }, name: string): FloatDType {
  if (isFloatDType(dtype)) return dtype;
  throw new NormError(
    'dtype',
    `${name} is ${shown(dtype)}; f32, f16 or bf16 is needed.`,
    `Use one of these types for ${name}.`,
  );
}

/**
 * The dtype that weight and bias share. PyTorch's rule: that of x, or f32 beside an x of f16 or bf16.
 *
 * @throws NormError `dtype`.
 */
export function parameterDType(
  x: FloatDType,
  weight: Pick<Like, 'dtype'> | undefined,
  bias: Pick<Like, 'dtype'> | undefined,
): FloatDType {
  if (weight && bias) checkTensorDType(bias, weight.dtype, 'bias');
  const given = weight ?? bias;
  const dtype = given ? floatDType(given, weight ? 'weight' : 'bias') : x;
  if (dtype !== 'f32' && dtype !== x) {
    throw new NormError(
      'dtype',
      `weight and bias are ${dtype} while x is ${x}.`,
      `Use ${x === 'f32' ? 'f32' : `f32 or ${x}`} parameters with an x of ${x}.`,
    );
  }
  return dtype;
}

/** Throws `value` unless it is an integer ≥ 1. */
export function checkCount(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new NormError('value', `${name} is ${shown(value)}.`, 'Use an integer ≥ 1.');
}

/** Throws `shape` unless so many things, channels or other ones, fall into the groups. */
export function checkDivides(count: number, numGroups: number, things: string): void {
  if (count % numGroups === 0) return;
  throw new NormError(
    'shape',
    `${count} ${things} are not divisible by ${numGroups} groups.`,
    `Choose a number of groups that divides the ${things}.`,
  );
}

/** Throws `value` unless eps is a finite number ≥ 0. */
export function checkEps(eps: number): void {
  if (!(Number.isFinite(eps) && eps >= 0)) {
    throw new NormError('value', `eps is ${shown(eps)}.`, 'Use a finite number ≥ 0, such as 1e-5.');
  }
}

/** Throws `value` if both an encoder and a pass are given, or what is neither. */
export function checkTarget(target: RecordOptions): void {
  checkRecorder(target);
  const { encoder, pass } = target;
  if (encoder && pass) {
    throw new NormError('value', 'Both encoder and pass were given.', 'Pass one of them.');
  }
}

type Tensors = Readonly<Record<string, Tensor | undefined>>;

/** Throws unless every tensor can be used, and `aliasing` as {@link checkAliasing}. */
export function checkOperands(gpu: Gpu, inputs: Tensors, outputs: Tensors): void {
  checkTensors(gpu, inputs);
  checkTensors(gpu, outputs);
  checkAliasing(inputs, outputs);
}

/** Throws unless those tensors that are there can be used, dense ones unless they may be `strided`. */
export function checkTensors(gpu: Gpu, tensors: Tensors, strided = false): void {
  for (const [name, tensor] of Object.entries(tensors)) if (tensor) gpu.checkUsable(tensor, name, strided);
}

/**
 * Throws `aliasing` if an output shares its GPUBuffer with any other operand: WebGPU forbids a dispatch to write a buffer that
 * it also reads, wherever in it.
 */
export function checkAliasing(inputs: Tensors, outputs: Tensors): void {
  const all = Object.entries({ ...inputs, ...outputs });
  for (const [name, output] of Object.entries(outputs)) {
    const twin = output && all.find(([other, tensor]) => other !== name && tensor?.buffer === output.buffer);
    if (twin) {
      throw new NormError(
        'aliasing',
        `${name} shares its GPUBuffer with ${twin[0]}: a dispatch cannot write a buffer that it also uses otherwise.`,
        `Give ${name} a GPUBuffer of its own.`,
      );
    }
  }
}

/** A shape and a dtype, such as a tensor has. */
export interface Like {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Throws unless those tensors that are there have this shape and dtype. */
export function checkLike(
  tensors: Readonly<Record<string, Like | null | undefined>>,
  { shape, dtype }: Like,
): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!tensor) continue;
    checkTensorShape(tensor, shape, name);
    checkTensorDType(tensor, dtype, name);
  }
}

/** Throws `value` unless it is a layout. */
export function checkLayout(layout: Layout): void {
  if (layout !== 'channels-first' && layout !== 'channels-last') {
    throw new NormError(
      'value',
      `There is no layout '${shown(layout)}'.`,
      "Use 'channels-first' or 'channels-last'.",
    );
  }
}
