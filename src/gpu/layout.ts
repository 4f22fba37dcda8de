// Where the elements of a tensor lie that is a part of a larger buffer, in the numbers that kernels are given.
import { byteSize, type DType } from './dtype.ts';
import { NormError } from './errors.ts';
import { shown } from './shown.ts';

/**
 * The places of elements, counted in row-major order: `runs[0]` of them lie side by side, `runs[1]` such runs are the first axis, whose
 * steps are `steps[0]`, `runs[2]` of these the second; of the third axis only its step matters. All in elements.
 */
interface Axes {
  readonly runs: readonly [number, number, number];
  readonly steps: readonly [number, number, number];
}

/** The same of an operand, with the place of its first element in its binding, and the elements from there to behind the last. */
export interface StridedLayout extends Axes {
  readonly first: number;
  readonly span: number;
}

/** Where a binding of a tensor begins: at an aligned offset, at or before its first element. */
export const bindingOffset = ({ offset }: { offset: number }, alignment: number): number =>
  offset - (offset % alignment);

/** So many that a count is never divided by it with a rest. */
const endless = 2 ** 32 - 1;

/** The axes that matter, the last first: those of one element are none, and neighbours that continue each other are one. */
function axesOf(shape: readonly number[], strides: readonly number[]): { size: number; stride: number }[] {
  const axes: { size: number; stride: number }[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const [size, stride] = [shape[axis] as number, strides[axis] as number];
    const last = axes.at(-1);
    if (size === 1) continue;
    if (last && stride === last.size * last.stride) last.size *= size;
    else axes.push({ size, stride });
  }
  return axes;
}

/** Elements from the first to behind the last; 0 where there are none. */
export function spanOf(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((last, size, axis) => last + (size - 1) * (strides[axis] as number), 1);
}

/** Throws `shape` unless there is an integer ≥ 0 for each axis. */
export function stridesFor(shape: readonly number[], given: ArrayLike<number>): readonly number[] {
  const listed = Array.isArray(given) || ArrayBuffer.isView(given);
  const strides: readonly number[] = listed ? Array.from(given) : [];
  const right = strides.length === shape.length && strides.every((one) => Number.isInteger(one) && one >= 0);
  if (listed && right) return strides;
  throw new NormError(
    'shape',
    `strides are ${shown(given)} with shape [${shape}].`,
    'Pass an integer ≥ 0 for each axis: elements from one index to the next, 0 where all indices have the same.',
  );
}

/**
 * The layout of such a tensor; undefined where its elements lie side by side.
 *
 * @throws NormError `unsupported` for more axes than kernels walk.
 */
export function layoutOf(shape: readonly number[], strides: readonly number[]): Axes | undefined {
  const axes = axesOf(shape, strides);
  if (shape.includes(0)) return undefined;
  const [run] = axes[0]?.stride === 1 ? axes.splice(0, 1) : [];
  if (axes.length === 0) return undefined;
  if (axes.length > 3) {
    throw new NormError(
      'unsupported',
      `Shape [${shape}] with strides [${strides}] has ${axes.length} axes that do not continue each other; kernels walk three.`,
      'Copy the tensor into a buffer of its own.',
    );
  }
  const [first, second, third] = axes;
  return {
    runs: [
      run?.size ?? 1,
      second ? (first?.size as number) : endless,
      third ? (second?.size as number) : endless,
    ],
    steps: [first?.stride ?? 0, second?.stride ?? 0, third?.stride ?? 0],
  };
}

/** The layout of a tensor as an operand; undefined where it is dense. */
export function operandLayout(
  { shape, strides, offset, dtype, size, byteLength }: Placed,
  alignment: number,
): StridedLayout | undefined {
  if (!strides || size === 0) return undefined;
  const bytes = byteSize(dtype);
  const side: Axes = { runs: [size, endless, endless], steps: [0, 0, 0] };
  const axes = layoutOf(shape, strides) ?? side;
  return { ...axes, first: (offset % alignment) / bytes, span: byteLength / bytes };
}

interface Placed {
  readonly shape: readonly number[];
  readonly strides: readonly number[] | undefined;
  readonly offset: number;
  readonly dtype: DType;
  readonly size: number;
  readonly byteLength: number;
}

/** Whether quads of the elements, in row-major order, are quads of the buffer. */
export const inQuads = ({ runs, steps, first }: StridedLayout): boolean =>
  [runs[0], ...steps, first].every((elements) => elements % 4 === 0);

/** Whether no two indices have the same element, as far as that can be seen axis by axis. */
export function isInjective(shape: readonly number[], strides: readonly number[]): boolean {
  let reach = 1;
  for (const { size, stride } of axesOf(shape, strides).sort((a, b) => a.stride - b.stride)) {
    if (stride < reach) return false;
    reach = stride * (size - 1) + reach;
  }
  return true;
}

/** The elements in row-major order, of all that lie between the first and the last. */
export function gathered(
  bytes: ArrayBuffer,
  shape: readonly number[],
  strides: readonly number[],
  elementBytes: number,
): ArrayBuffer {
  const Elements = elementBytes === 2 ? Uint16Array : Uint32Array;
  const from = new Elements(bytes);
  const count = shape.reduce((product, size) => product * size, 1);
  const to = new Elements(count);
  const index = new Array<number>(shape.length).fill(0);
  let place = 0;
  for (let i = 0; i < count; i++) {
    to[i] = from[place] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [size, stride] = [shape[axis] as number, strides[axis] as number];
      place += stride;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < size) break;
      place -= size * stride;
      index[axis] = 0;
    }
  }
  return to.buffer;
}
