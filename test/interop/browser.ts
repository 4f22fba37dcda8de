/** A page in headless Chromium that has one module of test/interop/pages, bundled. */
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import puppeteer from 'puppeteer';
import { build } from 'vite';
import { findBrowser, installHint } from '../../scripts/lib/browsers.mjs';
import { chromiumArguments } from '../../scripts/lib/launch-options.mjs';
import { cache, root } from '../../scripts/lib/paths.mjs';
import { wgslModules } from '../../scripts/lib/wgsl-modules.mjs';

const folder = join(cache, 'interop');
const onnxRuntime = join(root, 'node_modules', 'onnxruntime-web', 'dist');

async function bundle(name: string): Promise<void> {
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    publicDir: false,
    plugins: [wgslModules()],
    // Vite replaces it in apps, but not in libraries.
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      target: 'es2022',
      minify: false,
      outDir: folder,
      emptyOutDir: false,
      lib: {
        entry: join(root, `test/interop/pages/${name}.ts`),
        formats: ['es'],
        fileName: () => `${name}.mjs`,
      },
    },
  });
}

const html = (name: string) => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="module">
  import { page } from './${name}.mjs';
  globalThis.page = page;
</script>`;

function serve(name: string) {
  return createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    if (path === '/') return void response.setHeader('content-type', 'text/html').end(html(name));
    const from = path.startsWith('/onnxruntime-web/') ? onnxRuntime : folder;
    response.setHeader('content-type', path.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
    createReadStream(join(from, basename(path)))
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
}

/** A function of the page's module, called from here. */
type Remote<Page> = {
  [Name in keyof Page]: Page[Name] extends (...given: infer Given) => infer Result
    ? (...given: Given) => Promise<Awaited<Result>>
    : never;
};

export interface Opened<Page> {
  page: Remote<Page>;
  /** The bundle, which other runtimes can import. */
  file: string;
  /** Errors on the console and exceptions. */
  complaints: string[];
  close(): Promise<void>;
}

export async function open<Page extends object>(name: string): Promise<Opened<Page>> {
  await bundle(name);
  const server = serve(name);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const executablePath = findBrowser('chromium');
  if (!executablePath) throw new Error(`Chromium was not found. ${installHint('chromium')}`);
  const browser = await puppeteer.launch({
    executablePath,
    headless: true,
    args: chromiumArguments,
    protocolTimeout: 0,
  });
  const tab = await browser.newPage();
  tab.setDefaultTimeout(240_000); // the machine may be busy
  const complaints: string[] = [];
  tab.on('pageerror', (error) => complaints.push(String(error)));
  tab.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') complaints.push(message.text());
  });
  await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await tab
    .waitForFunction(() => 'page' in globalThis, { timeout: 30_000 })
    .catch(async () => {
      await browser.close();
      throw new Error(`the page did not load: ${complaints.join('; ')}`);
    });
  const page = new Proxy({} as Remote<Page>, {
    get:
      (_, method: string) =>
      (...given: unknown[]) =>
        tab.evaluate(
          (which, values) =>
            (globalThis as unknown as { page: Record<string, (...of: unknown[]) => unknown> }).page[which]?.(
              ...values,
            ),
          method,
          given,
        ),
  });
  return {
    page,
    file: join(folder, `${name}.mjs`),
    complaints,
    async close() {
      await browser.close();
      server.close();
      server.closeAllConnections();
    },
  };
}
