// Has the compiler of a target compile kernels: makes the room ready, runs inside.ts in it, and reads back what the layer wrote.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from 'vite';
import { root } from '../lib/paths.mjs';
import { wgslModules } from '../lib/wgsl-modules.mjs';
import { inRoom, layerFolder, shimOf } from './rooms.mjs';

/**
 * What the layer says of a pipeline; most drivers have one part.
 *
 * @typedef {{ name: string, subgroupSize: number, statistics: Record<string, number>, texts: string[], assembly: string }} Executable
 *
 * @typedef {Omit<import('./kernel.ts').CorpusKernel, 'wgsl'>} Kernel
 *
 * @typedef {Kernel & { ms: number | null, error: string | null, executables: Executable[] }} Compiled
 *
 * @typedef {{ adapter: Record<string, unknown>, facts: Record<string, unknown>, kernels: Compiled[] }} Outcome
 */

/**
 * Bundles the lab's inner part with the library, once for all targets.
 *
 * @returns {Promise<string>} the file
 */
export async function bundleInside() {
  const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-lab-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    plugins: [wgslModules()],
    ssr: { noExternal: true, external: ['webgpu'] },
    build: {
      target: 'node20',
      minify: false,
      ssr: join(root, 'scripts', 'lab', 'inside.ts'),
      outDir: folder,
      emptyOutDir: true,
      rolldownOptions: { output: { entryFileNames: 'inside.mjs', codeSplitting: false } },
    },
  });
  return join(folder, 'inside.mjs');
}

/**
 * @param {import('./targets.mjs').Target} target
 * @param {string} bundle
 * @param {{ count: number, files?: { name: string, code: string }[] | null, keep?: string | undefined }} what
 * @returns {Promise<Outcome>}
 */
export async function compile(target, bundle, { count, files = null, keep }) {
  const folder = mkdtempSync(join(dirname(bundle), 'run-'));
  cpSync(bundle, join(folder, 'inside.mjs'));
  writeFileSync(
    join(folder, 'request.json'),
    JSON.stringify({ facts: target.facts ?? {}, dawn: target.dawn ?? [], count, files }),
  );
  const mounts = {
    '/lab': folder,
    '/lab/node_modules/webgpu': join(root, 'node_modules', 'webgpu'),
    '/layer': layerFolder,
  };
  const env = {
    PATH: '/usr/bin:/bin',
    XDG_RUNTIME_DIR: '/tmp',
    MESA_SHADER_CACHE_DISABLE: 'true',
    VK_DRIVER_FILES: `/usr/share/vulkan/icd.d/${target.driver}_icd.json`,
    VK_LAYER_PATH: '/layer',
    VK_INSTANCE_LAYERS: 'VK_LAYER_LAB_compiled',
    LD_PRELOAD: shimOf(target),
    ...target.env,
  };
  // A compiler that crashes takes one kernel along: the next run begins behind it.
  for (let before = -1; ; ) {
    const status = await inRoom(target.room, mounts, ['/opt/node', '/lab/inside.mjs'], env);
    const done = logOf(folder).size;
    if (status === 0) break;
    if (done === Math.max(0, before))
      throw new Error(`Dawn does not start on ${target.gpu} (exit ${status}).`);
    before = done;
  }
  const outcome = JSON.parse(readFileSync(join(folder, 'adapter.json'), 'utf8'));
  const log = logOf(folder);
  outcome.kernels = outcome.kernels.map((kernel) => withResult(folder, kernel, log.get(kernel.id)));
  if (keep) {
    mkdirSync(keep, { recursive: true });
    for (const { id, executables } of outcome.kernels)
      writeFileSync(join(keep, `${id}.txt`), executables[0]?.assembly ?? '');
  }
  rmSync(folder, { recursive: true, force: true });
  return outcome;
}

/** By kernel: what inside.ts noted of it, in the order of the lines. @param {string} folder */
function logOf(folder) {
  const file = join(folder, 'log.jsonl');
  /** @type {Map<string, { ms?: number, error?: string }>} */
  const found = new Map();
  for (const line of existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []) {
    if (!line) continue;
    const { id, ...what } = JSON.parse(line);
    found.set(id, { ...found.get(id), ...what });
  }
  return found;
}

/** @param {string} folder @param {Kernel} kernel @param {{ ms?: number, error?: string } | undefined} noted @returns {Compiled} */
function withResult(folder, kernel, noted) {
  const file = join(folder, 'out', `${kernel.id}.json`);
  const ended = noted?.ms !== undefined;
  const error = noted?.error ?? (ended ? null : 'The compiler crashed.');
  /** @type {Executable[]} */
  let executables = [];
  if (!error && existsSync(file)) executables = JSON.parse(readFileSync(file, 'utf8'));
  return { ...kernel, ms: noted?.ms ?? null, error, executables };
}
