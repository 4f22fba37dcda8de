import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  decodeSafetensors,
  encodeSafetensors,
  type HostTensor,
  NormError,
  StateDict,
} from '../../src/index.ts';
import { random } from '../support/data.ts';
import type { GoldenState } from '../support/golden-state.ts';

const golden = join(import.meta.dirname, '../golden');

const readBytes = (file: string) => new Uint8Array(readFileSync(join(golden, file)));
const _readJson = (file: string): GoldenState => JSON.parse(readFileSync(join(golden, file), 'utf8'));

/** A file of these header and data, whatever they say. */
function fileOf(header: unknown, data: ArrayLike<number> = [], claimed?: bigint): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

function refused(file: ArrayBuffer | Uint8Array): NormError {
  try {
    decodeSafetensors(file);
  } catch (error) {
    expect(error).toBeInstanceOf(NormError);
    expect((error as NormError).code).toBe('format');
    return error as NormError;
  }
  throw new Error('it was read');
}

const entry = (shape: unknown, begin: unknown, end: unknown, dtype: unknown = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('safetensors', () => {
  it('keeps order, versions and metadata, names that are integers included', () => {
    const one = (value: number): HostTensor => ({ dtype: 'f32', shape: [], data: Float32Array.of(value) });
    const half: HostTensor = { dtype: 'f16', shape: [1], data: Uint16Array.of(0x3c00) };
    const dict = new StateDict<HostTensor>([
      ['half', half],
      ['b', one(1)],
      ['__proto__', one(2)],
      ['a.b', one(3)],
    ]);
    dict.versions.set('', 1).set('a', 2);
    const bytes = encodeSafetensors(dict, { format: 'pt' });
    const back = decodeSafetensors(bytes);
    expect([...back]).toEqual([...dict]);
    expect([...back.versions]).toEqual([...dict.versions]);
    expect(back.metadata.format).toBe('pt');
    expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
    expect([...decodeSafetensors(encodeSafetensors([['1', half]])).keys()]).toEqual(['1']);
    expect([...decodeSafetensors(encodeSafetensors([]))]).toEqual([]);
  });

  it('gives views where elements are aligned, copies where not', () => {
    const bytes = encodeSafetensors([['x', { dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) }]]);
    expect(decodeSafetensors(bytes).get('x')?.data.buffer).toBe(bytes.buffer);
    expect(decodeSafetensors(bytes.buffer).get('x')?.data.buffer).toBe(bytes.buffer);
    const moved = new Uint8Array(bytes.length + 1);
    moved.set(bytes, 1);
    const copied = decodeSafetensors(moved.subarray(1)).get('x');
    expect(copied?.data).toEqual(Float32Array.of(1, 2));
    expect(copied?.data.buffer.byteLength).toBe(8);
  });

  it('refuses to write what cannot be read', () => {
    const x: HostTensor = { dtype: 'f32', shape: [1], data: Float32Array.of(1) };
    const code = (tensors: [string, HostTensor][]) => {
      try {
        encodeSafetensors(tensors);
      } catch (error) {
        return (error as NormError).code;
      }
      return undefined;
    };
    expect(code([['a', x]])).toBeUndefined();
    expect(code([['__metadata__', x]])).toBe('value');
    expect(
      code([
        ['a', x],
        ['a', x],
      ]),
    ).toBe('value');
    expect(code([['a', { ...x, shape: [2] }]])).toBe('shape');
    expect(code([['a', { ...x, shape: [-1] }]])).toBe('shape');
    expect(code([['a', { ...x, dtype: 'f16' }]])).toBe('dtype');
    expect(code([['a', { ...x, dtype: 'toString' as 'f16' }]])).toBe('dtype');
    expect(code([['a', { ...x, dtype: [Symbol('f16')] as unknown as 'f16' }]])).toBe('dtype');
  });

  const four = [0, 0, 0, 0];
  const wrong: [string, ArrayBuffer | Uint8Array, RegExp][] = [
    ['nothing', new ArrayBuffer(0), /0 bytes/],
    ['seven bytes', new Uint8Array(7), /7 bytes/],
    ['a header longer than the file', fileOf({}, [], 3n), /claims 3 bytes, the file has 10/],
    ['a header of 2^63 bytes', fileOf({}, [], 2n ** 63n), /claims/],
    ['a header of more than 100 MB', fileOf({}, [], 100_000_001n), /claims 100000001/],
    ['no header', fileOf(''), /begin with/],
    ['a list', fileOf('[]'), /begin with/],
    ['leading white space', fileOf(' {}'), /begin with/],
    ['half a header', fileOf('{"x":'), /no JSON/],
    ['wrong UTF-8', fileOf({ x: 1 }).map((byte) => (byte === 0x78 ? 0xff : byte)), /no JSON/],
    ['an endless nesting', fileOf(`{"x":${'['.repeat(200_000)}`), /no JSON/],
    ['a key twice', fileOf('{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"x":1}'), /"x" twice/],
    ['a key twice, escaped', fileOf('{"\\u0078":{},"x" :{}}'), /"x" twice/],
    ['a field twice', fileOf('{"x":{"dtype":"F32","shape":[],"shape":[0],"data_offsets":[0,0]}}'), /"shape"/],
    ['a number for a tensor', fileOf({ x: 3 }), /no tensor/],
    ['null for a tensor', fileOf({ x: null }), /no tensor/],
    ['an unknown dtype', fileOf({ x: entry([1], 0, 4, 'F7') }, four), /unknown dtype/],
    ['a dtype of Object', fileOf({ x: entry([1], 0, 4, 'toString') }, four), /unknown dtype/],
    ['a lower-case dtype', fileOf({ x: entry([1], 0, 4, 'f32') }, four), /unknown dtype/],
    ['a number for a dtype', fileOf({ x: entry([1], 0, 4, 3) }, four), /unknown dtype/],
    ['a negative size', fileOf({ x: entry([-1], 0, 4) }, four), /list of sizes/],
    ['half a size', fileOf({ x: entry([0.5], 0, 2) }, four), /list of sizes/],
    ['a text for a size', fileOf({ x: entry(['1'], 0, 4) }, four), /list of sizes/],
    ['no shape', fileOf({ x: entry(undefined, 0, 4) }, four), /list of sizes/],
    ['sizes whose product overflows', fileOf({ x: entry([2 ** 52, 2 ** 52], 0, 4) }, four), /not 4 bytes/],
    ['a size beyond 2^53', fileOf('{"x":{"dtype":"F32","shape":[1e30],"data_offsets":[0,4]}}'), /sizes/],
    [
      'a size that is infinite',
      fileOf('{"x":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}'),
      /sizes/,
    ],
    ['a tensor larger than the file', fileOf({ x: entry([2 ** 40], 0, 2 ** 42) }, four), /the file has 4/],
    ['offsets that do not fit the shape', fileOf({ x: entry([1], 0, 8) }, [...four, ...four]), /not 8 bytes/],
    ['offsets the wrong way round', fileOf({ x: entry([1], 4, 0) }, four), /not -4 bytes/],
    ['a negative offset', fileOf({ x: entry([1], -4, 0) }, four), /two sizes/],
    ['one offset', fileOf({ x: { dtype: 'F32', shape: [1], data_offsets: [0] } }, four), /two sizes/],
    [
      'three offsets',
      fileOf({ x: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 4] } }, four),
      /two sizes/,
    ],
    ['an overlap', fileOf({ x: entry([1], 0, 4), y: entry([1], 0, 4) }, four), /begins at byte 0/],
    ['a gap', fileOf({ x: entry([1], 4, 8) }, [...four, ...four]), /begins at byte 4/],
    ['trailing bytes', fileOf({ x: entry([1], 0, 4) }, [...four, 0]), /the file has 5/],
    ['missing bytes', fileOf({ x: entry([1], 0, 4) }, [0, 0, 0]), /the file has 3/],
    ['a number in metadata', fileOf({ __metadata__: { a: 1 } }), /not texts/],
    ['a text for metadata', fileOf({ __metadata__: 'a' }), /not texts/],
    ['versions that are no JSON', fileOf({ __metadata__: { state_dict_versions: '{' } }), /no JSON/],
    [
      'versions that are no numbers',
      fileOf({ __metadata__: { state_dict_versions: '{"a":"b"}' } }),
      /numbers/,
    ],
  ];
  it.each(wrong)('refuses %s', (_, file, reason) => {
    expect(refused(file).message).toMatch(reason);
  });

  it('allocates nothing of a size that a lying header states', () => {
    const lies = [
      fileOf({}, [], 99_999_999n),
      fileOf({ x: entry([2 ** 40], 0, 2 ** 42) }, four),
      fileOf({ x: entry([2 ** 29], 0, 2 ** 31) }, four),
    ];
    const before = process.memoryUsage().arrayBuffers;
    for (const lie of lies) refused(lie);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });

  it('refuses every truncation of a file', () => {
    const bytes = readBytes('state-dict.safetensors');
    for (let length = 0; length < bytes.length; length += 1) refused(bytes.subarray(0, length));
  });

  it('reads or refuses whatever it is given, and never ends otherwise', () => {
    const sources = [readBytes('state-dict.safetensors'), fileOf({ x: entry([1], 0, 4) }, four)];
    const next = random(5);
    const pick = (below: number) => Math.floor(next() * below);
    const pieces = ['{', '}', '[', ']', '"', ',', ':', '-', '0', '1e999', '\\', 'null', '\u0000'].map(
      (text) => new TextEncoder().encode(text),
    );
    let read = 0;
    for (let round = 0; round < 20_000; round++) {
      let bytes = Uint8Array.from(sources[round % 2] as Uint8Array);
      for (let change = pick(4); change >= 0; change--) {
        const at = pick(bytes.length);
        const kind = pick(4);
        if (kind === 0) bytes[at] = pick(256);
        else if (kind === 1) bytes = bytes.slice(0, at);
        else if (kind === 2) bytes.set(bytes.slice(pick(bytes.length)).subarray(0, bytes.length - at), at);
        else {
          const piece = pieces[pick(pieces.length)] as Uint8Array;
          bytes.set(piece.subarray(0, bytes.length - at), at);
        }
        if (bytes.length === 0) break;
      }
      try {
        for (const { data, shape } of decodeSafetensors(bytes).values()) {
          expect(data.length).toBe(shape.reduce((product, size) => product * size, 1));
        }
        read += 1;
      } catch (error) {
        if (!(error instanceof NormError) || error.code !== 'format') throw error;
      }
    }
    expect(read).toBeGreaterThan(100);
    expect(read).toBeLessThan(19_000);
  });
});

describe('dtypes that no typed array holds', () => {
  it('are left out and named; the rest is read', () => {
    const file = fileOf(
      {
        scale: entry([1], 0, 4),
        eight: entry([3], 4, 7, 'F8_E4M3'),
        four: entry([2], 7, 8, 'F4'),
        complex: entry([1], 8, 16, 'C64'),
      },
      [...new Uint8Array(Float32Array.of(1.5).buffer), ...new Uint8Array(12)],
    );
    const dict = decodeSafetensors(file);
    expect([...dict.keys()]).toEqual(['scale']);
    expect(dict.get('scale')?.data).toEqual(Float32Array.of(1.5));
    expect([...dict.unsupported]).toEqual([
      ['eight', 'F8_E4M3'],
      ['four', 'F4'],
      ['complex', 'C64'],
    ]);
  });

  it('must be as long as they say all the same', () => {
    expect(refused(fileOf({ x: entry([3], 0, 4, 'F8_E5M2') }, [0, 0, 0, 0])).message).toMatch(/not 4 bytes/);
    expect(refused(fileOf({ x: entry([3], 0, 2, 'F4') }, [0, 0])).message).toMatch(/not 2 bytes/);
  });
});
