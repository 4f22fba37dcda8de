/** SyncBatchNorm on local ranks: accuracy, PyTorch's cases, what it costs, what it leaves alone when it fails. */
import {
  broadcastParameters,
  convertSyncBatchNorm,
  LocalProcessGroup,
  SyncBatchNorm,
  syncBatchNorm,
  syncBatchNormBackward,
  syncGradients,
} from '../../src/distributed/index.ts';
import {
  type BatchNorm,
  BatchNorm1d,
  BatchNorm2d,
  type FloatDType,
  type Gpu,
  init,
  LayerNorm,
  Parameter,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { decode, type GoldenTensor } from '../support/golden.ts';
import {
  drawSizes,
  type Inputs,
  type Replicated,
  runLocally,
  runReplica,
  verifyReplicas,
} from '../support/replicas.ts';
import { bounds } from '../support/tolerances.ts';

const offsets = [0, 1e2, 1e4, 1e5];

const shapes: Pick<Replicated, 'channels' | 'spatial' | 'layout'>[] = [
  { channels: 5, spatial: [] },
  { channels: 3, spatial: [17] },
  { channels: 8, spatial: [4, 4] },
  { channels: 6, spatial: [3, 5], layout: 'channels-last' },
];

const accuracy: Case[] = [
  ...[1, 2, 3, 5, 8].map(
    (ranks): Case => ({
      name: `syncBatchNorm: ${ranks} local ranks, sizes drawn at random`,
      async run(t) {
        let worst = 0;
        for (const [i, shape] of shapes.entries()) {
          const offset = offsets[(i + ranks) % 4] as number;
          const subject = { ...shape, sizes: drawSizes(ranks, 10 * ranks + i), offset, seed: ranks + i };
          worst = Math.max(
            worst,
            await verifyReplicas((inputs) => runLocally(t.gpu, subject, inputs), subject),
          );
        }
        t.note(`${ranks} ranks`, `largest relative error ${worst.toExponential(1)}`);
      },
    }),
  ),
  {
    name: 'syncBatchNorm: every offset, one sample and none',
    async run(t) {
      for (const offset of offsets) {
        for (const sizes of [
          [1, 1],
          [0, 3],
          [2, 0, 0, 1],
        ]) {
          const subject = { channels: 4, spatial: [3], sizes, offset };
          await verifyReplicas((inputs) => runLocally(t.gpu, subject, inputs), subject);
        }
      }
      // One channel of one value: what is one row, too, where nothing is known of replicas.
      for (const affine of [true, false]) {
        const subject = { channels: 1, spatial: [], sizes: [1, 1, 1], affine };
        await verifyReplicas((inputs) => runLocally(t.gpu, subject, inputs), subject);
      }
    },
  },
  {
    name: 'syncBatchNorm: no affine, momentum null, activations, residual',
    async run(t) {
      const some: Omit<Replicated, 'sizes'>[] = [
        { channels: 4, spatial: [3, 3], affine: false },
        { channels: 4, spatial: [3, 3], momentum: null },
        { channels: 4, spatial: [3, 3], activation: 'relu' },
        { channels: 4, spatial: [5], activation: 'silu', layout: 'channels-last' },
        { channels: 4, spatial: [3, 3], activation: 'gelu', residual: true },
        { channels: 3, spatial: [5], activation: 'relu', residual: true, layout: 'channels-last' },
      ];
      for (const one of some) {
        const subject = { ...one, sizes: [3, 0, 2] };
        await verifyReplicas((inputs) => runLocally(t.gpu, subject, inputs), subject);
      }
    },
  },
  ...(['f16', 'bf16'] as const).map(
    (dtype): Case => ({
      name: `syncBatchNorm: ${dtype}`,
      async run(t) {
        for (const layout of ['channels-first', 'channels-last'] as const) {
          const subject: Replicated = {
            channels: 5,
            spatial: [6],
            sizes: [3, 1, 4],
            dtype,
            offset: 4,
            layout,
          };
          await verifyReplicas((inputs) => runLocally(t.gpu, subject, inputs), subject);
        }
      },
    }),
  ),
];

interface GoldenSync {
  name: string;
  momentum: number | null;
  affine: boolean;
  steps: number;
  layout: 'channels-first' | 'channels-last';
  inputs: { x: GoldenTensor[]; dy?: GoldenTensor[]; weight?: GoldenTensor; bias?: GoldenTensor };
  outputs: {
    y: GoldenTensor[];
    dx?: GoldenTensor[];
    dweight?: GoldenTensor;
    dbias?: GoldenTensor;
    runningMean: GoldenTensor;
    runningVar: GoldenTensor;
  };
}

/** What one rank of a golden case has to do. */
async function goldenRank(gpu: Gpu, group: LocalProcessGroup, golden: GoldenSync) {
  const { momentum, affine, layout, steps, inputs, outputs } = golden;
  const { rank } = group;
  const x = inputs.x[rank] as GoldenTensor;
  const { shape } = x;
  const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] as number;
  const norm = new SyncBatchNorm(gpu, channels, { group, momentum, affine, layout });
  if (inputs.weight) norm.weight?.data.write(decode(inputs.weight));
  if (inputs.bias) norm.bias?.data.write(decode(inputs.bias));
  const input = gpu.tensor(decode(x), shape);
  let y: Tensor | undefined;
  for (let step = 0; step < steps; step++) {
    y?.destroy();
    y = await norm.forward(input);
  }
  const close = async (
    what: string,
    actual: Tensor | null | undefined,
    expected: GoldenTensor | undefined,
  ) => {
    if (!expected) return;
    const error = relativeError((await actual?.data()) as Float32Array, decode(expected));
    assert(error <= bounds.replicas, `${golden.name}, rank ${rank}, ${what}: ${error}`);
  };
  await close('y', y, outputs.y[rank]);
  await close('running_mean', norm.runningMean, outputs.runningMean);
  await close('running_var', norm.runningVar, outputs.runningVar);
  if (inputs.dy) {
    const dy = gpu.tensor(decode(inputs.dy[rank] as GoldenTensor), shape);
    const dx = await norm.backward(dy);
    await close('dx', dx, outputs.dx?.[rank]);
    await syncGradients(norm.parameters(), group, { average: false });
    await close('dweight', norm.weight?.grad, outputs.dweight);
    await close('dbias', norm.bias?.grad, outputs.dbias);
    for (const one of [dy, dx]) one.destroy();
  }
  for (const one of [input, y]) one?.destroy();
  norm.destroy();
}

const pytorch: Case = {
  name: "syncBatchNorm: PyTorch's cases",
  async run(t) {
    const { cases } = (await t.readJson('golden/sync-batch-norm.json')) as { cases: GoldenSync[] };
    assertEqual(cases.length, 10, 'cases');
    for (const golden of cases) {
      const groups = LocalProcessGroup.create(golden.inputs.x.length);
      await Promise.all(groups.map((group) => goldenRank(t.gpu, group, golden)));
    }
  },
};

/** Counts what a device is asked for while `body` runs. */
async function counting(device: GPUDevice, body: () => Promise<unknown>) {
  const counts = { uploads: 0, readBacks: 0 };
  const { queue } = device;
  const { writeBuffer } = queue;
  const { createBuffer } = device;
  queue.writeBuffer = (...args: unknown[]) => {
    counts.uploads++;
    return (writeBuffer as (...all: unknown[]) => undefined).apply(queue, args);
  };
  device.createBuffer = (descriptor) => {
    if (descriptor.usage & 1) counts.readBacks++; // MAP_READ
    return createBuffer.call(device, descriptor);
  };
  try {
    await body();
  } finally {
    queue.writeBuffer = writeBuffer;
    device.createBuffer = createBuffer;
  }
  return counts;
}

const state = async (norm: SyncBatchNorm | BatchNorm) => [
  await norm.runningMean?.data(),
  await norm.runningVar?.data(),
  await norm.numBatchesTracked?.data(),
];

/** Ranks with a module each, and what they normalize. */
function ranksOf(gpu: Gpu, size: number, shape: readonly number[] = [3, 4, 5], timeout = 500) {
  const channels = shape[1] as number;
  return LocalProcessGroup.create(size, { timeout }).map((group) => ({
    group,
    norm: new SyncBatchNorm(gpu, channels, { group }),
    x: gpu.tensor(
      Float32Array.from(
        { length: shape.reduce((a, b) => a * b, 1) },
        (_, i) => ((i * 7 + group.rank) % 11) - 5,
      ),
      shape,
    ),
  }));
}

type Rank = ReturnType<typeof ranksOf>[number];

const behaviour: Case[] = [
  {
    name: 'syncBatchNorm: one read-back and one upload more than BatchNorm, and few bytes',
    async run(t) {
      // A device of its own, since its methods are replaced.
      const gpu = await init({ gpu: t.navigatorGpu });
      const ranks = ranksOf(gpu, 4, [3, 64, 5]);
      const plain = new BatchNorm1d(gpu, 64);
      const dy = ranks.map(({ x }) => x);
      for (const { norm, x } of ranks) void norm.prepare(x.shape);
      const first = ranks[0] as Rank;
      const alone = await counting(gpu.device, async () => plain.backward(plain.forward(first.x)));
      assertEqual([alone.uploads, alone.readBacks], [0, 0], 'BatchNorm');
      const forward = await counting(gpu.device, () =>
        Promise.all(ranks.map(({ norm, x }) => norm.forward(x))),
      );
      assertEqual([forward.uploads, forward.readBacks], [4, 4], 'forward of four ranks');
      const forwardBytes = first.group.traffic.bytesSent;
      assert(forwardBytes <= 4 * (3 * 64 + 1) + 64, `forward sent ${forwardBytes} bytes`);
      const backward = await counting(gpu.device, () =>
        Promise.all(ranks.map(({ norm }, i) => norm.backward(dy[i] as Tensor))),
      );
      assertEqual([backward.uploads, backward.readBacks], [4, 4], 'backward of four ranks');
      const backwardBytes = first.group.traffic.bytesSent - forwardBytes;
      assert(backwardBytes <= 4 * 2 * 64 + 64, `backward sent ${backwardBytes} bytes`);
      assertEqual(first.group.traffic.collectives, 2, 'collectives');
      t.note('bytes per rank, C = 64', `forward ${forwardBytes}, backward ${backwardBytes}`);
      gpu.destroy();
    },
  },
  {
    name: 'syncBatchNorm: layers that go together share one collective',
    async run(t) {
      const { gpu } = t;
      const groups = LocalProcessGroup.create(3);
      const run = async (together: boolean) => {
        const before = groups[0]?.traffic.collectives as number;
        const results = await Promise.all(
          groups.map(async (group) => {
            const one = new SyncBatchNorm(gpu, 4, { group });
            const two = new SyncBatchNorm(gpu, 2, { group });
            const x = gpu.tensor(
              Float32Array.from({ length: 24 }, (_, i) => (i * 5 + group.rank) % 7),
              [3, 4, 2],
            );
            const z = gpu.tensor(
              Float32Array.from({ length: 12 }, (_, i) => (i * 3 + group.rank) % 5),
              [6, 2],
            );
            const tensors = together
              ? [
                  ...(await SyncBatchNorm.forwardAll([
                    [one, x],
                    [two, z],
                  ])),
                  ...(await SyncBatchNorm.backwardAll([
                    [one, x],
                    [two, z],
                  ])),
                ]
              : [await one.forward(x), await two.forward(z), await one.backward(x), await two.backward(z)];
            const data = await Promise.all(tensors.map((tensor) => tensor.data()));
            return [
              ...data,
              ...((await state(one)) as Float32Array[]),
              ...((await state(two)) as Float32Array[]),
            ];
          }),
        );
        return { results, collectives: (groups[0]?.traffic.collectives as number) - before };
      };
      const apart = await run(false);
      const together = await run(true);
      assertEqual([apart.collectives, together.collectives], [4, 2], 'collectives');
      apart.results.forEach((all, rank) => {
        for (const [i, one] of all.entries()) {
          assertEqual(together.results[rank]?.[i], one, `rank ${rank}, result ${i}`);
        }
      });
    },
  },
  {
    name: 'syncBatchNorm: a rank that is missing leaves everything as it was',
    async run(t) {
      const ranks = ranksOf(t.gpu, 3);
      await Promise.all(ranks.map(({ norm, x }) => norm.forward(x)));
      const before = await Promise.all(ranks.map(({ norm }) => state(norm)));
      const bytes = t.gpu.memory().tensorBytes;
      const calls = ranks
        .slice(1)
        .flatMap(({ norm, x }) => assertThrows(() => norm.forward(x), { code: 'timeout' }));
      for (const error of await Promise.all(calls))
        assertEqual((error as { ranks?: number[] }).ranks, [0], 'ranks');
      const after = await Promise.all(ranks.map(({ norm }) => state(norm)));
      assertEqual(after.flat(2), before.flat(2), 'running statistics');
      assertEqual(t.gpu.memory().tensorBytes, bytes, 'bytes of tensors');
      // What forward kept before is still there: a new group goes on.
      const [rank] = ranks.slice(1) as [Rank];
      await assertThrows(() => rank.norm.backward(rank.x), { code: 'timeout' });
      assertEqual(rank.norm.weight?.grad, null, 'grad');
      assertEqual(t.gpu.memory().tensorBytes, bytes, 'bytes of tensors after backward');
    },
  },
  {
    name: 'syncBatchNorm: ranks that disagree',
    async run(t) {
      const { gpu } = t;
      const groups = LocalProcessGroup.create(2);
      const differing = groups.map(async (group) => {
        const channels = 3 + group.rank;
        const norm = new SyncBatchNorm(gpu, channels, { group });
        return assertThrows(() => norm.forward(gpu.zeros([2, channels])), {
          code: 'mismatch',
          message: /floats/,
        });
      });
      await Promise.all(differing);
      const ranks = ranksOf(gpu, 2);
      const [a, b] = ranks as [Rank, Rank];
      await assertThrows(() => a.norm.forward(a.x), { code: 'timeout' });
      await assertThrows(() => b.norm.forward(b.x), { code: 'timeout' });
    },
  },
  {
    name: 'syncBatchNorm: one value in all is refused on every rank, none changes nothing, evaluation says nothing',
    async run(t) {
      const { gpu } = t;
      const groups = LocalProcessGroup.create(3);
      await Promise.all(
        groups.map(async (group) => {
          const norm = new SyncBatchNorm(gpu, 2, { group });
          const before = (await state(norm)).flatMap((one) => [...(one as Float32Array)]);
          const few = gpu.zeros([group.rank === 1 ? 1 : 0, 2]);
          await assertThrows(() => norm.forward(few), { code: 'shape', message: /one value per channel/ });
          const none = gpu.zeros([0, 2]);
          const y = await norm.forward(none);
          assertEqual(y.shape, [0, 2], 'shape of nothing');
          assertEqual((await norm.backward(none)).shape, [0, 2], 'gradient of nothing');
          const { collectives } = group.traffic;
          norm.eval();
          const x = gpu.tensor([1, 2, 3, 4], [2, 2]);
          const expected = [1, 2, 3, 4].map((value) => Math.fround(value / Math.sqrt(1 + 1e-5)));
          assertEqual(
            relativeError(await (await norm.forward(x)).data(), expected) < 1e-6,
            true,
            'evaluation',
          );
          await norm.backward(x);
          assertEqual(group.traffic.collectives, collectives, 'collectives in evaluation');
          const after = (await state(norm)).flatMap((one) => [...(one as Float32Array)]);
          assertEqual(after, before, 'running statistics');
        }),
      );
    },
  },
  {
    name: 'syncBatchNorm: a tensor of one layer that is destroyed while ranks are waited for changes no layer',
    async run({ gpu }) {
      const groups = LocalProcessGroup.create(2);
      const ranks = groups.map((group) => {
        const layers = [1, 2].map(() => new SyncBatchNorm(gpu, 2, { group })) as [
          SyncBatchNorm,
          SyncBatchNorm,
        ];
        const x = gpu.tensor([1, 2, 3, 4 + group.rank], [2, 2]);
        return { layers, passing: SyncBatchNorm.forwardAll(layers.map((layer) => [layer, x] as const)) };
      });
      const [mine, theirs] = ranks as [(typeof ranks)[number], (typeof ranks)[number]];
      mine.layers[1].weight?.data.destroy();
      await assertThrows(() => mine.passing, { code: 'destroyed' });
      await theirs.passing;
      assertEqual([...((await mine.layers[0].numBatchesTracked?.data()) ?? [])], [0], 'batches');
    },
  },
  {
    name: 'syncBatchNorm: bad input',
    async run(t) {
      const { gpu } = t;
      const [group, other] = LocalProcessGroup.create(2) as [LocalProcessGroup, LocalProcessGroup];
      const norm = new SyncBatchNorm(gpu, 4, { group });
      const x = gpu.zeros([2, 4]);
      await assertThrows(() => norm.backward(x), { code: 'order' });
      await assertThrows(() => norm.forward(gpu.zeros([2, 3])), { code: 'shape' });
      await assertThrows(() => norm.forward(x, { out: x }), { code: 'aliasing' });
      const encoder = gpu.device.createCommandEncoder();
      await assertThrows(() => syncBatchNorm(gpu, x, { group, training: true, encoder } as never), {
        code: 'unsupported',
      });
      const abort = new AbortController();
      const waiting = norm.forward(x, { signal: abort.signal });
      await assertThrows(() => norm.forward(x), { code: 'order', message: /under way/ });
      abort.abort();
      await assertThrows(() => waiting, { code: 'aborted' });
      await assertThrows(() => new SyncBatchNorm(gpu, 4, { group: other }).forward(x), { code: 'aborted' });
      await assertThrows(
        () =>
          SyncBatchNorm.forwardAll([
            [norm, x],
            [norm, x],
          ]),
        { code: 'value' },
      );
      assert(group.traffic.collectives === 1, 'only the aborted call was made');
    },
  },
  {
    name: 'syncBatchNorm: ranks whose inputs differ in dtype',
    async run(t) {
      const refused = LocalProcessGroup.create(2).map((group) => {
        const x = t.gpu.zeros([2, 3], { dtype: group.rank === 0 ? 'f32' : 'f16' });
        const norm = new SyncBatchNorm(t.gpu, 3, { group });
        return assertThrows(() => norm.forward(x), { code: 'mismatch', message: /bn\.forward\.f16/ });
      });
      await Promise.all(refused);
    },
  },
  {
    name: 'syncBatchNorm: ranks on several devices',
    async run(t) {
      const gpus = [t.gpu, await init({ gpu: t.navigatorGpu })];
      const subject: Replicated = { channels: 3, spatial: [4], sizes: [2, 3], offset: 100 };
      const run = (inputs: Inputs) =>
        Promise.all(
          LocalProcessGroup.create(2).map((group) =>
            runReplica(gpus[group.rank] as Gpu, group, subject, inputs),
          ),
        );
      await verifyReplicas(run, subject);
      gpus[1]?.destroy();
    },
  },
  {
    name: 'syncBatchNorm: a state dict of BatchNorm, also from before its batches were counted',
    async run(t) {
      const [group] = LocalProcessGroup.create(1) as [LocalProcessGroup];
      const plain = new BatchNorm1d(t.gpu, 2);
      plain.runningMean?.write([3, 4]);
      const sync = new SyncBatchNorm(t.gpu, 2, { group });
      const state = plain.stateDict();
      sync.loadStateDict(state);
      assertEqual(await sync.runningMean?.data(), [3, 4], 'running mean');
      state.delete('num_batches_tracked');
      await assertThrows(() => sync.loadStateDict(state));
      state.versions.set('', 1);
      sync.loadStateDict(state);
    },
  },
  {
    name: 'syncBatchNorm: the functions do what the module does',
    async run(t) {
      const { gpu } = t;
      const ranks = ranksOf(gpu, 2);
      await Promise.all(
        ranks.map(async ({ group, norm, x }) => {
          const dy = gpu.tensor(
            (await x.data()).map((value) => value + 1),
            x.shape,
          );
          const y = await norm.forward(x);
          const dx = await norm.backward(dy);
          const weight = gpu.tensor(new Float32Array(4).fill(1), [4]);
          const runningMean = gpu.zeros([4]);
          const runningVar = gpu.tensor(new Float32Array(4).fill(1), [4]);
          const options = { group, weight, training: true } as const;
          const made = await syncBatchNorm(gpu, x, { ...options, runningMean, runningVar });
          assertEqual(made.count, 30, 'count');
          const back = await syncBatchNormBackward(gpu, dy, x, { ...options, ...made });
          assertEqual(await made.y.data(), await y.data(), 'y');
          assertEqual(await back.dx.data(), await dx.data(), 'dx');
          assertEqual(await back.dweight?.data(), await norm.weight?.grad?.data(), 'dweight');
          assertEqual(await runningMean.data(), await norm.runningMean?.data(), 'running mean');
        }),
      );
    },
  },
  {
    name: 'syncBatchNorm: a weight that is γ − 1 has the bits of γ',
    async run(t) {
      const { gpu } = t;
      await Promise.all(
        ranksOf(gpu, 2).map(async ({ group, x }) => {
          const gamma = Float32Array.from([0.25, 1, -1.5, 3]);
          const common = { group, training: true } as const;
          const plain = { ...common, weight: gpu.tensor(gamma, [4]) };
          const weight = gpu.tensor(
            gamma.map((value) => value - 1),
            [4],
          );
          const centred = { ...common, weight, zeroCenteredGamma: true };
          const [one, other] = [await syncBatchNorm(gpu, x, plain), await syncBatchNorm(gpu, x, centred)];
          assertEqual(await other.y.data(), await one.y.data(), 'y');
          const [expected, back] = [
            await syncBatchNormBackward(gpu, x, x, { ...plain, ...one }),
            await syncBatchNormBackward(gpu, x, x, { ...centred, ...other }),
          ];
          assertEqual(await back.dx.data(), await expected.dx.data(), 'dx');
          assertEqual(await back.dweight?.data(), await expected.dweight?.data(), 'dweight');
        }),
      );
    },
  },
  {
    name: 'convertSyncBatchNorm: shares parameters, buffers, mode; the model is awaited',
    async run(t) {
      const { gpu } = t;
      const groups = LocalProcessGroup.create(2);
      await Promise.all(
        groups.map(async (group) => {
          const inner = new BatchNorm2d(gpu, 4, { momentum: 0.3, eps: 1e-3 });
          const model = new Sequential(gpu, new BatchNorm2d(gpu, 4), new Sequential(gpu, inner));
          inner.eval();
          const names = [...model.stateDict().keys()];
          const parameters = model.parameters();
          assertEqual(convertSyncBatchNorm(model, group) === model, true, 'the model');
          const sync = (model.at(1) as Sequential).at(0) as SyncBatchNorm;
          assert(sync instanceof SyncBatchNorm && model.at(0) instanceof SyncBatchNorm, 'both are converted');
          assertEqual([sync.momentum, sync.eps, sync.training], [0.3, 1e-3, false], 'options');
          assertEqual([...model.stateDict().keys()], names, 'names');
          assert(
            model.parameters().every((one, i) => one === parameters[i]),
            'parameters are shared',
          );
          assert(sync.runningMean === inner.runningMean, 'buffers are shared');
          const x = gpu.tensor(
            Float32Array.from({ length: 32 }, (_, i) => i + group.rank),
            [2, 4, 2, 2],
          );
          await assertThrows(() => model.forward(x), { code: 'unsupported', message: /asynchronous/ });
          model.train();
          const y = await model.forwardAsync(x);
          await model.backwardAsync(x);
          assertEqual(y.shape, x.shape, 'shape');
          assertEqual(group.traffic.collectives, 4, 'collectives');
          assertEqual((await sync.numBatchesTracked?.data())?.[0], 1, 'batches');
          assert(
            convertSyncBatchNorm(new BatchNorm1d(gpu, 2), group) instanceof SyncBatchNorm,
            'a lone norm',
          );
          model.destroy();
        }),
      );
    },
  },
  {
    name: 'syncGradients: sums, averages, buckets, sequence parallelism; broadcastParameters',
    async run(t) {
      const { gpu } = t;
      // Two data-parallel ranks, each of two ranks that share a sequence.
      const data = [LocalProcessGroup.create(2), LocalProcessGroup.create(2)];
      const sequence = [LocalProcessGroup.create(2), LocalProcessGroup.create(2)];
      const both = [0, 1].flatMap((d) => [0, 1].map((s) => ({ d, s })));
      const dtype: FloatDType = 'bf16';
      await Promise.all(
        both.map(async ({ d, s }) => {
          const group = data[s]?.[d] as LocalProcessGroup;
          const sequenceParallelGroup = sequence[d]?.[s] as LocalProcessGroup;
          const parameter = (values: number[], type: FloatDType, marked = false) => {
            const one = new Parameter(gpu.zeros([values.length], { dtype: type }), {
              sequenceParallel: marked,
            });
            one.takeGradient().write(values);
            one.keepGradient();
            return one;
          };
          const k = 1 + d + 10 * s;
          const plain = parameter([k, 2 * k, 3 * k], 'f32');
          const half = parameter([k], dtype);
          const marked = parameter([k, k], 'f32', true);
          const without = new Parameter(gpu.zeros([7]));
          const all = [plain, half, marked, without];
          await assertThrows(() => syncGradients(all, group), { code: 'value', message: /sequenceParallel/ });
          await syncGradients(all, group, { sequenceParallelGroup, bucketBytes: 8 });
          const mean = 1.5 + 10 * s;
          assertEqual(await plain.grad?.data(), [mean, 2 * mean, 3 * mean], 'averaged');
          assertEqual(await half.grad?.data(), [mean], 'averaged, bf16');
          // Summed over the sequence, averaged over the data.
          assertEqual(await marked.grad?.data(), [1.5 + 11.5, 13], 'marked');
          assertEqual(without.grad, null, 'without a gradient');
          await syncGradients([plain], group, { average: false });
          assertEqual(await plain.grad?.data(), [2 * mean, 4 * mean, 6 * mean], 'summed');

          const norm = new LayerNorm(gpu, 3);
          norm.weight?.data.write([k, k + 1, k + 2]);
          const counted = new SyncBatchNorm(gpu, 1, { group });
          counted.numBatchesTracked?.write([k + 2 ** 24]);
          await broadcastParameters(norm, group, { root: 1 });
          await broadcastParameters(counted, group, { root: 1 });
          const of = 2 + 10 * s;
          assertEqual(await norm.weight?.data.data(), [of, of + 1, of + 2], 'broadcast');
          const bits = await gpu.readBytes([counted.numBatchesTracked as Tensor]);
          assertEqual(new Uint32Array(bits[0] as ArrayBuffer)[0], of + 2 ** 24, 'batches');
        }),
      );
    },
  },
];

export const cases: Case[] = [...accuracy, pytorch, ...behaviour];
