/** The demo page in Chromium: served as `npm start` does, and once as `npm run build:demo` makes it. */
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer';
import { build, createServer, preview } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';
import { cache, root } from '../../scripts/lib/paths.mjs';

const configFile = join(root, 'vite.config.ts');
const picture = join(root, 'demo', 'assets', 'raccoon.jpg');
const norms = ['layer', 'rms', 'group', 'instance'];
const settleTimeout = 30_000;
/** What the library promises at any offset up to 1e5. */
const largestError = 5e-7;

let browser: Browser;
let url: string;
let closeServer: () => Promise<void>;
/** Console errors and warnings, exceptions and failed requests. Each test ends with none. */
const complaints: string[] = [];
const opened: Page[] = [];

interface Spied {
  devices: GPUDevice[];
  liveTensors: number;
}

/** Keeps the devices that the page makes, and counts the tensors that live on them. Runs in the page. */
function spy(): void {
  const spied: Spied = { devices: [], liveTensors: 0 };
  Object.assign(globalThis, { spied });
  if (!('GPUAdapter' in globalThis)) return;
  const live = new WeakSet<GPUBuffer>();
  const { requestDevice } = GPUAdapter.prototype;
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    spied.devices.push(device);
    return device;
  };
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    if (descriptor.label?.startsWith('tensor')) {
      live.add(buffer);
      spied.liveTensors++;
    }
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () {
    if (live.delete(this)) spied.liveTensors--;
    return destroy.call(this);
  };
}

async function open(hash = '', prepare: (page: Page) => Promise<unknown> = async () => {}): Promise<Page> {
  const page = await browser.newPage();
  opened.push(page);
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`));
  page.on('console', (message) => {
    // Reading the page's canvases is this test's doing.
    if (message.text().includes('willReadFrequently')) return;
    if (message.type() === 'error' || message.type() === 'warn') complaints.push(message.text());
  });
  await page.evaluateOnNewDocument(spy);
  await prepare(page);
  await page.goto(url + hash);
  return page;
}

const portOf = (server: { address(): unknown } | null): number =>
  (server?.address() as AddressInfo | undefined)?.port ?? 0;

const settled = (page: Page): Promise<unknown> =>
  page.waitForSelector('#app[aria-busy="false"]', { timeout: settleTimeout });

/** Changes the URL's fragment, as an edit of the address bar does, and waits for the numbers. */
async function visit(page: Page, hash: string): Promise<void> {
  await page.evaluate(
    (wanted) =>
      new Promise((changed) => {
        addEventListener('hashchange', changed, { once: true });
        location.hash = wanted;
      }),
    hash,
  );
  await settled(page);
}

const text = (page: Page, id: string): Promise<string> =>
  page.$eval(`#${id}`, (element) => element.textContent ?? '');

async function number(page: Page, id: string): Promise<number> {
  const shown = await text(page, id);
  expect(shown, id).toMatch(/^-?\d/);
  return Number.parseFloat(shown);
}

/** The mean absolute difference of two canvases, in levels of 0 to 255, and their mean spread. */
const compare = (page: Page, a: string, b: string): Promise<{ difference: number; spread: number }> =>
  page.evaluate(
    (ids) => {
      const [first, second] = ids.map((id) => {
        const canvas = document.querySelector<HTMLCanvasElement>(`#${id}`) as HTMLCanvasElement;
        const context = canvas.getContext('2d') as CanvasRenderingContext2D;
        return context.getImageData(0, 0, canvas.width, canvas.height).data;
      }) as [Uint8ClampedArray, Uint8ClampedArray];
      let [difference, low, high] = [0, 255, 0];
      for (let i = 0; i < first.length; i++) {
        if (i % 4 === 3) continue;
        const value = second[i] as number;
        difference += Math.abs((first[i] as number) - value);
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
      return { difference: (difference / first.length) * (4 / 3), spread: high - low };
    },
    [a, b],
  );

const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

describe('demo', () => {
  beforeAll(async () => {
    const executablePath = findBrowser('chromium');
    if (!executablePath) throw new Error(`Chromium was not found. ${installHint('chromium')}`);
    const server = await createServer({
      root: join(root, 'demo'),
      configFile,
      logLevel: 'error',
      server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
    });
    await server.listen();
    url = `http://127.0.0.1:${portOf(server.httpServer)}/`;
    closeServer = () => server.close();
    browser = await puppeteer.launch({
      executablePath,
      headless: true,
      args: [
        ...(process.platform === 'linux' ? ['--no-sandbox'] : []),
        '--enable-unsafe-webgpu',
        '--disable-quic',
        '--no-first-run',
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
        ...(process.env.WEBGPU_NORM_CHROMIUM_ARGS?.split(/\s+/).filter(Boolean) ?? []),
      ],
    });
  });

  afterEach(async () => {
    for (const page of opened.splice(0)) await page.close();
    expect(complaints.splice(0)).toEqual([]);
  });

  afterAll(async () => {
    await browser?.close();
    await closeServer?.();
  });

  it('opens with the photograph, its credit and numbers', async () => {
    const page = await open();
    await settled(page);
    expect(await text(page, 'adapter')).toMatch(/\w{3}/);
    expect(await text(page, 'credit')).toMatch(/SciPy.*public\s+domain/s);
    expect(await text(page, 'forward-time')).toMatch(/^[\d.]+ (µs|ms), [\d.]+ GB\/s$/);
    expect(await text(page, 'backward-time')).toMatch(/^[\d.]+ (µs|ms), [\d.]+ GB\/s$/);
    expect(await text(page, 'torch')).toMatch(/PyTorch \d+\.\d+.*y \d\.\de-8/s);
    expect(await text(page, 'status')).toMatch(/^LayerNorm: relative error of y \d\.\de-\d/);
    expect(await page.$$eval('#cube .front.lit', (cells) => cells.length)).toBe(72);
    expect((await compare(page, 'x0', 'dx0')).spread).toBeGreaterThan(100);
  });

  it('shows four norms within the promised error, with and without an offset', async () => {
    const page = await open();
    await settled(page);
    for (const norm of norms) {
      for (const offset of [0, 1e5]) {
        const what = `${norm}, offset ${offset}`;
        await visit(page, `norm=${norm}&offset=${offset}&loss=cubes&groups=6`);
        expect(await number(page, 'relative-error'), what).toBeLessThanOrEqual(largestError);
        expect(await number(page, 'gradient-error'), what).toBeLessThanOrEqual(largestError);
        if (norm === 'rms') {
          expect(await text(page, 'naive-text'), what).toMatch(/nothing cancels/);
        } else {
          const naive = await text(page, 'error-naive');
          if (offset === 0) expect(Number(naive), what).toBeLessThan(1e-4);
          else expect(naive === 'not finite' || Number(naive) > 0.01, `${what}: ${naive}`).toBe(true);
        }
        const { difference, spread } = await compare(page, 'x0', 'y0');
        expect(difference, what).toBeGreaterThan(2);
        // RMSNorm keeps the offset: next to it there is nothing to see.
        if (norm !== 'rms' || offset === 0) expect(spread, what).toBeGreaterThan(80);
      }
    }
    await visit(page, 'norm=layer&over=position&layout=channels-first');
    expect(await text(page, 'shape')).toMatch(/^\[2, \d+, \d+, 12\]/);
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    expect(await page.evaluate(() => (globalThis as unknown as { spied: Spied }).spied.liveTensors)).toBe(0);
  });

  it('keeps its settings in the URL', async () => {
    const page = await open();
    await settled(page);
    await page.click('input[value="group"]');
    await page.focus('#groups');
    await page.keyboard.press('ArrowRight');
    await page.focus('#offset');
    await page.keyboard.press('End');
    await page.focus('#weight');
    await page.keyboard.press('ArrowLeft');
    await page.select('#loss', 'squares');
    await settled(page);
    const hash = await page.evaluate(() => location.hash);
    const expected = { norm: 'group', groups: '4', offset: '100000', weight: '0.95', loss: 'squares' };
    expect(Object.fromEntries(new URLSearchParams(hash.slice(1)))).toMatchObject(expected);
    const shown = await text(page, 'relative-error');

    await page.reload();
    await settled(page);
    expect(await page.evaluate(() => location.hash)).toBe(hash);
    expect(await page.$eval('input[value="group"]', (radio) => (radio as HTMLInputElement).checked)).toBe(
      true,
    );
    for (const [id, value] of Object.entries({ groups: '4', offset: '1e5', weight: '0.95' })) {
      expect(await text(page, `${id}-value`)).toBe(value);
    }
    expect(await page.$eval('#loss', (select) => (select as HTMLSelectElement).value)).toBe('squares');
    // The same settings, the same bits.
    expect(await text(page, 'relative-error')).toBe(shown);

    await visit(page, 'norm=nonsense&groups=5&eps=-1&offset=1e9');
    expect(await page.evaluate(() => location.hash)).toMatch(/norm=layer.*groups=3.*eps=0.00001&offset=0/);
  });

  it('takes a picture from a file, and says so when it is none', async () => {
    const page = await open();
    await settled(page);
    const input = await page.$('#file');
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(picture);
    await page.waitForSelector('#credit[hidden]');
    await settled(page);
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(configFile);
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/not a picture/);
  });

  it('takes pictures from the camera, until told to stop', async () => {
    const page = await open();
    await settled(page);
    const pressed = (value: boolean) => page.waitForSelector(`#camera[aria-pressed="${value}"]`);
    await page.click('#camera');
    await pressed(true);
    await page.waitForSelector('#credit[hidden]');
    await page.click('input[value="rms"]');
    await page.waitForFunction(() => location.hash.includes('norm=rms'), { timeout: settleTimeout });
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    await page.click('#camera');
    await pressed(false);
    await settled(page);
    expect(await page.$('#credit[hidden]')).toBeNull();
    expect(await text(page, 'forward-time')).toMatch(/GB/);
  });

  it('fits a phone, light and dark', async () => {
    const page = await open('', (page) =>
      page.setViewport({ width: 390, height: 844, isMobile: true, hasTouch: true }),
    );
    for (const value of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
      await settled(page);
      expect(await overflow(page)).toBeLessThanOrEqual(0);
    }
    for (const norm of ['rms', 'group', 'instance']) {
      await visit(page, `norm=${norm}&offset=100000`);
      expect(await overflow(page), norm).toBeLessThanOrEqual(0);
    }
  });

  it('says what to do where WebGPU is missing', async () => {
    const page = await open('', (page) =>
      page.evaluateOnNewDocument(() => {
        Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined });
      }),
    );
    await page.waitForSelector('#missing:not([hidden])');
    expect(await text(page, 'missing')).toMatch(/no WebGPU.*Chrome.*Safari.*Firefox.*Linux/s);
    expect(await page.$eval('#app', (app) => getComputedStyle(app).display)).toBe('none');
  });

  it('recovers from a lost device', async () => {
    const page = await open('#norm=instance&offset=1000');
    await settled(page);
    await page.evaluate(() => (globalThis as unknown as { spied: Spied }).spied.devices[0]?.destroy());
    await page.waitForSelector('#problem:not([hidden])');
    expect(await text(page, 'problem-text')).toMatch(/device was lost/);
    await page.click('#restart');
    await settled(page);
    expect(await page.$('#problem[hidden]')).not.toBeNull();
    expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    expect(await page.evaluate(() => location.hash)).toMatch(/norm=instance.*offset=1000/);
  });

  it('works as a static build', async () => {
    const outDir = join(cache, 'demo');
    await build({ configFile, mode: 'demo', logLevel: 'error', build: { outDir } });
    const server = await preview({
      configFile,
      mode: 'demo',
      logLevel: 'error',
      build: { outDir },
      preview: { port: 0, host: '127.0.0.1' },
    });
    const served = url;
    try {
      url = `http://127.0.0.1:${portOf(server.httpServer)}/`;
      const page = await open('#norm=group');
      await settled(page);
      expect(await number(page, 'relative-error')).toBeLessThanOrEqual(largestError);
    } finally {
      url = served;
      await server.close();
    }
  });
});
