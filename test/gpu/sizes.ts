/** Sizes at and past every threshold, and devices with small limits. */
import { type Gpu, init, layerNorm, layerNormBackward } from '../../src/index.ts';
import { assert } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import {
  layerNormGeometry,
  normBackwardReference,
  normReference,
  relativeError,
} from '../reference/index.ts';
import { normal } from '../support/data.ts';
import { asOnGpu, type DataOptions, type Subject, summary, verify, verifyAll } from '../support/subject.ts';
import { bounds } from '../support/tolerances.ts';

const everyLength = Array.from({ length: 257 }, (_, i) => i + 1);

const small: Case[] = (['thread', 'registers', 'workgroup', 'split'] as const).map((strategy) => ({
  name: `sizes: normalized lengths 1 to 257, ${strategy}`,
  timeout: 300_000,
  async run(t) {
    // The lengths go through all four families; each family sees every one.
    const list = everyLength.flatMap((length): Subject[] => {
      const schedule =
        strategy === 'registers' ? { strategy, lanes: 16, workgroup: 32 } : { strategy, workgroup: 8 };
      const rows: Subject[] = [
        { op: 'layerNorm', shape: [3, length], schedule },
        { op: 'rmsNorm', shape: [3, length], schedule },
      ];
      if (strategy !== 'thread' || length === 1) return rows;
      return [
        ...rows,
        { op: 'groupNorm', shape: [2, 4, length], groups: 2 },
        { op: 'groupNorm', shape: [2, 3, length], groups: 1, layout: 'channels-last' },
        { op: 'instanceNorm', shape: [2, 2, length] },
        { op: 'instanceNorm', shape: [2, length, 5], layout: 'channels-last' },
      ];
    });
    t.note(`${list.length} subjects`, summary(await verifyAll(t.gpu, list)));
  },
}));

const large: Case[] = [
  {
    name: 'sizes: 65,537 and 200,000 rows',
    timeout: 180_000,
    async run(t) {
      for (const rows of [65_537, 200_000]) {
        for (const subject of [
          { op: 'layerNorm', shape: [rows, 5] },
          { op: 'rmsNorm', shape: [rows, 8] },
          { op: 'instanceNorm', shape: [rows, 1, 6] },
          { op: 'groupNorm', shape: [rows, 2, 3], groups: 2 },
        ] satisfies Subject[]) {
          await verify(t.gpu, subject, { offset: 100 });
        }
      }
    },
  },
  {
    name: 'sizes: more than 65,535 workgroups are folded',
    timeout: 180_000,
    async run(t) {
      // One row per workgroup of one thread: 200,000 workgroups.
      const schedule = { strategy: 'thread', workgroup: 1 } as const;
      await verify(t.gpu, { op: 'layerNorm', shape: [200_000, 3], schedule });
    },
  },
  {
    name: 'sizes: rows of 65,537 and 1,048,576',
    timeout: 180_000,
    async run(t) {
      const list = (['thread', 'split'] as const).flatMap(
        (strategy) =>
          [
            { op: 'layerNorm', shape: [2, 65_537], schedule: { strategy }, data: { offset: 1e5 } },
            { op: 'layerNorm', shape: [1, 1_048_576], schedule: { strategy }, data: { offset: 1e5 } },
            { op: 'layerNorm', shape: [1, 1_048_576], schedule: { strategy }, data: { outlier: true } },
            { op: 'rmsNorm', shape: [1, 1_048_576], schedule: { strategy } },
            {
              op: 'groupNorm',
              shape: [1, 4, 262_144],
              groups: 1,
              schedule: { strategy },
              data: { offset: 1e5 },
            },
          ] satisfies (Subject & { data?: object })[],
      );
      const worst: Record<string, number> = {};
      for (const one of list) {
        for (const [output, error] of Object.entries(await verifyAll(t.gpu, [one]))) {
          worst[output] = Math.max(worst[output] ?? 0, error);
        }
      }
      t.note('rows of up to 1,048,576', summary(worst));
    },
  },
  {
    name: 'sizes: a photograph',
    async run(t) {
      const list: Subject[] = [
        { op: 'layerNorm', shape: [2, 12, 120, 160], trailing: 3 },
        { op: 'rmsNorm', shape: [2, 12, 120, 160], trailing: 3 },
        { op: 'groupNorm', shape: [2, 12, 120, 160], groups: 3 },
        { op: 'groupNorm', shape: [2, 120, 160, 12], groups: 3, layout: 'channels-last' },
        { op: 'instanceNorm', shape: [2, 12, 120, 160] },
      ];
      t.note('a photograph', summary(await verifyAll(t.gpu, list)));
    },
  },
  {
    name: 'sizes: 1 x 16,777,216',
    timeout: 300_000,
    async run(t) {
      const subject: Subject = { op: 'layerNorm', shape: [1, 16_777_216], affine: false };
      t.note('1 x 16,777,216', summary(await verifyAll(t.gpu, [{ ...subject, data: { offset: 1e4 } }])));
    },
  },
  {
    name: 'sizes: 512 MiB where a binding holds 128 MiB',
    timeout: 300_000,
    run: halfGibibyte,
  },
];

/** A context on a device of its own. */
async function contextWith(t: Context, limits: Record<string, number>, facts = {}): Promise<Gpu> {
  const adapter = await t.navigatorGpu.requestAdapter();
  assert(adapter, 'no adapter');
  const device = await adapter.requestDevice({ requiredLimits: limits });
  return init({ device, facts });
}

/**
 * 131,072 rows of 1,024, made of one block of rows repeated, so that the whole need not exist on the CPU: every
 * repetition must come out as the block does, and dweight as often the block's.
 */
async function halfGibibyte(t: Context): Promise<void> {
  const MiB = 2 ** 20;
  const gpu = await contextWith(t, { maxStorageBufferBindingSize: 128 * MiB, maxBufferSize: 512 * MiB });
  const { device } = gpu;
  // An implementation may grant more than was asked for.
  assert(gpu.facts.maxBindingBytes >= 128 * MiB);
  const limited = await init({ device, facts: { maxBindingBytes: 128 * MiB } });
  const [rows, cols, blockRows] = [131_072, 1024, 512] as const;
  const repeats = rows / blockRows;
  const blockX = normal(blockRows * cols, { mean: 1000 });
  const blockDy = normal(blockRows * cols, { seed: 2 });
  const weightValues = normal(cols, { mean: 1, std: 0.5, seed: 3 });
  const x = limited.empty([rows, cols]);
  const dy = limited.empty([rows, cols]);
  for (let block = 0; block < repeats; block++) {
    device.queue.writeBuffer(x.buffer, block * blockX.byteLength, blockX as Float32Array<ArrayBuffer>);
    device.queue.writeBuffer(dy.buffer, block * blockDy.byteLength, blockDy as Float32Array<ArrayBuffer>);
  }
  const weight = limited.tensor(weightValues, [cols]);
  const normalizedShape = [cols];
  const { y, mean, rstd } = layerNorm(limited, x, { normalizedShape, weight });
  const { dx, dweight } = layerNormBackward(limited, dy, x, { normalizedShape, weight, mean, rstd });
  assert(dweight);

  const geometry = layerNormGeometry([blockRows, cols], normalizedShape);
  const options = { eps: 1e-5, kind: 'moments', weight: weightValues } as const;
  const forward = normReference(blockX, geometry, options);
  const backward = normBackwardReference(blockDy, blockX, geometry, options);
  // The first and last block of each binding and some between.
  for (const block of [0, 1, 63, 64, 65, 127, 128, 191, 192, 200, 255]) {
    const at = { offset: block * blockX.byteLength };
    const yBlock = await limited.wrap(y.buffer, [blockRows, cols], at).data();
    const dxBlock = await limited.wrap(dx.buffer, [blockRows, cols], at).data();
    const yError = relativeError(yBlock, forward.y);
    const dxError = relativeError(dxBlock, backward.dx, backward.scale.dx);
    assert(yError <= bounds.forward, `block ${block}: y ${yError}`);
    assert(dxError <= bounds.backward, `block ${block}: dx ${dxError}`);
  }
  const times = (values: Float64Array) => values.map((value) => value * repeats);
  const dweightError = relativeError(
    await dweight.data(),
    times(backward.dweight),
    times(backward.scale.dweight),
  );
  assert(dweightError <= bounds.backward, `dweight ${dweightError}`);
  limited.destroy();
  gpu.destroy();
  device.destroy();
}

const everyFamily: (Subject & { data: DataOptions })[] = (
  [
    { op: 'layerNorm', shape: [70, 768] },
    { op: 'rmsNorm', shape: [70, 100] },
    { op: 'addLayerNorm', shape: [5, 2050] },
    { op: 'addRmsNorm', shape: [70, 64] },
    { op: 'layerNorm', shape: [2, 20_000] },
    { op: 'groupNorm', shape: [2, 8, 9, 9], groups: 2 },
    { op: 'groupNorm', shape: [2, 9, 9, 8], groups: 4, layout: 'channels-last' },
    { op: 'instanceNorm', shape: [2, 3, 40, 40] },
    { op: 'instanceNorm', shape: [2, 40, 40, 3], layout: 'channels-last' },
  ] satisfies Subject[]
).map((subject) => ({ ...subject, data: { dyMean: 1 } }));

const limits: Case[] = [
  {
    name: "limits: WebGPU's floor",
    timeout: 180_000,
    async run(t) {
      const gpu = await contextWith(t, {});
      const worst = await verifyAll(gpu, everyFamily);
      t.note('floor', summary(worst));
      gpu.device.destroy();
    },
  },
  {
    name: 'limits: the schedules of a GPU, and bindings of 64 KiB',
    timeout: 300_000,
    async run(t) {
      // What would be chosen on a GPU, on whatever adapter this is: other strategies, teams and splits than its own.
      await asOnGpu(t.device, async (gpu) => {
        t.note('as on a GPU', summary(await verifyAll(gpu, everyFamily)));
      });
      const tiny = await init({ device: t.device, facts: { maxBindingBytes: 65_536 } });
      const chunked: Subject[] = [
        { op: 'layerNorm', shape: [700, 68] },
        { op: 'rmsNorm', shape: [700, 33] },
        { op: 'addLayerNorm', shape: [300, 100] },
        { op: 'groupNorm', shape: [300, 4, 10], groups: 2 },
        { op: 'groupNorm', shape: [300, 10, 4], groups: 2, layout: 'channels-last' },
        { op: 'instanceNorm', shape: [300, 3, 7, 5] },
        // Scratch that is larger than x, and samples that are nearly a binding and end nowhere near an alignment.
        { op: 'groupNorm', shape: [300, 40], groups: 5 },
        { op: 'groupNorm', shape: [3, 4, 3_333], groups: 2 },
        { op: 'groupNorm', shape: [3, 3_333, 4], groups: 2, layout: 'channels-last' },
        { op: 'layerNorm', shape: [7, 8_111] },
        { op: 'layerNorm', shape: [9, 8_000] },
        ...(['thread', 'registers', 'split'] as const).map(
          (strategy): Subject => ({
            op: 'layerNorm',
            shape: [700, 64],
            schedule: { strategy, workgroup: 16, ...(strategy === 'registers' ? { lanes: 16 } : {}) },
          }),
        ),
        ...(['thread', 'split'] as const).map(
          (strategy): Subject => ({
            op: 'groupNorm',
            shape: [300, 4, 12],
            groups: 2,
            schedule: { strategy, workgroup: 8 },
          }),
        ),
      ];
      t.note('chunked', summary(await verifyAll(tiny, chunked)));
    },
  },
  {
    // One rounding, however many parts: rounded once per part, dbias is off by more than the bound allows.
    name: 'limits: f16 gradients of long rows, and bindings of 64 KiB',
    timeout: 120_000,
    async run(t) {
      const long: (Subject & { data: DataOptions })[] = (
        [
          // A part per row, and three rows a part, which then end nowhere near an alignment.
          { op: 'layerNorm', shape: [8, 20_000] },
          { op: 'layerNorm', shape: [16, 9001] },
          { op: 'rmsNorm', shape: [16, 9000] },
          { op: 'addLayerNorm', shape: [16, 9000] },
          { op: 'layerNorm', shape: [16, 9000], activation: 'relu', residual: true },
        ] satisfies Subject[]
      ).map((subject) => ({ ...subject, dtype: 'f16', data: { dyMean: 1 } }));
      for (const software of [true, false]) {
        const tiny = await init({ device: t.device, facts: { maxBindingBytes: 65_536, software } });
        const what = software ? 'as on a software adapter' : 'as on a GPU';
        t.note(what, summary(await verifyAll(tiny, software ? long : long.slice(0, 2))));
        tiny.destroy();
      }
    },
  },
];

export const cases: Case[] = [...small, ...large, ...limits];
