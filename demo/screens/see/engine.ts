// All that runs on the GPU. Tensors are freed as soon as their values are read back.
import {
  batchNorm,
  batchNormBackward,
  type Gpu,
  groupNorm,
  groupNormBackward,
  init,
  instanceNorm,
  instanceNormBackward,
  layerNorm,
  layerNormBackward,
  localResponseNorm,
  localResponseNormBackward,
  rmsNorm,
  rmsNormBackward,
  type Tensor,
} from '../../../src/index.ts';
import { gradientOf } from './loss.ts';
import type { State } from './state.ts';
import { channels, elementCount, responseSettings, type Task } from './task.ts';

export type Values = Float32Array<ArrayBuffer>;

export interface Outcome {
  y: Values;
  /** LocalResponseNorm has none. */
  rstd: Values | undefined;
  dy: Values;
  dx: Values;
}

export interface Timing {
  /** Milliseconds for one pass: the median of the rounds. */
  forward: number;
  backward: number;
}

interface Parameters {
  weight: Tensor;
  bias: Tensor;
}

interface Forward {
  y: Tensor;
  /** RMSNorm and LocalResponseNorm have none. */
  mean: Tensor | undefined;
  /** LocalResponseNorm has none. */
  rstd: Tensor | undefined;
}

interface Backward {
  dx: Tensor;
  dweight: Tensor;
  dbias: Tensor;
}

type Held = Tensor | Parameters | Forward | Backward;

function free(...held: Held[]): void {
  for (const one of held) {
    if ('destroy' in one) one.destroy();
    else for (const tensor of Object.values(one)) tensor?.destroy();
  }
}

function parameters(gpu: Gpu, task: Task, state: State): Parameters {
  const shape = task.norm === 'layer' || task.norm === 'rms' ? task.normalizedShape : [channels];
  const size = shape.reduce((product, length) => product * length, 1);
  return {
    weight: gpu.tensor(new Float32Array(size).fill(state.weight), shape),
    bias: gpu.tensor(new Float32Array(size).fill(state.bias), shape),
  };
}

/** Runs at once, or is recorded into the encoder with `out` to write to. */
function forward(
  gpu: Gpu,
  x: Tensor,
  { weight, bias }: Parameters,
  task: Task,
  state: State,
  record?: { encoder: GPUCommandEncoder; out: Forward },
): Forward {
  const { layout, normalizedShape, groups: numGroups } = task;
  const { y, rstd } = record?.out ?? {};
  const mean = record?.out.mean;
  const encoder = record ? { encoder: record.encoder } : {};
  const out = y && rstd ? { out: { y, rstd, ...(mean && { mean }) } } : {};
  const common = { weight, bias, eps: state.eps, ...encoder, ...out };
  switch (task.norm) {
    case 'layer':
      return layerNorm(gpu, x, { ...common, normalizedShape });
    case 'rms': {
      const { bias: _, ...withoutBias } = common;
      const result = rmsNorm(gpu, x, { ...withoutBias, normalizedShape });
      return { ...result, mean: undefined };
    }
    case 'group':
      return groupNorm(gpu, x, { ...common, numGroups, layout });
    case 'instance':
      return instanceNorm(gpu, x, { ...common, layout });
    case 'batch':
      return batchNorm(gpu, x, { ...common, layout, training: true });
    case 'response': {
      const settings = { ...responseSettings(state), layout, ...encoder };
      const given = y ? { out: { y } } : {};
      const result = localResponseNorm(gpu, x, { ...settings, ...given });
      return { ...result, mean: undefined, rstd: undefined };
    }
  }
}

/** Runs at once for dx alone, or is recorded into the encoder with all gradients. */
function backward(
  gpu: Gpu,
  dy: Tensor,
  x: Tensor,
  { weight }: Parameters,
  saved: Forward,
  task: Task,
  state: State,
  record?: { encoder: GPUCommandEncoder; out: Backward },
): Tensor {
  const { layout, normalizedShape, groups: numGroups } = task;
  if (task.norm === 'response') {
    const settings = { ...responseSettings(state), layout };
    const given = record && { encoder: record.encoder, out: { dx: record.out.dx } };
    return localResponseNormBackward(gpu, dy, x, { ...settings, ...given }).dx;
  }
  const [mean, rstd] = [saved.mean as Tensor, saved.rstd as Tensor];
  const target = record
    ? {
        encoder: record.encoder,
        out: task.kind === 'rms' ? { dx: record.out.dx, dweight: record.out.dweight } : record.out,
      }
    : { wants: { dweight: false, dbias: false } };
  switch (task.norm) {
    case 'layer':
      return layerNormBackward(gpu, dy, x, { weight, mean, rstd, normalizedShape, ...target }).dx;
    case 'rms':
      return rmsNormBackward(gpu, dy, x, { weight, rstd, normalizedShape, ...target }).dx;
    case 'group':
      return groupNormBackward(gpu, dy, x, { weight, mean, rstd, numGroups, layout, ...target }).dx;
    case 'instance':
      return instanceNormBackward(gpu, dy, x, { weight, mean, rstd, layout, ...target }).dx;
    case 'batch': {
      const training = true;
      return batchNormBackward(gpu, dy, x, { weight, mean, rstd, layout, training, ...target }).dx;
    }
  }
}

const rounds = 7;
/** A round takes at least this long, so that what a submission costs is shared by many passes. */
const roundMilliseconds = 25;
const longestRound = 200;

export class Engine {
  readonly gpu: Gpu;

  private constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  static async start(): Promise<Engine> {
    return new Engine(await init());
  }

  /** Forward, the loss's gradient, backward. */
  async run(x: Values, task: Task, state: State): Promise<Outcome> {
    const { gpu } = this;
    // scope() keeps what it returns, and frees all if anything throws.
    const { input, given, saved } = gpu.scope(() => {
      const input = gpu.tensor(x, task.shape);
      const given = parameters(gpu, task, state);
      return { input, given, saved: forward(gpu, input, given, task, state) };
    });
    try {
      const [y, rstd] = await Promise.all([saved.y.data(), saved.rstd?.data()]);
      const dy = gradientOf(state.loss, y, task);
      const gradient = gpu.scope(() =>
        backward(gpu, gpu.tensor(dy, task.shape), input, given, saved, task, state),
      );
      try {
        return { y, rstd, dy, dx: await gradient.data() };
      } finally {
        gradient.destroy();
      }
    } finally {
      free(input, given, saved);
    }
  }

  /** Times forward, and backward with all its gradients. */
  async measure(x: Values, task: Task, state: State): Promise<Timing> {
    const { gpu } = this;
    const { input, dy, given, saved, gradients } = gpu.scope(() => {
      const input = gpu.tensor(x, task.shape);
      const dy = gpu.tensor(x, task.shape);
      const given = parameters(gpu, task, state);
      const saved = forward(gpu, input, given, task, state);
      const gradients: Backward = {
        dx: gpu.empty(task.shape),
        dweight: gpu.empty(given.weight.shape),
        dbias: gpu.empty(given.bias.shape),
      };
      return { input, dy, given, saved, gradients };
    });
    try {
      return {
        forward: await this.#time((encoder) => {
          forward(gpu, input, given, task, state, { encoder, out: saved });
        }),
        backward: await this.#time((encoder) => {
          backward(gpu, dy, input, given, saved, task, state, { encoder, out: gradients });
        }),
      };
    } finally {
      free(input, dy, given, saved, gradients);
    }
  }

  /**
   * The median of rounds. Each submits many passes at once and waits for queue.onSubmittedWorkDone(); its time is
   * divided by their number.
   */
  async #time(record: (encoder: GPUCommandEncoder) => void): Promise<number> {
    const round = async (passes: number): Promise<number> => {
      const encoder = this.gpu.device.createCommandEncoder({ label: 'timing' });
      for (let pass = 0; pass < passes; pass++) record(encoder);
      const commands = encoder.finish();
      const start = performance.now();
      this.gpu.device.queue.submit([commands]);
      await this.gpu.idle();
      return performance.now() - start;
    };
    await round(1); // compiles
    let passes = 1;
    let took = await round(passes);
    while (took < roundMilliseconds && passes < longestRound) {
      passes = Math.min(longestRound, passes * Math.max(2, Math.ceil(roundMilliseconds / Math.max(took, 1))));
      took = await round(passes);
    }
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) times.push((await round(passes)) / passes);
    return times.sort((a, b) => a - b)[rounds >> 1] as number;
  }

  destroy(): void {
    this.gpu.destroy();
  }
}

/**
 * GB/s by the ideal traffic: forward reads x and writes y, backward reads x and dy and writes dx. What spans a batch does
 * not fit on chip: BatchNorm reads all of it twice.
 */
export function bandwidth(task: Task, { forward, backward }: Timing): Timing {
  const bytes = 4 * elementCount(task);
  const [there, back] = task.norm === 'batch' ? [3, 5] : [2, 3];
  return { forward: (there * bytes) / forward / 1e6, backward: (back * bytes) / backward / 1e6 };
}
