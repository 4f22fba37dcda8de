import puppeteer from 'puppeteer';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';
import { launchOptions } from '../../scripts/lib/launch-options.mjs';
import { driverName } from '../../scripts/lib/vulkan.mjs';

/**
 * Opens the bench in a headless browser.
 *
 * @param {'chromium' | 'firefox'} name
 * @param {string} url
 * @returns {Promise<import('./engines.mjs').Host>}
 */
export async function openBrowser(name, url) {
  const executablePath = findBrowser(name);
  if (!executablePath) throw new Error(`${name} was not found. ${installHint(name)}`);
  // A sample may take minutes on a software adapter.
  const options = { ...launchOptions(name), executablePath, headless: true, protocolTimeout: 0 };
  const browser = await puppeteer.launch(options);
  try {
    const page = await browser.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') console.error(`[page] ${message.text()}`);
    });
    page.on('pageerror', (error) => console.error(`[page] ${error}`));
    await page.goto(url);
    await page.waitForFunction('globalThis.bench', { timeout: 30_000 });
    return {
      version: await browser.version(),
      driver: driverName(name),
      start: (options) => page.evaluate(`bench.start({ gpu: navigator.gpu, ...${JSON.stringify(options)} })`),
      run: (row, options) => page.evaluate(`bench.run(${JSON.stringify(row)}, ${JSON.stringify(options)})`),
      sweep: (row, options) =>
        page.evaluate(`bench.sweep(${JSON.stringify(row)}, ${JSON.stringify(options)})`),
      overhead: () => page.evaluate('bench.overhead()').then((value) => /** @type {any} */ (value)),
      close: () => browser.close(),
    };
  } catch (error) {
    await browser.close();
    throw error;
  }
}
