/** A call of a Sequential that fails changes nothing: neither running statistics nor gradients. */
import { LocalProcessGroup, SyncBatchNorm } from '../../src/distributed/index.ts';
import {
  BatchNorm1d,
  GroupNorm,
  Identity,
  LayerNorm,
  LocalResponseNorm,
  Module,
  ModuleList,
  type NormErrorCode,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { AveragedModel } from '../../src/optim/index.ts';
import { assertEqual, assertThrows } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import { normal } from '../support/data.ts';
import { refuses } from '../support/refuses.ts';

/** What BatchNorm keeps of its batches, and the gradients that a model has. */
async function stateOf(model: Module): Promise<string> {
  const values: Record<string, number[] | null> = {};
  for (const [name, tensor] of model.namedBuffers()) values[name] = [...(await tensor.data())];
  for (const [name, { grad }] of model.namedParameters()) values[name] = grad && [...(await grad.data())];
  return JSON.stringify(values);
}

/** The body fails with that code and leaves the model as it was. */
async function changesNothing(model: Module, code: NormErrorCode, body: () => unknown): Promise<void> {
  const before = await stateOf(model);
  refuses(model.gpu, code, body);
  assertEqual(await stateOf(model), before, `state after ${body}`);
}

/** A module of a user's: it gives back as many columns as it is told, and says so. */
class Narrow extends Module {
  override outputShape([rows = 0]: readonly number[]): readonly number[] {
    return [rows, 2];
  }
  override forward(x: Tensor): Tensor {
    return this.gpu.zeros(this.outputShape(x.shape));
  }
}

/** As {@link Narrow}, but nothing says what comes out of it. */
class Silent extends Module {
  override forward(x: Tensor): Tensor {
    return this.gpu.zeros([x.shape[0] as number, 5]);
  }
}

function forward({ gpu }: Context): Promise<void> {
  return withModels(async (models) => {
    const x = gpu.tensor(normal(24, { seed: 1 }), [6, 4]);
    const half = gpu.zeros([6, 5]);
    const refused: [Sequential, NormErrorCode, object?][] = [
      [new Sequential(gpu, new BatchNorm1d(gpu, 4), new LayerNorm(gpu, 5)), 'shape'],
      [new Sequential(gpu, new BatchNorm1d(gpu, 4), new Identity(gpu), new BatchNorm1d(gpu, 3)), 'shape'],
      [new Sequential(gpu, new BatchNorm1d(gpu, 4), new GroupNorm(gpu, 3, 6)), 'shape'],
      [new Sequential(gpu, new BatchNorm1d(gpu, 4), new Narrow(gpu), new LayerNorm(gpu, 4)), 'shape'],
      [
        new Sequential(
          gpu,
          new BatchNorm1d(gpu, 4),
          new Sequential(gpu, new BatchNorm1d(gpu, 4), new Sequential(gpu, new LayerNorm(gpu, 5))),
        ),
        'shape',
      ],
      [new Sequential(gpu, new BatchNorm1d(gpu, 4), new LayerNorm(gpu, 4)), 'shape', { out: half }],
      [new Sequential(gpu, new BatchNorm1d(gpu, 4), new LocalResponseNorm(gpu, 3)), 'shape'],
      [
        new Sequential(gpu, new BatchNorm1d(gpu, 4), new LayerNorm(gpu, 4)),
        'dtype',
        { out: gpu.zeros([6, 4], { dtype: 'u32' }) },
      ],
    ];
    const gone = new LayerNorm(gpu, 4);
    refused.push([new Sequential(gpu, new BatchNorm1d(gpu, 4), gone), 'destroyed']);
    gone.destroy();
    for (const [model, code, options] of refused) {
      models.push(model);
      await changesNothing(model, code, () => model.forward(x, options));
    }
    const last = new LayerNorm(gpu, [6, 4]);
    const written = new Sequential(gpu, new BatchNorm1d(gpu, 4), last);
    models.push(written);
    const own = last.weight?.data;
    await changesNothing(written, 'aliasing', () => written.forward(x, { out: own }));
    // What a module of a user's returns is known only once it has run.
    const unknown = new Sequential(gpu, new Silent(gpu), new LayerNorm(gpu, 5));
    models.push(unknown);
    assertEqual(unknown.forward(x).shape.join(), '6,5', 'shape behind a module that does not say its own');
  });
}

function backward({ gpu }: Context): Promise<void> {
  return withModels(async (models) => {
    const x = gpu.tensor(normal(24, { seed: 2 }), [6, 4]);
    const dy = gpu.tensor(normal(24, { seed: 3 }), [6, 4]);
    const inner = new Sequential(gpu, new LayerNorm(gpu, 4), new BatchNorm1d(gpu, 4));
    const model = new Sequential(gpu, new BatchNorm1d(gpu, 4), inner);
    models.push(model);
    model.forward(x);
    model.backward(dy);
    const other = gpu.zeros([6, 4]);
    await changesNothing(model, 'shape', () => model.backward(dy, { out: gpu.wrap(other.buffer, [4, 6]) }));
    await changesNothing(model, 'aliasing', () => model.backward(dy, { out: x }));
    await changesNothing(model, 'shape', () => model.backward(gpu.wrap(dy.buffer, [4, 6])));
    await changesNothing(model, 'dtype', () =>
      model.backward(dy, { out: gpu.wrap(other.buffer, [6, 4], { dtype: 'u32' }) }),
    );
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    await changesNothing(model, 'value', () => model.backward(dy, { encoder, pass }));
    pass.end();
    encoder.finish();
    const before = await stateOf(model);
    model.backward(dy);
    const doubled = JSON.parse(before) as Record<string, number[]>;
    const now = JSON.parse(await stateOf(model)) as Record<string, number[]>;
    const lost = gpu.tensor(normal(24, { seed: 4 }), [6, 4]);
    const short = new Sequential(gpu, new BatchNorm1d(gpu, 4), new LayerNorm(gpu, 4));
    models.push(short);
    short.forward(lost);
    short.backward(dy);
    lost.destroy();
    await changesNothing(short, 'destroyed', () => short.backward(dy));
    for (const [name, values] of Object.entries(doubled)) {
      if (!/weight|bias/.test(name)) continue;
      const wrong = values.some((value, i) => Math.abs((now[name]?.[i] as number) - 2 * value) > 1e-4);
      assertEqual(wrong, false, `gradient of ${name} after the same pass again`);
    }
  });
}

/** One of several ranks: what it refuses is refused before it waits for the others. */
async function ranks({ gpu }: Context): Promise<void> {
  await withModels(async (models) => {
    const [group] = LocalProcessGroup.create(2) as [LocalProcessGroup];
    const [alone] = LocalProcessGroup.create(1) as [LocalProcessGroup];
    const x = gpu.tensor(normal(24, { seed: 5 }), [6, 4]);
    const one = gpu.tensor(normal(4, { seed: 6 }), [1, 4]);
    const dy = gpu.tensor(normal(24, { seed: 7 }), [6, 4]);
    const refusedAsync = async (model: Sequential, code: NormErrorCode, input: Tensor, options = {}) => {
      models.push(model);
      const first = model.at(0) as Module;
      const before = await stateOf(first);
      await assertThrows(() => model.forwardAsync(input, options), { code });
      assertEqual(await stateOf(first), before, `state after ${code}`);
    };
    const sync = (channels: number, of = group) => new SyncBatchNorm(gpu, channels, { group: of });
    await refusedAsync(new Sequential(gpu, new BatchNorm1d(gpu, 4), sync(5)), 'shape', x);
    await refusedAsync(new Sequential(gpu, new BatchNorm1d(gpu, 4), sync(4)), 'shape', x, {
      out: gpu.zeros([6, 5]),
    });
    const encoder = gpu.device.createCommandEncoder();
    await refusedAsync(new Sequential(gpu, new BatchNorm1d(gpu, 4), sync(4)), 'unsupported', x, { encoder });
    const inner = new Sequential(gpu, sync(4), new LayerNorm(gpu, 5));
    await refusedAsync(new Sequential(gpu, new BatchNorm1d(gpu, 4), inner), 'shape', x);
    const gone = sync(4);
    gone.destroy();
    await refusedAsync(new Sequential(gpu, new BatchNorm1d(gpu, 4), gone), 'destroyed', x);

    // Alone it is BatchNorm; with others one value per channel is enough, which is found only by asking it.
    const single = new Sequential(gpu, new LayerNorm(gpu, 4), new BatchNorm1d(gpu, 4), sync(4, alone));
    models.push(single);
    await changesNothing(single, 'shape', () => single.forward(one));
    const evaluated = new Sequential(gpu, new BatchNorm1d(gpu, 4), sync(5)).train();
    evaluated.at(1)?.eval();
    models.push(evaluated);
    await changesNothing(evaluated, 'shape', () => evaluated.forward(x));
    const accepted = new Sequential(gpu, sync(4));
    assertEqual(accepted.expects(one)?.join(), '1,4', 'one value per channel and rank');

    const norms = new Sequential(gpu, new LayerNorm(gpu, 4), sync(4, alone), new LayerNorm(gpu, 4));
    models.push(norms, accepted);
    norms.forward(x);
    norms.backward(dy);
    (norms.at(1) as SyncBatchNorm).forward(x, { residual: dy });
    await changesNothing(norms, 'order', () => norms.backward(dy));
  });
}

/** Modules that hold others, or hold nothing that could run. */
async function others({ gpu }: Context): Promise<void> {
  await withModels(async (models) => {
    const x = gpu.tensor(normal(24, { seed: 8 }), [6, 4]);
    const averaged = new AveragedModel(new LayerNorm(gpu, 5), new LayerNorm(gpu, 5));
    const lists = new ModuleList(gpu, [new LayerNorm(gpu, 4)]);
    for (const [last, code] of [
      [averaged, 'shape'],
      [lists, 'unsupported'],
    ] as const) {
      const model = new Sequential(gpu, new BatchNorm1d(gpu, 4), last);
      models.push(model);
      await changesNothing(model, code, () => model.forward(x));
    }
    const silent = new Sequential(gpu, new LayerNorm(gpu, 4), new Narrow(gpu), new LayerNorm(gpu, 2));
    models.push(silent);
    silent.forward(x);
    const dy = gpu.zeros([6, 2]);
    await changesNothing(silent, 'unsupported', () => silent.backward(dy));
  });
}

async function withModels(body: (models: Module[]) => Promise<void>): Promise<void> {
  const models: Module[] = [];
  try {
    await body(models);
  } finally {
    for (const model of models) model.destroy();
  }
}

export const cases: Case[] = [
  { name: 'composites: a forward pass that fails leaves running statistics as they were', run: forward },
  { name: 'composites: a backward pass that fails leaves gradients as they were', run: backward },
  { name: 'composites: SyncBatchNorm is asked before anything changes', run: ranks },
  { name: 'composites: averaged models, lists and modules without a pass are asked too', run: others },
];
