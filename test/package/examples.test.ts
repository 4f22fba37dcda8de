// Every example of examples/, from the packed package.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findBrowser, findDeno, installHint } from '../../scripts/lib/browsers.mjs';
import { chromiumArguments } from '../../scripts/lib/launch-options.mjs';
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
} from '../../src/reference/index.ts';
import { bounds } from '../support/tolerances.ts';
import { type App, makeApp, serveFolder } from './app.ts';
import { run } from './run.ts';

let app: App;
let browser: Browser;

beforeAll(async () => {
  app = await makeApp(['webgpu', 'vite']);
  const executablePath = findBrowser('chromium');
  if (!executablePath) throw new Error(`Chromium was not found. ${installHint('chromium')}`);
  browser = await puppeteer.launch({ executablePath, headless: true, args: chromiumArguments });
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
async function shown(folder: string): Promise<string> {
  const { url, close } = await serveFolder(folder);
  const page = await browser.newPage();
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
    return (await handle.jsonValue()) as string;
  } finally {
    await page.close();
    close();
  }
}

it('a Vite app', async () => {
  const folder = app.copyOf('examples/vite');
  const { status, stderr } = await run(process.execPath, [bin.vite, 'build'], { cwd: folder });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  judge(await shown(join(folder, 'dist')), layerNormGeometry([2, 4], 4));
});

it('a plain page, from a static server', async () => {
  const printed = await shown(app.copyOf('examples/static'));
  judge(printed, layerNormGeometry([2, 4], 4), { kind: 'rms', eps: 2 ** -23 });
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
