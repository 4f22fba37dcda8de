import { createReadStream, existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize, sep } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import { suiteFile } from './bundle.ts';

/** Where the data files lie. */
const dataFolder = join(root, 'test');

const page = `<!doctype html><meta charset="utf-8"><title>webgpu-norm tests</title><link rel="icon" href="data:,">
<script type="module">
  import { run, start } from './suite.mjs';
  const runtime = {
    gpu: navigator.gpu,
    dataUrl: location.origin + '/data',
    firefox: navigator.userAgent.includes('Firefox'),
  };
  globalThis.suite = { run, start: () => start(runtime) };
</script>`;

/** Serves the test page, the bundle and the data files on this machine only. */
export async function serve(): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    if (path === '/') return void response.setHeader('content-type', 'text/html').end(page);
    if (path.startsWith('/data/')) {
      const file = dataFile(path.slice('/data/'.length));
      response.setHeader('content-type', contentType(file ?? '.json'));
      // Not 404: absence is an answer here, and browsers write every 404 on the console.
      return void (file ? createReadStream(file).pipe(response) : response.end('null'));
    }
    const file = bundleFile(path);
    if (!file) return void response.writeHead(404).end();
    response.setHeader('content-type', file.endsWith('.mjs') ? 'text/javascript' : 'application/json');
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => stop(server),
  };
}

function dataFile(path: string): string | undefined {
  if (!/\.(json|safetensors)$/.test(path)) return undefined;
  const file = normalize(join(dataFolder, path));
  return file.startsWith(dataFolder + sep) && existsSync(file) ? file : undefined;
}

const contentType = (file: string): string =>
  file.endsWith('.json') ? 'application/json' : 'application/octet-stream';

function bundleFile(path: string): string | undefined {
  if (path === '/suite.mjs') return suiteFile;
  if (path === '/suite.mjs.map') return `${suiteFile}.map`;
  return undefined;
}

function stop(server: Server): void {
  server.close();
  server.closeAllConnections();
}
