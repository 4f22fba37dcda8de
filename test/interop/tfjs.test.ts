// webgpu-norm/tfjs in Chromium, on tfjs's own device.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  instanceNormGeometry,
  layerNormGeometry,
  normBackwardReference,
  normReference,
  type ReferenceOptions,
  relativeError,
} from '../reference/index.ts';
import { bounds } from '../support/tolerances.ts';
import { type Opened, open } from './browser.ts';
import type { page as tfjsPage } from './pages/tfjs.ts';

let opened: Opened<typeof tfjsPage>;
let page: Opened<typeof tfjsPage>['page'];

beforeAll(async () => {
  opened = await open('tfjs');
  page = opened.page;
}, 120_000);
afterAll(async () => {
  await opened?.close();
});

type Numbers = readonly number[];

const expectClose = (actual: Numbers | undefined, expected: ArrayLike<number>, bound: number) => {
  expect(actual).toHaveLength(expected.length);
  expect(relativeError(actual as Numbers, expected)).toBeLessThanOrEqual(bound);
};

/** y, dx, dweight and dbias against float64. */
function judge(
  actual: { y: Numbers; dx: Numbers; dweight?: Numbers | undefined; dbias?: Numbers | undefined },
  x: Numbers,
  dy: Numbers,
  geometry: Geometry,
  options: ReferenceOptions,
) {
  expectClose(actual.y, normReference(x, geometry, options).y, bounds.forward);
  const expected = normBackwardReference(dy, x, geometry, options);
  for (const name of ['dx', 'dweight', 'dbias'] as const) {
    const found = actual[name];
    if (!found) continue;
    const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values));
    const error = norm(Array.from(expected[name], (value, i) => value - (found[i] as number)));
    expect(error / norm(expected.scale[name]), name).toBeLessThanOrEqual(bounds.backward);
  }
}

describe("the numbers of tfjs's own layer tests", () => {
  // From tfjs-layers/src/layers/normalization_test.ts, which has them from Keras, to the digits that it compares.
  const losses = {
    batchNorm2d: [0.9998891, 0.9899163],
    batchNorm3d: [0.9999215, 0.9800245],
    batchNormBetween: [15.9999075, 0.0256022, 0.022479],
    batchNormConv: [3332.9971, 2122.5361],
    layerNorm2d: [1.6666666, 1.4296359, 1.2372404, 1.0793766, 0.9486552],
    layerNormBetween: [3.5, 3.1083503, 2.8706729, 2.7243311, 2.6366191],
    layerNormTwoAxes: [0.5, 0.3337609, 0.2378987, 0.1792381, 0.1408554],
  };

  it.each(Object.keys(losses) as (keyof typeof losses)[])('%s', async (name) => {
    const { loss } = await page.published(true, name);
    expect(loss).toHaveLength(losses[name].length);
    for (const [step, expected] of losses[name].entries()) {
      expect(Math.abs((loss[step] as number) - expected) / expected).toBeLessThan(1e-3);
    }
  });

  it('and the statistics that they move', async () => {
    const { weights } = await page.published(true, 'batchNorm2d');
    expectClose(weights[0], [0.9900254, 0.9900257, 0.9900262, 0.9900271], 1e-5);
    expectClose(weights[2], [0.0995, 0.11276666, 0.12603334, 0.1393], 1e-5);
    expectClose(weights[3], [1.4709667, 1.2763889, 1.1437222, 1.0729666], 1e-5);
  });

  it('and what the layers of tfjs give after as many steps', async () => {
    for (const name of Object.keys(losses) as (keyof typeof losses)[]) {
      const [ours, tfjs] = [await page.published(true, name), await page.published(false, name)];
      // Gradients that are zero but for rounding differ, so weights are compared beside 1.
      expectClose(ours.loss, tfjs.loss, 1e-3);
      for (const [index, weight] of ours.weights.entries()) {
        const other = tfjs.weights[index] as number[];
        for (const [at, value] of weight.entries()) {
          const expected = other[at] as number;
          expect(Math.abs(value - expected) / (1 + Math.abs(expected))).toBeLessThan(1e-3);
        }
      }
    }
  });
});

describe('BatchNormalization in training', () => {
  const eps = 1e-3;
  // What tfjs 4.22 cannot: axis 1 backward, no scale, rank 5.
  const cases = {
    NHWC: [[2, 3, 4, 5], -1, {}],
    'axis 1': [[4, 3, 5, 2], 1, {}],
    'axis 2 of 4': [[4, 3, 5, 2], 2, {}],
    'without scale': [[6, 4, 4, 3], -1, { scale: false }],
    'without scale and center, axis 1': [[6, 3, 4], 1, { scale: false, center: false }],
    'rank 5': [[2, 3, 2, 3, 4], -1, {}],
    'rank 5, axis 1': [[2, 3, 2, 3, 4], 1, {}],
    'rank 2': [[8, 5], -1, {}],
  } as const;

  it.each(Object.entries(cases))('%s', async (_, [shape, axis, options]) => {
    const { scale = true, center = true } = options as { scale?: boolean; center?: boolean };
    const result = await page.batchNormLayer(true, [...shape], axis, options);
    const at = axis < 0 ? shape.length - 1 : axis;
    const product = (sizes: readonly number[]) => sizes.reduce((total, size) => total * size, 1);
    const view = [product(shape.slice(0, at)), shape[at] as number, product(shape.slice(at + 1))];
    const geometry = batchNormGeometry(view, 'channels-first');
    const [dweight, dbias] = scale ? result.parameters : [undefined, ...result.parameters];
    expect(result.parameters).toHaveLength(Number(scale) + Number(center));
    const judged = { y: result.y, dx: result.dx, dweight, dbias };
    judge(judged, result.x, result.dy, geometry, { kind: 'moments', eps });

    // The moving statistics as the layer was first applied, with momentum 0.99 and the biased variance.
    const { mean, rstd } = normReference(result.x, geometry, { kind: 'moments', eps });
    expectClose(
      result.moving[0],
      mean.map((value) => 0.01 * value),
      1e-5,
    );
    expectClose(
      result.moving[1],
      rstd.map((value) => 0.99 + 0.01 * (1 / value ** 2 - eps)),
      1e-5,
    );
  });

  it('gives what tfjs gives where tfjs can, in inference too', async () => {
    for (const shape of [
      [4, 6],
      [4, 3, 6],
      [2, 3, 4, 5],
    ]) {
      const ours = await page.batchNormLayer(true, shape, -1);
      const tfjs = await page.batchNormLayer(false, shape, -1);
      for (const name of ['y', 'dx', 'inference'] as const) expectClose(ours[name], tfjs[name], 1e-4);
      for (const index of [0, 1]) {
        expectClose(ours.parameters[index], tfjs.parameters[index] as number[], 1e-4);
        expectClose(ours.moving[index], tfjs.moving[index] as number[], 1e-5);
      }
    }
  });

  it('takes the moving variance from the sum of squares: beside eps 1e-3 one of 1e-8 is nothing', async () => {
    for (const [shape, axis] of [
      [[64, 5], -1],
      [[8, 3, 4, 5], 1],
    ] as const) {
      const { x, moving } = await page.batchNormLayer(true, [...shape], axis, { std: 1e-4, momentum: 0 });
      const at = axis < 0 ? shape.length - 1 : axis;
      const geometry = batchNormGeometry(
        [...shape],
        at === 1 && shape.length > 2 ? 'channels-first' : 'channels-last',
      );
      const { rstd } = normReference(x, geometry, { kind: 'moments', eps: 0 });
      const ratios = (moving[1] as number[]).map(
        (value: number, channel: number) => value * (rstd[channel] as number) ** 2,
      );
      expectClose(
        ratios,
        ratios.map(() => 1),
        1e-5,
      );
    }
  });

  it('has what tfjs fails over', async () => {
    await expect(page.batchNormLayer(false, [4, 3, 5, 2], 1)).rejects.toThrow();
    await expect(page.batchNormLayer(false, [6, 4, 4, 3], -1, { scale: false })).rejects.toThrow();
    await expect(page.batchNormLayer(false, [2, 3, 2, 3, 4], -1)).rejects.toThrow();
  });
});

describe('tf.batchNorm', () => {
  it('and its five gradients are what tfjs computes', async () => {
    const [ours, tfjs] = [await page.fusedBatchNorm(true, false), await page.fusedBatchNorm(false, false)];
    expect(ours).toHaveLength(6);
    for (const [index, values] of ours.entries()) expectClose(values, tfjs[index] as number[], 1e-5);
  });

  it('works along axis 1 and without a scale', async () => {
    const along = await page.fusedBatchNorm(true, true);
    expect(along.map((values) => values.length)).toEqual([128, 128, 4, 4, 4, 4]);
    const unscaled = await page.fusedBatchNorm(true, false, false);
    expect(unscaled.map((values) => values.length)).toEqual([128, 128, 4, 4, 4]);
    for (const values of [...along, ...unscaled]) expect(values.every(Number.isFinite)).toBe(true);
  });
});

it('layerNorm, rmsNorm, groupNorm and instanceNorm and their gradients', async () => {
  const { inputs, results } = await page.customOps();
  const [x, dy, weight, bias] = inputs as [number[], number[], number[], number[]];
  const shape = [2, 3, 5, 8];
  const geometries = {
    layerNorm: layerNormGeometry(shape, 8),
    rmsNorm: layerNormGeometry(shape, 8),
    groupNorm: groupNormGeometry(shape, 4, 'channels-last'),
    instanceNorm: instanceNormGeometry(shape, 'channels-last'),
  };
  for (const [name, geometry] of Object.entries(geometries)) {
    const [y, dx, dweight, dbias] = results[name] as [number[], number[], number[], number[]?];
    const rms = name === 'rmsNorm';
    const options = rms
      ? ({ kind: 'rms', eps: 2 ** -23, weight } as const)
      : ({ kind: 'moments', eps: 1e-5, weight, bias } as const);
    judge({ y, dx, dweight, dbias }, x, dy, geometry, options);
  }
});

it('what these kernels do not take is left to those of tfjs', async () => {
  const [ours, tfjs] = [await page.leftToTfjs(true), await page.leftToTfjs(false)];
  expect(ours).toHaveLength(6);
  for (const [index, values] of ours.entries()) {
    const expected = tfjs[index] as number[];
    expect(values).toEqual(expected.map((value) => expect.closeTo(value, 4)));
  }
});

it('training leaves no tensors behind', async () => {
  const [, second, ...rest] = await page.leaks();
  expect(rest).toEqual(rest.map(() => second));
});

it('refuses what cannot work before anything happens', async () => {
  expect(await page.misuse()).toEqual(['order', 'dtype', 'shape', 'shape', 'none']);
});

it('nothing was said on the console', () => {
  expect(opened.complaints).toEqual([]);
});
