import puppeteer from 'puppeteer';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';
import { driverName, vulkanEnvironment } from '../../scripts/lib/vulkan.mjs';

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

/** @returns {import('puppeteer').LaunchOptions} */
function launchOptions(name) {
  if (name === 'chromium') return { browser: 'chrome', args: flags };
  return {
    browser: 'firefox',
    env: { ...process.env, ...vulkanEnvironment('firefox') },
    extraPrefsFirefox: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
  };
}

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
      close: () => browser.close(),
    };
  } catch (error) {
    await browser.close();
    throw error;
  }
}
