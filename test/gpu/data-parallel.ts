/** DistributedDataParallel, ZeroRedundancyOptimizer and broadcastState on local ranks. */
import {
  broadcastState,
  convertSyncBatchNorm,
  DistributedDataParallel,
  type DistributedDataParallelOptions,
  type LocalGroupOptions,
  LocalProcessGroup,
  type ProcessGroup,
  syncGradients,
  ZeroRedundancyOptimizer,
} from '../../src/distributed/index.ts';
import {
  BatchNorm1d,
  DynamicTanh,
  type Gpu,
  LayerNorm,
  Module,
  type Parameter,
  type PassOptions,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { Adam, AdamW, GradScaler, SGD } from '../../src/optim/index.ts';
import { distance, size, trainAlone, trainTogether } from '../distributed/programs/data-parallel.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';

const channels = 4;

const input = (gpu: Gpu, seed: number, samples = 3): Tensor =>
  gpu.tensor(normal(samples * channels, { seed }), [samples, channels]);

/** Runs all ranks of a new group, which is closed then. */
async function together<T>(
  ranks: number,
  run: (group: ProcessGroup) => Promise<T>,
  options: LocalGroupOptions = {},
): Promise<T[]> {
  const groups = LocalProcessGroup.create(ranks, { timeout: 20_000, ...options });
  const results = await Promise.all(groups.map(run));
  await Promise.all(groups.map((group) => group.close()));
  return results;
}

async function gradientsOf(module: Module): Promise<number[]> {
  const data = await Promise.all(module.parameters().map(({ grad }) => grad?.data()));
  return data.flatMap((values) => [...(values ?? [Number.NaN])]);
}

async function valuesOf(tensors: readonly Tensor[]): Promise<number[]> {
  return (await Promise.all(tensors.map((tensor) => tensor.data()))).flatMap((values) => [...values]);
}

const norms = (gpu: Gpu) => new Sequential(gpu, new LayerNorm(gpu, channels), new LayerNorm(gpu, channels));

/** Every tensor of parameters has a bucket of its own. */
const small: DistributedDataParallelOptions = { bucketBytes: 4 };

/** Gives on what it gets; its backward waits for something. */
class Waiting extends Module {
  readonly until: () => Promise<void>;

  constructor(gpu: Gpu, until: () => Promise<void>) {
    super(gpu);
    this.until = until;
  }

  override get asynchronous(): boolean {
    return true;
  }

  override async forward(x: Tensor): Promise<Tensor> {
    return x;
  }

  override async backward(dy: Tensor): Promise<Tensor> {
    await this.until();
    return dy;
  }
}

/** Two norms beside each other, of which one may be left out. */
class Branches extends Module {
  readonly left: LayerNorm;
  readonly right: LayerNorm;
  which: 'left' | 'right' | 'both' = 'both';

  constructor(gpu: Gpu) {
    super(gpu);
    this.left = this.registerModule('left', new LayerNorm(gpu, channels));
    this.right = this.registerModule('right', new LayerNorm(gpu, channels));
  }

  override forward(x: Tensor): Tensor {
    if (this.which !== 'right') this.left.forward(x);
    return this.which === 'left' ? this.left.forward(x) : this.right.forward(x);
  }

  override backward(dy: Tensor): Tensor {
    if (this.which === 'both') this.left.backward(dy);
    return this.which === 'left' ? this.left.backward(dy) : this.right.backward(dy);
  }
}

/** All of its backward is in an encoder that it submits in the end. */
class Recorded extends Module {
  readonly inner: Sequential;

  constructor(gpu: Gpu) {
    super(gpu);
    this.inner = this.registerModule('inner', norms(gpu));
  }

  override forward(x: Tensor): Tensor {
    return this.inner.forward(x);
  }

  override backward(dy: Tensor, _options?: PassOptions): Tensor {
    const encoder = this.gpu.device.createCommandEncoder();
    const dx = this.inner.backward(dy, { encoder });
    this.gpu.device.queue.submit([encoder.finish()]);
    return dx;
  }
}

/** The mean of the gradients of two ranks, as syncGradients has it. */
function meanOfTwo(gpu: Gpu, make: () => Module): Promise<number[][]> {
  return together(2, async (group) => {
    const model = make();
    await model.forward(input(gpu, group.rank + 1));
    await model.backward(input(gpu, group.rank + 11));
    await syncGradients(model, group);
    return gradientsOf(model);
  });
}

const training: Case[] = [
  {
    name: 'data parallel: noSync, uneven batches and sharded state equal training alone after 50 steps',
    async run(t) {
      const all = await together(size, (group) => trainTogether(t.gpu, group));
      const alone = await trainAlone(t.gpu);
      const [first] = all as [(typeof all)[0]];
      for (const one of all) {
        assertEqual(one.parameters, first.parameters, 'parameters of a rank beside those of rank 0');
        assertEqual(one.state, first.state, 'state');
      }
      const worst = {
        parameters: distance(first.parameters, alone.parameters),
        state: distance(first.state, alone.state),
      };
      t.note('data parallel', JSON.stringify(worst));
      assert(worst.parameters < 1e-6 && worst.state < 1e-6, JSON.stringify(worst));
    },
  },
];

const gradients: Case[] = [
  {
    name: 'data parallel: hooks of gradients, which say whether the GPU has been given what adds to them',
    async run(t) {
      const { gpu } = t;
      const norm = new LayerNorm(gpu, channels);
      const { weight, bias } = norm as { weight: Parameter; bias: Parameter };
      const seen: string[] = [];
      const say = (name: string) => (parameter: Parameter, submitted: boolean) => {
        assert(parameter.grad, 'the gradient is there');
        seen.push(`${name} ${submitted}`);
      };
      const first = weight.registerPostAccumulateGradHook(say('first'));
      weight.registerPostAccumulateGradHook(say('second'));
      bias.registerPostAccumulateGradHook(say('bias'));
      norm.forward(input(gpu, 1));
      norm.backward(input(gpu, 2));
      first.remove();
      first.remove();
      const encoder = gpu.device.createCommandEncoder();
      norm.backward(input(gpu, 2), { encoder });
      gpu.device.queue.submit([encoder.finish()]);
      weight.requiresGrad = false;
      norm.backward(input(gpu, 2));
      bias.takeGradient();
      bias.keepGradient();
      assertEqual(
        seen.join(', '),
        'first true, second true, bias true, second false, bias false, bias true, bias false',
      );
      await assertThrows(() => bias.registerPostAccumulateGradHook(1 as never), { code: 'value' });

      // A module that is no norm says it, too.
      const tanh = new DynamicTanh(gpu, channels);
      seen.length = 0;
      for (const [name, parameter] of tanh.namedParameters())
        parameter.registerPostAccumulateGradHook(say(name));
      tanh.forward(input(gpu, 1));
      tanh.backward(input(gpu, 2));
      assertEqual(seen.join(', '), 'alpha true, weight true, bias true');
    },
  },
  {
    name: 'data parallel: the gradients are the mean of those of the ranks, whatever the buckets',
    async run(t) {
      const { gpu } = t;
      const [expected] = await meanOfTwo(gpu, () => norms(gpu));
      const check = async (
        options: DistributedDataParallelOptions,
        groupOptions: LocalGroupOptions = {},
        of: (group: ProcessGroup) => ProcessGroup = (group) => group,
      ) => {
        const pass = async (group: ProcessGroup) => {
          const ddp = await DistributedDataParallel.wrap(norms(gpu), of(group), options);
          (await ddp.forward(input(gpu, group.rank + 1))).destroy();
          await ddp.backward(input(gpu, group.rank + 11));
          return gradientsOf(ddp);
        };
        for (const one of await together(2, pass, groupOptions)) {
          assertEqual(one, expected, JSON.stringify([options, groupOptions]));
        }
      };
      for (const options of [{}, small, { bucketBytes: 40 }, { findUnusedParameters: true }])
        await check(options);
      await check(small, { treeAbove: 1, fanOut: 2 });
      // A group of the caller's own, which has what the interface says.
      await check(small, {}, (group) => ({
        rank: group.rank,
        size: group.size,
        traffic: group.traffic,
        allGather: (...args) => group.allGather(...args),
        reduceScatter: (...args) => group.reduceScatter(...args),
        allReduce: (...args) => group.allReduce(...args),
        allMerge: (...args) => group.allMerge(...args),
        broadcast: (...args) => group.broadcast(...args),
        barrier: (...args) => group.barrier(...args),
        close: () => group.close(),
      }));
    },
  },
  {
    name: 'data parallel: a bucket is on its way while backward goes on',
    async run(t) {
      const { gpu } = t;
      await together(2, async (group) => {
        let received = 0;
        const arrived = async () => {
          // Without overlap the other rank never sends, and this runs into the time-out of the case.
          while (group.traffic.bytesReceived === received) await new Promise((next) => setTimeout(next));
        };
        const model = new Sequential(
          gpu,
          new LayerNorm(gpu, channels),
          new Waiting(gpu, arrived),
          new LayerNorm(gpu, channels),
        );
        const ddp = await DistributedDataParallel.wrap(model, group, small);
        await ddp.forward(input(gpu, group.rank + 1));
        await group.barrier();
        received = group.traffic.bytesReceived;
        await ddp.backward(input(gpu, group.rank + 11));
      });
    },
  },
  {
    name: 'data parallel: what is recorded, what is shared and what does not say so waits for the end of backward',
    async run(t) {
      const { gpu } = t;
      // The bucket of the weight has nothing else to wait for.
      const tied = () => {
        const model = new Sequential(
          gpu,
          new LayerNorm(gpu, channels, { bias: false }),
          new LayerNorm(gpu, channels, { bias: false }),
        );
        (model.at(1) as LayerNorm).weight = (model.at(0) as LayerNorm).weight;
        return model;
      };
      for (const make of [() => new Recorded(gpu), tied]) {
        const [expected] = await meanOfTwo(gpu, make);
        const all = await together(2, async (group) => {
          const ddp = await DistributedDataParallel.wrap(make(), group, small);
          await ddp.forward(input(gpu, group.rank + 1));
          await ddp.backward(input(gpu, group.rank + 11));
          return gradientsOf(ddp);
        });
        for (const one of all) assertEqual(one, expected);
      }
    },
  },
  {
    name: 'data parallel: SyncBatchNorm of the same group inside, in many buckets, as one BatchNorm',
    async run(t) {
      const { gpu } = t;
      const make = () =>
        new Sequential(
          gpu,
          new BatchNorm1d(gpu, channels, { activation: 'gelu' }),
          // Without an activation the next norm would undo its weight, and leave of the gradient what rounding makes.
          new LayerNorm(gpu, channels, { activation: 'gelu' }),
          new BatchNorm1d(gpu, channels),
        );
      const [x, dy] = [input(gpu, 1, 6), input(gpu, 2, 6)];
      const alone = make();
      alone.forward(x);
      alone.backward(dy);
      const [values, slopes] = [await x.data(), await dy.data()];
      const half = (all: ArrayLike<number>, rank: number, factor: number) =>
        gpu.tensor(
          Array.from(all)
            .slice(12 * rank, 12 * rank + 12)
            .map((one) => one * factor),
          [3, channels],
        );
      const all = await together(2, async (group) => {
        const model = convertSyncBatchNorm(make(), group);
        const ddp = await DistributedDataParallel.wrap(model, group, small);
        for (let step = 0; step < 3; step++) {
          ddp.zeroGrad();
          await ddp.forward(half(values, group.rank, 1));
          // The mean over two ranks of twice the sum.
          await ddp.backward(half(slopes, group.rank, 2));
        }
        return gradientsOf(ddp);
      });
      const expected = await gradientsOf(alone);
      for (const one of all) {
        // Three norms in a row, two of which merge statistics in another order than one of the whole batch.
        assert(distance(one, expected) < 1e-5, `${one} beside ${expected}`);
      }
    },
  },
  {
    name: 'data parallel: noSync adds to this rank alone; more after a bucket has gone is told',
    async run(t) {
      const { gpu } = t;
      await together(2, async (group) => {
        const ddp = await DistributedDataParallel.wrap(norms(gpu), group, small);
        const { collectives } = group.traffic;
        const pass = async () => {
          await ddp.forward(input(gpu, group.rank + 1));
          await ddp.backward(input(gpu, group.rank + 11));
        };
        const said = await ddp.noSync(async () => {
          await pass();
          return 'said';
        });
        assertEqual(said, 'said');
        assertEqual(group.traffic.collectives, collectives, 'calls within noSync');
        const once = await gradientsOf(ddp);
        await pass();
        const [expected] = await meanOfTwo(gpu, () => norms(gpu));
        const twice = (expected as number[]).map((one) => 2 * one);
        assert(distance(await gradientsOf(ddp), twice) < 1e-6, 'the sum of two passes');
        await assertThrows(() => ddp.noSync(() => ddp.synchronize()), { code: 'order' });

        ddp.zeroGrad();
        const before = async () => {
          await ddp.module.forward(input(gpu, group.rank + 1));
          await ddp.module.backward(input(gpu, group.rank + 11));
        };
        await before();
        await before();
        await assertThrows(() => ddp.synchronize(), { code: 'order', message: /More was added.* 0\.weight/ });
        const own = once.map((one) => 2 * one);
        assert(distance(await gradientsOf(ddp), own) < 1e-6, 'gradients after a refusal');
        ddp.zeroGrad();
        await pass();
        assertEqual(await gradientsOf(ddp), expected, 'after a refusal');
      });
    },
  },
  {
    name: 'data parallel: a parameter without a gradient is named on all ranks, or counts as zero',
    async run(t) {
      const { gpu } = t;
      await together(2, async (group) => {
        const model = new Branches(gpu);
        const ddp = await DistributedDataParallel.wrap(model, group, small);
        const pass = async (which: Branches['which']) => {
          ddp.zeroGrad();
          model.which = which;
          await ddp.forward(input(gpu, group.rank + 1));
          await ddp.backward(input(gpu, 12));
        };
        await assertThrows(() => pass(group.rank === 0 ? 'right' : 'both'), {
          code: 'order',
          message: /left\.weight \(on 1 of 2 ranks\), left\.bias \(on 1 of 2 ranks\)/,
        });
        assertEqual(model.left.weight?.grad === null, group.rank === 0, 'no gradient is made');
        await pass('both');
        const full = await gradientsOf(model.left);
        ddp.destroy();

        const lenient = await DistributedDataParallel.wrap(new Branches(gpu), group, {
          findUnusedParameters: true,
        });
        const other = lenient.module;
        other.which = group.rank === 0 ? 'right' : 'both';
        await lenient.forward(input(gpu, 2));
        await lenient.backward(input(gpu, 12));
        const halved = await gradientsOf(other.left);
        other.left.zeroGrad();
        other.which = 'left';
        await lenient.module.forward(input(gpu, 2));
        await lenient.noSync(() => other.backward(input(gpu, 12)));
        const whole = await gradientsOf(other.left);
        assert(
          distance(
            halved,
            whole.map((one) => one / 2),
          ) < 1e-6,
          `${halved} beside ${whole}`,
        );
        lenient.zeroGrad();
        other.which = 'right';
        await lenient.forward(input(gpu, 2));
        await lenient.backward(input(gpu, 12));
        assertEqual(other.left.weight?.grad, null, 'used by no rank');
        assert(full.every(Number.isFinite), 'gradients after a refusal');
      });
    },
  },
  {
    name: 'data parallel: all begin with what rank 0 has, and buffers are its own before every forward',
    async run(t) {
      const { gpu } = t;
      for (const broadcastBuffers of [true, false]) {
        const all = await together(2, async (group) => {
          const model = new BatchNorm1d(gpu, channels, { momentum: 0.5 });
          model.weight?.data.write([1, 2, 3, 4].map((one) => one + group.rank));
          model.runningMean?.write([1, 2, 3, 4].map((one) => one * group.rank));
          const ddp = await DistributedDataParallel.wrap(model, group, { broadcastBuffers });
          const start = await valuesOf([model.weight?.data as Tensor, model.runningMean as Tensor]);
          assertEqual(start, [1, 2, 3, 4, 0, 0, 0, 0], 'what rank 0 begins with');
          for (const _ of [0, 1]) {
            ddp.zeroGrad();
            await ddp.forward(input(gpu, group.rank + 1));
            await ddp.backward(input(gpu, 12));
          }
          return valuesOf([model.runningMean as Tensor]);
        });
        // mean₂ = mean₁ / 2 + m / 2, where mean₁ is m / 2 of rank 0 or of the rank.
        const means = await Promise.all(
          [1, 2].map(async (seed) => {
            const x = await input(gpu, seed).data();
            return [0, 1, 2, 3].map((c) => [0, 4, 8].reduce((sum, at) => sum + (x[at + c] as number), 0) / 3);
          }),
        );
        const [zero, one] = means as [number[], number[]];
        const expected = one.map((mean, c) => ((broadcastBuffers ? zero : one)[c] as number) / 4 + mean / 2);
        assert(distance(all[1] as number[], expected) < 1e-5, `${all[1]} beside ${expected}`);
      }
    },
  },
];

const joining: Case[] = [
  {
    name: 'data parallel: join divides by the ranks that are left, if asked, and ends early, if asked',
    async run(t) {
      const { gpu } = t;
      const run = (options: object) =>
        together(3, async (group) => {
          const ddp = await DistributedDataParallel.wrap(norms(gpu), group, small);
          const seen: number[][] = [];
          const rest = ddp.join(async () => {
            for (let step = 0; step < 1 + group.rank; step++) {
              ddp.zeroGrad();
              await ddp.forward(input(gpu, 1));
              await ddp.backward(input(gpu, 2));
              seen.push(await gradientsOf(ddp));
            }
          }, options);
          return { group, rest: await rest.then(() => seen) };
        });
      for (const [divideByInitialWorldSize, factors] of [
        [true, [1, 2 / 3, 1 / 3]],
        [false, [1, 1, 1]],
        [undefined, [1, 2 / 3, 1 / 3]],
      ] as const) {
        const [, , last] = await run({ divideByInitialWorldSize });
        const { rest } = last as { rest: number[][] };
        rest.forEach((one, step) => {
          const expected = (rest[0] as number[]).map((value) => value * (factors[step] as number));
          assert(distance(one, expected) < 1e-6, `step ${step}, ${divideByInitialWorldSize}`);
        });
        assertEqual(rest.length, 3);
      }
      const refused = LocalProcessGroup.create(2).map(async (group) => {
        const ddp = await DistributedDataParallel.wrap(norms(gpu), group);
        const body = async () => {
          for (let step = 0; step < 1 + group.rank; step++) {
            await ddp.forward(input(gpu, 1));
            await ddp.backward(input(gpu, 2));
          }
        };
        await assertThrows(() => ddp.join(body, { throwOnEarlyTermination: true }), {
          code: 'order',
          message: /only 1 had another batch/,
        });
        // The group goes on.
        await ddp.join(async () => {
          await ddp.forward(input(gpu, 1));
          await ddp.backward(input(gpu, 2));
        });
      });
      await Promise.all(refused);
    },
  },
  {
    name: 'data parallel: at the end of join all have what the last ranks have',
    async run(t) {
      const { gpu } = t;
      const all = await together(3, async (group) => {
        const model = new Sequential(gpu, new BatchNorm1d(gpu, channels), new LayerNorm(gpu, channels));
        const ddp = await DistributedDataParallel.wrap(model, group);
        const optimizer = new SGD(ddp.parameters(), { lr: 0.1 });
        await ddp.join(async () => {
          // Rank 0 has nothing at all.
          for (let step = 0; step < 2 * group.rank; step++) {
            optimizer.zeroGrad();
            await ddp.noSync(async () => ddp.backward((await ddp.forward(input(gpu, group.rank))) as Tensor));
            await ddp.forward(input(gpu, 10 * group.rank + step));
            await ddp.backward(input(gpu, 2));
            optimizer.step();
          }
        });
        const { numBatchesTracked } = model.at(0) as BatchNorm1d;
        assertEqual(await valuesOf([numBatchesTracked as Tensor]), [8], 'batches of rank 2');
        return valuesOf([...ddp.parameters().map(({ data }) => data), ...ddp.buffers()]);
      });
      for (const one of all) assertEqual(one, all[0]);
    },
  },
];

const failing: Case[] = [
  {
    name: 'data parallel: after a rank is lost, training goes on in a new group with the state of the one that is left',
    async run(t) {
      const { gpu } = t;
      const step = async (ddp: DistributedDataParallel, optimizer: Adam, seed: number) => {
        await ddp.forward(input(gpu, seed));
        await ddp.backward(input(gpu, seed + 100));
        optimizer.step();
        optimizer.zeroGrad();
      };
      const begin = async (model: Module, group: ProcessGroup) => {
        const ddp = await DistributedDataParallel.wrap(model, group, small);
        return { ddp, optimizer: new Adam(model.parameters(), { lr: 0.1 }) };
      };
      const whole = await together(2, async (group) => {
        const { ddp, optimizer } = await begin(norms(gpu), group);
        for (const seed of [10, 20, 30]) await step(ddp, optimizer, seed + group.rank);
        return valuesOf(ddp.parameters().map(({ data }) => data));
      });
      const [lost, left] = LocalProcessGroup.create(2, { timeout: 20_000 }) as [
        LocalProcessGroup,
        LocalProcessGroup,
      ];
      const model = norms(gpu);
      const [{ ddp: former, optimizer }] = await Promise.all([
        begin(model, left).then(async (made) => {
          await step(made.ddp, made.optimizer, 11);
          return made;
        }),
        begin(norms(gpu), lost).then((made) => step(made.ddp, made.optimizer, 10)),
      ]);
      const [before] = await Promise.all([
        valuesOf(model.parameters().map(({ data }) => data)),
        lost.close(),
      ]);
      await assertThrows(() => step(former, optimizer, 21), { code: 'rank-lost' });
      assertEqual(await valuesOf(model.parameters().map(({ data }) => data)), before, 'parameters');
      const own = norms(gpu);
      own.forward(input(gpu, 21));
      own.parameters().forEach(({ data }, i) => {
        data.write(before.slice(channels * i, channels * (i + 1)));
      });
      own.forward(input(gpu, 21));
      own.backward(input(gpu, 121));
      assertEqual(await gradientsOf(model), await gradientsOf(own), 'gradients are those of this rank');
      await left.close();
      const again = await together(2, async (group) => {
        const isNew = group.rank === 0;
        const its = isNew ? norms(gpu) : model;
        const optimizes = isNew ? new Adam(its.parameters(), { lr: 9 }) : optimizer;
        its.zeroGrad();
        await broadcastState(its, group, { root: 1 });
        await broadcastState(optimizes, group, { root: 1 });
        const ddp = await DistributedDataParallel.wrap(its, group, small);
        for (const seed of [20, 30]) await step(ddp, optimizes, seed + group.rank);
        return valuesOf(its.parameters().map(({ data }) => data));
      });
      for (const one of again) assertEqual(one, whole[0], 'as if nobody had been lost');
    },
  },
  {
    name: 'data parallel: 40 steps leave nothing behind',
    async run(t) {
      const { gpu } = t;
      await together(2, async (group) => {
        const ddp = await DistributedDataParallel.wrap(norms(gpu), group, small);
        const optimizer = new ZeroRedundancyOptimizer(ddp.parameters(), Adam, group);
        const [x, dy] = [input(gpu, 1), input(gpu, 2)];
        let start = '';
        for (let step = 0; step < 40; step++) {
          (await ddp.forward(x)).destroy();
          (await ddp.backward(dy)).destroy();
          await optimizer.step();
          optimizer.zeroGrad();
          // Both ranks are here: what one has made, the other has too.
          await group.barrier();
          if (step === 2) start = JSON.stringify(gpu.memory());
          else if (step > 2) assertEqual(JSON.stringify(gpu.memory()), start, `memory after step ${step}`);
          await group.barrier();
        }
      });
    },
  },
];

const refusals: Case[] = [
  {
    name: 'data parallel: what is refused',
    async run(t) {
      const { gpu } = t;
      const [group] = LocalProcessGroup.create(1) as [LocalProcessGroup];
      const { wrap } = DistributedDataParallel;
      const model = norms(gpu);
      await assertThrows(() => wrap(gpu as never, group), { code: 'value' });
      await assertThrows(() => wrap(model, {} as never), { code: 'value' });
      await assertThrows(() => wrap(model, group, { bucketBytes: 1 }), { code: 'value' });
      await assertThrows(() => wrap(model, group, { bucketCapMb: 1 } as never), {
        code: 'value',
        message: /no option 'bucketCapMb'/,
      });
      await assertThrows(() => wrap(norms(gpu).requiresGrad(false), group), { code: 'value' });
      const marked = norms(gpu);
      for (const parameter of marked.parameters()) parameter.sequenceParallel = true;
      await assertThrows(() => wrap(marked, group), { code: 'value', message: /sequenceParallel/ });
      const ddp = await wrap(model, group);
      const encoder = gpu.device.createCommandEncoder();
      const x = input(gpu, 1);
      await assertThrows(() => ddp.forward(x, { encoder } as never), { code: 'unsupported' });
      await assertThrows(() => ddp.backward(x, { encoder } as never), { code: 'unsupported' });
      await assertThrows(() => ddp.backward(x), { code: 'order' });
      await assertThrows(() => ddp.noSync(1 as never), { code: 'value' });
      await assertThrows(() => ddp.join(1 as never), { code: 'value' });
      await assertThrows(() => ddp.join(() => {}, { divide: true } as never), { code: 'value' });
      await assertThrows(() => ddp.join(() => ddp.join(() => {})), { code: 'order' });
      await assertThrows(
        () =>
          ddp.join(async () => {
            ddp.module.forward(x);
            await ddp.backward(x);
          }),
        { code: 'order', message: /without a forward/ },
      );
      assertEqual(await gradientsOf(ddp), [Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
      const sync = new Sequential(gpu, convertSyncBatchNorm(new BatchNorm1d(gpu, channels), group));
      const synced = await wrap(sync, group);
      await assertThrows(() => synced.join(() => {}), { code: 'unsupported' });
      const names = [...ddp.stateDict().keys()];
      assertEqual(names, ['module.0.weight', 'module.0.bias', 'module.1.weight', 'module.1.bias']);
      const again = await wrap(model, group);
      await assertThrows(() => ddp.forward(x), { code: 'destroyed', message: /wrapped again/ });
      await again.forward(x);
      const { collectives } = group.traffic;
      await again.backward(x);
      assertEqual(group.traffic.collectives, collectives + 1, 'the former one listens no more');
      again.destroy();
      await assertThrows(() => again.forward(x), { code: 'destroyed' });
      await assertThrows(() => ddp.synchronize(), { code: 'destroyed' });

      const different = LocalProcessGroup.create(2).map((one) =>
        assertThrows(() => wrap(new LayerNorm(gpu, 3 + one.rank), one), { code: 'mismatch' }),
      );
      await Promise.all(different);
    },
  },
];

const sharding: Case[] = [
  {
    name: 'data parallel: sharded state, one part on each rank, with the bits of the plain optimizer',
    async run(t) {
      const { gpu } = t;
      const make = () => norms(gpu);
      const groupsOf = (model: Module) => {
        const [a, b, c, d] = model.parameters();
        return [{ params: [a, b] }, { params: [c, d], lr: 0.5, weightDecay: 0 }] as never;
      };
      const fill = (model: Module, step: number) => {
        for (const [i, parameter] of model.parameters().entries()) {
          parameter.takeGradient().write(normal(parameter.data.size, { seed: 10 * step + i }));
          parameter.keepGradient({});
        }
      };
      const plainModel = make();
      const plain = new AdamW(groupsOf(plainModel), { lr: 0.1 });
      for (let step = 1; step <= 4; step++) {
        fill(plainModel, step);
        if (step === 3) for (const one of plain.paramGroups) one.lr /= 2;
        plain.step();
      }
      const expected = await valuesOf(plainModel.parameters().map(({ data }) => data));
      // Fewer ranks than parameters, as many, and more.
      for (const ranks of [1, 2, 3, 4, 6]) {
        const held: number[] = [];
        let saved: unknown;
        await together(ranks, async (group) => {
          const model = make();
          const zero = new ZeroRedundancyOptimizer(groupsOf(model), AdamW, group, { lr: 0.1 });
          for (let step = 1; step <= 2; step++) {
            fill(model, step);
            await zero.step();
          }
          await assertThrows(() => zero.stateDict(), { code: 'order' });
          const part = zero.paramGroups[0] as { lr: number };
          part.lr = -1;
          await assertThrows(() => zero.step(), { code: 'value' }); // on ranks without a parameter, too
          part.lr = 0.1;
          await zero.consolidateStateDict({ to: ranks - 1 });
          if (group.rank === ranks - 1) {
            saved = zero.stateDict();
            assertEqual(Object.keys(zero.stateDict().state), ['0', '1', '2', '3'], 'state of all');
          } else await assertThrows(() => zero.stateDict(), { code: 'order' });
          await group.barrier();
          // Another one goes on, with the rates that were saved.
          const next = new ZeroRedundancyOptimizer(groupsOf(model), AdamW, group, { lr: 7 });
          next.loadStateDict(saved as never);
          for (const one of next.paramGroups) one.lr /= 2;
          for (let step = 3; step <= 4; step++) {
            fill(model, step);
            await next.step();
          }
          assertEqual(await valuesOf(model.parameters().map(({ data }) => data)), expected, `${ranks} ranks`);
          zero.zeroGrad();
          assertEqual(model.parameters()[0]?.grad, null);
          await next.consolidateStateDict();
          if (group.rank === 0) {
            const fresh = new AdamW(groupsOf(make()), {});
            fresh.loadStateDict(next.stateDict()); // the plain one takes it
            assertEqual(
              await valuesOf(Object.values(fresh.stateDict().state[3] ?? {})),
              await valuesOf(Object.values(plain.stateDict().state[3] ?? {})),
              'state of the last parameter',
            );
          }
          held[group.rank] = Object.keys(next.scheduled.stateDict().state).length;
        });
        assertEqual(held, new Array(ranks).fill(0), 'what schedules take has no state');
      }
    },
  },
  {
    name: 'data parallel: sharded state takes an Nth of the memory; what it refuses',
    async run(t) {
      const { gpu } = t;
      const grown = async (make: (group: ProcessGroup, model: Module) => { step(): unknown }) => {
        const [group] = LocalProcessGroup.create(1) as [LocalProcessGroup];
        const model = new Sequential(gpu, ...[1, 2, 3, 4].map(() => new LayerNorm(gpu, 4096)));
        for (const parameter of model.parameters()) {
          parameter.takeGradient();
          parameter.keepGradient({});
        }
        const optimizer = make(group, model);
        const before = gpu.memory().tensorBytes;
        await optimizer.step();
        return gpu.memory().tensorBytes - before;
      };
      const whole = await grown((_, model) => new Adam(model.parameters()));
      // One rank of four, whose others do as it says.
      const alone = (group: ProcessGroup): ProcessGroup => ({
        ...group,
        rank: 1,
        size: 4,
        allReduce: group.allReduce.bind(group),
        allGather: async (values) => [0, 1, 2, 3].map(() => values as Float32Array<ArrayBuffer>),
      });
      const part = await grown(
        (group, model) => new ZeroRedundancyOptimizer(model.parameters(), Adam, alone(group)),
      );
      assert(part < 0.3 * whole, `${part} bytes of ${whole}`);

      const [group] = LocalProcessGroup.create(1) as [LocalProcessGroup];
      const { parameters } = { parameters: norms(gpu).parameters() };
      const zero = (...args: unknown[]) => new ZeroRedundancyOptimizer(...(args as [never, never, never]));
      await assertThrows(() => zero(parameters, LayerNorm, group), { code: 'value' });
      await assertThrows(() => zero(parameters, SGD, {}), { code: 'value' });
      await assertThrows(() => zero([], SGD, group), { code: 'value' });
      await assertThrows(() => zero(parameters, SGD, group, { lr: -1 }), { code: 'value' });
      await assertThrows(() => zero(parameters, SGD, group, { rate: 1 }), { code: 'value' });
      const optimizer = new ZeroRedundancyOptimizer(parameters, Adam, group);
      await assertThrows(() => optimizer.consolidateStateDict({ to: 1 }), { code: 'value' });
      for (const dict of [null, {}, { state: null, param_groups: [] }, { state: {}, param_groups: [] }]) {
        await assertThrows(() => optimizer.loadStateDict(dict as never), { code: 'state' });
      }
      await assertThrows(
        () =>
          optimizer.loadStateDict({
            state: { 0: { step: null } },
            param_groups: [{ lr: 5, params: [0, 1, 2] }],
          }),
        { code: 'state' },
      );
      const { param_groups } = optimizer.scheduled.stateDict();
      const wrong = { 0: { exp_avg: { dtype: 'f32', shape: [1], data: Float32Array.of(1) } } } as never;
      const groups = param_groups.map((one) => ({ ...one, lr: 5 }));
      await assertThrows(() => optimizer.loadStateDict({ state: wrong, param_groups: groups }), {
        code: 'state',
      });
      assertEqual(optimizer.paramGroups[0]?.lr, 1e-3, 'the rate after a refusal');
      optimizer.destroy();
      await assertThrows(() => optimizer.step(), { code: 'destroyed' });
      await assertThrows(() => optimizer.stateDict(), { code: 'destroyed' });
    },
  },
  {
    name: 'data parallel: sharded state and a scaler, which skips a step on all ranks',
    async run(t) {
      const { gpu } = t;
      const steps = async (model: Module, scaler: GradScaler, step: () => unknown) => {
        for (const seed of [1, 2, 3]) {
          for (const [i, parameter] of model.parameters().entries()) {
            const values = normal(channels, { seed: 10 * seed + i });
            // Of one parameter, that is on one rank.
            if (seed === 2 && i === 1) values[0] = Number.POSITIVE_INFINITY;
            parameter.takeGradient().write(values);
            parameter.keepGradient();
          }
          await step();
          scaler.update();
        }
        return [...(await valuesOf(model.parameters().map(({ data }) => data))), await scaler.getScale()];
      };
      const options = { initScale: 8 };
      const model = norms(gpu);
      const [plain, scaler] = [new Adam(model.parameters(), { lr: 0.1 }), new GradScaler(gpu, options)];
      const expected = await steps(model, scaler, () => scaler.step(plain));
      assertEqual(expected.at(-1), 4, 'the scale after a skipped step');
      const all = await together(3, async (group) => {
        const its = norms(gpu);
        const itsScaler = new GradScaler(gpu, options);
        const zero = new ZeroRedundancyOptimizer(its.parameters(), Adam, group, { lr: 0.1 });
        await assertThrows(() => zero.step({ scaler: {} as never }), { code: 'value' });
        return steps(its, itsScaler, () => zero.step({ scaler: itsScaler }));
      });
      for (const one of all) assertEqual(one, expected);
    },
  },
  {
    name: 'data parallel: a rank that comes late gets the state of another',
    async run(t) {
      const { gpu } = t;
      await together(3, async (group) => {
        const model = norms(gpu);
        const optimizer = new Adam(model.parameters(), { lr: 0.1 / (1 + group.rank) });
        const step = (seed: number) => {
          for (const parameter of model.parameters()) {
            parameter.takeGradient().write(normal(channels, { seed }));
            parameter.keepGradient();
          }
          optimizer.step();
        };
        for (let i = 0; i < group.rank; i++) step(i + 1); // rank 2 has come furthest
        await broadcastState(model, group, { root: 2 });
        await broadcastState(optimizer, group, { root: 2 });
        assertEqual(optimizer.paramGroups[0]?.lr, 0.1 / 3);
        step(9);
        const values = await valuesOf([
          ...model.parameters().map(({ data }) => data),
          ...Object.values(optimizer.stateDict().state).flatMap((entry) => Object.values(entry)),
        ]);
        const all = await group.allGather(Float32Array.from(values));
        for (const one of all) assertEqual(one, all[2]);
        await assertThrows(() => broadcastState({} as never, group), { code: 'value' });
        await assertThrows(() => broadcastState(model, group, { from: 1 } as never), { code: 'value' });
      });
    },
  },
];

export const cases: Case[] = [...training, ...gradients, ...joining, ...failing, ...refusals, ...sharding];
