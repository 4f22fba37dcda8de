/** `statistics: false`: y has the same bits, and there are no mean and rstd: not as tensors, and not as what a kernel writes. */
import {
  addRmsNorm,
  batchNorm,
  batchNormBackward,
  type Gpu,
  init,
  instanceNorm,
  layerNorm,
  layerNormBackward,
  rmsNorm,
  rmsNormBackward,
  type Tensor,
  workspaceBytes,
} from '../../src/index.ts';
import { strategiesOf } from '../../src/plan/strategy.ts';
import { assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';
import {
  arraysOf,
  asOnGpu,
  geometryOf,
  hasResidual,
  isRms,
  nameOf,
  parameterShapeOf,
  runForward,
  type Subject,
} from '../support/subject.ts';

/** Between them, every kernel that stores statistics for others, or would: these are run with every strategy. */
const few: Subject[] = [
  { op: 'layerNorm', shape: [9, 68] },
  { op: 'addRmsNorm', shape: [5, 131] },
  { op: 'instanceNorm', shape: [2, 6, 6, 8], layout: 'channels-last' },
];

const others: Subject[] = [
  { op: 'layerNorm', shape: [5, 131], activation: 'gelu', residual: true },
  { op: 'addLayerNorm', shape: [6, 132] },
  { op: 'rmsNorm', shape: [9, 68], cast: 'gemma' },
  { op: 'groupNorm', shape: [3, 8, 4, 4], groups: 2, activation: 'silu' },
  { op: 'groupNorm', shape: [2, 5, 7, 6], groups: 3, layout: 'channels-last', residual: true },
  { op: 'instanceNorm', shape: [2, 3, 67] },
  { op: 'instanceNorm', shape: [3, 4, 9], evaluation: true },
  { op: 'batchNorm', shape: [4, 3, 17], activation: 'relu', residual: true },
  { op: 'batchNorm', shape: [3, 5, 7, 8], layout: 'channels-last' },
  { op: 'batchNorm', shape: [3, 8, 4, 4], evaluation: true, activation: 'relu' },
  { op: 'batchNorm', shape: [70, 6], evaluation: true },
];

const everyStrategy = (subject: Subject): Subject[] =>
  strategiesOf(geometryOf(subject), 'forward').map((strategy) => ({
    ...subject,
    schedule: { strategy, workgroup: 32 },
  }));

/** Labels of the scratch that is bound as mean or rstd while `body` runs. */
function boundStatistics(device: GPUDevice, body: () => void): Set<string> {
  const labels = new Set<string>();
  const create = device.createBindGroup;
  device.createBindGroup = (descriptor) => {
    for (const { resource } of descriptor.entries) {
      const { label } = (resource as GPUBufferBinding).buffer;
      if (label === 'scratch mean' || label === 'scratch rstd') labels.add(label);
    }
    return create.call(device, descriptor);
  };
  try {
    body();
  } finally {
    device.createBindGroup = create;
  }
  return labels;
}

/** Compares a forward pass without statistics with one that has them. */
async function compare(gpu: Gpu, subject: Subject): Promise<void> {
  const name = nameOf(subject);
  const { shape, dtype = 'f32', paramDtype = dtype } = subject;
  const { x, residual, weight, bias, running } = arraysOf(subject, { offset: 100 });
  const made: Tensor[] = [];
  const tensor = (values: Float32Array | undefined, of: readonly number[], type = dtype) => {
    if (!values) return undefined;
    const one = gpu.tensor(values, of, { dtype: type });
    made.push(one);
    return one;
  };
  const parameters = parameterShapeOf(subject);
  const given = [
    tensor(x, shape) as Tensor,
    tensor(residual, shape),
    tensor(weight, parameters, paramDtype),
    isRms(subject) ? undefined : tensor(bias, parameters, paramDtype),
    running && {
      runningMean: tensor(running.mean, parameters, 'f32') as Tensor,
      runningVar: tensor(running.variance, parameters, 'f32') as Tensor,
    },
  ] as const;
  const expected = runForward(gpu, subject, ...given);
  const before = gpu.memory().tensors;
  let results: ReturnType<typeof runForward> | undefined;
  const bound = boundStatistics(gpu.device, () => {
    results = runForward(gpu, { ...subject, statistics: false }, ...given);
  });
  const { y, sum, mean, rstd } = results as ReturnType<typeof runForward>;
  assertEqual([mean ?? null, rstd], [null, null], `statistics of ${name}`);
  assertEqual(gpu.memory().tensors, before + (hasResidual(subject) ? 2 : 1), `tensors of ${name}`);
  const strategy = subject.schedule?.strategy;
  if (strategy && strategy !== 'split') assertEqual([...bound], [], `what ${name} binds`);
  assertEqual(await y.data(), await expected.y.data(), `y of ${name}`);
  if (sum) assertEqual(await sum.data(), await (expected.sum as Tensor).data(), `sum of ${name}`);
  for (const one of [...made, y, sum, ...Object.values(expected)]) one?.destroy();
}

export const cases: Case[] = [
  {
    name: 'statistics: without them y is the same, every strategy',
    async run({ gpu, device }) {
      for (const subject of [...few.flatMap(everyStrategy), ...few, ...others]) await compare(gpu, subject);
      await asOnGpu(device, async (other) => {
        for (const subject of few) await compare(other, subject);
      });
    },
  },
  {
    name: 'statistics: without them y is the same in f16',
    async run({ gpu }) {
      const half = few.map((subject): Subject => ({ ...subject, dtype: 'f16' }));
      const mixed = half.map((subject): Subject => ({ ...subject, paramDtype: 'f32' }));
      for (const subject of [...half.flatMap(everyStrategy), ...mixed]) await compare(gpu, subject);
    },
  },
  {
    name: 'statistics: without them running ones are updated alike, in parts too',
    async run({ device }) {
      const gpu = await init({ device, facts: { leastWorkspace: 32 * 1024 } });
      const tensor = (shape: number[], count: number) => gpu.tensor(normal(count, { mean: 10 }), shape);
      const batch = tensor([61, 8, 9, 9], 61 * 8 * 81);
      const instances = tensor([301, 8, 9], 301 * 72);
      for (const run of [
        (running: { runningMean: Tensor; runningVar: Tensor }, statistics: boolean) =>
          batchNorm(gpu, batch, { ...running, training: true, statistics }),
        (running: { runningMean: Tensor; runningVar: Tensor }, statistics: boolean) =>
          instanceNorm(gpu, instances, { ...running, statistics }),
      ]) {
        const [with_, without] = await Promise.all(
          [true, false].map(async (statistics) => {
            const running = { runningMean: gpu.zeros([8]), runningVar: gpu.zeros([8]) };
            const { y } = run(running, statistics);
            return Promise.all([y, running.runningMean, running.runningVar].map((one) => one.data()));
          }),
        );
        assertEqual(without, with_);
      }
      gpu.destroy();
    },
  },
  {
    name: 'statistics: without them a call into tensors of the caller makes none',
    async run({ gpu, device }) {
      const [x, residual, y, sum] = [1, 2, 3, 4].map((seed) =>
        gpu.tensor(normal(256, { seed }), [4, 64]),
      ) as [Tensor, Tensor, Tensor, Tensor];
      const before = gpu.memory().tensors;
      const encoder = device.createCommandEncoder();
      const options = { normalizedShape: 64, encoder, statistics: false } as const;
      rmsNorm(gpu, x, { ...options, out: { y } });
      const result = addRmsNorm(gpu, x, residual, { ...options, out: { y, sum } });
      assertEqual(result.rstd, null);
      layerNorm(gpu, sum, { ...options, out: { y } });
      device.queue.submit([encoder.finish()]);
      assertEqual(gpu.memory().tensors, before);
      const { y: expected } = layerNorm(gpu, sum, { normalizedShape: 64 });
      assertEqual(await y.data(), await expected.data());
      for (const tensor of [x, residual, y, sum, expected]) tensor.destroy();
    },
  },
  {
    name: 'statistics: workspaceBytes knows that a split without them has them in scratch',
    run({ gpu }) {
      const shape = [7, 4096];
      const schedule = { strategy: 'split', splits: 4 } as const;
      const bytes = (statistics?: boolean) =>
        workspaceBytes(gpu, 'layerNorm', shape, { schedule, pass: 'forward', statistics });
      assertEqual(bytes(), bytes(true));
      assertEqual(bytes(false), bytes() + 2 * 4096, 'scratch: the least that two buffers have');
      const onePass = { schedule: { strategy: 'thread' }, pass: 'forward', statistics: false } as const;
      assertEqual(workspaceBytes(gpu, 'layerNorm', shape, onePass), 0);
    },
  },
  {
    name: 'statistics: what cannot be without them is refused',
    run({ gpu }) {
      const x = gpu.tensor(normal(8), [2, 4]);
      const options = { normalizedShape: 4 };
      refuses(gpu, 'value', () => layerNorm(gpu, x, { ...options, statistics: 'no' as unknown as boolean }));
      const rstd = gpu.empty([2]);
      refuses(gpu, 'value', () => layerNorm(gpu, x, { ...options, statistics: false, out: { rstd } }));
      const mean = gpu.empty([2, 2]);
      refuses(gpu, 'value', () => layerNorm(gpu, x, { ...options, statistics: false, out: { mean } }));
      const forward = layerNorm(gpu, x, { ...options, statistics: false });
      const none = forward as unknown as { mean: Tensor; rstd: Tensor };
      refuses(gpu, 'value', () => layerNormBackward(gpu, x, x, { ...options, ...none }));
      refuses(gpu, 'value', () => rmsNormBackward(gpu, x, x, { ...options, rstd: none.rstd }));
      refuses(gpu, 'value', () => batchNormBackward(gpu, x, x, none));
      for (const tensor of [x, rstd, mean, forward.y]) tensor.destroy();
    },
  },
];
