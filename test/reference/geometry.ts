/**
 * Which elements of a tensor share a mean and a variance, and which weight each of them takes: written from the definition of each
 * norm alone. Nothing here comes from src/plan, which lays the kernels' work out: a fault there must show beside this.
 */

/** Where the channel axis of a tensor lies: second in NCHW (channels-first), last in NHWC (channels-last). */
export type Layout = 'channels-first' | 'channels-last';

/**
 * A row-major tensor seen as [samples, positions, channels, inner], whose channels fall into `groups` runs of equal length. The
 * elements of one sample and one group form a set, which has one mean and one variance; weight and bias have a value per channel.
 */
export interface Geometry {
  samples: number;
  positions: number;
  channels: number;
  inner: number;
  groups: number;
  /** Where the elements of a set, or of a channel, are spread over axes of any order: those of a set. */
  over?: { shape: readonly number[]; axes: readonly number[] };
}

function count(shape: readonly number[], from = 0, to = shape.length): number {
  let elements = 1;
  for (let axis = from; axis < to; axis++) elements *= shape[axis] as number;
  return elements;
}

/** How many elements x has. */
export function elementCount(of: Geometry): number {
  return of.samples * of.positions * of.channels * of.inner;
}

/** How many sets there are. */
export function setCount(of: Geometry): number {
  return of.samples * of.groups;
}

/** How many elements a set has. */
export function setSize(of: Geometry): number {
  return of.positions * of.inner * (of.channels / of.groups);
}

/**
 * LayerNorm and RMSNorm: a set is what the trailing axes `normalizedShape` hold at one index of the others, or one of `groups` equal parts
 * of that.
 */
export function layerNormGeometry(
  shape: readonly number[],
  normalizedShape: number | readonly number[],
  groups = 1,
): Geometry {
  const sizes = [normalizedShape].flat() as number[];
  const rows = shape.length - sizes.length;
  const fits = sizes.length > 0 && rows >= 0 && sizes.every((size, axis) => shape[rows + axis] === size);
  if (!fits) throw new RangeError(`[${sizes}] are not the trailing sizes of [${shape}]`);
  return { samples: count(shape, 0, rows), positions: 1, channels: count(sizes), inner: 1, groups };
}

/**
 * LayerNorm and RMSNorm over any axes: a set is what these hold at one index of the others, and a weight belongs to one index of them, both
 * counted with the last axis fastest.
 */
export function axesGeometry(shape: readonly number[], axes: readonly number[]): Geometry {
  const reduced = axes.map((axis) => (axis < 0 ? shape.length + axis : axis));
  if (new Set(reduced).size !== axes.length || reduced.some((axis) => !(axis >= 0 && axis < shape.length))) {
    throw new RangeError(`[${axes}] are no axes of [${shape}]`);
  }
  const sizes = (of: (axis: number) => boolean) => count(shape.filter((_, axis) => of(axis)));
  return {
    samples: sizes((axis) => !reduced.includes(axis)),
    positions: 1,
    channels: sizes((axis) => reduced.includes(axis)),
    inner: 1,
    groups: 1,
    over: { shape, axes: reduced },
  };
}

/** GroupNorm of [N, C, ...spatial] or [N, ...spatial, C]: a set is a sample's group of neighbouring channels, at all positions. */
export function groupNormGeometry(shape: readonly number[], groups: number, layout: Layout): Geometry {
  const axis = layout === 'channels-last' ? shape.length - 1 : 1;
  if (shape.length < 2) throw new RangeError(`[${shape}] has no channel axis beside the batch axis`);
  const channels = shape[axis] as number;
  if (!(groups >= 1) || channels % groups !== 0) {
    throw new RangeError(`${channels} channels make no ${groups} groups of equal length`);
  }
  return {
    samples: shape[0] as number,
    positions: count(shape, 1, axis),
    channels,
    inner: count(shape, axis + 1),
    groups,
  };
}

/** InstanceNorm: a set is one channel of one sample. */
export function instanceNormGeometry(shape: readonly number[], layout: Layout): Geometry {
  return groupNormGeometry(shape, channelsOf(shape, layout), layout);
}

/** BatchNorm: a set is one channel of all samples, so that the whole batch counts as one sample with as many more positions. */
export function batchNormGeometry(shape: readonly number[], layout: Layout): Geometry {
  const one = groupNormGeometry(shape, channelsOf(shape, layout), layout);
  return { ...one, samples: 1, positions: one.samples * one.positions };
}

function channelsOf(shape: readonly number[], layout: Layout): number {
  return shape[layout === 'channels-last' ? shape.length - 1 : 1] ?? 0;
}

/** Calls visit(element, set, channel) for every element of x in memory order. */
export function forEachElement(
  of: Geometry,
  visit: (element: number, set: number, channel: number) => void,
): void {
  if (of.over) {
    forEachOver(of.over, visit);
    return;
  }
  const perGroup = of.channels / of.groups;
  let element = 0;
  for (let sample = 0; sample < of.samples; sample++) {
    for (let position = 0; position < of.positions; position++) {
      for (let group = 0; group < of.groups; group++) {
        const set = sample * of.groups + group;
        for (let member = 0; member < perGroup; member++) {
          const channel = group * perGroup + member;
          for (let last = element + of.inner; element < last; element++) visit(element, set, channel);
        }
      }
    }
  }
}

/** The same by the index of every element along each axis. */
function forEachOver(
  { shape, axes }: NonNullable<Geometry['over']>,
  visit: (element: number, set: number, channel: number) => void,
): void {
  const total = count(shape);
  const index = shape.map(() => 0);
  for (let element = 0; element < total; element++) {
    let set = 0;
    let channel = 0;
    for (const [axis, size] of shape.entries()) {
      if (axes.includes(axis)) channel = channel * size + (index[axis] as number);
      else set = set * size + (index[axis] as number);
    }
    visit(element, set, channel);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = (index[axis] as number) + 1;
      index[axis] = next === shape[axis] ? 0 : next;
      if (index[axis] !== 0) break;
    }
  }
}
