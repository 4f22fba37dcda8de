/** What the tests of the demo page share: a server, a browser, pages that are watched, and ways to read them. */
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import puppeteer, { type Browser, type LaunchOptions, type Page } from 'puppeteer';
import { createServer } from 'vite';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';
import { launchOptions } from '../../scripts/lib/launch-options.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { violations } from './axe.ts';

export type BrowserName = 'chromium' | 'firefox';

export const configFile = join(root, 'vite.config.ts');
export const settleTimeout = 30_000;
/** What the library promises at any offset up to 1e5. */
export const largestError = 5e-7;

export interface Spied {
  devices: GPUDevice[];
  liveTensors: number;
}

/** Those of all tests, a camera in Chromium, and workers that have WebGPU and a dark page in Firefox. */
function launch(name: BrowserName): LaunchOptions {
  const options = launchOptions(name);
  const camera = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
  if (name === 'chromium') return { ...options, args: [...(options.args ?? []), ...camera] };
  const preferences = {
    ...options.extraPrefsFirefox,
    'dom.webgpu.workers.enabled': true,
    // Dark: no protocol that puppeteer speaks with Firefox can change it later.
    'layout.css.prefers-color-scheme.content-override': 0,
  };
  return { ...options, extraPrefsFirefox: preferences };
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

export const portOf = (server: { address(): unknown } | null): number =>
  (server?.address() as AddressInfo | undefined)?.port ?? 0;

/** A browser and a server for the tests of a file. Each test ends with its pages closed and without complaints. */
export class Demo {
  browser!: Browser;
  url = '';
  /** Console errors and warnings, exceptions and failed requests. */
  readonly complaints: string[] = [];
  readonly #opened: Page[] = [];
  #close = async (): Promise<void> => {};

  /** Registers the hooks of a suite. */
  static use(name: BrowserName): Demo {
    const demo = new Demo();
    beforeAll(() => demo.#start(name));
    afterEach(async () => {
      for (const page of demo.#opened.splice(0)) await page.close();
      expect(demo.complaints.splice(0)).toEqual([]);
    });
    afterAll(async () => {
      await demo.browser?.close();
      await demo.#close();
    });
    return demo;
  }

  async #start(name: BrowserName): Promise<void> {
    const executablePath = findBrowser(name);
    if (!executablePath) throw new Error(`${name} was not found. ${installHint(name)}`);
    const server = await createServer({
      root: join(root, 'demo'),
      configFile,
      logLevel: 'error',
      server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
    });
    await server.listen();
    this.url = `http://127.0.0.1:${portOf(server.httpServer)}/`;
    this.#close = () => server.close();
    this.browser = await puppeteer.launch({ ...launch(name), executablePath, headless: true });
  }

  async open(hash = '', prepare: (page: Page) => Promise<unknown> = async () => {}): Promise<Page> {
    const page = await this.browser.newPage();
    page.setDefaultTimeout(240_000); // the machine may be busy
    this.#opened.push(page);
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('requestfailed', (request) => this.complaints.push(`${request.url()} failed`));
    page.on('console', (message) => {
      // Reading the page's canvases is the tests' doing.
      if (message.text().includes('willReadFrequently')) return;
      if (message.type() === 'error' || message.type() === 'warn') this.complaints.push(message.text());
    });
    await page.evaluateOnNewDocument(spy);
    await prepare(page);
    await page.goto(this.url + hash);
    return page;
  }
}

export const settled = (page: Page, timeout = settleTimeout): Promise<unknown> =>
  page.waitForSelector('#app[aria-busy="false"]', { timeout });

/** Changes the URL's fragment, as an edit of the address bar does, and waits for the numbers. */
export async function visit(page: Page, hash: string): Promise<void> {
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

/**
 * Goes to another screen by its link. The click only asks for it: until the page has heard of the new fragment, it shows
 * the old screen, settled.
 */
export async function enter(page: Page, screen: string): Promise<void> {
  await page.click(`nav a[data-screen="${screen}"]`);
  await page.waitForSelector(`nav a[data-screen="${screen}"][aria-current="page"]`);
  await settled(page);
}

export const text = (page: Page, id: string): Promise<string> =>
  page.$eval(`#${id}`, (element) => element.textContent ?? '');

export async function number(page: Page, id: string): Promise<number> {
  const shown = await text(page, id);
  expect(shown, id).toMatch(/^-?\d/);
  return Number.parseFloat(shown);
}

/** The mean absolute difference of two canvases, in levels of 0 to 255, and their mean spread. */
export const compare = (page: Page, a: string, b: string): Promise<{ difference: number; spread: number }> =>
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

export const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

export const urlHash = (page: Page): Promise<string> => page.evaluate(() => location.hash);

/** The settings in the URL. */
export const settingsIn = async (page: Page): Promise<Record<string, string>> =>
  Object.fromEntries(new URLSearchParams((await urlHash(page)).slice(1)));

/** A phone's width, without the reload that a phone's touch screen would take. */
export async function narrow(page: Page): Promise<void> {
  await page.setViewport({ width: 390, height: 844 });
  // Charts follow a frame after the layout: what observes a size is told of it in one, and draws in it.
  await page.evaluate(
    () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
  );
}

export const colours = (page: Page, value: 'light' | 'dark'): Promise<void> =>
  page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);

/** What is shown of each network: its loss, its accuracy, …; or why it has stopped. */
export const standings = (page: Page, table = 'standings'): Promise<Record<string, string[]>> =>
  page.$$eval(`#${table} tr`, (rows) =>
    Object.fromEntries(
      rows.map((row) => [
        (row as HTMLElement).dataset.kind ?? '',
        [...row.querySelectorAll('td')].map((cell) => cell.textContent ?? ''),
      ]),
    ),
  );

export const steps = async (page: Page): Promise<number> =>
  Number.parseInt((await text(page, 'steps')).replaceAll(',', ''), 10);

/** Has a worker's next command encoder destroy its device. */
export async function loseDevice(page: Page, name: string): Promise<void> {
  const worker = page.workers().find((one) => one.url().includes(name));
  if (!worker) throw new Error(`There is no ${name}.`);
  await worker.evaluate(() => {
    const { createCommandEncoder } = GPUDevice.prototype;
    GPUDevice.prototype.createCommandEncoder = function (descriptor) {
      this.destroy();
      return createCommandEncoder.call(this, descriptor);
    };
  });
}

/** Fits a phone, and axe-core has nothing serious to say, light and wide or dark and narrow. */
export async function fitsAndIsAccessible(page: Page): Promise<void> {
  expect(await violations(page)).toEqual([]);
  await narrow(page);
  await colours(page, 'dark');
  await settled(page);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  expect(await violations(page)).toEqual([]);
}

/** Drags a slider's thumb to its end. */
export async function dragToEnd(page: Page, id: string): Promise<void> {
  const slider = await page.waitForSelector(`#${id}`);
  await slider?.scrollIntoView();
  const box = await slider?.boundingBox();
  const share = await page.$eval(`#${id}`, (element) => {
    const { value, min, max } = element as HTMLInputElement;
    return (Number(value) - Number(min)) / (Number(max) - Number(min));
  });
  if (!box) throw new Error(`#${id} is not to be seen.`);
  const thumb = 16;
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + thumb / 2 + share * (box.width - thumb), y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width + 20, y, { steps: 5 });
  await page.mouse.up();
}
