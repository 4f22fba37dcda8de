/** gpu.scope with async bodies: what is made in them is freed when they settle, and nothing of others is. */
import {
  type Gpu,
  LayerNorm,
  layerNorm,
  NormError,
  type Parameter,
  type Tensor,
  type TensorScope,
} from '../../src/index.ts';
import { assert, assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';

const make = (gpu: Gpu): Tensor => gpu.tensor([1, 2, 3, 4], [1, 4]);
const normed = (gpu: Gpu, x: Tensor) => layerNorm(gpu, x, { normalizedShape: 4 });
const alive = (gpu: Gpu): number => gpu.memory().tensors;

export const cases: Case[] = [
  {
    name: 'scope: an async body keeps what it made until it settles, and what it returns after that',
    async run({ gpu }) {
      const before = alive(gpu);
      const pending = gpu.scope(async () => {
        const { y } = normed(gpu, make(gpu));
        return { y, signs: (await y.data()).map(Math.sign) };
      });
      assertEqual(alive(gpu), before + 4, 'nothing is freed yet');
      const { y, signs } = await pending;
      assertEqual([...signs], [-1, -1, 1, 1]);
      assertEqual(alive(gpu), before + 1);
      assertEqual((await y.data()).length, 4);
      y.destroy();
    },
  },
  {
    name: 'scope: what an async body makes after an await is freed where it says so',
    async run({ gpu }) {
      const before = alive(gpu);
      const later = async () => {
        await Promise.resolve();
        return make(gpu);
      };
      const [kept, untold] = await gpu.scope(async (scope) => {
        const x = make(gpu);
        await x.data();
        const { y } = scope.run(() => normed(gpu, x));
        await y.data();
        const added = scope.add(await later());
        const result = scope.run(() => gpu.scope(() => normed(gpu, added).y));
        assertEqual(alive(gpu), before + 1 + 3 + 1 + 1);
        return [result, [make(gpu)].map((tensor) => () => tensor)] as const;
      });
      assertEqual(alive(gpu), before + 2, 'what is returned, and what was not said to be of the scope');
      for (const tensor of [kept, ...untold.map((tensor) => tensor())]) tensor.destroy();
      assertEqual(alive(gpu), before);
    },
  },
  {
    name: 'scope: async ones that run at the same time free their own tensors',
    async run({ gpu }) {
      const before = alive(gpu);
      const body = async (scope: TensorScope, rounds: number) => {
        let x = make(gpu);
        for (let round = 0; round < rounds; round++) {
          x = scope.run(() => normed(gpu, x).y);
          await x.data();
        }
        return x;
      };
      const mine: Tensor[] = [];
      const pending = [1, 2, 3].map((rounds) => gpu.scope((scope) => body(scope, rounds)));
      mine.push(make(gpu)); // between their beginning and their end, outside of all
      const results = await Promise.all(pending);
      assertEqual(alive(gpu), before + 4);
      for (const tensor of [...results, ...mine]) assertEqual((await tensor.data()).length, 4);
      for (const tensor of [...results, ...mine]) tensor.destroy();
    },
  },
  {
    name: 'scope: an async body that throws frees what it made, and its error comes through',
    async run({ gpu }) {
      const before = alive(gpu);
      const failed = await gpu
        .scope(async (scope) => {
          const x = make(gpu);
          await x.data();
          scope.run(() => normed(gpu, x));
          throw new Error('mine');
        })
        .then(
          () => 'no error',
          (error: Error) => error.message,
        );
      assertEqual(failed, 'mine');
      assertEqual(alive(gpu), before);
    },
  },
  {
    name: 'scope: what an inner one returns is of the outer one, while that is open',
    async run({ gpu }) {
      const before = alive(gpu);
      const inner = () =>
        gpu.scope(async () => {
          const { y } = normed(gpu, make(gpu));
          await y.data();
          return y;
        });
      await gpu.scope(async () => {
        const y = await inner();
        assertEqual(alive(gpu), before + 1);
        await y.data();
      });
      assertEqual(alive(gpu), before, 'an async scope around it');
      let pending: Promise<Tensor> | undefined;
      gpu.scope(() => {
        pending = inner();
      });
      const y = (await pending) as Tensor;
      assertEqual((await y.data()).length, 4, 'one that had ended does not free it');
      y.destroy();
      assertEqual(alive(gpu), before);
    },
  },
  {
    name: 'scope: keep() and destroy() are heeded in an open async scope; what modules own is not freed',
    async run({ gpu }) {
      const before = alive(gpu);
      const [kept, norm] = await gpu.scope(async (scope) => {
        const x = make(gpu);
        const module = new LayerNorm(gpu, 4);
        const { y } = scope.run(() => normed(gpu, x));
        await y.data();
        x.destroy();
        gpu.keep(y);
        const input = scope.run(() => make(gpu));
        scope.run(() => module.backward(module.forward(input)));
        return [() => y, module] as const;
      });
      const y = kept();
      assertEqual((await y.data()).length, 4);
      const { grad } = norm.weight as Parameter;
      assertEqual((await (grad as Tensor).data()).length, 4);
      y.destroy();
      norm.destroy();
      assertEqual(alive(gpu), before);
    },
  },
  {
    name: 'scope: run() and add() of an ended scope are refused, and run() of an async function',
    async run({ gpu }) {
      const before = alive(gpu);
      const x = gpu.tensor(normal(4), [4]);
      let ended: TensorScope | undefined;
      gpu.scope((scope) => {
        ended = scope;
      });
      refuses(gpu, 'order', () => ended?.run(() => gpu.zeros([4])));
      refuses(gpu, 'order', () => ended?.add(x));
      await gpu.scope(async (scope) => {
        const error = await assertThrows(() => scope.run(async () => gpu.zeros([4])));
        assert(error instanceof NormError && error.code === 'order', `${error}`);
      });
      x.destroy();
      assertEqual(alive(gpu), before, 'what the refused function made');
    },
  },
];
