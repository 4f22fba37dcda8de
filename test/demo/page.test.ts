/** What is around the screens, in Chromium: ways between them, no WebGPU, the sources, the static build. */
import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { describe, expect, it } from 'vitest';
import { cache } from '../../scripts/lib/paths.mjs';
import {
  configFile,
  Demo,
  enter,
  largestError,
  number,
  portOf,
  settingsIn,
  settled,
  standings,
  text,
} from './harness.ts';

describe('the page', () => {
  const demo = Demo.use('chromium');

  it('goes from screen to screen, and back to the same settings', async () => {
    const page = await demo.open('#screen=see&norm=group');
    await settled(page);
    expect(await page.title()).toBe('See it: webgpu-norm');
    await enter(page, 'measure');
    expect(await page.title()).toBe('Measure it: webgpu-norm');
    expect(await settingsIn(page)).toMatchObject({ screen: 'measure' });
    await enter(page, 'see');
    expect(await settingsIn(page)).toMatchObject({ screen: 'see', norm: 'group' });
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    expect(await page.$eval('nav [aria-current="page"]', (link) => link.textContent)).toBe('See it');
  });

  it('shows the source of a screen', async () => {
    const page = await demo.open();
    await settled(page);
    await page.click('#source');
    await page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>('#viewer-text')?.value);
    const shown = () => page.$eval('#viewer-text', (area) => (area as HTMLTextAreaElement).value);
    expect(await shown()).toContain('class See implements Screen');
    await page.select('#viewer-file', '../screens/see/engine.ts');
    await page.waitForFunction(() =>
      document.querySelector<HTMLTextAreaElement>('#viewer-text')?.value.includes('class Engine'),
    );
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector<HTMLDialogElement>('#viewer')?.open);
  });

  it('says what to do where WebGPU is missing', async () => {
    const page = await demo.open('', (page) =>
      page.evaluateOnNewDocument(() => {
        Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined });
      }),
    );
    await page.waitForSelector('#missing:not([hidden])');
    expect(await text(page, 'missing')).toMatch(/no WebGPU.*Chrome.*Safari.*Firefox.*Linux/s);
    expect(await page.$eval('#app', (app) => getComputedStyle(app).display)).toBe('none');
  });

  it('works as a static build below any path, and loads little at first', async () => {
    const folder = join(cache, 'demo');
    const outDir = join(folder, 'some', 'where');
    await rm(folder, { recursive: true, force: true });
    await build({ configFile, mode: 'demo', logLevel: 'error', build: { outDir } });
    const loaded = new Map<string, number>();
    const server = createServer(async (request, response) => {
      const path = new URL(request.url ?? '/', 'http://localhost').pathname;
      const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
      const bytes = await readFile(file).catch(() => undefined);
      if (!bytes) return void response.writeHead(404).end();
      loaded.set(path, gzipSync(bytes).length);
      response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream').end(bytes);
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const served = demo.url;
    try {
      demo.url = `http://127.0.0.1:${portOf(server)}/some/where/`;
      const page = await demo.open('#screen=see&norm=group');
      await page.waitForSelector('#controls');
      const interactive = await page.evaluate(() => performance.now());
      await settled(page);
      expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
      // The photograph is what is shown, not what shows it.
      const code = [...loaded].filter(([path]) => !path.endsWith('.jpg'));
      const kilobytes = code.reduce((sum, [, size]) => sum + size, 0) / 1000;
      console.log(
        `first load ${kilobytes.toFixed(0)} KB gzip, interactive after ${interactive.toFixed(0)} ms`,
      );
      expect(kilobytes).toBeLessThan(300);
      // A screen with a worker of its own.
      await page.evaluate(() => {
        location.hash = 'screen=train&layers=1&norms=batch';
      });
      await page.waitForSelector('#standings tr');
      await settled(page);
      expect(Object.keys(await standings(page))).toEqual(['batch']);
      // Other libraries come when they are asked for.
      expect([...loaded.keys()].some((path) => /onnx|ort|tfjs/.test(path))).toBe(false);
      await page.evaluate(() => {
        location.hash = 'screen=measure&ops=instanceNorm&filter=4×3×256×256 f32&rounds=1&peers=true';
      });
      await page.waitForSelector('#peers:checked');
      await settled(page);
      await page.click('#run');
      await settled(page);
      const row = await page.$$eval('#results td', (all) => all.map((cell) => cell.textContent ?? ''));
      // Times and speed-ups of onnxruntime-web and of tfjs.
      expect(row.slice(7, 9)).toEqual([expect.stringMatching(/ms.*×\d/), expect.stringMatching(/ms.*×\d/)]);
    } finally {
      demo.url = served;
      server.close();
      server.closeAllConnections();
    }
  });
});

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.mjs': 'text/javascript',
  '.jpg': 'image/jpeg',
  '.wasm': 'application/wasm',
};
