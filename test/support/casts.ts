/** What rounding x̂ to the storage type before it meets weight (RMSNorm's cast 'llama') does to y and dweight, in float64. */
import type { FloatDType } from '../../src/index.ts';
import { forEachElement, type Geometry, rounders } from '../reference/index.ts';
import { bounds } from './tolerances.ts';

/**
 * y = rounded(x·rstd)·(weight + weightOffset) and dweight = Σ dy·rounded(x·rstd).
 *
 * Where x̂ is so near a tie that f32 arithmetic may land on its other side, either neighbour is right: `slack` says
 * how far that can move each element of y and dweight.
 */
export function roundedFirst(
  x: ArrayLike<number>,
  dy: ArrayLike<number>,
  weight: ArrayLike<number> | undefined,
  geometry: Geometry,
  rstd: Float64Array,
  dtype: FloatDType,
  weightOffset = 0,
): { y: Float64Array; dweight: Float64Array; slack: { y: Float64Array; dweight: Float64Array } } {
  const round = rounders[dtype];
  const y = new Float64Array(x.length);
  const dweight = new Float64Array(geometry.channels);
  const slack = { y: new Float64Array(x.length), dweight: new Float64Array(geometry.channels) };
  const add = (sums: Float64Array, channel: number, term: number) => {
    sums[channel] = (sums[channel] as number) + term;
  };
  forEachElement(geometry, (element, set, channel) => {
    const exact = (x[element] as number) * (rstd[set] as number);
    const xhat = round(exact);
    const step = Math.abs(round(exact * (1 + bounds.forward)) - round(exact * (1 - bounds.forward)));
    const w = weight ? (weight[channel] as number) + weightOffset : 1;
    y[element] = xhat * w;
    slack.y[element] = step * Math.abs(w);
    add(dweight, channel, (dy[element] as number) * xhat);
    add(slack.dweight, channel, step * Math.abs(dy[element] as number));
  });
  return { y, dweight, slack };
}
