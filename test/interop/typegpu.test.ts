// webgpu-norm/typegpu in Chromium, on the device of a TypeGPU root; f16 on Dawn.
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { run } from '../package/run.ts';
import { layerNormGeometry, normReference, relativeError } from '../reference/index.ts';
import { bounds } from '../support/tolerances.ts';
import { type Opened, open } from './browser.ts';
import type { page as typegpuPage } from './pages/typegpu.ts';

let opened: Opened<typeof typegpuPage>;
let page: Opened<typeof typegpuPage>['page'];
let started: Awaited<ReturnType<typeof typegpuPage.start>>;

beforeAll(async () => {
  opened = await open('typegpu');
  page = opened.page;
  started = await page.start([]);
}, 120_000);
afterAll(async () => {
  await opened?.close();
});

const rows = layerNormGeometry([8, 64], 64);
const layerNormed = (x: ArrayLike<number>) => normReference(x, rows, { kind: 'moments', eps: 1e-5 }).y;

type Normalized = Awaited<ReturnType<typeof typegpuPage.normalize>>;

function judge({ shapes, shared, dtype, x, y, counts }: Normalized, shape: readonly number[]): void {
  expect({ shapes, shared }).toEqual({ shapes: [shape, shape], shared: true });
  expect(y).toHaveLength(512);
  // f16 is rounded once, by at most half a unit in the last place: 2^-11 of the number.
  expect(relativeError(y, layerNormed(x))).toBeLessThan(dtype === 'f16' ? 2 ** -11 : bounds.forward);
  // Numbers of dispatches may be written; nothing is read, copied, made or destroyed.
  const { writeBuffer: _, ...others } = counts;
  expect(others).toEqual({ mapAsync: 0, copyBufferToBuffer: 0, createBuffer: 0, destroy: 0 });
}

it('is on the device of the root', () => {
  expect(started.same).toBe(true);
});

it.each([
  ['f32', [512]],
  ['nested', [8, 64]],
  ['vec2f', [256, 2]],
  ['vec4f', [8, 16, 4]],
] as const)('normalizes between typed buffers of %s', async (name, shape) => {
  const normalized = await page.normalize(name);
  expect(normalized.dtype).toBe('f32');
  judge(normalized, shape);
});

it('f16 on Dawn, since software adapters of browsers lack it', async () => {
  const host = `
    import { create, globals } from 'webgpu';
    Object.assign(globalThis, globals);
    Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) }, configurable: true });
    const { page } = await import(${JSON.stringify(pathToFileURL(opened.file).href)});
    const started = await page.start(['shader-f16']);
    const halves = [];
    for (const name of ['f16', 'vec2h', 'vec4h']) halves.push(await page.normalize(name));
    console.log(JSON.stringify({ started, halves, odd: await page.oddHalf() }));
    process.exit();
  `;
  const args = ['--input-type=module', '--eval', host];
  const { stdout, stderr } = await run(process.execPath, args, { cwd: root, engine: 'dawn' });
  expect(stdout, stderr).not.toBe('');
  const said: { started: typeof started; halves: Normalized[]; odd: string } = JSON.parse(stdout);
  expect(said.started).toEqual({ same: true, f16: true });
  expect(said.odd).toBe('buffer');
  const shapes = [[512], [256, 2], [8, 16, 4]];
  expect(said.halves).toHaveLength(shapes.length);
  for (const [i, shape] of shapes.entries()) {
    const normalized = said.halves[i] as Normalized;
    expect(normalized.dtype).toBe('f16');
    judge(normalized, shape);
  }
});

it('shares a command encoder with passes of TypeGPU', async () => {
  const { x, y } = await page.oneEncoder();
  const made = Array.from({ length: 512 }, (_, i) => 3 + Math.cos(i));
  // WGSL's cos has an absolute error of 2^-11.
  expect(Math.max(...x.map((value, i) => Math.abs(value - (made[i] as number))))).toBeLessThan(2 ** -11);
  const scaled = normReference(x, rows, { kind: 'rms', eps: 2 ** -23 }).y;
  expect(relativeError(y, layerNormed(scaled))).toBeLessThan(2 * bounds.forward);
});

it('destroys nothing of the other', async () => {
  expect(await page.ownership()).toEqual({ typed: [1, 2, 3, 4], owned: [5, 6, 7, 8], grown: 1 });
});

it('refuses what cannot be shared, and says what to do', async () => {
  expect(await page.misuse()).toEqual({
    'no root': 'value',
    'no buffer': 'buffer',
    'a binding': 'buffer',
    'no usage': 'buffer',
    'the usage added': 'none',
    'the usage too late': 'buffer',
    destroyed: 'destroyed',
    u32: 'dtype',
    vec3f: 'dtype',
    'a struct': 'dtype',
    'no array': 'dtype',
    'another size': 'shape',
    'no shape': 'shape',
    'to another dtype': 'dtype',
    'to another size': 'shape',
    'to vec3f': 'dtype',
    'to no schema': 'dtype',
    'no tensor': 'value',
    offset: 'buffer',
    'another device': 'wrong-device',
    bf16: 'dtype',
    'destroyed tensor': 'destroyed',
  });
});

it('nothing was said on the console', () => {
  expect(opened.complaints).toEqual([]);
});
