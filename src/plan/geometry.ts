/**
 * Every norm is one walk over x seen as [samples, positions, channels, inner].
 *
 * The channels fall into `groups` consecutive groups. One set is one (sample, group) pair: it is reduced over all
 * positions, its channels/groups channels and inner, and shares one mean and one rstd. weight and bias have one value
 * per channel.
 *
 *     element = ((sample * positions + position) * channels + channel) * inner + i
 *     set     = sample * groups + floor(channel / (channels / groups))
 *
 *     norm                    samples  positions  channels  inner  groups
 *     LayerNorm, RMSNorm      rows     1          D         1      1, or numGroups
 *     GroupNorm    NCHW       N        1          C         H*W    G
 *     GroupNorm    NHWC       N        H*W        C         1      G
 *     InstanceNorm            as GroupNorm with one group per channel
 *     BatchNorm    NCHW       1        N          C         H*W    C
 *     BatchNorm    NHWC       1        N*H*W      C         1      C
 *     LayerNorm, RMSNorm      outer    reduced    kept      1      kept
 *       over axes that others follow, such as the channels of NCHW: with `runs`, weight and bias have one value per position
 */
export interface Geometry {
  samples: number;
  positions: number;
  channels: number;
  inner: number;
  groups: number;
  /**
   * Of norms over axes that others follow. What is reduced (`positions`) and what is kept (`channels`, each of them a set) are axes in
   * turns, of these sizes, a reduced one first: x is [samples, reduced[0], kept[0], reduced[1], kept[1], …].
   */
  runs?: { reduced: readonly number[]; kept: readonly number[] } | undefined;
}

/** Where the channel axis of a tensor with spatial axes lies: NCHW is channels-first, NHWC channels-last. */
export type Layout = 'channels-first' | 'channels-last';

/** @returns 1 for no sizes. */
function product(sizes: readonly number[]): number {
  let total = 1;
  for (const size of sizes) total *= size;
  return total;
}

export function elementCount({ samples, positions, channels, inner }: Geometry): number {
  return samples * positions * channels * inner;
}

/** How many (mean, rstd) pairs there are. */
export function setCount({ samples, groups }: Geometry): number {
  return samples * groups;
}

/** How many values weight and bias have. */
export const parameterCount = ({ positions, channels, runs }: Geometry): number =>
  runs ? positions : channels;

/** How many elements share one mean and one rstd; 0 where there are no sets. */
export function setSize({ positions, channels, inner, groups }: Geometry): number {
  return groups === 0 ? 0 : positions * (channels / groups) * inner;
}

/**
 * LayerNorm and RMSNorm: the trailing `normalizedShape` axes of `shape` are reduced, the leading ones are rows, each of which falls into
 * so many groups.
 */
export function layerNormGeometry(
  shape: readonly number[],
  normalizedShape: number | readonly number[],
  groups = 1,
): Geometry {
  const normalized = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
  const leading = shape.length - normalized.length;
  if (
    normalized.length === 0 ||
    leading < 0 ||
    normalized.some((size, axis) => size !== shape[leading + axis])
  ) {
    throw new RangeError(`normalizedShape [${normalized}] is not the end of shape [${shape}]`);
  }
  return {
    samples: product(shape.slice(0, leading)),
    positions: 1,
    channels: product(normalized),
    inner: 1,
    groups,
  };
}

/**
 * LayerNorm and RMSNorm over some axes of x. Trailing ones make rows.
 *
 * @param axes - which ones, from the first on.
 * @returns undefined where more than three runs of reduced axes have kept ones between them.
 */
export function axesGeometry(shape: readonly number[], axes: readonly number[]): Geometry | undefined {
  // Neighbours of a kind are one axis; those of size 1 are none. A kept axis comes first, then they take turns.
  const sizes = [1];
  for (const [axis, size] of shape.entries()) {
    if (size === 1) continue;
    const turns = axes.includes(axis) === (sizes.length % 2 === 1);
    if (turns) sizes.push(size);
    else sizes[sizes.length - 1] = (sizes.at(-1) as number) * size;
  }
  const [samples = 1, ...others] = sizes;
  const reduced = others.filter((_, i) => i % 2 === 0);
  const kept = others.filter((_, i) => i % 2 === 1);
  if (kept.length === 0) {
    return { samples, positions: 1, channels: reduced[0] ?? 1, inner: 1, groups: 1 };
  }
  if (reduced.length > 3) return undefined;
  // A last reduced axis has one kept element behind it.
  if (kept.length < reduced.length) kept.push(1);
  const channels = product(kept);
  return {
    samples,
    positions: product(reduced),
    channels,
    inner: 1,
    groups: channels,
    runs: { reduced, kept },
  };
}

/** GroupNorm: shape is [N, C, ...spatial] (channels-first) or [N, ...spatial, C] (channels-last), any spatial rank. */
export function groupNormGeometry(shape: readonly number[], groups: number, layout: Layout): Geometry {
  const channelsFirst = layout === 'channels-first';
  const samples = shape[0];
  const channels = shape[channelsFirst ? 1 : shape.length - 1];
  if (shape.length < 2 || samples === undefined || channels === undefined) {
    throw new RangeError(`shape [${shape}] needs a batch axis and a channel axis`);
  }
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new RangeError(`${channels} channels do not fall into ${groups} groups`);
  }
  const spatial = product(channelsFirst ? shape.slice(2) : shape.slice(1, -1));
  return {
    samples,
    positions: channelsFirst ? 1 : spatial,
    channels,
    inner: channelsFirst ? spatial : 1,
    groups,
  };
}

/** InstanceNorm: GroupNorm with one group per channel. The batch axis must be there: give [1, ...shape] if it is not. */
export function instanceNormGeometry(shape: readonly number[], layout: Layout): Geometry {
  const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] ?? 0;
  return groupNormGeometry(shape, channels, layout);
}

/** BatchNorm: shape is [N, C, ...spatial] or [N, ...spatial, C]; the batch is one sample, whose sets are its channels. */
export function batchNormGeometry(shape: readonly number[], layout: Layout): Geometry {
  const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] ?? 0;
  const { samples, positions, ...rest } = groupNormGeometry(shape, channels, layout);
  return { samples: 1, positions: samples * positions, ...rest };
}
