import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { normBackwardReference, normReference, relativeError, roundAllToHalf } from '../reference/index.ts';
import {
  decode,
  GOLDEN_FILES,
  type GoldenCase,
  type GoldenFile,
  goldenGeometry,
  goldenOptions,
  runningAfter,
} from '../support/golden.ts';
import { RunningReference } from '../support/running.ts';

const read = (name: string): GoldenFile =>
  JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8'));

/**
 * How far two float64 programs may be apart. The mean is rounded to float64, at |mean| / std = offset by up to
 * offset * 1.1e-16 standard deviations, and PyTorch's group norm, which computes x * a + (bias - mean * a), rounds
 * twice more at that size. So some 1e-16 * offset of every xhat is nobody's fault: 1e-11 at offset 1e5.
 */
const tolerance = ({ offset }: GoldenCase): number => 1e-12 + 4e-16 * offset;

/** x, or the rounded sum that the norm of a residual layer starts from. */
function normInput({ inputs, dtype, op }: GoldenCase): ArrayLike<number> {
  const x = decode(inputs.x);
  const residual = op.startsWith('add') ? decode(inputs.residual) : undefined;
  if (!residual) return x;
  const sum = Float64Array.from(x, (value, i) => value + (residual[i] as number));
  return dtype === 'f16' ? roundAllToHalf(sum) : Float32Array.from(sum);
}

describe('golden running statistics', () => {
  for (const golden of [...read('batch-norm').cases, ...read('instance-norm-running').cases]) {
    const { running, shape, layout = 'channels-first' } = golden;
    if (!running) continue;
    it(`${golden.op}: ${golden.name}`, () => {
      const batches = decode(running.batches);
      const length = batches.length / 5;
      const reference = new RunningReference(goldenGeometry(golden).channels, golden.op === 'instanceNorm');
      for (let step = 0; step < 5; step++) {
        const batch = batches.subarray(step * length, (step + 1) * length);
        reference.update(batch, shape, layout, running.momentum);
        if (step !== 0 && step !== 4) continue;
        for (const name of ['mean', 'variance'] as const) {
          const expected = runningAfter(golden, name, step === 0 ? 0 : 1) as Float64Array;
          expect(relativeError(reference[name], expected, reference.scale[name])).toBeLessThan(1e-12);
        }
      }
    });
  }
});

for (const file of GOLDEN_FILES) {
  describe(`golden ${file}`, () => {
    for (const golden of read(file).cases) {
      it(golden.name, () => {
        const expected = golden.outputs;
        const bound = tolerance(golden);
        const input = normInput(golden);
        const geometry = goldenGeometry(golden);
        const options = goldenOptions(golden);
        if (expected.sum) expect(relativeError(input, decode(expected.sum))).toBe(0);

        const forward = normReference(input, geometry, options);
        expect(relativeError(forward.rstd, decode(expected.rstd))).toBeLessThan(bound);
        if (expected.mean) {
          // Around 0 a mean is a cancelled sum: its error is judged by the standard deviation.
          const scale = forward.mean.map((mean, set) => Math.abs(mean) + 1 / (forward.rstd[set] as number));
          expect(relativeError(forward.mean, decode(expected.mean), scale)).toBeLessThan(1e-12);
        }
        if (golden.casting === 'llama') {
          const xhat = roundAllToHalf(normReference(input, geometry, { ...options, weight: null }).y);
          const { weight } = options;
          const y = xhat.map((value, i) => value * (weight?.[i % geometry.channels] ?? 1));
          expect(relativeError(y, decode(expected.y))).toBeLessThan(bound);
        } else {
          expect(relativeError(forward.y, decode(expected.y))).toBeLessThan(bound);
        }

        if (!expected.dx) return;
        const { inputs } = golden;
        const backward = normBackwardReference(
          decode(inputs.dy),
          input,
          geometry,
          options,
          decode(inputs.dsum) ?? null,
        );
        // In a set of one element xhat, and with it dweight, is 0 here and 1e-16 there: count xhat as 1.
        const dweightScale = backward.scale.dbias.map(
          (sum, i) => sum + (backward.scale.dweight[i] as number),
        );
        const scales = { ...backward.scale, dweight: dweightScale };
        for (const name of ['dx', 'dweight', 'dbias', 'dresidual'] as const) {
          const answer = decode(expected[name]);
          if (answer) expect(relativeError(backward[name], answer, scales[name]), name).toBeLessThan(bound);
        }
      });
    }
  });
}
