// What LayerNorm and RMSNorm normalize together: trailing sizes, or any axes.
import { NormError } from '../gpu/errors.ts';
import type { OptionNames } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { sizesOf } from '../gpu/tensor.ts';
import { axesGeometry } from '../plan/geometry.ts';
import { checkCount, checkDivides, sameShape } from './check.ts';
import { modulated, type RowParts } from './modulated.ts';

/** What LayerNorm and RMSNorm are told: what is normalized together, normalizedShape or axes, and what weight stands for. */
export interface NormalizedOptions {
  /** The trailing sizes that are normalized together; a number stands for one size. Needed unless there are axes. */
  normalizedShape?: number | ArrayLike<number> | undefined;
  /**
   * Instead of normalizedShape the axes that are normalized together, as of Keras, Flax and WebNN; a number stands for one axis. Negative
   * ones count from the end, and their order does not matter: weight and bias have the sizes of these axes in the order of x. The
   * statistics have those of the other axes. [1] of [N, C, H, W] is LayerNorm over the channels (ConvNeXt), with a weight per channel.
   * They may lie before, between and behind others: at most three runs of them, those of one element not counted. Default: the trailing ones of normalizedShape.
   */
  axes?: number | ArrayLike<number> | undefined;
  /**
   * Consecutive groups that the elements of normalizedShape fall into, each with statistics of its own, as in Mamba-2's grouped norm;
   * weight and bias still have a value per element. Of trailing axes alone. Default 1: all are normalized together.
   */
  numGroups?: number | undefined;
}

/** @internal */
export const normalizedNames = {
  normalizedShape: 'other',
  axes: 'other',
  numGroups: 'number',
} as const satisfies OptionNames<NormalizedOptions>;

/** @internal The sizes of normalizedShape. Throws `shape` unless there are some. */
export function normalizedSizes(normalizedShape: number | ArrayLike<number> | undefined): readonly number[] {
  const given = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
  const sizes = sizesOf(given as ArrayLike<number>, 'normalizedShape');
  if (sizes.length > 0) return sizes;
  throw new NormError(
    'shape',
    'normalizedShape is empty; it must have at least one dimension.',
    'Pass the trailing sizes of x, such as [768].',
  );
}

/** @internal The axes as a list. Throws `value` unless they are integers, one at least. */
export function axesList(axes: number | ArrayLike<number>): readonly number[] {
  const given: unknown = typeof axes === 'number' ? [axes] : axes;
  const listed = Array.isArray(given) || ArrayBuffer.isView(given);
  const list: readonly unknown[] = listed ? Array.from(given as ArrayLike<unknown>) : [];
  if (list.length > 0 && list.every(Number.isInteger)) return list as readonly number[];
  throw new NormError(
    'value',
    `axes are ${shown(axes)}; a list of integers is needed.`,
    'Pass the axes of x to normalize over, such as [1] for the channels of [N, C, H, W].',
  );
}

/** @internal The axes of a module. Throws `value` unless there is one for each size. */
export function axesFor(
  normalizedShape: readonly number[],
  axes: number | ArrayLike<number> | undefined,
): readonly number[] | undefined {
  const list = axes === undefined ? undefined : axesList(axes);
  if (list && list.length !== normalizedShape.length) {
    throw new NormError(
      'value',
      `There are ${list.length} axes [${list}] for normalizedShape [${normalizedShape}].`,
      'Pass an axis for each size.',
    );
  }
  return list;
}

/** The axes from the first on. Throws `value` for those that x does not have, or that come twice. */
function axesOf(rank: number, axes: number | ArrayLike<number>): readonly number[] {
  const found = axesList(axes).map((axis) => (axis < 0 ? axis + rank : axis));
  const beyond = found.findIndex((axis) => axis < 0 || axis >= rank);
  if (beyond >= 0) {
    throw new NormError(
      'value',
      `There is no axis ${axesList(axes)[beyond]}: x has ${rank} dimensions.`,
      `Use axes from ${-rank} to ${rank - 1}.`,
    );
  }
  if (new Set(found).size < found.length) {
    throw new NormError(
      'value',
      `The axes [${axesList(axes)}] of ${rank} name one twice.`,
      'Name each once.',
    );
  }
  return [...found].sort((a, b) => a - b);
}

/**
 * @internal How a row norm sees x of that shape.
 *
 * @param given - the shape of weight and bias. Default: the normalized sizes.
 * @throws NormError `shape`, `value`.
 */
export function normalizedParts(
  shape: readonly number[],
  { normalizedShape, axes, numGroups = 1 }: NormalizedOptions,
  given?: readonly number[],
): RowParts {
  const trailing = axes === undefined ? normalizedSizes(normalizedShape) : undefined;
  const rank = shape.length;
  const reduced = trailing
    ? trailing.map((_, axis) => rank - trailing.length + axis)
    : axesOf(rank, axes as ArrayLike<number>);
  const parameterShape = reduced.map((axis) => shape[axis] as number);
  const wanted = normalizedShape === undefined ? parameterShape : normalizedSizes(normalizedShape);
  if (!sameShape(parameterShape, wanted)) refuseSizes(shape, wanted, trailing ? undefined : reduced);
  checkCount('numGroups', numGroups);
  const setShape = shape.filter((_, axis) => !reduced.includes(axis));
  const geometry = axesGeometry(shape, reduced);
  if (!geometry) {
    throw new NormError(
      'value',
      `The axes [${reduced}] of [${shape}] are more than three runs with other axes between them.`,
      'Transpose x so that they are at most three.',
    );
  }
  if (numGroups === 1) return modulated({ geometry, parameterShape, setShape }, given);
  if (geometry.runs) {
    throw new NormError(
      'value',
      `numGroups is ${numGroups} with the axes [${reduced}], which are not the last ones of [${shape}].`,
      'Leave numGroups out, or use groupNorm.',
    );
  }
  checkDivides(geometry.channels, numGroups, 'elements of normalizedShape');
  const grouped = { ...geometry, groups: numGroups };
  return modulated({ geometry: grouped, parameterShape, setShape: [...setShape, numGroups] }, given);
}

function refuseSizes(shape: readonly number[], sizes: readonly number[], axes?: readonly number[]): never {
  const [needed, fix] = axes
    ? [
        `the sizes [${sizes}] along its axes [${axes}]`,
        'Make normalizedShape the sizes of these axes, or leave it out.',
      ]
    : [`shape [*, ${sizes.join(', ')}]`, 'Make normalizedShape the trailing sizes of x.'];
  throw new NormError(
    'shape',
    `Given normalizedShape [${sizes}], x must have ${needed}, not [${shape}].`,
    fix,
  );
}
