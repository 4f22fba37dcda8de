// LocalResponseNorm beside float64: it has no statistics and no strategies, so a runner of its own.
import { type Gpu, localResponseNorm, localResponseNormBackward } from '../../../src/index.ts';
import { assertEqual } from '../../../test/harness/assert.ts';
import {
  groupNormGeometry,
  type Layout,
  localResponseNormBackwardReference,
  localResponseNormReference,
  relativeError,
  roundAllToHalf,
} from '../../../test/reference/index.ts';
import { normal, toHalf } from '../../../test/support/data.ts';
import { bounds } from '../../../test/support/tolerances.ts';

const cases: { shape: number[]; layout: Layout; size: number }[] = [
  { shape: [2, 7, 5, 6], layout: 'channels-first', size: 5 },
  { shape: [2, 5, 6, 16], layout: 'channels-last', size: 4 },
  { shape: [3, 12, 9], layout: 'channels-first', size: 12 },
];

const settings = { alpha: 1, beta: 0.75, k: 1 };

export const responseRuns = cases.length;

/** @throws Error if two runs differ in a bit. */
export async function checkResponse(
  gpu: Gpu,
  dtype: 'f32' | 'f16',
): Promise<{ output: string; error: number; bound: number }[]> {
  const found = [];
  for (const { shape, layout, size } of cases) {
    const count = shape.reduce((product, length) => product * length, 1);
    const store = (values: Float32Array) => (dtype === 'f16' ? toHalf(values) : values);
    const [x, dy] = [store(normal(count, { seed: 1 })), store(normal(count, { seed: 2, mean: 0.5 }))];
    const options = { ...settings, size, layout };
    const run = async () => {
      const tensors = gpu.scope(() => {
        const [a, b] = [gpu.tensor(x, shape, { dtype }), gpu.tensor(dy, shape, { dtype })];
        return { ...localResponseNorm(gpu, a, options), ...localResponseNormBackward(gpu, b, a, options) };
      });
      const result = { y: await tensors.y.data(), dx: await tensors.dx.data() };
      tensors.y.destroy();
      tensors.dx.destroy();
      return result;
    };
    const [first, again] = [await run(), await run()];
    assertEqual(again.y, first.y, 'y of a second run');
    assertEqual(again.dx, first.dx, 'dx of a second run');
    const geometry = groupNormGeometry(shape, 1, layout);
    const y = localResponseNormReference(x, geometry, options);
    const { dx, scale } = localResponseNormBackwardReference(dy, x, geometry, options);
    const allowed = (f32: number, wanted: Float64Array, terms: Float64Array): number =>
      dtype === 'f32'
        ? f32
        : bounds.halfFactor * relativeError(roundAllToHalf(wanted), wanted, terms) + bounds.halfSlack;
    found.push({ output: 'y', error: relativeError(first.y, y), bound: allowed(bounds.forward, y, y) });
    found.push({
      output: 'dx',
      error: relativeError(first.dx, dx, scale),
      bound: allowed(bounds.backward, dx, scale),
    });
  }
  return found;
}
