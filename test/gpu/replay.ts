/** A call that comes again is recorded as it was; everything that it depends on makes it another one. */
import { LocalProcessGroup, SyncBatchNorm } from '../../src/distributed/index.ts';
import { recordNames } from '../../src/gpu/execute.ts';
import { Replay } from '../../src/gpu/replay.ts';
import {
  BatchNorm1d,
  FrozenBatchNorm2d,
  type Gpu,
  GroupNorm,
  InstanceNorm1d,
  LayerNorm,
  layerNorm,
  type Module,
  Parameter,
  RMSNorm,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { backwardNames, forwardNames, type NormModule } from '../../src/nn/norm-module.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';

/** A norm of every kind, and the shape of its inputs. */
const norms: Record<string, (gpu: Gpu) => [NormModule, number[]]> = {
  LayerNorm: (gpu) => [new LayerNorm(gpu, 6), [4, 6]],
  RMSNorm: (gpu) => [new RMSNorm(gpu, 6), [4, 6]],
  GroupNorm: (gpu) => [new GroupNorm(gpu, 2, 6), [4, 6, 3]],
  BatchNorm1d: (gpu) => [new BatchNorm1d(gpu, 6), [4, 6]],
  'BatchNorm1d in evaluation': (gpu) => [new BatchNorm1d(gpu, 6).eval() as BatchNorm1d, [4, 6]],
  InstanceNorm1d: (gpu) => [new InstanceNorm1d(gpu, 6, { affine: true, trackRunningStats: true }), [4, 6, 3]],
  FrozenBatchNorm2d: (gpu) => [new FrozenBatchNorm2d(gpu, 6), [2, 6, 2, 2]],
};

/** A module whose forward and backward have been recorded with outputs of the caller's, and how to do that again. */
function recorded(gpu: Gpu, [module, shape]: [NormModule, number[]]) {
  const size = shape.reduce((product, one) => product * one, 1);
  const [x, dy] = [1, 2].map((seed) => gpu.tensor(normal(size, { seed }), shape)) as [Tensor, Tensor];
  const [y, dx] = [gpu.empty(shape), gpu.empty(shape)];
  const forward = (options: object = {}) => module.forward(x, { out: y, ...options });
  const backward = (options: object = {}) => module.backward(dy, { out: dx, ...options });
  for (let i = 0; i < 3; i++) {
    forward();
    backward();
  }
  return { module, x, dy, y, dx, forward, backward };
}

/** How often something was kept to be recorded again while `body` ran. */
function kept(body: () => void): number {
  const { keep } = Replay.prototype;
  let count = 0;
  Replay.prototype.keep = function (...args) {
    count += 1;
    return keep.apply(this, args);
  };
  try {
    body();
  } finally {
    Replay.prototype.keep = keep;
  }
  return count;
}

const valuesOf = async (tensors: Iterable<Tensor>): Promise<number[][]> =>
  Promise.all([...tensors].map(async (tensor) => [...(await tensor.data())]));

export const cases: Case[] = [
  ...Object.entries(norms).map(
    ([name, make]): Case => ({
      name: `replay: every option of ${name}'s passes makes another call`,
      async run({ gpu }) {
        const { module, forward, backward } = recorded(gpu, make(gpu));
        assertEqual(
          kept(() => {
            forward();
            backward();
          }),
          0,
          'calls kept anew where nothing has changed',
        );
        // What is recorded again is not validated again: a value that nobody accepts is noticed if it is compared.
        for (const [names, pass] of [
          [forwardNames, forward],
          [backwardNames, backward],
        ] as const) {
          for (const option in names) {
            pass();
            await assertThrows(() => pass({ [option]: 5 }), { code: 'value' }, option);
          }
        }
        module.destroy();
      },
    }),
  ),
  ...Object.entries(norms).map(
    ([name, make]): Case => ({
      name: `replay: every parameter and buffer of ${name} makes another call`,
      async run({ gpu }) {
        const { module, y, forward } = recorded(gpu, make(gpu));
        const mine: Tensor[] = [];
        for (const [parameter, { data }] of module.namedParameters()) {
          const [before] = await valuesOf([forward()]);
          mine.push(data); // not destroyed: nothing but its being replaced may be noticed
          const other = gpu.tensor(normal(data.size, { seed: 7 }), data.shape);
          module.registerParameter(parameter, new Parameter(other));
          const [after] = await valuesOf([forward()]);
          assert(
            after?.some((value, i) => value !== before?.[i]),
            parameter,
          );
        }
        for (const [buffer, tensor] of module.namedBuffers()) {
          forward();
          const [before] = await valuesOf([y]);
          mine.push(tensor);
          const values = normal(tensor.size, { seed: 9 }).map(
            (value) => Math.floor(10 * Math.abs(value)) + 1,
          );
          const other = gpu.tensor(values, tensor.shape, { dtype: tensor.dtype });
          const [held] = await valuesOf([other]);
          const [old] = await valuesOf([tensor]);
          module.registerBuffer(buffer, other);
          forward();
          const [after, written, left] = await valuesOf([y, other, tensor]);
          const used = after?.some((value, i) => value !== before?.[i]);
          const updated = written?.some((value, i) => value !== held?.[i]);
          // InstanceNorm has a count that it never changes, as PyTorch's; evaluation has no use for one.
          assert(used || updated || buffer === 'num_batches_tracked', buffer);
          assertEqual(left, old, `what ${buffer} was before`);
        }
        module.destroy();
        for (const tensor of mine) tensor.destroy();
      },
    }),
  ),
  {
    name: 'replay: modes, momentum and gradients make another call',
    async run({ gpu }) {
      const { module, forward, backward } = recorded(gpu, [new BatchNorm1d(gpu, 6), [4, 6]]);
      const batch = module as BatchNorm1d;
      const changes: [string, () => void, () => void][] = [
        ['training', () => batch.eval(), forward],
        ['training again', () => batch.train(), forward],
        ['momentum', () => (batch.momentum = 0.7), forward],
        ['momentum null', () => (batch.momentum = null), forward],
        ['trackRunningStats', () => (batch.trackRunningStats = false), forward],
        ['requiresGrad of weight', () => ((batch.weight as Parameter).requiresGrad = false), backward],
        ['requiresGrad of bias', () => ((batch.bias as Parameter).requiresGrad = false), backward],
      ];
      for (const [name, change, pass] of changes) {
        forward();
        backward();
        backward();
        assertEqual(kept(pass), 0, `calls kept anew before ${name}`);
        change();
        assert(kept(pass) > 0, name);
      }
      module.destroy();
    },
  },
  {
    name: 'replay: a buffer registered with SyncBatchNorm makes another call',
    async run({ gpu }) {
      const [group] = LocalProcessGroup.create(1) as [LocalProcessGroup];
      const norm = new SyncBatchNorm(gpu, 6, { group });
      const x = gpu.tensor(normal(24), [4, 6]);
      const y = gpu.empty([4, 6]);
      for (let i = 0; i < 3; i++) norm.forward(x, { out: y });
      const count = gpu.zeros([], { dtype: 'u32' });
      norm.registerBuffer('num_batches_tracked', count);
      norm.forward(x, { out: y });
      assertEqual([...(await count.data())], [1]);
      assert(norm.numBatchesTracked === count, 'the module has it');
      norm.destroy();
    },
  },
  {
    name: 'replay: a pass without out keeps nothing, and forgets what was kept',
    async run({ gpu }) {
      const { module, x, dy, forward } = recorded(gpu, [new LayerNorm(gpu, 6), [4, 6]]);
      const y = module.forward(x);
      assertEqual(
        kept(() => {
          const again = module.forward(x);
          assert(again !== y, 'another output');
          module.backward(dy);
          layerNorm(gpu, x, { normalizedShape: 6 });
          layerNorm(gpu, x, { normalizedShape: 6, out: { y } });
        }),
        0,
        'calls kept',
      );
      assert(kept(forward) > 0, 'the one before the pass without out is forgotten');
      module.destroy();
    },
  },
  {
    name: 'replay: what a call makes beside out is another tensor every time',
    async run({ gpu }) {
      const [x, residual, y, dx] = [1, 2, 3, 4].map((seed) => gpu.tensor(normal(24, { seed }), [4, 6])) as [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
      const layer = new LayerNorm(gpu, 6);
      const first = layer.forwardResidual(x, residual, { out: y });
      const sums = await valuesOf([first.sum]);
      x.write(normal(24, { seed: 5 }));
      const second = layer.forwardResidual(x, residual, { out: y });
      assert(second.sum !== first.sum, 'sum');
      assertEqual((await valuesOf([first.sum]))[0], sums[0], 'the first sum');
      const activated = new LayerNorm(gpu, 6, { activation: 'relu' });
      activated.forward(x, { residual, out: y });
      const gradients = [1, 2, 3].map(() => activated.backwardResidual(residual, { out: dx }).dresidual);
      assertEqual(new Set(gradients).size, 3, 'gradients of the residual');
      layer.destroy();
      activated.destroy();
    },
  },
  {
    name: 'replay: another parameter with the same values gets the gradient',
    async run({ gpu }) {
      const { module, backward } = recorded(gpu, [new LayerNorm(gpu, 6), [4, 6]]);
      const weight = module.weight as Parameter;
      const tied = new Parameter(weight.data);
      module.weight = tied;
      const before = await valuesOf([weight.grad as Tensor]);
      backward();
      assertEqual(await valuesOf([weight.grad as Tensor]), before, 'the gradient of the one before');
      assert(tied.grad !== null, 'a gradient');
      module.destroy();
    },
  },
  {
    name: 'replay: a schedule that was changed in place makes another call',
    async run({ gpu }) {
      const { module, forward } = recorded(gpu, [new LayerNorm(gpu, 6), [4, 6]]);
      const schedule = { strategy: 'split', splits: 2 };
      for (let i = 0; i < 3; i++) forward({ schedule });
      schedule.strategy = 'no such strategy';
      await assertThrows(() => forward({ schedule }), { code: 'value' });
      schedule.strategy = 'split';
      forward({ schedule });
      assertEqual(
        kept(() => forward({ schedule: { ...schedule } })),
        0,
        'calls kept anew for the same in another object',
      );
      module.destroy();
    },
  },
  {
    name: 'replay: a composite asks its modules again after a buffer was replaced',
    async run({ gpu }) {
      const first = new BatchNorm1d(gpu, 6);
      const second = new BatchNorm1d(gpu, 6);
      const model: Module = new Sequential(gpu, first, second);
      const x = gpu.tensor(normal(24), [4, 6]);
      const y = gpu.empty([4, 6]);
      for (let i = 0; i < 3; i++) model.forward(x, { out: y });
      const before = second.runningMean as Tensor;
      second.runningMean = gpu.zeros([5]);
      await assertThrows(() => model.forward(x, { out: y }), { code: 'shape' });
      assertEqual([...((await first.numBatchesTracked?.data()) ?? [])], [3], 'batches of the first module');
      model.destroy();
      before.destroy();
    },
  },
  {
    name: 'replay: a composite asks its modules again after a tensor of theirs was destroyed',
    async run({ gpu }) {
      const destroyed: [string, (second: BatchNorm1d) => Tensor | undefined][] = [
        ['weight', (second) => second.weight?.data],
        ['running mean', (second) => second.runningMean ?? undefined],
      ];
      for (const [name, tensorOf] of destroyed) {
        const first = new BatchNorm1d(gpu, 6);
        const second = new BatchNorm1d(gpu, 6);
        const model: Module = new Sequential(gpu, first, second);
        const x = gpu.tensor(normal(24), [4, 6]);
        for (let i = 0; i < 3; i++) model.forward(x);
        tensorOf(second)?.destroy();
        await assertThrows(() => model.forward(x), { code: 'destroyed' });
        assertEqual(
          [...((await first.numBatchesTracked?.data()) ?? [])],
          [3],
          `batches, without the ${name}`,
        );
        model.destroy();
      }
    },
  },
  {
    name: 'replay: where a pass is recorded makes no other call',
    async run({ gpu, device }) {
      const { module, x, y, forward, backward } = recorded(gpu, [new LayerNorm(gpu, 6), [4, 6]]);
      const expected = await valuesOf([y]);
      y.write(new Float32Array(24));
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      assertEqual(
        kept(() => {
          forward({ pass });
          backward({ pass });
          pass.end();
          forward({ encoder });
          backward({ encoder });
        }),
        0,
        'calls kept anew',
      );
      device.queue.submit([encoder.finish()]);
      assertEqual(await valuesOf([y]), expected);
      await assertThrows(() => forward({ encoder, pass }), { code: 'value' });
      assertEqual(Object.keys(recordNames), ['encoder', 'pass'], 'options that say where');
      module.destroy();
      x.destroy();
    },
  },
];
