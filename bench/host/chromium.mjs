import puppeteer from 'puppeteer';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';

const flags = [
  // Containers and hardened kernels forbid the sandbox its namespaces, and the one page opened is ours.
  ...(process.platform === 'linux' ? ['--no-sandbox'] : []),
  // WebGPU on software adapters and on drivers that are on the blocklist.
  '--enable-unsafe-webgpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  ...(process.env.WEBGPU_NORM_CHROMIUM_ARGS?.split(/\s+/).filter(Boolean) ?? []),
];

/**
 * Opens the bench in headless Chromium.
 *
 * @param {string} url
 * @returns {Promise<import('./engines.mjs').Host>}
 */
export async function openChromium(url) {
  const executablePath = findBrowser('chromium');
  if (!executablePath) throw new Error(`Chromium was not found. ${installHint('chromium')}`);
  // A sample may take minutes on a software adapter.
  const browser = await puppeteer.launch({ executablePath, headless: true, args: flags, protocolTimeout: 0 });
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
      start: (options) => page.evaluate(`bench.start({ gpu: navigator.gpu, ...${JSON.stringify(options)} })`),
      run: (name, options) => page.evaluate(`bench.run(${JSON.stringify(name)}, ${JSON.stringify(options)})`),
      sweep: (name, options) =>
        page.evaluate(`bench.sweep(${JSON.stringify(name)}, ${JSON.stringify(options)})`),
      close: () => browser.close(),
    };
  } catch (error) {
    await browser.close();
    throw error;
  }
}
