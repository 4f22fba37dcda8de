/** Options that there are none of are refused by name, with the one that was probably meant, and nothing is done. */
import {
  addLayerNorm,
  addRmsNorm,
  BatchNorm2d,
  batchNorm,
  batchNormBackward,
  DynamicTanh,
  dynamicTanh,
  dynamicTanhBackward,
  FrozenBatchNorm2d,
  GroupNorm,
  groupNorm,
  groupNormBackward,
  InstanceNorm1d,
  init,
  instanceNorm,
  instanceNormBackward,
  L2Norm,
  LayerNorm,
  LocalResponseNorm,
  l2Norm,
  l2NormBackward,
  layerNorm,
  layerNormBackward,
  localResponseNorm,
  localResponseNormBackward,
  NormError,
  RMSNorm,
  rmsNorm,
  rmsNormBackward,
} from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';

/** JavaScript checks no types. */
const given = (options: object) => options as never;

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return error instanceof NormError ? error.message : `no NormError but ${error}`;
  }
  return 'nothing was thrown';
}

export const cases: Case[] = [
  {
    name: 'options: unknown ones of functions are refused before anything happens',
    run({ gpu }) {
      const x = gpu.tensor(normal(48), [2, 4, 6]);
      const { mean, rstd } = layerNorm(gpu, x, { normalizedShape: 6 });
      const all = { normalizedShape: 6, numGroups: 2, size: 3, mean, rstd };
      const pick = (...names: (keyof typeof all)[]) => ({
        ...Object.fromEntries(names.map((name) => [name, all[name]])),
        colour: 'red',
      });
      for (const call of [
        () => layerNorm(gpu, x, given(pick('normalizedShape'))),
        () => addLayerNorm(gpu, x, x, given(pick('normalizedShape'))),
        () => layerNormBackward(gpu, x, x, given(pick('normalizedShape', 'mean', 'rstd'))),
        () => rmsNorm(gpu, x, given(pick('normalizedShape'))),
        () => addRmsNorm(gpu, x, x, given(pick('normalizedShape'))),
        () => rmsNormBackward(gpu, x, x, given(pick('normalizedShape', 'rstd'))),
        () => dynamicTanh(gpu, x, given(pick())),
        () => dynamicTanhBackward(gpu, x, x, given(pick())),
        () => l2Norm(gpu, x, given(pick('normalizedShape'))),
        () => l2NormBackward(gpu, x, x, given(pick('normalizedShape', 'rstd'))),
        () => groupNorm(gpu, x, given(pick('numGroups'))),
        () => groupNormBackward(gpu, x, x, given(pick('numGroups', 'mean', 'rstd'))),
        () => instanceNorm(gpu, x, given(pick())),
        () => instanceNormBackward(gpu, x, x, given(pick('mean', 'rstd'))),
        () => batchNorm(gpu, x, given({ ...pick(), training: true })),
        () => batchNormBackward(gpu, x, x, given(pick('mean', 'rstd'))),
        () => localResponseNorm(gpu, x, given(pick('size'))),
        () => localResponseNormBackward(gpu, x, x, given(pick('size'))),
        () => gpu.tensor([1], [1], given(pick())),
        () => gpu.zeros([1], given(pick())),
        () => gpu.empty([1], given(pick())),
        () => gpu.wrap(x.buffer, [1], given(pick())),
      ]) {
        refuses(gpu, 'value', call);
        assert(messageOf(call).includes("has no option 'colour'"), messageOf(call));
      }
    },
  },
  {
    name: 'options: unknown ones of modules and of init are refused before anything happens',
    async run({ gpu, device }) {
      const x = gpu.tensor(normal(12), [2, 6]);
      const norm = new LayerNorm(gpu, 6);
      norm.forward(x);
      for (const call of [
        () => new LayerNorm(gpu, 6, given({ colour: 1 })),
        () => new RMSNorm(gpu, 6, given({ colour: 1 })),
        () => new DynamicTanh(gpu, 6, given({ colour: 1 })),
        () => new L2Norm(gpu, 6, given({ colour: 1 })),
        () => new GroupNorm(gpu, 2, 6, given({ colour: 1 })),
        () => new InstanceNorm1d(gpu, 6, given({ colour: 1 })),
        () => new BatchNorm2d(gpu, 6, given({ colour: 1 })),
        () => new FrozenBatchNorm2d(gpu, 6, given({ colour: 1 })),
        () => new LocalResponseNorm(gpu, 6, given({ colour: 1 })),
        () => norm.forward(x, given({ colour: 1 })),
        () => norm.backward(x, given({ colour: 1 })),
      ]) {
        refuses(gpu, 'value', call);
        assert(messageOf(call).includes("has no option 'colour'"), messageOf(call));
      }
      const error = await init(given({ device, colour: 1 })).catch((reason: unknown) => reason);
      assert(error instanceof NormError && error.code === 'value', `${error}`);
    },
  },
  {
    name: 'options: the message names the one that was meant',
    run({ gpu }) {
      const x = gpu.tensor(normal(48), [2, 4, 6]);
      const wrong: [string, () => unknown][] = [
        ["Did you mean 'eps'?", () => layerNorm(gpu, x, given({ normalizedShape: 6, epsilon: 1 }))],
        ["Did you mean 'weight'?", () => layerNorm(gpu, x, given({ normalizedShape: 6, gamma: 1 }))],
        ["Did you mean 'bias'?", () => layerNorm(gpu, x, given({ normalizedShape: 6, beta: 1 }))],
        ["Did you mean 'normalizedShape'?", () => layerNorm(gpu, x, given({ normalized_shape: 6 }))],
        ["Did you mean 'numGroups'?", () => groupNorm(gpu, x, given({ num_groups: 2 }))],
        ["Did you mean 'training'?", () => instanceNorm(gpu, x, given({ useInputStats: true }))],
        ["Did you mean 'training'?", () => instanceNorm(gpu, x, given({ use_input_stats: true }))],
        ["Did you mean 'momentum'?", () => batchNorm(gpu, x, given({ training: true, momentun: 1 }))],
        [
          "Did you mean 'elementwiseAffine'?",
          () => new LayerNorm(gpu, 6, given({ elementwise_affine: false })),
        ],
        [
          "Did you mean 'trackRunningStats'?",
          () => new BatchNorm2d(gpu, 6, given({ track_running_stats: false })),
        ],
        ['RMSNorm has no bias', () => rmsNorm(gpu, x, given({ normalizedShape: 6, bias: x }))],
        ["Did you mean 'strides'?", () => gpu.wrap(x.buffer, [1], given({ stride: 2 }))],
        ["Did you mean 'y'?", () => layerNorm(gpu, x, given({ normalizedShape: 6, out: { Y: x } }))],
        ['as an object, not null', () => layerNorm(gpu, x, given({ normalizedShape: 6, out: null }))],
        ['as an object, not undefined', () => layerNorm(gpu, x, undefined as never)],
        ['as an object, not number', () => new LayerNorm(gpu, 6, 1e-5 as never)],
      ];
      for (const [expected, call] of wrong) {
        refuses(gpu, 'value', call);
        assert(messageOf(call).includes(expected), `${messageOf(call)}: expected ${expected}`);
      }
    },
  },
  {
    name: 'options: undefined counts as absent',
    run({ gpu }) {
      const x = gpu.tensor(normal(12), [2, 6]);
      const { y, mean, rstd } = layerNorm(
        gpu,
        x,
        given({ normalizedShape: 6, colour: undefined, eps: undefined }),
      );
      assertEqual(y.shape, [2, 6]);
      for (const tensor of [x, y, mean, rstd]) tensor.destroy();
    },
  },
];
