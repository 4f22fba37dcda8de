/**
 * The network kit of the demo page (demo/network), and with it the claim of the BatchNorm paper (Ioffe and Szegedy 2015,
 * arXiv 1502.03167, §4.1): with BatchNorm a network of sigmoids trains in a fraction of the steps.
 */
import { ReLU, Sigmoid } from '../../demo/network/activation.ts';
import { CrossEntropyLoss } from '../../demo/network/cross-entropy.ts';
import { classes, drawDigits, pixels } from '../../demo/network/digits.ts';
import { Linear } from '../../demo/network/linear.ts';
import { batchesOf, type LabelledBatch, Trainer } from '../../demo/network/trainer.ts';
import { BatchNorm1d, type Gpu, type Module, Sequential, type Tensor } from '../../src/index.ts';
import { SGD } from '../../src/optim/index.ts';
import { assert, assertClose, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { bounds } from '../support/tolerances.ts';

/** c[i, j] = Σ a(i, k)·b(k, j), in float64, and the same of absolute values. */
function product(
  [rows, cols, depth]: [number, number, number],
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
): { sum: Float64Array; scale: Float64Array } {
  const [sum, scale] = [new Float64Array(rows * cols), new Float64Array(rows * cols)];
  for (let i = 0; i < rows * cols; i++) {
    for (let k = 0; k < depth; k++) {
      const term = a(Math.floor(i / cols), k) * b(k, i % cols);
      sum[i] = (sum[i] as number) + term;
      scale[i] = (scale[i] as number) + Math.abs(term);
    }
  }
  return { sum, scale };
}

async function near(tensor: Tensor | null | undefined, sum: Float64Array, scale: Float64Array, what: string) {
  assert(tensor, `there is no ${what}`);
  const error = relativeError(await tensor.data(), sum, scale);
  assert(error <= bounds.backward, `${what}: error ${error.toExponential(2)}`);
}

// ------------------------------------------------------------------------------------------------ the paper's claim

const batchSize = 60;
const hidden = 100;
/**
 * Steps of the network without BatchNorm; a third of them is what the one with it may take. In so many steps the plain
 * network is still in the first part of its learning, as in the paper's figure. Nearer to its end the lead shrinks: at
 * learning rates of 1 and 2 over 1,500 steps BatchNorm took 0.4 to 0.9 of the steps (tried with PyTorch).
 */
const run = 900;
const every = 50;

/** Three layers of sigmoids and an output, as in the paper: weights are small and normally distributed, biases zero. */
function networkOf(gpu: Gpu, withNorm: boolean): Sequential {
  const layers: Module[] = [];
  let width = pixels;
  for (let i = 0; i < 3; i++) {
    // BatchNorm has a bias of its own; it goes before the sigmoid.
    layers.push(new Linear(gpu, width, hidden, { bias: !withNorm, std: 0.1, seed: i + 1 }));
    if (withNorm) layers.push(new BatchNorm1d(gpu, hidden));
    layers.push(new Sigmoid(gpu));
    width = hidden;
  }
  return new Sequential(gpu, ...layers, new Linear(gpu, hidden, classes, { std: 0.1, seed: 4 }));
}

/** Trains until `until` says so of an accuracy, or for `steps`. Returns the accuracy after each of some steps. */
async function train(
  trainer: Trainer<object>,
  steps: number,
  training: readonly LabelledBatch[],
  test: readonly LabelledBatch[],
): Promise<[step: number, accuracy: number][]> {
  const curve: [number, number][] = [];
  while (trainer.steps < steps) {
    for (let i = 0; i < every; i++) trainer.step(training[trainer.steps % training.length] as LabelledBatch);
    curve.push([trainer.steps, (await trainer.evaluate(test)).accuracy]);
  }
  return curve;
}

const percent = (accuracy: number) => `${(100 * accuracy).toFixed(1)} %`;

export const cases: Case[] = [
  {
    name: 'training: the layers and the loss of the demo against float64',
    async run({ gpu }) {
      for (const [n, width, out] of [
        [6, 7, 5],
        [9, 16, 4],
        [1, 1, 1],
      ] as const) {
        const [x, dy] = [normal(n * width, { seed: 2 }), normal(n * out, { seed: 3 })];
        const linear = new Linear(gpu, width, out, { seed: 5 });
        const bias = normal(out, { seed: 4 });
        linear.bias?.data.write(bias);
        const w = await linear.weight.data.data();
        const at = (values: Float32Array, stride: number) => (i: number, k: number) =>
          values[i * stride + k] as number;
        const by = (values: Float32Array, stride: number) => (i: number, k: number) =>
          values[k * stride + i] as number;
        const tensors = [gpu.tensor(x, [n, width]), gpu.tensor(dy, [n, out])] as const;
        const y = linear.forward(tensors[0]);
        const forward = product([n, out, width], at(x, width), by(w, width));
        const withBias = forward.sum.map((value, i) => value + (bias[i % out] as number));
        const scale = forward.scale.map((value, i) => value + Math.abs(bias[i % out] as number));
        await near(y, withBias, scale, 'y');
        const dx = linear.backward(tensors[1]);
        linear.backward(tensors[1]);
        const input = product([n, width, out], at(dy, out), at(w, width));
        await near(dx, input.sum, input.scale, 'dx');
        const twice = (values: Float64Array) => values.map((value) => 2 * value);
        const weight = product([out, width, n], by(dy, out), at(x, width));
        await near(linear.weight.grad, twice(weight.sum), twice(weight.scale), 'dweight, twice');
        const ones = product([1, out, n], () => 1, at(dy, out));
        await near(linear.bias?.grad, twice(ones.sum), twice(ones.scale), 'dbias, twice');
        assertEqual(linear.outputShape([n, width]), [n, out]);
        linear.destroy();
      }

      const values = Float32Array.of(-200, -3, -0.5, 0, 0.5, 3, 200);
      const x = gpu.tensor(values, [7]);
      const dy = gpu.tensor(new Float32Array(7).fill(2), [7]);
      const [sigmoid, relu] = [new Sigmoid(gpu), new ReLU(gpu)];
      const s = (v: number) => 1 / (1 + Math.exp(-v));
      assertClose(await sigmoid.forward(x).data(), Float64Array.from(values, s), 1e-6);
      const slopes = Float64Array.from(values, (v) => 2 * s(v) * (1 - s(v)));
      assertClose(await sigmoid.backward(dy).data(), slopes, 1e-6);
      assertEqual(await relu.forward(x).data(), Float32Array.of(0, 0, 0, 0, 0.5, 3, 200));
      assertEqual(await relu.backward(dy).data(), Float32Array.of(0, 0, 0, 0, 2, 2, 2));

      const logits = [1, 2, 3, 300, -300, 0, 0, 0.5, 0];
      const labels = [2, 1, 0];
      const loss = new CrossEntropyLoss(gpu);
      const expected = labels.map((label, i) => {
        const row = logits.slice(3 * i, 3 * i + 3);
        const sum = row.reduce((total, value) => total + Math.exp(value - Math.max(...row)), 0);
        const p = row.map((value) => Math.exp(value - Math.max(...row)) / sum);
        const gradient = p.map((value, j) => (value - (j === label ? 1 : 0)) / 3);
        return { gradient, loss: Math.log(sum) - ((row[label] as number) - Math.max(...row)) };
      });
      const given = [gpu.tensor(logits, [3, 3]), gpu.tensor(labels, [3], { dtype: 'u32' })] as const;
      const gradient = loss.forward(...given);
      assertClose(
        await gradient.data(),
        expected.flatMap(({ gradient }) => gradient),
        1e-6,
      );
      loss.forward(...given);
      const score = await loss.score();
      const mean = expected.reduce((total, row) => total + row.loss, 0) / 3;
      assertClose([score.loss], [mean], 1e-6, 'relative');
      assertClose([score.accuracy, score.samples], [1 / 3, 6], 1e-6);
      loss.reset();
      loss.destroy();
    },
  },
  {
    name: 'training: digits are the same for the same seed, and of all classes',
    run() {
      const [a, b, c] = [drawDigits(200, 1), drawDigits(200, 1), drawDigits(200, 2)];
      assertEqual(a.pixels, b.pixels);
      assertEqual(a.labels, b.labels);
      assert(
        a.pixels.some((value, i) => value !== c.pixels[i]),
        'another seed draws others',
      );
      assertEqual(new Set(a.labels).size, classes);
      assert(a.pixels.every(Number.isFinite), 'finite');
    },
  },
  {
    name: 'training: with BatchNorm, sigmoids take at most a third of the steps; running statistics serve',
    timeout: 300_000,
    async run({ gpu, note }) {
      const began = performance.now();
      const training = batchesOf(gpu, drawDigits(6000, 1), batchSize);
      const test = batchesOf(gpu, drawDigits(1000, 2), 500);
      const [plain, normed] = [networkOf(gpu, false), networkOf(gpu, true)];
      const trainers = [plain, normed].map(
        (model) => new Trainer(model, new SGD(model.parameters(), { lr: 1 })),
      );
      const [without, withNorm] = trainers as [Trainer<object>, Trainer<object>];
      note('digits', `${(performance.now() - began).toFixed(0)} ms`);

      const slow = await train(without, run, training, test);
      const [, reached] = slow.at(-1) as [number, number];
      note(
        'without',
        slow
          .filter(([step]) => step % 300 === 0)
          .map(([step, accuracy]) => `${step}: ${percent(accuracy)}`)
          .join(', '),
      );
      const fast = await train(withNorm, run / 3, training, test);
      note(
        'with',
        fast
          .filter(([step]) => step % 100 === 0)
          .map(([step, accuracy]) => `${step}: ${percent(accuracy)}`)
          .join(', '),
      );
      const [needed] = fast.find(([, accuracy]) => accuracy >= reached) ?? [Number.POSITIVE_INFINITY];
      note('steps', `${run} without BatchNorm reach ${percent(reached)}; with it ${needed} do`);
      assert(reached > 0.5, `without BatchNorm it learnt too little to compare with: ${percent(reached)}`);
      assert(needed <= run / 3, `with BatchNorm ${needed} steps were needed`);

      const evaluated = await withNorm.evaluate(test);
      normed.train();
      for (const layer of normed) if (layer instanceof BatchNorm1d) layer.trackRunningStats = false;
      const batch = await withNorm.evaluate(test, 'as-is');
      note(
        'after training',
        `running statistics ${percent(evaluated.accuracy)}, batch statistics ${percent(batch.accuracy)}`,
      );
      assert(Math.abs(evaluated.accuracy - batch.accuracy) <= 0.02, 'running and batch statistics');
      note('took', `${((performance.now() - began) / 1000).toFixed(1)} s`);

      for (const trainer of trainers) trainer.destroy();
      for (const { optimizer } of trainers) optimizer.destroy();
      for (const model of [plain, normed]) model.destroy();
      for (const { x, labels } of [...training, ...test]) {
        x.destroy();
        labels.destroy();
      }
    },
  },
];
