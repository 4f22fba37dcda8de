import puppeteer, { type Browser } from 'puppeteer';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';
import { launchOptions } from '../../scripts/lib/launch-options.mjs';
import { driverName } from '../../scripts/lib/vulkan.mjs';
import type { AdapterFacts, Outcome } from './case.ts';
import type { Host } from './engine.ts';

interface Page {
  suite: { start(): Promise<AdapterFacts>; run(name: string): Promise<Outcome> };
}

/** One browser, one page, one device for the whole run: many devices at once lose instances. */
export async function openBrowser(name: 'chromium' | 'firefox', url: string): Promise<Host> {
  const executablePath = findBrowser(name);
  if (!executablePath) throw new Error(`${name} was not found. ${installHint(name)}`);
  const browser: Browser = await puppeteer.launch({
    ...launchOptions(name),
    executablePath,
    headless: true,
    // The harness has its own timeouts, case by case.
    protocolTimeout: 0,
  });
  const page = await browser.newPage();
  const died = new Promise<string>((resolve) => {
    browser.on('disconnected', () => resolve('the browser quit'));
    page.on('close', () => resolve('the page closed'));
    page.on('error', (error) => resolve(`the page crashed: ${error.message}`));
  });
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') console.error(`[${name}] ${message.text()}`);
  });
  await page.goto(url);
  await page
    .waitForFunction(() => 'suite' in globalThis, { timeout: 30_000 })
    .catch(async () => {
      await browser.close();
      throw new Error(`the suite did not load in ${name}: ${problems[0] ?? 'no error was reported'}`);
    });
  return {
    version: await browser.version(),
    driver: driverName(name),
    start: () => page.evaluate(() => (globalThis as unknown as Page).suite.start()),
    run: (one) => page.evaluate((which) => (globalThis as unknown as Page).suite.run(which), one),
    died,
    async close() {
      await browser.close();
    },
  };
}
