/** Folders in which the packed package is installed, as a user would. */
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize, sep } from 'node:path';
import { npm, pack } from '../../scripts/lib/pack.mjs';
import { root } from '../../scripts/lib/paths.mjs';

export interface App {
  folder: string;
  /** A folder inside, of its own, with a copy of what lies there, in which the package is installed too. */
  copyOf(source: string): string;
  remove(): void;
}

/**
 * Installs the tarball into an empty folder; `others` are linked from this checkout, so that no network is needed.
 *
 * @throws Error without `npm run build`.
 */
export async function makeApp(others: readonly string[]): Promise<App> {
  if (!existsSync(join(root, 'dist', 'index.js'))) throw new Error('There is no dist/: npm run build');
  const { file } = await pack();
  const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-app-'));
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  const options = ['--offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  const { status, stderr } = npm(['install', ...options, file], folder);
  if (status !== 0) throw new Error(`npm install ${file} failed:\n${stderr}`);
  for (const name of others) {
    const place = join(folder, 'node_modules', name);
    mkdirSync(join(place, '..'), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), place, 'junction');
  }
  return {
    folder,
    copyOf(source) {
      const inside = join(folder, source.replaceAll(/[^\w]+/g, '-'));
      cpSync(join(root, source), inside, { recursive: true });
      cpSync(join(folder, 'node_modules', 'webgpu-norm'), join(inside, 'node_modules', 'webgpu-norm'), {
        recursive: true,
      });
      return inside;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
};

export interface Served {
  url: string;
  /** The paths that were asked for, in order. */
  requests: readonly string[];
  close(): void;
}

/** A static server: files as they are. */
export async function serveFolder(folder: string): Promise<Served> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    requests.push(path);
    const file = normalize(join(folder, path.endsWith('/') ? `${path}index.html` : path));
    if (!file.startsWith(folder + sep) || !existsSync(file)) return void response.writeHead(404).end();
    response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream');
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
