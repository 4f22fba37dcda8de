/** Optimizers in files, and groups of a model's parameters. */

import {
  BatchNorm1d,
  decodeSafetensors,
  encodeSafetensors,
  type Gpu,
  LayerNorm,
  Module,
  Parameter,
  Sequential,
  saveStateDict,
} from '../../src/index.ts';
import { AdamW, loadOptimizer, parameterGroups, SGD, StepLR, saveOptimizer } from '../../src/optim/index.ts';
import { assertEqual, assertSame, assertThrows } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { kinds, optimizerOf, parameterOf, setGradient } from '../support/optimizers.ts';

class Layer extends Module {
  readonly weight = this.registerParameter('weight', new Parameter(this.gpu.zeros([3, 4])));
  readonly bias = this.registerParameter('bias', new Parameter(this.gpu.zeros([3])));
  readonly table = this.registerParameter('table', new Parameter(this.gpu.zeros([2, 2])));
}

export const cases: Case[] = [
  {
    name: 'optim: a file of an optimizer goes on with the bits of not having stopped',
    async run({ gpu }) {
      for (const kind of kinds) {
        const settings = kind === 'SGD' ? { lr: 0.1, momentum: 0.9, dampening: 0.5 } : { lr: 0.1 };
        const start = () => {
          // Enough to be packed, and a large one.
          const sizes = [...Array<number>(9).fill(5), 70_000];
          const params = sizes.map((size, i) => parameterOf(gpu, normal(size, { seed: i + 1 }), [size]));
          const groups = [{ params: params.slice(0, 1), lr: 0.05 }, { params: params.slice(1) }];
          return { params, optimizer: optimizerOf(kind, groups, settings) };
        };
        const train = ({ params, optimizer }: ReturnType<typeof start>, from: number, to: number) => {
          for (let step = from; step < to; step++) {
            params.forEach((parameter, i) => {
              setGradient(parameter, normal(parameter.data.size, { seed: 100 * step + i + 1 }));
            });
            optimizer.step();
          }
        };
        const [first, second] = [start(), start()];
        train(first, 0, 3);
        const file = await saveOptimizer(first.optimizer);
        for (const [i, { data }] of first.params.entries()) second.params[i]?.data.write(await data.data());
        second.optimizer.paramGroups[1] = Object.assign(second.optimizer.paramGroups[1] as object, {
          lr: 9,
        }) as never;
        loadOptimizer(second.optimizer, file);
        assertEqual(
          second.optimizer.paramGroups.map(({ lr }) => lr),
          [0.05, 0.1],
        );
        for (const run of [first, second]) train(run, 3, 5);
        for (const [i, { data }] of first.params.entries()) {
          assertEqual(await second.params[i]?.data.data(), await data.data(), `${kind}, parameter ${i}`);
        }
        for (const { optimizer, params } of [first, second]) {
          optimizer.destroy();
          for (const parameter of params) parameter.destroy();
        }
      }
    },
  },
  {
    name: 'optim: what a file of an optimizer holds, and what is none',
    async run({ gpu }) {
      const parameters = [parameterOf(gpu, [1, 2], [2]), parameterOf(gpu, [3], [1])];
      for (const parameter of parameters) setGradient(parameter, normal(parameter.data.size));
      const optimizer = new AdamW(parameters, { lr: 0.5 });
      new StepLR(optimizer, 1).step();
      optimizer.step();
      const file = await saveOptimizer(optimizer);
      const dict = decodeSafetensors(file);
      assertEqual([...dict.keys()].sort(), [
        ...['state.0.exp_avg', 'state.0.exp_avg_sq', 'state.0.step'],
        ...['state.1.exp_avg', 'state.1.exp_avg_sq', 'state.1.step'],
      ]);
      assertEqual(dict.get('state.1.step')?.dtype, 'i64');
      const [group] = JSON.parse(dict.metadata.param_groups as string);
      assertSame([group.lr, group.initial_lr, group.weight_decay, group.params], [0.05, 0.5, 0.01, [0, 1]]);
      const sgd = new SGD(parameters, { momentum: 0.9 });
      await assertThrows(() => loadOptimizer(sgd, file), {
        code: 'state',
        message: /exp_avg of parameter 0/,
      });
      await assertThrows(() => loadOptimizer(sgd, file.slice(0, 50)), { code: 'format' });
      const other = encodeSafetensors([['weight', { dtype: 'f32', shape: [1], data: new Float32Array(1) }]]);
      await assertThrows(() => loadOptimizer(sgd, other), { code: 'format', message: /tensor "weight"/ });
      const none = await saveStateDict(new Map());
      await assertThrows(() => loadOptimizer(sgd, none), { code: 'format', message: /no param_groups/ });
      await assertThrows(() => loadOptimizer(5 as never, file), { code: 'value' });
      await assertThrows(() => saveOptimizer(5 as never), { code: 'value' });
      // Before the first step there are settings only.
      const fresh = await saveOptimizer(sgd);
      loadOptimizer(sgd, fresh);
      for (const one of [optimizer, sgd, ...parameters]) one.destroy();
    },
  },
  {
    name: 'optim: groups of parameters: norms and biases do not decay',
    async run({ gpu }: { gpu: Gpu }) {
      const layer = new Layer(gpu);
      // A weight of two axes, which is one of a norm all the same.
      const norms = [new LayerNorm(gpu, [3, 4]), new BatchNorm1d(gpu, 4)] as const;
      const model = new Sequential(gpu, layer, ...norms);
      const [decaying, others, ...none] = parameterGroups(model, { weightDecay: 0.1 });
      assertEqual(none, []);
      assertEqual([decaying?.weightDecay, others?.weightDecay], [0.1, 0]);
      assertSame(
        decaying?.params.map(({ data }) => data.shape),
        [
          [3, 4],
          [2, 2],
        ],
      );
      const still = [layer.bias, ...norms.flatMap((norm) => norm.parameters())];
      assertEqual(others?.params.length, still.length);
      assertEqual(
        still.every((one) => others?.params.includes(one)),
        true,
      );
      const optimizer = new AdamW(parameterGroups(model, { weightDecay: 0.1 }), { lr: 1 });
      assertEqual(
        optimizer.paramGroups.map(({ weightDecay }) => weightDecay),
        [0.1, 0],
      );
      assertEqual(parameterGroups(norms[0], { weightDecay: 0.1 }).length, 1);
      await assertThrows(() => parameterGroups(model, { weightDecay: -1 }), { code: 'value' });
      await assertThrows(() => parameterGroups(model, { decay: 1 } as never), { code: 'value' });
      await assertThrows(() => parameterGroups(5 as never, { weightDecay: 1 }), { code: 'value' });
      optimizer.destroy();
      model.destroy();
    },
  },
];
