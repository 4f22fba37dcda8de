// scripts/pytorch_state.py: a state_dict of PyTorch to safetensors and back, both read by this library.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { decodeSafetensors } from '../../src/index.ts';
import { torch } from './python.ts';

const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-pytorch-'));
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: string[]): void {
  const { status, stderr } = spawnSync(torch as string, args, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
}

it.skipIf(!torch)('goes there and back, versions and dtypes included', () => {
  const [first, file, second] = ['first.pt', 'file.safetensors', 'second.pt'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const make = `
import sys, torch
net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.LayerNorm(3).half())
net[0](torch.arange(12.0).reshape(4, 3))
torch.save(net.state_dict(), sys.argv[1])`;
  run('-c', make, first);
  const script = join(root, 'scripts', 'pytorch_state.py');
  run(script, first, file);

  const dict = decodeSafetensors(readFileSync(file));
  expect(dict.get('0.num_batches_tracked')?.data).toEqual(BigInt64Array.of(1n));
  expect(Array.from(dict.get('0.running_mean')?.data as Float32Array)).toEqual(
    [0.45, 0.55, 0.65].map((value) => expect.closeTo(value, 6)),
  );
  expect(dict.get('1.weight')).toMatchObject({ dtype: 'f16', shape: [3] });
  expect(dict.versions.get('0')).toBe(2);

  run(script, file, second);
  const compare = `
import sys, torch
a, b = (torch.load(path) for path in sys.argv[1:])
assert set(a) == set(b)
assert all(a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a)
assert b._metadata['0']['version'] == 2
net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.LayerNorm(3).half())
net.load_state_dict(b)`;
  run('-c', compare, first, second);
});
