// Random calls, the same ones on every machine: shapes as networks have them and shapes as nobody expects them. Nothing of them is
// ever allocated, so that they may be as large as a GPU's memory.
import type { Activation } from '../../src/index.ts';
import type { DescribedOp, DescribeOptions } from '../../src/kernels.ts';
import { describedOps } from '../../src/ops/describe.ts';
import { random } from '../../test/support/data.ts';
import type { Case } from './corpus.ts';

const activations: readonly Activation[] = [
  'none',
  'none',
  'none',
  'relu',
  'leakyRelu',
  'relu6',
  'silu',
  'gelu',
  'hardswish',
];
const passes = ['forward', 'backward'] as const;
const channelOps: readonly DescribedOp[] = ['groupNorm', 'instanceNorm', 'batchNorm', 'localResponseNorm'];

/** Elements of the largest tensor: 1 GiB of f32. */
const most = 2 ** 28;

class Draw {
  readonly #next: () => number;
  constructor(seed: number) {
    this.#next = random(seed);
    this.#next();
  }
  chance(share: number): boolean {
    return this.#next() < share;
  }
  of<const T>(list: readonly T[]): T {
    return list[Math.floor(this.#next() * list.length)] as T;
  }
  /** An integer whose logarithm is uniform; half of the time one that a network would have, a multiple of a power of two. */
  size(low: number, high: number): number {
    const value = low * (high / low) ** this.#next();
    const round = this.chance(0.5) ? 2 ** Math.floor(Math.log2(value) / 2) : 1;
    return Math.max(1, Math.round(value / round) * round);
  }
}

/** `count` calls of every op in every pass. The first ones are the same whatever the count is. */
export function randomCases(f16: boolean, count: number): Case[] {
  return describedOps.flatMap((op, o) =>
    passes.flatMap((pass, p) =>
      Array.from({ length: count }, (_, index) => {
        const options = randomOptions(
          new Draw(Math.imul(o * 2 + p + 1, 0x85ebca6b) ^ Math.imul(index + 1, 0x9e3779b1)),
          op,
          pass,
          f16,
        );
        return { name: `${op} ${pass} random ${index} [${[...(options.shape as number[])]}]`, op, options };
      }),
    ),
  );
}

function randomOptions(
  draw: Draw,
  op: DescribedOp,
  pass: 'forward' | 'backward',
  f16: boolean,
): DescribeOptions {
  // Drawn in any case, so that devices without f16 have the same shapes.
  const half = draw.chance(0.5) && f16;
  const f32Parameters = draw.chance(0.5);
  const dtype = half ? 'f16' : 'f32';
  const common: DescribeOptions = { shape: [], pass, dtype };
  if (op !== 'localResponseNorm') {
    common.paramDtype = f32Parameters ? 'f32' : dtype;
    if (draw.chance(0.1)) common.weight = false;
    if (pass === 'backward' && draw.chance(0.2)) common.accumulate = true;
  }
  return channelOps.includes(op) ? channelOptions(draw, op, common) : rowOptions(draw, op, common);
}

function rowOptions(draw: Draw, op: DescribedOp, common: DescribeOptions): DescribeOptions {
  const length = draw.size(8, 2 ** 18);
  const options: DescribeOptions = {
    ...common,
    shape: [draw.size(1, Math.min(2 ** 18, most / length)), length],
  };
  if (draw.chance(0.25)) {
    options.axes = [1];
    const kept = draw.size(2, 2 ** 14);
    options.shape = [draw.size(1, 64), draw.size(2, Math.max(3, Math.min(4096, most / kept / 64))), kept];
  }
  if (op === 'rmsNorm' || op === 'addRmsNorm') options.cast = draw.of(['torch', 'llama', 'gemma']);
  else if (op === 'l2Norm') options.epsMode = draw.of(['max', 'add']);
  else if (draw.chance(0.1)) options.bias = false;
  if (op === 'dynamicTanh') return { ...options, axes: undefined };
  if (op === 'layerNorm') epilogue(draw, options);
  if (options.pass === 'backward' && op === 'rmsNorm' && draw.chance(0.3)) options.dsum = true;
  if (options.pass === 'forward' && draw.chance(0.3)) options.statistics = false;
  return options;
}

function channelOptions(draw: Draw, op: DescribedOp, common: DescribeOptions): DescribeOptions {
  const layout = draw.of(['channels-first', 'channels-last'] as const);
  const numGroups = op === 'groupNorm' ? draw.of([1, 2, 4, 8, 32]) : 1;
  const channels = numGroups * draw.size(op === 'groupNorm' ? 2 : 3, 2048 / numGroups);
  const spatial = Array.from({ length: draw.of([0, 1, 2, 2, 2, 3]) }, () => draw.size(2, 256));
  if ((op === 'instanceNorm' || op === 'localResponseNorm') && spatial.length === 0)
    spatial.push(draw.size(2, 65_536));
  const rest = spatial.reduce((product, size) => product * size, channels);
  const samples = draw.size(1, Math.max(2, Math.min(512, most / rest)));
  const shape =
    layout === 'channels-first' ? [samples, channels, ...spatial] : [samples, ...spatial, channels];
  const options: DescribeOptions = { ...common, shape, layout };
  if (op === 'localResponseNorm') return { ...options, size: draw.of([3, 5, 7, 9]) };
  if (op === 'groupNorm') options.numGroups = numGroups;
  epilogue(draw, options);
  if (op === 'groupNorm') return options;
  options.training = draw.chance(0.7);
  if (options.pass === 'forward' && (op === 'batchNorm' || !options.training)) {
    options.runningMean = true;
    options.runningVar = true;
    if (op === 'batchNorm' && options.training && draw.chance(0.5)) options.numBatchesTracked = true;
  }
  return options;
}

function epilogue(draw: Draw, options: DescribeOptions): void {
  options.activation = draw.of(activations);
  if (draw.chance(0.2)) options.residual = true;
}
