// Every example of examples/, from the packed package.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import puppeteer, { type Browser } from 'puppeteer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBrowser, findDeno, installHint } from '../../scripts/lib/browsers.mjs';
import { canvasArguments, chromiumArguments } from '../../scripts/lib/launch-options.mjs';
import { bin, root } from '../../scripts/lib/paths.mjs';
import {
  batchNormGeometry,
  type Geometry,
  groupNormGeometry,
  layerNormGeometry,
  normBackwardReference,
  normReference,
  type ReferenceOptions,
  relativeError,
} from '../reference/index.ts';
import { bounds } from '../support/tolerances.ts';
import { type App, makeApp, serveFolder } from './app.ts';
import { run } from './run.ts';

/** Libraries that examples share a device and buffers with. */
const others = ['typegpu', 'three', '@jax-js/jax'];

function launch(args: string[]): Promise<Browser> {
  const executablePath = findBrowser('chromium');
  if (!executablePath) throw new Error(`Chromium was not found. ${installHint('chromium')}`);
  return puppeteer.launch({ executablePath, headless: true, args });
}

let app: App;
let browser: Browser;

beforeAll(async () => {
  app = await makeApp(['webgpu', 'vite', '@webgpu/types', ...others]);
  browser = await launch(chromiumArguments);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  app?.remove();
});

/** What all examples normalize. */
const x = [1, 2, 3, 4, 10, 20, 30, 40];

function judge(printed: string, geometry: Geometry, options: Partial<ReferenceOptions> = {}): void {
  const y: number[] = JSON.parse(printed);
  const expected = normReference(x, geometry, { kind: 'moments', eps: 1e-5, ...options }).y;
  expect(y).toHaveLength(x.length);
  expect(relativeError(y, expected)).toBeLessThanOrEqual(bounds.forward);
}

/** What the page of a folder shows; fails on anything that it says on the console. */
async function shown(folder: string, inside = browser): Promise<string> {
  return (await visit(folder, inside)).text;
}

/** The same, and the paths that the page asked the server for. */
async function visit(
  folder: string,
  inside = browser,
): Promise<{ text: string; requests: readonly string[] }> {
  const { url, requests, close } = await serveFolder(folder);
  const page = await inside.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => complaints.push(message.text()));
  try {
    await page.goto(url);
    const handle = await page
      .waitForFunction(() => document.querySelector('output')?.textContent, { timeout: 30_000 })
      .catch((error) => {
        throw new Error(`${error}: ${complaints.join('; ')}`);
      });
    expect(complaints).toEqual([]);
    return { text: (await handle.jsonValue()) as string, requests };
  } finally {
    await page.close();
    close();
  }
}

/** What the page of a folder shows once Vite has built it. */
async function shownByVite(source: string, inside = browser): Promise<string> {
  const folder = app.copyOf(source);
  const { status, stdout, stderr } = await run(process.execPath, [bin.vite, 'build'], { cwd: folder });
  // three.js is larger than what Vite finds remarkable.
  const large =
    /^\[plugin builtin:vite-reporter\] \n\(!\) Some chunks are larger than[^!]*chunkSizeWarningLimit\.\n+$/;
  expect({ status, stderr: stderr.replace(large, '') }, stdout).toEqual({ status: 0, stderr: '' });
  return shown(join(folder, 'dist'), inside);
}

/** What TypeScript says of an example, with none of this project's settings. */
async function compilerSays(source: string): Promise<string> {
  const args = ['main.ts', '--noEmit', '--strict', '--skipLibCheck', '--types', '@webgpu/types'];
  const settings = ['--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022'];
  const lib = ['--lib', 'es2023,dom,dom.iterable,esnext.disposable'];
  const { stdout } = await run(process.execPath, [bin.tsc, ...args, ...settings, ...lib], {
    cwd: app.copyOf(source),
  });
  return stdout;
}

/** LayerNorm of rows in plain arithmetic. */
function layerNormOf(x: readonly number[], columns: number): number[] {
  return x.map((value, i) => {
    const row = x.slice(i - (i % columns), i - (i % columns) + columns);
    const mean = row.reduce((sum, one) => sum + one, 0) / columns;
    const variance = row.reduce((sum, one) => sum + (one - mean) ** 2, 0) / columns;
    return (value - mean) / Math.sqrt(variance + 1e-5);
  });
}

/** The gradient of its input, likewise. */
function layerNormGradientOf(x: readonly number[], dy: readonly number[], columns: number): number[] {
  const y = layerNormOf(x, columns);
  return x.map((_, i) => {
    const first = i - (i % columns);
    const [xs, ys, dys] = [x, y, dy].map((list) => list.slice(first, first + columns)) as [
      number[],
      number[],
      number[],
    ];
    const meanOf = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0) / columns;
    const mean = meanOf(xs);
    const rstd = 1 / Math.sqrt(meanOf(xs.map((one) => (one - mean) ** 2)) + 1e-5);
    const along = meanOf(dys.map((one, j) => one * (ys[j] as number)));
    return rstd * ((dy[i] as number) - meanOf(dys) - (y[i] as number) * along);
  });
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  expect(a).toHaveLength(b.length);
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))));
}

it('a Vite app', async () => {
  judge(await shownByVite('examples/vite'), layerNormGeometry([2, 4], 4));
});

it('a plain page, from a static server', async () => {
  const printed = await shown(app.copyOf('examples/static'));
  judge(printed, layerNormGeometry([2, 4], 4), { kind: 'rms', eps: 2 ** -23 });
});

it('a plain page that loads the library as one file', async () => {
  const { text, requests } = await visit(app.copyOf('examples/single-file'));
  expect(requests).toEqual(['/', '/node_modules/webgpu-norm/dist/webgpu-norm.min.js']);
  const { y, dx } = JSON.parse(text);
  const geometry = layerNormGeometry([2, 4], 4);
  judge(JSON.stringify(y), geometry);
  const expected = normBackwardReference([1, 0, 0, 0, 0, 0, 2, 1], x, geometry, {
    kind: 'moments',
    eps: 1e-5,
  });
  expect(relativeError(dx, expected.dx)).toBeLessThanOrEqual(bounds.backward);
});

it('the single file exports what the main entry does', async () => {
  const [whole, single] = await Promise.all(
    ['index.js', 'webgpu-norm.min.js'].map(
      (name) => import(pathToFileURL(join(root, 'dist', name)).href) as Promise<object>,
    ),
  );
  expect(Object.keys(single ?? {}).sort()).toEqual(Object.keys(whole ?? {}).sort());
});

it('a Web Worker', async () => {
  judge(await shown(app.copyOf('examples/worker')), groupNormGeometry([2, 4], 2, 'channels-first'));
});

it('Node, on Dawn', async () => {
  const cwd = app.copyOf('examples/node');
  const { status, stdout, stderr } = await run(process.execPath, ['main.mjs'], { cwd, engine: 'dawn' });
  expect(status, stderr).toBe(0); // Dawn warns of what it always does there
  const [y = '', runningMean = ''] = stdout.split('\n');
  judge(y, batchNormGeometry([2, 4], 'channels-first'));
  // momentum 0.1 of the means 5.5, 11, 16.5 and 22
  expect(relativeError(JSON.parse(runningMean), [0.55, 1.1, 1.65, 2.2])).toBeLessThan(1e-6);
});

it('Deno', async () => {
  const cwd = app.copyOf('examples/deno');
  const args = ['run', '--allow-all', '--no-lock', '--node-modules-dir=manual', 'main.ts'];
  const { status, stdout, stderr } = await run(findDeno(), args, { cwd, engine: 'deno' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  judge(stdout, layerNormGeometry([2, 4], 4));
});

/** Exports LayerNorm's kernels into a copy of an example, as its README says, and leaves the library out. */
async function exported(example: string): Promise<string> {
  const folder = app.copyOf(example);
  const cli = join(folder, 'node_modules/webgpu-norm/bin/webgpu-norm.mjs');
  for (const args of [
    ['--out', 'forward'],
    ['--pass', 'backward', '--out', 'backward'],
  ]) {
    const { status, stderr } = await run(process.execPath, [cli, 'export', 'layerNorm', '2x4', ...args], {
      cwd: folder,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  }
  rmSync(join(folder, 'node_modules'), { recursive: true });
  return folder;
}

/** What both examples of exported kernels print. */
function judgeExported(printed: string): void {
  const found: Record<string, number[]> = JSON.parse(printed);
  const [weight, bias] = [
    [1, 2, 3, 4],
    [1, 0, 0, -1],
  ];
  const options = { kind: 'moments', eps: 1e-5, weight, bias } as const;
  const geometry = layerNormGeometry([2, 4], 4);
  const expected = normBackwardReference([1, 0, 0, 0, 0, 0, 2, 1], x, geometry, options);
  expect(relativeError(found.y ?? [], normReference(x, geometry, options).y)).toBeLessThanOrEqual(
    bounds.forward,
  );
  for (const name of ['dx', 'dweight', 'dbias'] as const) {
    expect(relativeError(found[name] ?? [], expected[name]), name).toBeLessThanOrEqual(bounds.backward);
  }
}

it('a plain page with exported kernels and no library', async () => {
  judgeExported(await shown(await exported('examples/exported-page')));
});

it('Deno with exported kernels and no library', async () => {
  const cwd = await exported('examples/exported-deno');
  const args = ['run', '--allow-read', '--no-lock', 'main.js'];
  const { status, stdout, stderr } = await run(findDeno(), args, { cwd, engine: 'deno' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  judgeExported(stdout);
});

it('the examples of exported kernels have the same formulas', () => {
  const [page, deno] = ['page', 'deno'].map((where) =>
    readFileSync(join(root, `examples/exported-${where}/check.js`), 'utf8'),
  );
  expect(page).toBe(deno);
});

describe('beside TypeGPU', () => {
  it('compiles', async () => {
    expect(await compilerSays('examples/typegpu')).toBe('');
  });

  it('normalizes what one pass of TypeGPU makes, for another', async () => {
    const { x, y, z } = JSON.parse(await shownByVite('examples/typegpu'));
    expect(x).toEqual(Array.from({ length: 512 }, (_, i) => 10 + ((i * i) % 97)));
    const expected = layerNormOf(x, 64);
    expect(relativeError(y, expected)).toBeLessThanOrEqual(bounds.forward);
    const scaled = expected.map((value) => 2 * value + 1);
    expect(relativeError(z, scaled)).toBeLessThanOrEqual(2 * bounds.forward);
  });
});

describe('beside three.js', () => {
  let withCanvas: Browser;
  beforeAll(async () => {
    withCanvas = await launch(canvasArguments);
  }, 120_000);
  afterAll(() => withCanvas?.close());

  it('normalizes a storage buffer of its renderer, for a material', async () => {
    const { x, y, greys } = JSON.parse(await shownByVite('examples/three', withCanvas));
    // WGSL's cos has an absolute error of 2^-11.
    const made = Array.from({ length: 64 }, (_, i) => 100 + 3 * Math.cos(i));
    expect(largestDifference(x, made)).toBeLessThan(3 * 2 ** -11 + 1e-5);
    const expected = layerNormOf(x, 8);
    expect(relativeError(y, expected)).toBeLessThanOrEqual(bounds.forward);
    // A grey is a byte.
    const shades = expected.map((value) => 255 * (value / 6 + 0.5));
    expect(largestDifference(greys, shades)).toBeLessThan(1);
  });
});

describe('beside jax-js', () => {
  it('compiles', async () => {
    expect(await compilerSays('examples/jax')).toBe('');
  });

  it('stands between two functions that jax-js differentiates', async () => {
    const seen = JSON.parse(await shownByVite('examples/jax'));
    expect(seen.sameDevice).toBe(true);
    // All in float64, from the numbers that the example begins with, as f32 has them.
    const numbers = (length: number, body: (i: number) => number) =>
      Array.from({ length }, (_, i) => body(i));
    const [data, target] = [Math.sin, Math.cos].map((body) => numbers(512, (i) => Math.fround(body(i))));
    if (!data || !target) throw new Error('There are two lists.');
    const scale = numbers(64, (i) => 1 + i / 64);
    const h = data.map((value, i) => value * (scale[i % 64] as number));
    expect(relativeError(seen.h.flat(), h)).toBeLessThanOrEqual(bounds.forward);
    const y = layerNormOf(h, 64);
    expect(relativeError(seen.y, y)).toBeLessThanOrEqual(bounds.forward);
    const loss = y.reduce((sum, value, i) => sum + (value - (target[i] as number)) ** 2, 0);
    expect(Math.abs(seen.loss - loss)).toBeLessThan(1e-5 * loss);
    const dy = y.map((value, i) => 2 * (value - (target[i] as number)));
    expect(relativeError(seen.dy.flat(), dy)).toBeLessThanOrEqual(bounds.forward);
    const dx = layerNormGradientOf(h, dy, 64);
    expect(relativeError(seen.dx, dx)).toBeLessThanOrEqual(bounds.backward);
    const products = dx.map((value, i) => value * (data[i] as number));
    const columnSums = (list: readonly number[]) =>
      scale.map((_, column) => list.reduce((sum, value, i) => sum + (i % 64 === column ? value : 0), 0));
    const dscale = columnSums(products);
    // The products of a column cancel, so that their absolute values are the scale.
    const terms = columnSums(products.map(Math.abs));
    expect(relativeError(seen.dscale, dscale, terms)).toBeLessThanOrEqual(bounds.backward);
    // And dscale is the gradient of the loss: what it tells of a small step is what the loss does.
    const lossAt = (step: number) => {
      const moved = data.map((value, i) => {
        const column = i % 64;
        return value * ((scale[column] as number) + step * (dscale[column] as number));
      });
      return layerNormOf(moved, 64).reduce((sum, value, i) => sum + (value - (target[i] as number)) ** 2, 0);
    };
    const slope = dscale.reduce((sum, value) => sum + value ** 2, 0);
    expect((lossAt(1e-6) - lossAt(-1e-6)) / 2e-6 / slope).toBeCloseTo(1, 4);
  });
});
