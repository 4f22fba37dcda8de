// The race itself: every network gets the same batches, step by step.

import { type Gpu, NormError, type Tensor } from '../../../src/index.ts';
import { SGD, type SGDSettings } from '../../../src/optim/index.ts';
import { type DigitSet, drawDigits, pixels } from '../../network/digits.ts';
import { batchesOf, type LabelledBatch, Trainer } from '../../network/trainer.ts';
import { edgesOf, shares } from '../../shared/bins.ts';
import { short } from '../../shared/format.ts';
import type { Convergence, LayerHistogram, Standing } from './messages.ts';
import { hidden, type Network, networkOf } from './network.ts';
import { type Kind, kindNames, type Settings } from './settings.ts';

/** Digits to judge by; the first of them are those whose activations are drawn. */
export const testCount = 256;
export const testSeed = 2;
const probeCount = 128;
const mostDigits = 2048;
const mostBatches = 256;
const bins = 60;

let drawn: { training: DigitSet; test: DigitSet } | undefined;

interface Runner extends Network {
  kind: Kind;
  trainer: Trainer<SGDSettings>;
  stopped: string | undefined;
}

export class Race {
  step = 0;
  readonly #gpu: Gpu;
  readonly #runners: Runner[];
  readonly #training: LabelledBatch[];
  readonly #test: LabelledBatch[];
  readonly #probe: Tensor;

  constructor(gpu: Gpu, settings: Settings) {
    this.#gpu = gpu;
    drawn ??= { training: drawDigits(mostDigits, 1), test: drawDigits(testCount, testSeed) };
    const { training, test } = drawn;
    const count = Math.min(mostDigits, mostBatches * settings.batch);
    this.#training = batchesOf(
      gpu,
      { pixels: training.pixels.subarray(0, count * pixels), labels: training.labels.subarray(0, count) },
      settings.batch,
    );
    this.#test = batchesOf(gpu, test, testCount);
    this.#probe = gpu.tensor(test.pixels.subarray(0, probeCount * pixels), [probeCount, pixels]);
    this.#runners = settings.norms.map((kind) => {
      const network = networkOf(gpu, kind, settings);
      const optimizer = new SGD(network.model.parameters(), { lr: settings.rate });
      return { kind, ...network, trainer: new Trainer(network.model, optimizer), stopped: undefined };
    });
  }

  /** One step of every network that still runs. */
  advance({ rate }: Settings): void {
    const batch = this.#training[this.step % this.#training.length] as LabelledBatch;
    for (const runner of this.#runners) {
      if (runner.stopped) continue;
      for (const group of runner.trainer.optimizer.paramGroups) group.lr = rate;
      for (const norm of runner.batchNorms) norm.trackRunningStats = true;
      try {
        runner.trainer.step(batch);
      } catch (error) {
        if (!(error instanceof NormError) || error.code !== 'shape') throw error;
        runner.stopped = error.message;
      }
    }
    this.step += 1;
  }

  async standings({ statistics }: Settings): Promise<Standing[]> {
    const scores = this.#runners.map(({ model, batchNorms, trainer }) => {
      this.#judgeWith(statistics, { model, batchNorms });
      return trainer.evaluate(this.#test, 'as-is');
    });
    const found = await Promise.all(scores);
    return this.#runners.map(({ kind, stopped }, i) => {
      const { loss, accuracy } = found[i] as (typeof found)[number];
      return { kind, loss, accuracy, stopped };
    });
  }

  /** What goes into the activations of the network without a norm and of another one, on one axis. */
  async histograms({ beside, statistics }: Settings): Promise<LayerHistogram[]> {
    const [none, other] = await Promise.all([
      this.#activations('none', statistics),
      this.#activations(beside, statistics),
    ]);
    return Array.from({ length: (none ?? other)?.length ?? 0 }, (_, layer) => {
      const values = [none?.[layer], other?.[layer]];
      const high = Math.max(...values.map((some) => (some ? reach(some) : 0)));
      const axis = { low: -high, high, count: bins };
      const [first, second] = values.map((some) => some && shares(some, axis));
      return {
        edges: edgesOf(axis),
        none: first,
        beside: second,
        text: [
          values[0] && `${kindNames.none}: ${spread(values[0])}.`,
          values[1] && `${kindNames[beside]}: ${spread(values[1])}.`,
        ]
          .filter(Boolean)
          .join(' '),
      };
    });
  }

  async convergence(): Promise<Convergence | undefined> {
    const runner = this.#runners.find(({ kind }) => kind === 'batch');
    const norm = runner?.batchNorms[0];
    if (!runner || !norm) return undefined;
    const values = (await this.#outputs(runner, [runner.first], 'running'))[0] as Float32Array;
    const [mean, variance] = await Promise.all([norm.runningMean?.data(), norm.runningVar?.data()]);
    const channel = Float32Array.from({ length: probeCount }, (_, n) => values[n * hidden] as number);
    const now = moments(channel);
    return {
      mean: mean?.[0] ?? 0,
      variance: variance?.[0] ?? 0,
      nowMean: now.mean,
      nowVariance: (now.variance * probeCount) / (probeCount - 1), // unbiased, as the running one
    };
  }

  destroy(): void {
    for (const { trainer, model } of this.#runners) {
      trainer.destroy();
      trainer.optimizer.destroy();
      model.destroy();
    }
    for (const { x, labels } of [...this.#training, ...this.#test]) {
      x.destroy();
      labels.destroy();
    }
    this.#probe.destroy();
  }

  #judgeWith(
    statistics: Settings['statistics'],
    { model, batchNorms }: Pick<Runner, 'model' | 'batchNorms'>,
  ): void {
    if (statistics === 'running') model.eval();
    else model.train();
    // To be judged is not to learn.
    for (const norm of batchNorms) norm.trackRunningStats = false;
  }

  async #activations(wanted: Kind, statistics: Settings['statistics']): Promise<Float32Array[] | undefined> {
    const runner = this.#runners.find(({ kind }) => kind === wanted);
    return runner && this.#outputs(runner, runner.taps, statistics);
  }

  /** What some modules of a network give for the digits that are looked at. */
  async #outputs(
    runner: Runner,
    modules: Runner['taps'],
    statistics: Settings['statistics'],
  ): Promise<Float32Array[]> {
    this.#judgeWith(statistics, runner);
    const reading: Promise<Float32Array>[] = [];
    const handles = modules.map((module, i) =>
      module.registerForwardHook((_module, _input, output) => {
        reading[i] = output.data();
        return undefined;
      }),
    );
    this.#gpu.scope(() => {
      runner.model.forward(this.#probe);
    });
    for (const handle of handles) handle.remove();
    return Promise.all(reading);
  }
}

function moments(values: Float32Array): { mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, variance };
}

/** Half of the axis that shows nearly all values; powers of two, so that it seldom moves. */
function reach(values: Float32Array): number {
  const { mean, variance } = moments(values);
  const most = Math.abs(mean) + 3 * Math.sqrt(variance);
  return most > 0 && Number.isFinite(most) ? 2 ** Math.ceil(Math.log2(most)) : 1;
}

function spread(values: Float32Array): string {
  const { mean, variance } = moments(values);
  return `${short(mean)} ± ${short(Math.sqrt(variance))}`;
}
