/** A call of a Sequential that fails changes nothing: neither running statistics nor gradients. */
import {
  BatchNorm1d,
  GroupNorm,
  Identity,
  LayerNorm,
  LocalResponseNorm,
  Module,
  type NormErrorCode,
  Sequential,
  type Tensor,
} from '../../src/index.ts';
import { assertEqual } from '../harness/assert.ts';
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
];
