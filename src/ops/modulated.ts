// Norms whose weight and bias differ between the samples of a batch, or between rows, as in AdaLN and AdaGN.
import { NormError } from '../gpu/errors.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Geometry } from '../plan/geometry.ts';
import { sameShape } from './check.ts';
import type { BackwardOutputs, NormCall } from './norm.ts';

/** What a row norm sees of x, and what weight and bias belong to. */
export interface RowParts {
  geometry: Geometry;
  blocked?: true;
  parameterShape: readonly number[];
  setShape: readonly number[];
}

/** @internal The shape of weight and bias, if any is given that tells. */
export const parameterShapeOf = ({
  weight,
  bias,
  out,
}: {
  weight?: Tensor | null | undefined;
  bias?: Tensor | null | undefined;
  out?: object | undefined;
}): readonly number[] | undefined => {
  const { dweight, dbias } = (out ?? {}) as BackwardOutputs;
  return (weight ?? bias ?? dweight ?? dbias)?.shape;
};

/**
 * @internal The parts of a norm over the trailing axes where weight and bias have that shape: the normalized sizes, or more before these.
 * A shape that cannot be is refused where weight and bias are checked, by the one that they have without.
 *
 * @throws NormError `shape` for several groups.
 */
export function modulated(parts: RowParts, given: readonly number[] | undefined): RowParts {
  const { geometry, parameterShape, setShape } = parts;
  if (!given || given.length <= parameterShape.length || geometry.runs) return parts;
  const leading = given.slice(0, given.length - parameterShape.length);
  const rows = geometry.groups > 1 ? setShape.slice(0, -1) : setShape;
  const blocks = blocksOf(rows, leading);
  if (!blocks || !sameShape(given.slice(leading.length), parameterShape)) return parts;
  if (geometry.groups > 1) {
    throw new NormError(
      'shape',
      `weight and bias have shape [${given}] with numGroups ${geometry.groups}.`,
      `With several groups they have one shape for all rows, [${parameterShape}].`,
    );
  }
  const { count: groups, rows: samples } = blocks;
  if (groups === 0) return { ...parts, geometry: { ...geometry, channels: 0 }, parameterShape: given };
  if (groups === 1) return { ...parts, parameterShape: given };
  const channels = groups * geometry.channels;
  return {
    ...parts,
    geometry: { ...geometry, samples, channels, groups },
    blocked: true,
    parameterShape: given,
  };
}

/**
 * @internal A norm over the channels of each sample where weight and bias have that shape: [C], or [N, C] for values of each sample's own.
 * The channels of all samples are then those of one, which is the same tensor where the channels come first.
 *
 * @throws NormError `value` for [N, C] with channels last, and with running statistics.
 */
export function modulatedChannels(call: NormCall, given: readonly number[] | undefined): NormCall {
  const { samples, positions, channels, groups } = call.geometry;
  if (!given || !sameShape(given, [samples, channels])) return call;
  const refuse = (what: string, fix: string): never => {
    throw new NormError(
      'value',
      `weight and bias have shape [${given}], values of each sample's own, ${what}.`,
      fix,
    );
  };
  if (call.running) refuse('with running statistics', `Pass one value per channel, [${channels}].`);
  if (positions > 1 && samples > 1) {
    refuse(
      'with channels last',
      `Use layout 'channels-first', or pass one value per channel, [${channels}].`,
    );
  }
  const geometry = { ...call.geometry, samples: 1, channels: samples * channels, groups: samples * groups };
  // Without samples there are no channels either, so that gradients are as empty as weight.
  return {
    ...call,
    geometry: samples > 0 ? geometry : { ...call.geometry, channels: 0 },
    parameterShape: given,
  };
}

/**
 * How many blocks of rows, and of how many rows each, the leading sizes of weight tell apart: they are the first sizes of the rows, then
 * ones. Undefined where they are not.
 */
function blocksOf(
  rows: readonly number[],
  leading: readonly number[],
): { count: number; rows: number } | undefined {
  if (leading.length !== rows.length) return undefined;
  let first = leading.length;
  while (first > 0 && leading[first - 1] === 1) first--;
  let [count, each] = [1, 1];
  for (const [axis, size] of rows.entries()) {
    if (axis >= first) each *= size;
    else if (size === leading[axis]) count *= size;
    else return undefined;
  }
  return { count, rows: each };
}
