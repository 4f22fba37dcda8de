/** Pages in headless Chromium with the program of programs/page.ts. */
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import puppeteer, { type Page } from 'puppeteer';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';
import { chromiumArguments } from '../../scripts/lib/launch-options.mjs';
import { bundleProgram } from './programs/bundle.ts';
import type { program } from './programs/page.ts';

export interface Pages {
  open(): Promise<Page>;
  close(): Promise<void>;
}

/** Where the page keeps its program. */
export type ProgramWindow = { program: typeof program };

const html = `<!doctype html><meta charset="utf-8"><title>ranks</title><link rel="icon" href="data:,">
<script type="module" src="/page.mjs"></script>`;

export async function openPages(): Promise<Pages> {
  const folders = [dirname(await bundleProgram('page')), dirname(await bundleProgram('worker'))];
  const server = createServer((request, response) => {
    const name = basename(new URL(request.url ?? '/', 'http://localhost').pathname);
    if (name === '') return void response.setHeader('content-type', 'text/html').end(html);
    const file = folders.map((folder) => join(folder, name)).find((one) => existsSync(one));
    if (!file) return void response.writeHead(404).end();
    response.setHeader('content-type', 'text/javascript');
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const executablePath = findBrowser('chromium');
  if (!executablePath) throw new Error(`chromium was not found. ${installHint('chromium')}`);
  const browser = await puppeteer.launch({
    executablePath,
    headless: true,
    protocolTimeout: 0,
    args: [
      ...chromiumArguments,
      // Pages that are not in front must not be slowed down.
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
    ],
  });
  return {
    async open() {
      const page = await browser.newPage();
      page.setDefaultTimeout(240_000); // the machine may be busy
      page.on('console', (message) => {
        // Chromium dislikes how nats-server says goodbye, and says so of refused connections.
        if (message.type() !== 'error' || message.text().includes('WebSocket connection')) return;
        console.error(`[page] ${message.text()}`);
      });
      page.on('pageerror', (error) => console.error(`[page] ${error}`));
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await page.waitForFunction(() => 'program' in globalThis);
      return page;
    },
    async close() {
      await browser.close();
      server.close();
      server.closeAllConnections();
    },
  };
}
