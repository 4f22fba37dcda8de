/** The safetensors format against Python: files that one writes and the other reads. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeSafetensors, encodeSafetensors, type HostTensor } from '../../src/index.ts';
import { numbersOf } from '../../src/io/host-tensor.ts';
import { decode } from '../support/golden.ts';
import { type GoldenState, savedGolden } from '../support/golden-state.ts';
import { python, torch } from './python.ts';

const scripts = import.meta.dirname;
const golden = join(import.meta.dirname, '../golden');

/** What the Python script says of a file. */
interface Described {
  metadata: Record<string, string>;
  tensors: Record<string, { dtype: string; shape: number[]; values: (number | string)[] }>;
}

const readBytes = (file: string) => new Uint8Array(readFileSync(join(golden, file)));
const readJson = (file: string): GoldenState => JSON.parse(readFileSync(join(golden, file), 'utf8'));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function ask(command: 'read' | 'write', file: string): Described {
  return JSON.parse(
    execFileSync(python, [join(scripts, 'safetensors_file.py'), command, file], { encoding: 'utf8' }),
  );
}

/** A tensor as the Python script shows it. */
function described(tensor: HostTensor) {
  const wide = tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array;
  const values = wide
    ? Array.from(tensor.data as BigInt64Array, String)
    : Array.from(tensor.dtype === 'bf16' ? (tensor.data as Uint16Array) : numbersOf(tensor));
  return { dtype: tensor.dtype.toUpperCase(), shape: [...tensor.shape], values };
}

describe('safetensors and Python', () => {
  it('reads what Python writes', () => {
    const path = join(folder, 'python.safetensors');
    const expected = ask('write', path);
    const dict = decodeSafetensors(readFileSync(path));
    expect([...dict.keys()]).toEqual(Object.keys(expected.tensors));
    for (const [name, tensor] of dict) expect(described(tensor), name).toEqual(expected.tensors[name]);
    expect({ ...dict.metadata }).toEqual(expected.metadata);
    expect(dict.versions.size).toBe(0);
  });

  it('writes what Python reads', () => {
    const source = join(folder, 'source.safetensors');
    const copy = join(folder, 'copy.safetensors');
    const expected = ask('write', source);
    writeFileSync(copy, encodeSafetensors(decodeSafetensors(readFileSync(source)), expected.metadata));
    expect(ask('read', copy)).toEqual(expected);
    expect(Object.keys(ask('read', copy).tensors)).toEqual(Object.keys(expected.tensors));
  });

  it('reads the file of the golden state dict, and writes the same tensors', () => {
    const path = join(folder, 'golden.safetensors');
    writeFileSync(path, savedGolden(readBytes('state-dict.safetensors'), readJson('state-dict.json')));
    const { tensors, metadata } = ask('read', path);
    expect(tensors).toEqual(ask('read', join(golden, 'state-dict.safetensors')).tensors);
    expect(Object.keys(tensors)).toEqual(readJson('state-dict.json').keys);
    expect(Object.keys(metadata)).toEqual(['format', 'state_dict_versions']);
  });

  it.skipIf(!torch)('writes what PyTorch loads, strictly, with the same outputs', () => {
    const path = join(folder, 'torch.safetensors');
    writeFileSync(path, savedGolden(readBytes('state-dict.safetensors'), readJson('state-dict.json')));
    const run = spawnSync(torch as string, [join(scripts, 'torch_state.py'), path], { encoding: 'utf8' });
    expect(run.status, run.stderr).toBe(0);
    const answers: Record<string, number[]> = JSON.parse(run.stdout);
    const { modules } = readJson('state-dict.json');
    expect(Object.keys(answers)).toEqual(modules.map(({ name }) => name));
    for (const { name, y } of modules) expect(answers[name], name).toEqual(Array.from(decode(y)));
  });
});
