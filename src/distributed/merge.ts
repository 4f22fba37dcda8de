/** An associative operation on what the ranks of a {@link ProcessGroup} give. */
export interface Merge {
  /** What a rank's values stand for, in float64. */
  lift(values: Float32Array<ArrayBuffer>): Float64Array<ArrayBuffer>;
  /** a, the lower ranks, and b made into one; it may write to a. */
  join(a: Float64Array<ArrayBuffer>, b: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer>;
}

/** Addition, in float64. */
export const sum: Merge = {
  lift: (values) => Float64Array.from(values),
  join(a, b) {
    for (let i = 0; i < a.length; i++) a[i] = (a[i] as number) + (b[i] as number);
    return a;
  },
};

/** Bytes that own their whole buffer, from an offset that is a multiple of eight. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A merge as it travels: what a rank sends, and what some ranks' parts become, in bytes. */
export interface Combine {
  lift(leaf: Bytes): Bytes;
  join(parts: readonly Bytes[]): Bytes;
}

const floats = (bytes: Bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const doubles = (bytes: Bytes) => new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array<ArrayBuffer>): Bytes =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** A merge of values. A part may have come from elsewhere, so what is written to is a copy. */
export const merging = ({ lift, join }: Merge): Combine => ({
  lift: (leaf) => bytesOf(lift(floats(leaf))),
  join([first, ...others]) {
    const start = doubles(first as Bytes).slice();
    return bytesOf(others.reduce((total, part) => join(total, doubles(part)), start));
  },
});

/** One after the other. */
export const gathering: Combine = {
  lift: (leaf) => leaf,
  join(parts) {
    const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  },
};

/** The one that is not empty. */
export const picking: Combine = {
  lift: (leaf) => leaf,
  join: (parts) => parts.find(({ length }) => length > 0) ?? new Uint8Array(),
};

/** The parts of a tree whose branches are `fanOut` wide, joined as the tree would: the order never depends on who joins. */
export function joinAll(parts: readonly Bytes[], fanOut: number, { join }: Combine): Bytes {
  let level = parts;
  while (level.length > 1) {
    const next: Bytes[] = [];
    for (let i = 0; i < level.length; i += fanOut) next.push(join(level.slice(i, i + fanOut)));
    level = next;
  }
  return level[0] as Bytes;
}

/** What a rank does at one level of the tree: whom it gathers from, or whom it sends to and is then done. */
export type TreeStep = { from: number[] } | { to: number };

/** The levels of the tree as a rank takes part in them; rank 0 never sends, and ends with everything. */
export function treeSteps(rank: number, size: number, fanOut: number): TreeStep[] {
  const steps: TreeStep[] = [];
  for (let stride = 1; stride < size; stride *= fanOut) {
    const parent = rank - (rank % (stride * fanOut));
    if (parent !== rank) {
      steps.push({ to: parent });
      break;
    }
    const from: number[] = [];
    for (let k = 1; k < fanOut && rank + k * stride < size; k++) from.push(rank + k * stride);
    steps.push({ from });
  }
  return steps;
}
