/** PyTorch's float64 answers (test/golden, written by scripts/golden.py), from the very inputs in the files. */
import {
  BatchNorm1d,
  BatchNorm2d,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  type Layout,
  type Tensor,
} from '../../src/index.ts';
import { assert } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import { relativeError, roundAllToHalf } from '../reference/index.ts';
import { decode, GOLDEN_FILES, type GoldenCase, type GoldenFile, runningAfter } from '../support/golden.ts';
import { RunningReference } from '../support/running.ts';
import {
  type Arrays,
  type Results,
  referenceOf,
  run,
  type Subject,
  summary,
  verifyAll,
} from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

const f32Of = (golden: GoldenCase, name: keyof GoldenCase['inputs']): Float32Array | undefined => {
  const tensor = golden.inputs[name];
  return tensor && Float32Array.from(decode(tensor));
};

function subjectOf(golden: GoldenCase): Subject {
  const { op, shape, normalizedShape, groups, layout, eps, casting, weightOffset, dtype, paramDtype } =
    golden;
  return {
    op,
    // RMSNorm refuses a single dimension, as PyTorch does today; the PyTorch of the files did not have it.
    shape: golden.unbatched || shape.length === 1 ? [1, ...shape] : shape,
    ...(normalizedShape ? { trailing: normalizedShape.length } : {}),
    ...(groups ? { groups } : {}),
    ...(layout ? { layout } : {}),
    ...(casting ? { cast: casting } : weightOffset === 1 ? { cast: 'gemma' } : {}),
    eps,
    dtype,
    paramDtype,
    affine: golden.affine.includes('bias'),
    evaluation: golden.frozen !== undefined,
    ...(golden.activation ? { activation: golden.activation } : {}),
    ...(golden.negativeSlope === undefined ? {} : { negativeSlope: golden.negativeSlope }),
    ...(golden.residual ? { residual: true } : {}),
  };
}

function arraysOf(golden: GoldenCase): Arrays {
  return {
    x: f32Of(golden, 'x') as Float32Array,
    dy: f32Of(golden, 'dy') as Float32Array,
    residual: f32Of(golden, 'residual'),
    dsum: f32Of(golden, 'dsum'),
    weight: f32Of(golden, 'weight'),
    bias: f32Of(golden, 'bias'),
    running: golden.frozen && {
      mean: Float32Array.from(golden.frozen.mean),
      variance: Float32Array.from(golden.frozen.variance),
    },
  };
}

/** An unbatched InstanceNorm is a matter of the modules. */
async function runModule(t: Context, golden: GoldenCase, arrays: Arrays): Promise<Partial<Results>> {
  const { shape, eps, layout = 'channels-first' } = golden;
  const spatial = shape.length - 1;
  const Module = [InstanceNorm1d, InstanceNorm2d, InstanceNorm3d][spatial - 1] as typeof InstanceNorm1d;
  const channels = shape[layout === 'channels-first' ? 0 : shape.length - 1] as number;
  const module = new Module(t.gpu, channels, { eps, affine: golden.affine.length > 0, layout });
  if (arrays.weight) module.weight?.data.write(arrays.weight);
  if (arrays.bias) module.bias?.data.write(arrays.bias);
  const x = t.gpu.tensor(arrays.x, shape);
  const y = module.forward(x);
  const dx = module.backward(t.gpu.tensor(arrays.dy, shape));
  const read = (tensor: Tensor | null | undefined) => tensor?.data();
  const [yData, dxData, dweight, dbias] = await Promise.all([
    y.data(),
    dx.data(),
    read(module.weight?.grad),
    read(module.bias?.grad),
  ]);
  module.destroy();
  return { y: yData, dx: dxData, ...(dweight ? { dweight } : {}), ...(dbias ? { dbias } : {}) };
}

/** Running statistics after one batch and after five. Returns the largest error. */
async function checkRunning(t: Context, golden: GoldenCase): Promise<number> {
  const { running, shape, layout = 'channels-first', dtype } = golden;
  if (!running) return 0;
  const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] as number;
  const perInstance = golden.op === 'instanceNorm';
  const Module = perInstance
    ? ([InstanceNorm1d, InstanceNorm2d, InstanceNorm3d][shape.length - 3] as typeof InstanceNorm1d)
    : shape.length === 4
      ? BatchNorm2d
      : BatchNorm1d;
  const options = { momentum: running.momentum, layout, trackRunningStats: true };
  const module = new Module(t.gpu, channels, options);
  const batches = Float32Array.from(decode(running.batches));
  const length = batches.length / 5;
  const reference = new RunningReference(channels, perInstance);
  let worst = 0;
  for (let step = 0; step < 5; step++) {
    const batch = batches.subarray(step * length, (step + 1) * length);
    const x = t.gpu.tensor(batch, shape, { dtype });
    module.forward(x).destroy();
    x.destroy();
    reference.update(batch, shape, layout, running.momentum);
    if (step !== 0 && step !== 4) continue;
    for (const name of ['mean', 'variance'] as const) {
      const tensor = (name === 'mean' ? module.runningMean : module.runningVar) as Tensor;
      const expected = runningAfter(golden, name, step === 0 ? 0 : 1) as Float64Array;
      const error = relativeError(await tensor.data(), expected, reference.scale[name]);
      worst = Math.max(worst, error);
      assert(
        error <= bounds.forward,
        `${golden.name}: running ${name} after ${step + 1}: ${error.toExponential(2)}`,
      );
    }
  }
  module.destroy();
  return worst;
}

async function check(t: Context, golden: GoldenCase): Promise<number> {
  const subject = subjectOf(golden);
  const arrays = arraysOf(golden);
  const results = golden.unbatched ? await runModule(t, golden, arrays) : await run(t.gpu, subject, arrays);
  const { scale } = referenceOf(subject, arrays).backward;
  const half = golden.dtype === 'f16';
  const outlier = golden.data === 'outlier';
  let yError = 0;
  for (const output of ['y', 'rstd', 'dx', 'dweight', 'dbias', 'dresidual', 'sum'] as const) {
    const tensor = golden.outputs[output];
    const actual = results[output];
    // Modules keep their statistics to themselves.
    if (!tensor || (golden.unbatched && output === 'rstd')) continue;
    assert(actual, `${golden.name}: no ${output}`);
    const expected = Float64Array.from(decode(tensor));
    const backward = output !== 'y' && output !== 'rstd' && output !== 'sum';
    const against = backward ? scale[output] : expected;
    const stored =
      output === 'dweight' || output === 'dbias'
        ? golden.paramDtype
        : output === 'rstd'
          ? 'f32'
          : golden.dtype;
    let bound: number = outlier ? bounds.outlier : backward ? bounds.backward : bounds.forward;
    if (half && stored === 'f16') {
      bound =
        bounds.halfFactor * relativeError(roundAllToHalf(expected), expected, against) + bounds.halfSlack;
      // llama rounds x̂ to f16 first: where f32 arithmetic lands on the other side of a tie, y is off by a last bit.
      if (golden.casting === 'llama') bound = bounds.halfFactor * bound;
    }
    // Rows of one element: every term of dweight is zero, and PyTorch's float64 answer is the rounding of zero.
    const nothing = against.every((term) => term === 0);
    const error = nothing ? Math.max(...actual.map(Math.abs)) : relativeError(actual, expected, against);
    if (output === 'y') yError = error;
    assert(error <= bound, `${golden.name}: ${output} ${error.toExponential(2)} > ${bound.toExponential(2)}`);
  }
  return yError;
}

const files: Case[] = GOLDEN_FILES.flatMap((file) =>
  (['f32', 'f16'] as const).map(
    (dtype): Case => ({
      name: `golden: ${file} ${dtype}`,
      async run(t) {
        const golden = (await t.readJson(`golden/${file}.json`)) as GoldenFile | null;
        assert(golden, `test/golden/${file}.json is missing`);
        const chosen = golden.cases.filter((one) => one.dtype === dtype);
        let ours = 0;
        let theirs = 0;
        let running = 0;
        for (const one of chosen) {
          ours = Math.max(ours, await check(t, one));
          running = Math.max(running, await checkRunning(t, one));
          theirs = Math.max(theirs, one.torchF32Error?.y ?? 0);
        }
        if (running > 0) t.note(`${file}: largest error of running statistics`, running.toExponential(1));
        if (dtype === 'f32') {
          t.note(
            `${file}: largest error of y over ${chosen.length} cases`,
            `${ours.toExponential(1)}; PyTorch ${golden.torch} in f32: ${theirs.toExponential(1)}`,
          );
        }
      },
    }),
  ),
);

interface TorchErrors {
  torch: string;
  errors: {
    op: Subject['op'];
    layout?: Layout;
    groups?: number;
    offset: number;
    shapes: number[][];
    y: { median: number; max: number };
    dx: { median: number; max: number };
  }[];
}

/** Largest |x|, where what PyTorch's f32 does is no yardstick: its squares are infinite or zero. */
const magnitudes = [1e19, 1e30, 3e38, 1e-30];

/** The same shapes and offsets that scripts/golden.py measured PyTorch's f32 error at: the table of the README. */
const besidePyTorch: Case = {
  name: "golden: beside PyTorch's f32 error",
  timeout: 120_000,
  async run(t) {
    const file = (await t.readJson('golden/pytorch-error.json')) as TorchErrors | null;
    assert(file, 'test/golden/pytorch-error.json is missing');
    for (const { op, layout, groups, offset, shapes, ...torch } of file.errors) {
      const subjects = shapes.map((shape) => ({
        op,
        shape,
        ...(layout ? { layout } : {}),
        ...(groups ? { groups } : {}),
        data: { offset },
      }));
      const { y = 1, dx = 1 } = await verifyAll(t.gpu, subjects);
      const show = (value: number) => value.toExponential(1);
      t.note(
        `${op}${layout ? ` ${layout}` : ''}, |mean|/std ${offset}`,
        `y ${show(y)}, dx ${show(dx)}; PyTorch ${file.torch}: y ${show(torch.y.median)}, dx ${show(torch.dx.median)}`,
      );
      // Where there is no offset, both are a few roundings; where there is one, PyTorch's error grows with it.
      const ours = op === 'rmsNorm' || op === 'addRmsNorm' || offset < 100 ? 3 : 1 / 5;
      assert(y <= ours * torch.y.median, `${op} at offset ${offset}: y ${y}, PyTorch ${torch.y.median}`);
      if (offset !== 0) continue;
      for (const magnitude of magnitudes) {
        // An eps that is no part of the answer: 0, or for BatchNorm, which takes none, the least number of f32.
        const eps = magnitude < 1 ? { eps: op === 'batchNorm' ? 2 ** -149 : 0 } : {};
        const list = subjects.map((subject) => ({ ...subject, ...eps, data: { magnitude } }));
        const worst = await verifyAll(t.gpu, list);
        t.note(`${op}${layout ? ` ${layout}` : ''}, |x| up to ${magnitude}`, summary(worst));
      }
    }
  },
};

export const cases: Case[] = [...files, besidePyTorch];
