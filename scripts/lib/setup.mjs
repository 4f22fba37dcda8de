// What has to be true before anything else can run: a recent Node, and the dependencies of the lock file.
// Nothing here may import a dependency.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { run } from './run.mjs';

const wanted = [20, 19];

export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted;
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return;
  throw new Error(
    `Node ${wanted.join('.')} or newer is needed, this is ${process.versions.node}: see nodejs.org`,
  );
}

/** Runs `npm ci` when node_modules is missing or is not what the lock file says. */
export async function ensureDependencies() {
  const reason = staleBecause();
  if (!reason) return;
  console.log(`$ npm ci   (${reason})`);
  // Through npm's own script where npm started us: it needs no shell, and it is the npm the user chose.
  const { npm_execpath: npm } = process.env;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const status = npm?.endsWith('.js')
    ? await run(process.execPath, [npm, ...args])
    : await run('npm', args, { shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`npm ci failed (exit ${status})`);
}

function staleBecause() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return 'node_modules is missing or incomplete';
  const have = packages(installed);
  for (const [path, entry] of Object.entries(packages(join(root, 'package-lock.json')))) {
    // Optional packages are mostly the binaries of other platforms.
    if (path === '' || (!have[path] && (entry.optional || entry.devOptional || entry.peer))) continue;
    if (have[path]?.version !== entry.version) return `${path} is not at ${entry.version}`;
  }
  return undefined;
}

/** @param {string} file */
function packages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}
