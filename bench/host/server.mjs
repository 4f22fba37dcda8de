import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, extname, join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import { bundleFolder } from './bundle.mjs';

const page = `<!doctype html><meta charset="utf-8"><title>webgpu-norm bench</title><link rel="icon" href="data:,">
<script type="module">
  import { bench } from './bench.mjs';
  globalThis.bench = bench;
</script>`;

const types = { '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
const onnxRuntime = join(root, 'node_modules', 'onnxruntime-web', 'dist');

/** @param {string} path */
function fileAt(path) {
  if (path === '/bench.mjs' || path === '/tfjs.mjs') return join(bundleFolder, basename(path));
  return path.startsWith('/onnxruntime-web/') ? join(onnxRuntime, basename(path)) : undefined;
}

/**
 * Serves the page, its bundle and the files that peers load, on this machine only.
 *
 * @returns {Promise<{ url: string, close(): void }>}
 */
export async function serve() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/') return void response.setHeader('content-type', 'text/html').end(page);
    const file = fileAt(pathname);
    if (!file || !existsSync(file)) return void response.writeHead(404).end();
    response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream');
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  if (!address || typeof address === 'string') throw new Error('the server has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
