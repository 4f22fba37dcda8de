/**
 * What tensors are stored in: f16 as WGSL's own type and as words of two elements, which devices without shader-f16 have, and bf16, which
 * is words of two always.
 */
import {
  decodeSafetensors,
  encodeSafetensors,
  type FloatDType,
  type Gpu,
  init,
  LayerNorm,
  layerNorm,
  saveStateDict,
  type Tensor,
} from '../../src/index.ts';
import { cast, copyInto } from '../../src/ops/cast.ts';
import { assert, assertEqual } from '../harness/assert.ts';
import type { Case, Context } from '../harness/case.ts';
import { rounders } from '../reference/index.ts';
import { normal, stored } from '../support/data.ts';
import { arraysOf, type DataOptions, nameOf, ops, run, type Subject } from '../support/subject.ts';
import { storedSubjects } from './accuracy.ts';

type Narrow = 'f16' | 'bf16';

/** Lends a context that packs f16, whatever the device has. */
async function packing<T>(device: GPUDevice, body: (gpu: Gpu) => Promise<T>): Promise<T> {
  const gpu = await init({ device, facts: { f16: false } });
  try {
    return await body(gpu);
  } finally {
    gpu.destroy();
  }
}

const numbersOf = (bits: Uint32Array<ArrayBuffer>) => new Float32Array(bits.buffer);

/** Finite numbers of a type by their bits, all of them ≥ 0, and the infinity behind the last. */
const largestBits: Record<Narrow, number> = { f16: 0x7c00, bf16: 0x7f80 };

/** The number of these bits, by arithmetic of its own. */
function numberOf(bits: number, dtype: Narrow): number {
  const [fraction, bias] = dtype === 'f16' ? [10, 15] : [7, 127];
  const exponent = bits >> fraction;
  const rest = bits % 2 ** fraction;
  const leading = exponent > 0 ? 2 ** fraction : 0;
  return (leading + rest) * 2 ** (Math.max(exponent, 1) - bias - fraction);
}

/** Every number of a type, every number halfway between two of them, and the f32 numbers beside these; of both signs. */
function hardNumbers(dtype: Narrow): Float32Array<ArrayBuffer> {
  const bits: number[] = [];
  const asBits = new Uint32Array(1);
  const asNumber = new Float32Array(asBits.buffer);
  for (let i = 0; i < largestBits[dtype]; i++) {
    for (const value of [numberOf(i, dtype), (numberOf(i, dtype) + numberOf(i + 1, dtype)) / 2]) {
      asNumber[0] = value;
      const middle = asBits[0] as number;
      for (const one of [middle - 1, middle, middle + 1]) if (one >= 0) bits.push(one, one + 2 ** 31);
    }
  }
  for (const value of [65504, 65519.996, 65520, 65536, 1e10, 3.3895e38, 3.4e38, Number.POSITIVE_INFINITY]) {
    asNumber[0] = value;
    bits.push(asBits[0] as number, (asBits[0] as number) + 2 ** 31);
  }
  return numbersOf(Uint32Array.from(bits));
}

/** Which NaN it is shows in no other way than here: quiet and signalling ones, with payloads in high and in low bits. */
const nans = numbersOf(
  Uint32Array.of(0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0x7fa00000, 0x7f801000),
);

/** f32 to the type and back, on the GPU, against rounding in float64. */
async function checkConversions(gpu: Gpu, dtype: Narrow): Promise<number> {
  const hard = hardNumbers(dtype);
  const x = gpu.tensor(hard, [hard.length]);
  const narrow = cast(gpu, x, dtype);
  const expected = stored(dtype, hard);
  const found = await narrow.data();
  assertEqual(found, expected, `f32 to ${dtype}`);
  assertEqual(await cast(gpu, narrow, 'f32').data(), expected, `${dtype} to f32`);
  assertEqual(await cast(gpu, narrow, dtype).data(), expected, `${dtype} to itself`);
  const invalid = await cast(gpu, gpu.tensor(nans, [nans.length]), dtype).data();
  assert(invalid.every(Number.isNaN), `NaN to ${dtype}: ${invalid}`);
  const uploaded = await gpu.tensor(hard, [hard.length], { dtype }).data();
  assertEqual(uploaded, expected, `uploaded as ${dtype}`);
  return hard.length;
}

const bitsOf = async (gpu: Gpu, tensor: Tensor): Promise<Uint16Array> => {
  const [bytes] = await gpu.readBytes([tensor]);
  return new Uint16Array(bytes as ArrayBuffer);
};

const conversions: Case[] = [
  {
    name: 'storage: conversions round to nearest even, keep subnormals, NaN and infinities',
    async run(t) {
      for (const dtype of ['f16', 'bf16'] as const)
        t.note(`${dtype}, numbers`, String(await checkConversions(t.gpu, dtype)));
      await packing(t.device, async (gpu) => {
        t.note('packed f16, numbers', String(await checkConversions(gpu, 'f16')));
        const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
        const all = gpu.empty([bits.length], { dtype: 'bf16' });
        t.device.queue.writeBuffer(all.buffer, 0, bits);
        const wide = await cast(gpu, all, 'f16').data();
        bits.forEach((one, i) => {
          const sign = one < 0x8000 ? 1 : -1;
          const magnitude = numberOf(one & 0x7fff, 'bf16');
          const exact = (one & 0x7fff) > 0x7f80 ? Number.NaN : sign * magnitude;
          assertEqual(wide[i], rounders.f16(exact), `bf16 ${one.toString(16)} to f16`);
        });
      });
    },
  },
  {
    name: 'storage: an odd number of elements, in a buffer of the caller',
    async run(t) {
      for (const dtype of ['f16', 'bf16'] as const) {
        for (const facts of [{}, { f16: false }]) {
          const gpu = await init({ device: t.device, facts });
          const buffer = t.device.createBuffer({ size: 256, usage: 0x80 | 4 | 8 });
          const around = gpu.wrap(buffer, [16], { dtype });
          around.write(new Float32Array(16).fill(9));
          const x = gpu.tensor([1, -2, 3, 0.5, -0.25, 8, 2], [7], { dtype });
          const { y } = layerNorm(gpu, gpu.tensor([1, 2, 3, 4, 5, 6, 7], [1, 7], { dtype }), {
            normalizedShape: 7,
            out: { y: gpu.wrap(buffer, [1, 7], { dtype }) },
          });
          assertEqual((await around.data()).slice(7), new Array(9).fill(9), 'behind y');
          assert(!(await y.data()).includes(9), 'y');
          copyInto(gpu, x, gpu.wrap(buffer, [7], { dtype }));
          assertEqual(await around.data(), [1, -2, 3, 0.5, -0.25, 8, 2, ...new Array(9).fill(9)], dtype);
          buffer.destroy();
          gpu.destroy();
        }
      }
    },
  },
];

/** What the lists of strategies leave out: what follows the affine map, statistics that are given, casts, groups, parts. */
const more: (Subject & { data?: DataOptions })[] = [
  { op: 'layerNorm', shape: [6, 65], activation: 'gelu', residual: true },
  { op: 'layerNorm', shape: [6, 64], activation: 'silu' },
  { op: 'layerNorm', shape: [5, 60], groups: 4 },
  { op: 'groupNorm', shape: [2, 6, 35], groups: 3, activation: 'relu', residual: true },
  { op: 'groupNorm', shape: [2, 35, 6], groups: 3, layout: 'channels-last', activation: 'hardswish' },
  { op: 'batchNorm', shape: [3, 5, 21], evaluation: true, residual: true },
  { op: 'batchNorm', shape: [9, 7], activation: 'relu', residual: true },
  { op: 'instanceNorm', shape: [2, 3, 33], evaluation: true },
  { op: 'rmsNorm', shape: [7, 67], cast: 'llama' },
  { op: 'addRmsNorm', shape: [7, 68], cast: 'llama' },
  { op: 'addRmsNorm', shape: [7, 33], cast: 'gemma' },
];

/** The results of a subject on both contexts, which must have the same bits. */
async function compareBits(native: Gpu, packed: Gpu, subject: Subject, data: DataOptions): Promise<void> {
  const arrays = arraysOf(subject, data);
  const [ours, theirs] = await Promise.all([run(packed, subject, arrays), run(native, subject, arrays)]);
  for (const [name, values] of Object.entries(ours)) {
    assertEqual(values, theirs[name as keyof typeof theirs], `${nameOf(subject)} ${name}`);
  }
}

async function compareAll(t: Context, list: readonly (Subject & { data?: DataOptions })[]): Promise<void> {
  await packing(t.device, async (packed) => {
    const failures: string[] = [];
    for (const { data = {}, ...subject } of list) {
      await compareBits(t.gpu, packed, subject, data).catch((error: Error) => {
        failures.push(error.message);
      });
    }
    assert(failures.length === 0, `${failures.length} of ${list.length} differ:\n${failures.join('\n')}`);
    t.note('the same bits', `${list.length} subjects`);
  });
}

/** Of every shape some strategies, of every strategy some shapes: each is a handful of kernels to compile, twice. */
const someOf = (op: Subject['op']) =>
  storedSubjects(op, 'f16', 'f16')
    .filter(({ data }) => data.offset !== 0)
    .filter(({ shape }, i) => (shape.length + i) % 3 === 0)
    .map((one, i) => (i % 3 === 0 ? { ...one, paramDtype: 'f32' as const } : one));

const bits: Case[] = [
  ...ops.map(
    (op): Case => ({
      name: `storage: packed f16 has the bits of native f16, ${op}`,
      requires: ['f16'],
      run: (t) => compareAll(t, someOf(op)),
    }),
  ),
  {
    name: 'storage: packed f16 has the bits of native f16, epilogues, casts and evaluation',
    requires: ['f16'],
    run: (t) =>
      compareAll(
        t,
        more.map((one) => ({ ...one, dtype: 'f16' })),
      ),
  },
];

const neighbours: Case[] = (['f16', 'bf16'] as const).map((dtype) => ({
  name: `storage: rows that share a word leave each other alone, ${dtype}`,
  async run(t) {
    await packing(t.device, async (gpu) => {
      const [rows, cols] = [9, 5];
      const values = stored(dtype, normal(rows * cols));
      const normed = (given: Float32Array) =>
        layerNorm(gpu, gpu.tensor(given, [rows, cols], { dtype }), { normalizedShape: cols }).y.data();
      const plain = await normed(values);
      for (const [row, wrong] of [Number.NaN, Number.POSITIVE_INFINITY, Number.NaN].entries()) {
        const at = 3 * row + 1;
        const found = await normed(values.with(at * cols, wrong));
        const isOwn = (i: number) => Math.floor(i / cols) === at;
        assert(
          found.every((value, i) => (isOwn(i) ? Number.isNaN(value) : Object.is(value, plain[i]))),
          `row ${at}`,
        );
      }
    });
  },
}));

const states: Case[] = [
  {
    name: 'storage: bf16 tensors and modules, safetensors without widening',
    async run({ gpu }) {
      const values = Float32Array.of(0.1, 257, -3e-40, 3e38, Number.NaN);
      const tensor = gpu.tensor(values, [5], { dtype: 'bf16' });
      assertEqual([tensor.byteLength, tensor.dtype], [10, 'bf16']);
      assertEqual(await tensor.data(), Float32Array.from(values, rounders.bf16));
      tensor.write([1, 2, 3, 4, 5]);
      assertEqual(await tensor.data(), [1, 2, 3, 4, 5]);

      // A signalling NaN too comes through as it is: the bits are copied.
      const weight = Uint16Array.of(0x3f80, 0x7f81, 0xffc1);
      const bias = Uint16Array.of(0x0001, 0x8000, 0x7f80);
      const file = encodeSafetensors([
        ['weight', { dtype: 'bf16', shape: [3], data: weight }],
        ['bias', { dtype: 'bf16', shape: [3], data: bias }],
      ]);
      const norm = new LayerNorm(gpu, 3, { dtype: 'bf16' });
      norm.loadStateDict(decodeSafetensors(file));
      assertEqual(await bitsOf(gpu, norm.weight?.data as Tensor), weight);
      const saved = decodeSafetensors(await saveStateDict(norm));
      assertEqual(saved.get('weight')?.dtype, 'bf16');
      assertEqual(saved.get('weight')?.data as Uint16Array, weight, 'weight');
      assertEqual(saved.get('bias')?.data as Uint16Array, bias, 'bias');

      const wide = new LayerNorm(gpu, 3);
      wide.weight?.data.write([0.1, 257, -2]);
      norm.loadStateDict(wide.stateDict());
      assertEqual(await norm.weight?.data.data(), [rounders.bf16(0.1), 256, -2]);
      assertEqual(wide.to('bf16').weight?.data.dtype, 'bf16');
      const x = gpu.tensor([1, 2, 4, -1, 0, 1], [2, 3], { dtype: 'bf16' });
      const y = wide.forward(x);
      wide.backward(x);
      assertEqual([y.dtype, wide.weight?.grad?.dtype], ['bf16', 'bf16']);
      const dtypes: FloatDType[] = ['f16', 'f32'];
      for (const dtype of dtypes) assertEqual(wide.to(dtype).weight?.data.dtype, dtype);
      for (const one of [norm, wide]) one.destroy();
    },
  },
];

export const cases: Case[] = [...conversions, ...neighbours, ...states, ...bits];
