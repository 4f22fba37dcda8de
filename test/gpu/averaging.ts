/** AveragedModel and updateBatchNorm: against PyTorch, recording, errors, how they end. */
import { convertSyncBatchNorm, LocalProcessGroup } from '../../src/distributed/index.ts';
import {
  BatchNorm1d,
  type Gpu,
  init,
  LayerNorm,
  type Module,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { AveragedModel, updateBatchNorm } from '../../src/optim/index.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { relativeError } from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { decode, type GoldenTensor } from '../support/golden.ts';
import { bounds } from '../support/tolerances.ts';

type Tensors = Record<string, GoldenTensor>;

interface AveragingFile {
  updateBatchNorm: { values: Tensors; batches: GoldenTensor[]; after: Tensors };
  averages: {
    name: string;
    decay: number | null;
    useBuffers: boolean;
    updates: Tensors[];
    after: Record<'1' | '5', Tensors>;
  }[];
}

const modelOf = (gpu: Gpu) =>
  new Sequential(gpu, new LayerNorm(gpu, 6), new BatchNorm1d(gpu, 6), new BatchNorm1d(gpu, 6));

const norms = (model: Sequential): BatchNorm1d[] =>
  [...model].filter((module) => module instanceof BatchNorm1d);

function set(module: Module, values: Tensors): void {
  for (const [name, tensor] of Object.entries(values)) module.stateDict().get(name)?.write(decode(tensor));
}

/** The largest error; each is relative to `scale` of the name, or to the values. */
async function errorOf(
  module: Module,
  expected: Tensors,
  scale: Record<string, Float64Array> = {},
): Promise<number> {
  let worst = 0;
  for (const [name, tensor] of Object.entries(expected)) {
    const actual = await (module.stateDict().get(name) as Tensor).data();
    const error = relativeError(actual, decode(tensor), scale[name]);
    assert(error <= bounds.forward, `${name}: ${error.toExponential(2)}`);
    worst = Math.max(worst, error);
  }
  return worst;
}

/** The sizes of what each average is the sum of: no more than those of all updates. */
function sizesOf(updates: Tensors[]): Record<string, Float64Array> {
  const sizes: Record<string, Float64Array> = {};
  for (const update of updates) {
    for (const [name, tensor] of Object.entries(update)) {
      sizes[name] = Float64Array.from(decode(tensor), (value, i) =>
        Math.max(Math.abs(value), sizes[name]?.[i] ?? 0),
      );
    }
  }
  return sizes;
}

const batches = (gpu: Gpu, count: number): Tensor[] =>
  Array.from({ length: count }, (_, i) => gpu.tensor(normal(24, { seed: i + 1, mean: 3 }), [4, 6]));

export const cases: Case[] = [
  {
    name: "averaging: PyTorch's averages, equal and exponential, with and without buffers",
    async run({ gpu, readJson, note }) {
      const { averages } = (await readJson('golden/averaging.json')) as AveragingFile;
      let worst = 0;
      for (const { decay, useBuffers, updates, after } of averages) {
        const model = modelOf(gpu);
        const average = decay === null ? 'equal' : { decay };
        const averaged = new AveragedModel(model, modelOf(gpu), { average, useBuffers });
        for (const [i, update] of updates.entries()) {
          set(model, update);
          norms(model)[0]?.numBatchesTracked?.write([i + 7]);
          averaged.updateParameters(model);
          const expected = after[`${i + 1}` as '1' | '5'];
          if (expected) worst = Math.max(worst, await errorOf(averaged.module, expected, sizesOf(updates)));
        }
        assertEqual(await averaged.nAveraged.data(), Float32Array.of(5), 'updates');
        const [from, to] = [norms(model)[0], norms(averaged.module)[0]];
        assertEqual(await to?.numBatchesTracked?.data(), Float32Array.of(11), 'counts are copied');
        if (!useBuffers)
          assertEqual(await to?.runningVar?.data(), await from?.runningVar?.data(), 'buffers are copied');
        averaged.destroy();
        model.destroy();
      }
      note(`${averages.length} averages`, `largest error ${worst.toExponential(2)}`);
    },
  },
  {
    name: 'averaging: a module of its own: forward, state dict, recording without read-back',
    async run({ gpu, device }) {
      const tensors = gpu.memory().tensors;
      const [model, copy] = [modelOf(gpu), modelOf(gpu)];
      const [norm] = model;
      (norm as LayerNorm).weight?.data.write(normal(6));
      const averaged = new AveragedModel(model, copy);
      assertEqual([...averaged.stateDict().keys()].slice(0, 2), ['n_averaged', 'module.0.weight']);
      assertEqual(
        await (copy.at(0) as LayerNorm).weight?.data.data(),
        normal(6),
        'the copy takes the values',
      );
      averaged.eval();
      model.eval();
      const x = gpu.tensor(normal(24), [4, 6]);
      const [y, expected] = [averaged.forward(x), model.forward(x)];
      assertEqual(await y.data(), await expected.data());
      // Two updates in one encoder count both; between them the model changes on the GPU.
      const before = await averaged.nAveraged.data();
      const encoder = device.createCommandEncoder();
      averaged.updateParameters(model, { encoder });
      const pass = encoder.beginComputePass();
      averaged.updateParameters(model, { pass });
      pass.end();
      const commands = encoder.finish();
      assertEqual(await averaged.nAveraged.data(), before, 'before the submit');
      device.queue.submit([commands]);
      assertEqual(await averaged.nAveraged.data(), Float32Array.of(2));
      for (const tensor of [x, y, expected]) tensor.destroy();
      averaged.destroy();
      model.destroy();
      assertEqual(gpu.memory().tensors, tensors, 'tensors');
    },
  },
  {
    name: 'averaging: an f32 average of f16 parameters',
    async run({ gpu }) {
      const model = new LayerNorm(gpu, 7, { dtype: 'f16' });
      const averaged = new AveragedModel(model, new LayerNorm(gpu, 7), { average: { decay: 0.999 } });
      const set = (value: number) => model.weight?.data.write(new Float32Array(7).fill(value));
      set(1);
      averaged.updateParameters(model);
      set(2);
      averaged.updateParameters(model);
      const mean = (await averaged.module.weight?.data.data())?.[6] as number;
      assert(Math.abs(mean - 1.001) < 1e-6, `${mean}`); // f16 has no number between 1 and 1.00098
      averaged.destroy();
      model.destroy();
    },
  },
  {
    name: 'averaging: what does not match is refused before anything changes',
    async run({ gpu, navigatorGpu }) {
      const model = modelOf(gpu);
      const refuses = (copy: Module, code: string, options = {}) =>
        assertThrows(() => new AveragedModel(model, copy, options), { code });
      await refuses(new LayerNorm(gpu, 6), 'value');
      await refuses(
        new Sequential(gpu, new LayerNorm(gpu, 7), new BatchNorm1d(gpu, 6), new BatchNorm1d(gpu, 6)),
        'shape',
      );
      await refuses(model, 'aliasing');
      await refuses(new Sequential(gpu, ...model), 'aliasing');
      await refuses(modelOf(gpu), 'value', { average: { decay: 1.1 } });
      await refuses(modelOf(gpu), 'value', { average: { decay: Number.NaN } });
      const other = await init({ gpu: navigatorGpu });
      await refuses(modelOf(other), 'wrong-device');
      other.destroy();
      const averaged = new AveragedModel(model, modelOf(gpu));
      await assertThrows(() => averaged.updateParameters(new LayerNorm(gpu, 6)), { code: 'value' });
      assertEqual(await averaged.nAveraged.data(), Float32Array.of(0));
      await assertThrows(() => averaged.backward(gpu.zeros([4, 6])), { code: 'unsupported' });
      averaged.destroy();
      await assertThrows(() => averaged.updateParameters(model), { code: 'destroyed' });
      model.destroy();
    },
  },
  {
    name: "updateBatchNorm: PyTorch's running statistics, from lists, tuples and generators",
    async run({ gpu, readJson, note }) {
      const { updateBatchNorm: golden } = (await readJson('golden/averaging.json')) as AveragingFile;
      const tensors = golden.batches.map((batch) => gpu.tensor(decode(batch), batch.shape));
      async function* generated() {
        for (const tensor of tensors) yield tensor;
      }
      const before = gpu.memory().tensors;
      let worst = 0;
      for (const [how, given] of Object.entries({
        list: tensors,
        tuples: tensors.map((tensor) => [tensor, 'label'] as const),
        generator: generated(),
      })) {
        const model = modelOf(gpu);
        set(model, golden.values);
        const [first, second] = norms(model) as [BatchNorm1d, BatchNorm1d];
        second.momentum = 0.3;
        model.eval();
        first.train();
        const progress: number[] = [];
        await updateBatchNorm(model, given, { onProgress: (done) => progress.push(done) });
        assertEqual(progress, [1, 2, 3], how);
        worst = Math.max(worst, await errorOf(model, golden.after));
        assertEqual([first.momentum, second.momentum], [0.1, 0.3], 'momentum');
        assertEqual([model.training, first.training, second.training], [false, true, false], 'modes');
        assertEqual(await second.numBatchesTracked?.data(), Float32Array.of(3));
        model.destroy();
      }
      assertEqual(gpu.memory().tensors, before, 'tensors');
      note('largest error', worst.toExponential(2));
    },
  },
  {
    name: 'updateBatchNorm: aborted, failing, or without a BatchNorm',
    async run({ gpu }) {
      const given = batches(gpu, 3);
      const model = modelOf(gpu);
      const [first] = norms(model) as [BatchNorm1d];
      const stays = (what: string) => {
        assertEqual([model.training, first.training], [true, true], `${what}: modes`);
        assertEqual(
          norms(model).map(({ momentum }) => momentum),
          [0.1, 0.1],
          `${what}: momentum`,
        );
      };
      const count = async () => (await first.numBatchesTracked?.data())?.[0];
      for (const tensor of given) model.forward(tensor).destroy();
      const before = await first.runningMean?.data();
      await assertThrows(() => updateBatchNorm(model, given, { signal: AbortSignal.abort() }), {
        name: 'AbortError',
      });
      assertEqual(await first.runningMean?.data(), before, 'aborted before it began');
      assertEqual(await count(), 3);

      const aborting = new AbortController();
      let closed = false;
      function* closing() {
        try {
          yield* given;
        } finally {
          closed = true;
        }
      }
      const onProgress = (done: number) => done === 2 && aborting.abort(new Error('enough'));
      await assertThrows(() => updateBatchNorm(model, closing(), { signal: aborting.signal, onProgress }), {
        message: 'enough',
      });
      stays('aborted');
      assert(closed, 'the generator was closed');
      assertEqual(await count(), 2);
      const aborted = await first.runningMean?.data();
      await updateBatchNorm(model, given.slice(0, 2));
      assertEqual(aborted, await first.runningMean?.data(), 'the average of what came before the abort');

      await assertThrows(() => updateBatchNorm(model, [given[0] as Tensor, gpu.zeros([4, 5])]), {
        code: 'shape',
      });
      stays('failed');
      assertEqual(await count(), 1);
      await assertThrows(
        () =>
          updateBatchNorm(model, given, {
            forward: () => {
              throw new Error('mine');
            },
          }),
        { message: 'mine' },
      );
      stays('forward failed');
      assertEqual(await first.runningVar?.data(), new Float32Array(6).fill(1));

      let forwards = 0;
      const forward = () => {
        forwards += 1;
        model.forward(given[forwards - 1] as Tensor);
      };
      await updateBatchNorm(model, given, { forward });
      assertEqual([forwards, await count()], [3, 3]);

      const none = new LayerNorm(gpu, 6);
      await updateBatchNorm(none, given, { onProgress: () => assert(false, 'took a batch') });
      none.destroy();
      model.destroy();
      for (const tensor of given) tensor.destroy();
    },
  },
  {
    name: 'updateBatchNorm: SyncBatchNorm on two ranks as BatchNorm of the joined batches, averaged too',
    async run({ gpu }) {
      const whole = batches(gpu, 3);
      const alone = modelOf(gpu);
      await updateBatchNorm(alone, whole);
      const expected = alone.stateDict();
      const before = gpu.memory().tensors;
      for (const averaging of [false, true]) {
        const ranks = LocalProcessGroup.create(2);
        await Promise.all(
          ranks.map(async (group) => {
            const sync = () => convertSyncBatchNorm(modelOf(gpu), group) as Sequential;
            const inner = sync();
            const source = averaging ? sync() : undefined;
            const model = source ? new AveragedModel(source, inner) : inner;
            const [, , last] = inner;
            let hooked = 0;
            inner.registerForwardHook(() => {
              hooked += 1;
              return undefined;
            });
            model.eval();
            const halves = await Promise.all(
              whole.map(async (batch) => {
                const values = await batch.data();
                const half = values.length / 2;
                const rows = (batch.shape[0] as number) / 2;
                return gpu.tensor(values.subarray(group.rank * half).subarray(0, half), [rows, 6]);
              }),
            );
            await updateBatchNorm(model, halves);
            assertEqual(hooked, 3, 'calls of the hook');
            assertEqual(last?.training, false, 'mode');
            for (const [name, tensor] of inner.stateDict()) {
              const wanted = (await expected.get(name)?.data()) as Float32Array;
              // The mean of what a norm gives is no more exact than that.
              const error = relativeError(
                await tensor.data(),
                wanted,
                new Float32Array(wanted.length).fill(1),
              );
              assert(error <= bounds.forward, `${name}: ${error.toExponential(2)}`);
            }
            let forwards = 0;
            const forward = async () => {
              const y = await inner.forwardAsync(halves[0] as Tensor);
              forwards += 1;
              return y;
            };
            await updateBatchNorm(model, halves, { forward });
            assertEqual(forwards, 3, 'calls of forward');
            for (const tensor of halves) tensor.destroy();
            source?.destroy();
            model.destroy();
          }),
        );
      }
      assertEqual(gpu.memory().tensors, before, 'tensors');
      const values = await Promise.all([...expected.values()].map((tensor) => tensor.data()));
      const awaited = async (batch: unknown) => {
        await gpu.idle();
        return alone.forward(batch as Tensor);
      };
      await updateBatchNorm(alone, whole, { forward: awaited });
      for (const [i, tensor] of [...alone.stateDict().values()].entries()) {
        assertEqual([...(await tensor.data())], [...(values[i] ?? [])], 'with a forward that is awaited');
      }
      assertEqual(gpu.memory().tensors, before, 'tensors after a forward that is awaited');
      alone.destroy();
      for (const tensor of whole) tensor.destroy();
    },
  },
];
