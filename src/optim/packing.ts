// Small tensors side by side in one, so that what is done to all of them is one dispatch: a model has thousands of small weights and
// biases, and a dispatch costs as much as the bytes of tens of thousands of elements.
import { BufferUsage } from '../gpu/constants.ts';
import type { DeviceFacts } from '../gpu/facts.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { DType, FloatDType, Tensor } from '../gpu/tensor.ts';
import { share } from '../kernels/optim.ts';

/** Elements of the largest tensor that counts as small: a dispatch of its own costs little beside it. */
const mostOfOne = 2 ** 16;
/** Elements of the largest packed tensor: 16 MiB of f32. */
const mostOfAll = 2 ** 22;
/** Tensors begin at multiples of so many elements: at aligned offsets, in f16 and bf16 as in f32. */
const granule = 128;
/** With fewer tensors copying them costs as much as their dispatches. */
export const fewest = 8;

interface Sized {
  readonly shape: readonly number[];
  readonly size: number;
  readonly dtype: DType;
}

/** Which tensors are packed together, and where each begins. */
export interface Packing {
  readonly dtype: FloatDType;
  /** Their numbers in the list that was packed. */
  readonly members: readonly number[];
  readonly shapes: readonly (readonly number[])[];
  readonly sizes: readonly number[];
  /** The first element of each. */
  readonly firsts: readonly number[];
  /** Elements of all, gaps included. */
  readonly size: number;
}

/** The small tensors of a list, by dtype and in their order, in as few packings as bindings allow. The large ones are in none. */
export function packingsOf(tensors: readonly Sized[], facts: DeviceFacts): Packing[] {
  const most = Math.min(mostOfAll, Math.floor(facts.maxBindingBytes / 4));
  const open = new Map<DType, { members: number[]; firsts: number[]; size: number }>();
  const packings: Packing[] = [];
  const close = (dtype: DType) => {
    const done = open.get(dtype);
    open.delete(dtype);
    if (!done) return;
    const of = done.members.map((i) => tensors[i] as Sized);
    const [shapes, sizes] = [of.map(({ shape }) => shape), of.map(({ size }) => size)];
    packings.push({ ...done, dtype: dtype as FloatDType, shapes, sizes });
  };
  tensors.forEach(({ size, dtype }, i) => {
    const padded = Math.ceil(size / granule) * granule;
    if (size === 0 || size > mostOfOne || padded > most) return;
    if ((open.get(dtype)?.size ?? 0) + padded > most) close(dtype);
    const packing = open.get(dtype) ?? { members: [], firsts: [], size: 0 };
    open.set(dtype, packing);
    packing.members.push(i);
    packing.firsts.push(packing.size);
    packing.size += padded;
  });
  for (const dtype of [...open.keys()]) close(dtype);
  return packings;
}

/** The words of the places of some members: the first element and the end of each, and what number the member has in a kernel. */
export function placesOf({ members, firsts, sizes }: Packing, active: readonly number[]): number[] {
  const words: number[] = [];
  for (const member of active) {
    const [first, size] = [firsts[member] as number, sizes[member] as number];
    for (let begin = 0; begin < size; begin += share) {
      words.push(first + begin, first + Math.min(size, begin + share), members[member] as number);
    }
  }
  return words;
}

/** Whether a tensor that was kept is still there: not if somebody destroyed it, or there was no memory for it. */
export const usable = (tensor: Tensor): boolean => !tensor.destroyed && tensor.gpu.intact(tensor);

/** Whether a tensor's bytes can be copied from and to a packed tensor: behind a wrapped one, they are not ours. */
export const copyable = ({ buffer, owned, byteLength }: Tensor): boolean =>
  (owned || byteLength % 4 === 0) && (buffer.usage & bothWays) === bothWays;

const bothWays = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

/** A packed tensor, and its members as tensors. */
export interface Packed {
  whole: Tensor;
  parts: readonly Tensor[];
}

/** The packed tensors of a packing, by name, all laid out alike. */
export class Pack {
  readonly packing: Packing;
  readonly #gpu: Gpu;
  readonly #tensors = new Map<string, Packed>();
  readonly #places: NumberLists;

  constructor(gpu: Gpu, packing: Packing) {
    this.#gpu = gpu;
    this.packing = packing;
    this.#places = new NumberLists(gpu);
  }

  /** That of a name, zeros when it is new. */
  take(name: string, dtype: FloatDType): Packed {
    const known = this.#tensors.get(name);
    if (known && usable(known.whole)) return known;
    const { size, shapes, firsts } = this.packing;
    const whole = this.#gpu.keep(this.#gpu.zeros([size], { dtype }));
    const parts = shapes.map((shape, i) => whole.view(shape, firsts[i]));
    const packed = { whole, parts };
    this.#tensors.set(name, packed);
    return packed;
  }

  /** Frees that of a name. */
  drop(name: string): void {
    const packed = this.#tensors.get(name);
    for (const tensor of packed ? [...packed.parts, packed.whole] : []) tensor.destroy();
    this.#tensors.delete(name);
  }

  /** The places of some members, u32 [places · 3]. */
  places(active: readonly number[]): Tensor {
    return this.#places.take(active, () => placesOf(this.packing, active));
  }

  destroy(): void {
    for (const name of [...this.#tensors.keys()]) this.drop(name);
    this.#places.destroy();
  }
}

/** How many lists are remembered. */
const mostLists = 4;

/**
 * Lists of numbers on the GPU that are never written again, since commands which are recorded but not yet submitted may read them.
 * Those that were used last are remembered; what is forgotten is not destroyed, for the same reason.
 */
export class NumberLists {
  readonly #gpu: Gpu;
  #known: { key: readonly number[]; tensor: Tensor }[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  take(key: readonly number[], make: () => readonly number[]): Tensor {
    const at = this.#known.findIndex(
      (one) => one.key.length === key.length && one.key.every((value, i) => value === key[i]),
    );
    const [found] = at >= 0 ? this.#known.splice(at, 1) : [];
    if (found && usable(found.tensor)) {
      this.#known.push(found);
      return found.tensor;
    }
    const values = make();
    const tensor = this.#gpu.keep(this.#gpu.tensor(values, [values.length], { dtype: 'u32' }));
    this.#known = [...this.#known, { key: [...key], tensor }].slice(-mostLists);
    return tensor;
  }

  destroy(): void {
    for (const { tensor } of this.#known) tensor.destroy();
    this.#known = [];
  }
}
