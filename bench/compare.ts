/** Holds a row's results to the float64 reference: all of them, or, of a large tensor, whole sets spread over it. */
import {
  elementCount,
  type Geometry,
  normBackwardReference,
  normReference,
  type ReferenceBackward,
  relativeError,
  roundAllToHalf,
} from '../test/reference/index.ts';
import { bounds } from '../test/support/tolerances.ts';
import { at, type Data } from './inputs.ts';
import { eps } from './recorder.ts';
import { isResidual, isRms, type Row } from './rows.ts';

/** What a pass gives: y of a forward one, the gradients of a backward one. */
export interface Results {
  y?: Float32Array;
  dx?: Float32Array;
  dweight?: Float32Array;
  dbias?: Float32Array;
}

/** How far results are from float64, and how far they may be. */
export interface Verdict {
  error: number;
  bound: number;
}

export interface Judge {
  /** The largest relative error, measured by what each result is allowed. */
  compare(results: Results): Verdict;
  /** What was compared, in words. */
  compared: string;
}

/** Elements of tensors that are compared as a whole, and how many of larger ones are compared, about. */
const wholeUpTo = 2 ** 22;
const sampled = 2 ** 20;

/** A part of a tensor that is a norm of its own. */
interface Part {
  geometry: Geometry;
  /** Where its elements and its channels are in the whole. */
  elements: Uint32Array;
  channels: Uint32Array;
}

/** `wanted` of 0 … count − 1, evenly spread, both ends among them. */
function spread(count: number, wanted: number): number[] {
  const some = Math.min(count, Math.max(2, Math.floor(wanted)));
  return Array.from({ length: some }, (_, i) => Math.round((i * (count - 1)) / Math.max(1, some - 1)));
}

function partOf(
  whole: Geometry,
  samples: readonly number[],
  channels: readonly number[],
  groups: number,
): Part {
  const geometry = { ...whole, samples: samples.length, channels: channels.length, groups };
  const elements = new Uint32Array(elementCount(geometry));
  let next = 0;
  for (const sample of samples) {
    for (let position = 0; position < whole.positions; position++) {
      for (const channel of channels) {
        const first = ((sample * whole.positions + position) * whole.channels + channel) * whole.inner;
        for (let i = 0; i < whole.inner; i++) elements[next++] = first + i;
      }
    }
  }
  return { geometry, elements, channels: Uint32Array.from(channels) };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Whole sets: rows of a row norm, else groups of channels through all samples, whose gradients are then whole, too. */
function samplePart(geometry: Geometry): { part: Part; compared: string } {
  const { samples, channels, groups } = geometry;
  const count = elementCount(geometry);
  if (count <= wholeUpTo) {
    return { part: partOf(geometry, range(samples), range(channels), groups), compared: 'all' };
  }
  if (groups === 1) {
    const rows = spread(samples, sampled / (count / samples));
    return {
      part: partOf(geometry, rows, range(channels), 1),
      compared: `${rows.length} of ${samples} rows`,
    };
  }
  const some = spread(groups, sampled / (count / groups));
  const of = `${some.length} of ${groups} ${channels > groups ? 'groups' : 'channels'}`;
  const perGroup = channels / groups;
  const theirs = some.flatMap((group) => range(perGroup).map((i) => group * perGroup + i));
  return {
    part: partOf(geometry, range(samples), theirs, some.length),
    compared: some.length === groups ? 'all' : of,
  };
}

const pick = (values: Float32Array, elements: Uint32Array): Float32Array => {
  const picked = new Float32Array(elements.length);
  for (let i = 0; i < picked.length; i++) picked[i] = at(values, elements[i] as number);
  return picked;
};

/** Mean (0 for 'rms') and mean square about it of every row, in float64, without a copy of x. */
function rowStatistics(x: Float32Array, rows: number, length: number, centred: boolean) {
  const mean = new Float64Array(rows);
  const variance = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    const first = row * length;
    if (centred) for (let i = first; i < first + length; i++) sum += at(x, i);
    const center = sum / length;
    let squares = 0;
    for (let i = first; i < first + length; i++) squares += (at(x, i) - center) ** 2;
    mean[row] = center;
    variance[row] = squares / length;
  }
  return { mean, variance };
}

interface Expected {
  part: Part;
  gradients: ReferenceBackward;
}

export function makeComparison(row: Row, geometry: Geometry, data: Data): Judge {
  const { op, dtype, training, relu, pass } = row;
  const half = dtype === 'f16';
  const kind = isRms(op) ? 'rms' : 'moments';
  const { part, compared } = samplePart(geometry);
  const optionsOf = ({ channels }: Part) => {
    const theirs = (values: Float32Array) =>
      Float32Array.from(channels, (channel) => values[channel] as number);
    const frozen =
      op === 'batchNorm' && !training
        ? { mean: theirs(data.runningMean), variance: theirs(data.runningVar) }
        : undefined;
    return {
      weight: theirs(data.weight),
      bias: kind === 'rms' ? null : theirs(data.bias),
      eps,
      kind,
      frozen,
      activation: relu ? 'relu' : 'none',
    } as const;
  };

  const expectedY = (): Float64Array => {
    const x = pick(data.x, part.elements);
    const residual = isResidual(op) ? pick(data.residual, part.elements) : undefined;
    const summed = residual ? x.map((value, i) => value + (residual[i] as number)) : x;
    return normReference(half ? roundAllToHalf(summed) : summed, part.geometry, optionsOf(part)).y;
  };
  const expectedGradients = (): Expected => {
    const of = (values: Float32Array) => pick(values, part.elements);
    const dsum = isResidual(op) ? of(data.residual) : null;
    const gradients = normBackwardReference(of(data.dy), of(data.x), part.geometry, optionsOf(part), dsum);
    return { part, gradients };
  };
  // A row's parameters belong to its columns, which run through all rows: their statistics are given.
  const columns = (): Expected => {
    const { samples, channels } = geometry;
    const some = partOf(geometry, range(samples), spread(channels, sampled / samples), 1);
    const frozen = rowStatistics(data.x, samples, channels, kind === 'moments');
    const [dy, x] = [pick(data.dy, some.elements), pick(data.x, some.elements)];
    const gradients = normBackwardReference(dy, x, some.geometry, { ...optionsOf(some), frozen });
    return { part: some, gradients };
  };
  const byColumn = geometry.groups === 1 && compared !== 'all';
  const expected = remembered(() => ({
    y: pass === 'backward' ? undefined : expectedY(),
    backward: pass === 'forward' ? undefined : expectedGradients(),
    parameters: pass !== 'forward' && byColumn ? columns() : undefined,
  }));

  // An f16 result cannot be better than the float64 one rounded to f16.
  const boundOf = (base: number, wanted: Float64Array): number =>
    half ? bounds.halfFactor * relativeError(roundAllToHalf(wanted), wanted) + bounds.halfSlack : base;
  const checkLength = (values: Float32Array | undefined): void => {
    if (values && values.length !== elementCount(geometry)) {
      throw new RangeError(`${values.length} results instead of ${elementCount(geometry)}`);
    }
  };
  return {
    compared,
    compare({ y, dx, dweight, dbias }) {
      checkLength(y);
      checkLength(dx);
      const wanted = expected();
      const verdicts: Verdict[] = [];
      if (y && wanted.y) {
        const error = relativeError(pick(y, part.elements), wanted.y);
        verdicts.push({ error, bound: boundOf(bounds.forward, wanted.y) });
      }
      if (dx && wanted.backward) {
        const { gradients } = wanted.backward;
        const error = relativeError(pick(dx, part.elements), gradients.dx, gradients.scale.dx);
        verdicts.push({ error, bound: boundOf(bounds.backward, gradients.dx) });
      }
      for (const [name, values] of Object.entries({ dweight, dbias })) {
        const source = wanted.parameters ?? wanted.backward;
        if (!values || !source) continue;
        const gradient = name as 'dweight' | 'dbias';
        const { gradients } = source;
        const actual = pick(values, source.part.channels);
        const error = relativeError(actual, gradients[gradient], gradients.scale[gradient]);
        verdicts.push({ error, bound: bounds.backward });
      }
      return verdicts.reduce((a, b) => (a.error / a.bound >= b.error / b.bound ? a : b));
    },
  };
}

function remembered<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
