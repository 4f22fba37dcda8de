/** Descriptions: run with nothing but WebGPU and their JSON they have the bits of the functions that they describe. */
import * as library from '../../src/index.ts';
import { type FloatDType, type Gpu, init, rmsNorm, type Tensor } from '../../src/index.ts';
import {
  type DescribedOp,
  type DescribeFacts,
  type DescribeOptions,
  type Description,
  describe,
} from '../../src/kernels.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { type Bytes, RawRunner } from '../support/raw-runner.ts';

interface Subject {
  op: DescribedOp;
  /** Of both passes. */
  options: DescribeOptions;
  forward?: Partial<DescribeOptions>;
  backward?: Partial<DescribeOptions>;
}

/** How the functions call what descriptions call as state dicts do. */
const optionNames: Record<string, string> = {
  running_mean: 'runningMean',
  running_var: 'runningVar',
  num_batches_tracked: 'numBatchesTracked',
};
const tensorOptions = [
  'weight',
  'bias',
  'residual',
  'dsum',
  'runningMean',
  'runningVar',
  'numBatchesTracked',
];

type Callable = (...args: unknown[]) => Record<string, Tensor | null>;
const functionOf = (name: string) => (library as unknown as Record<string, Callable>)[name] as Callable;

/** Numbers for a tensor of a name: variances are positive, and statistics of another tensor are like some. */
function valuesOf(name: string, size: number, seed: number): Float32Array {
  const values = normal(size, { seed, mean: name === 'x' ? 3 : 0 });
  if (name === 'num_batches_tracked') return values.fill(4);
  return name === 'running_var' ? values.map((value) => 0.5 + Math.abs(value)) : values;
}

const productOf = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1);

/** What the function of a pass is called with, beside the tensors that come first. */
function argumentsOf(
  plan: Description,
  options: DescribeOptions,
  tensors: Readonly<Record<string, Tensor>>,
  first: readonly string[],
): Record<string, unknown> {
  const { shape, dtype, paramDtype, pass, ...rest } = options;
  const { op, inputs, outputs } = plan;
  const told = Object.entries(rest).filter(([name]) => !tensorOptions.includes(name));
  const given: Record<string, unknown> = Object.fromEntries(told);
  if (/(layer|rms|l2)Norm$/i.test(op)) given.normalizedShape ??= shape[shape.length - 1];
  const gradients = outputs.filter(({ name }) => name === 'dweight' || name === 'dbias');
  const updated = outputs.filter((one) => one.inPlace && !gradients.includes(one));
  for (const { name } of [...inputs, ...updated]) {
    if (!first.includes(name)) given[optionNames[name] ?? name] = tensors[name];
  }
  if (pass === 'forward' || op === 'localResponseNorm') return given;
  // A description names the statistics only where they are read; the function wants them in any case.
  Object.assign(given, { rstd: tensors.rstd, ...(tensors.mean && { mean: tensors.mean }) });
  given.out = Object.fromEntries(
    gradients.filter(({ inPlace }) => inPlace).map(({ name }) => [name, tensors[name]]),
  );
  // Without an activation bias is not read, but its gradient is wanted all the same.
  if (gradients.length > 0) given.wants = Object.fromEntries(gradients.map(({ name }) => [name, true]));
  return given;
}

/** Runs both passes both ways and compares every output, byte by byte. Returns how many dispatches there were. */
async function compare(
  gpu: Gpu,
  runner: RawRunner,
  facts: DescribeFacts,
  { op, options: both, ...own }: Subject,
): Promise<number> {
  const adds = op.startsWith('add');
  const bytesOf = async (tensor: Tensor): Promise<Bytes> => {
    const [read] = await gpu.readBytes([tensor]);
    return new Uint8Array(read as ArrayBuffer);
  };
  /** Those of forward that backward takes, too, and what it is given beside. */
  let tensors: Record<string, Tensor> = {};
  let dispatches = 0;
  for (const pass of ['forward', 'backward'] as const) {
    const label = `${op} [${Array.from(both.shape)}] ${pass}`;
    const options: DescribeOptions = { ...both, ...own[pass], pass };
    // As another program would have it.
    const text = JSON.stringify(describe(op, options, facts));
    const plan: Description = JSON.parse(text);
    dispatches += plan.dispatches.length;
    const needed = [...plan.inputs, ...plan.outputs.filter(({ inPlace }) => inPlace)];
    for (const [i, { name, shape, dtype }] of needed.entries()) {
      tensors[name] ??= gpu.tensor(valuesOf(name, productOf(shape), 10 + i), shape, { dtype });
    }
    const given: Record<string, Bytes> = {};
    for (const { name } of needed) given[name] = await bytesOf(tensors[name] as Tensor);
    const found = await runner.run(text, given);

    const first = pass === 'forward' ? ['x', ...(adds ? ['residual'] : [])] : ['dy', 'x'];
    const backward = adds ? `${op[3]?.toLowerCase()}${op.slice(4)}Backward` : `${op}Backward`;
    const call = functionOf(pass === 'forward' ? op : backward);
    const result = call(
      gpu,
      ...first.map((name) => tensors[name]),
      argumentsOf(plan, options, tensors, first),
    );
    for (const { name } of plan.outputs) {
      const [ours, theirs] = [found[name], result[name] ?? tensors[name]];
      assert(ours && theirs, `${label}: ${name} is an output of one of both`);
      assertEqual(ours.slice(0, theirs.byteLength), await bytesOf(theirs), `${label} ${name}`);
    }
    const { x, weight, bias, residual } = tensors;
    const kept = adds ? { x: result.sum, weight, bias } : { x, weight, bias, residual };
    const all = Object.entries({ ...kept, mean: result.mean, rstd: result.rstd });
    tensors = Object.fromEntries(all.filter((one): one is [string, Tensor] => !!one[1]));
  }
  return dispatches;
}

const activated = { activation: 'silu', residual: true } as const;
const counted = { runningMean: true, runningVar: true, numBatchesTracked: true } as const;
const strategies = ['thread', 'registers', 'workgroup', 'split'] as const;

/** On the device as it is. */
const plain: Subject[] = [
  ...strategies.map((strategy) => ({
    op: 'layerNorm' as const,
    options: { shape: [33, 260], schedule: { strategy } },
  })),
  { op: 'layerNorm', options: { shape: [5, 7, 3], normalizedShape: [7, 3], ...activated } },
  { op: 'layerNorm', options: { shape: [9, 50] }, backward: { accumulate: true, wants: { dbias: false } } },
  { op: 'addLayerNorm', options: { shape: [17, 96] } },
  { op: 'rmsNorm', options: { shape: [40, 33], cast: 'gemma', eps: 1e-6 } },
  { op: 'addRmsNorm', options: { shape: [17, 96], yDtype: 'bf16' } },
  { op: 'l2Norm', options: { shape: [17, 96], eps: 0.5 } },
  { op: 'groupNorm', options: { shape: [3, 8, 5, 4], numGroups: 4, ...activated } },
  { op: 'groupNorm', options: { shape: [3, 20, 8], numGroups: 2, layout: 'channels-last' } },
  {
    op: 'instanceNorm',
    options: { shape: [3, 4, 30] },
    forward: { ...counted, numBatchesTracked: undefined },
  },
  {
    op: 'batchNorm',
    options: { shape: [4, 6, 9], training: true },
    forward: { ...counted, momentum: null, variance: true },
  },
  { op: 'batchNorm', options: { shape: [4, 9, 6], layout: 'channels-last' }, forward: { ...counted } },
  { op: 'localResponseNorm', options: { shape: [2, 7, 12], size: 5 } },
];

/** In parts, which small limits ask for: ranges with offsets, gradients that meet over parts, grids of two dimensions. */
const parts: Subject[] = [
  { op: 'layerNorm', options: { shape: [300, 256] } },
  { op: 'layerNorm', options: { shape: [300, 256], schedule: { strategy: 'split' } } },
  { op: 'addRmsNorm', options: { shape: [290, 260], yDtype: 'bf16' } },
  { op: 'groupNorm', options: { shape: [40, 8, 256], numGroups: 2, ...activated } },
  { op: 'groupNorm', options: { shape: [12, 500, 10], numGroups: 5, layout: 'channels-last' } },
  {
    op: 'instanceNorm',
    options: { shape: [6, 4, 1500], training: false },
    forward: { ...counted, numBatchesTracked: undefined },
  },
  { op: 'localResponseNorm', options: { shape: [9, 10, 400], size: 3 } },
];

const compareAll = (name: string, dtype: FloatDType, subjects: Subject[], facts?: DescribeFacts): Case => ({
  name: `kernels: ${name}, ${dtype}`,
  timeout: 300_000,
  async run({ gpu, device, note }) {
    const context = facts ? await init({ device, facts: facts as Partial<Gpu['facts']> }) : gpu;
    const runner = new RawRunner(device);
    let dispatches = 0;
    for (const subject of subjects) {
      // What a program would have written down of another machine.
      const known: DescribeFacts = JSON.parse(JSON.stringify(context.facts));
      const options = { ...subject.options, dtype };
      dispatches += await compare(context, runner, known, { ...subject, options });
    }
    note('dispatches', String(dispatches));
    assert(dispatches > subjects.length * (facts ? 6 : 2), 'There were hardly any dispatches.');
    runner.destroy();
    if (facts) context.destroy();
  },
});

const tiny = { maxBindingBytes: 65_536, maxWorkgroupsPerDimension: 16 };

export const cases: Case[] = [
  compareAll('a description has the bits of the function', 'f32', plain),
  compareAll('a description has the bits of the function', 'f16', plain),
  compareAll(
    'a description has the bits of the function',
    'bf16',
    plain.filter((_, i) => i % 3 === 0),
  ),
  {
    name: 'kernels: tensors with strides',
    async run({ gpu, device }) {
      const [shape, width] = [[4, 3, 16], 144];
      const strides = [width, 16, 1];
      const [whole, weight] = [gpu.tensor(normal(4 * width), [4 * width]), gpu.tensor(normal(16), [16])];
      const plan = describe(
        'rmsNorm',
        { shape, strides: { x: strides, y: strides }, statistics: false },
        gpu.facts,
      );
      const [x, y] = [...plan.inputs, ...plan.outputs].filter(({ strides }) => strides);
      assertEqual([x?.name, x?.strides, y?.name, y?.bytes], ['x', strides, 'y', 4 * (3 * width + 48)]);
      const runner = new RawRunner(device);
      const bytesOf = async (tensor: Tensor) => new Uint8Array((await tensor.data()).slice().buffer);
      const given = { x: await bytesOf(whole), weight: await bytesOf(weight) };
      const found = await runner.run(JSON.stringify(plan), given);
      const part = gpu.wrap(whole.buffer, shape, { strides });
      rmsNorm(gpu, part, { normalizedShape: 16, weight, statistics: false, out: { y: part } });
      const expected = await part.data();
      const all = new Float32Array((found.y as Bytes).buffer);
      const picked = expected.map((_, i) => all[Math.floor(i / 48) * width + (i % 48)] as number);
      assertEqual(picked, expected, 'y');
      // What lies between is as it was: NaN.
      assertEqual(all.filter(Number.isNaN).length, 3 * (width - 48), 'elements beside y');
      runner.destroy();
    },
  },
  compareAll('in parts', 'f32', parts, tiny),
  compareAll('in parts', 'f16', parts, { ...tiny, maxBindingBytes: 32_768 }),
];
