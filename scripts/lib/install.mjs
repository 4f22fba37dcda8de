// Makes sure that what an engine needs is on the machine: looks first, installs what is missing, and where it
// cannot, throws an error with the command to run.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNats, natsHint } from '../../bin/nats-server.mjs';
import { findBrowser, findDeno, installHint, osRelease } from './browsers.mjs';
import { bin } from './paths.mjs';
import { node, run } from './run.mjs';
import { dawnDriver, findLavapipe, needsSoftwareDriver, servesDawn, vulkanEnvironment } from './vulkan.mjs';

/** @param {import('./vulkan.mjs').Engine} engine */
export async function ensureEngine(engine) {
  if (engine === 'chromium' || engine === 'firefox') await ensureBrowser(engine);
  if (engine === 'deno') findDeno();
  if (needsSoftwareDriver(engine)) {
    await ensureRecentLavapipe();
    if (!findLavapipe()) await aptInstall(['mesa-vulkan-drivers']);
    if (engine === 'dawn' && dawnDriver()?.includes('swiftshader')) {
      console.log('Dawn runs on SwiftShader: without f16.');
    }
  }
  vulkanEnvironment(engine); // throws, with the command to run, where there still is no driver
}

/** nats-server, for the tests of process groups and `npm run nats`. */
export async function ensureNats() {
  if (findNats()) return;
  console.log('No nats-server found: installing one.');
  await aptInstall(['nats-server']);
  if (!findNats()) throw new Error(`There is no nats-server, and installing one failed. ${natsHint}`);
}

/** Python 3 with PyTorch, for `npm run test:python`: Debian's packages, or what the machine has. */
export async function ensurePython() {
  const runs = (code) =>
    ['python3', '/usr/bin/python3'].some((name) => spawnSync(name, ['-c', code]).status === 0);
  if (runs('import torch')) return;
  console.log('No Python with PyTorch found: installing one.');
  await aptInstall(['python3-torch']);
  if (!runs('')) throw new Error('There is no python3, and installing one failed. Install Python 3.');
  if (!runs('import torch')) {
    console.log('There is no PyTorch: the tests that need it are skipped. `pip install torch` brings it.');
  }
}

/** @param {import('./browsers.mjs').Browser} name */
async function ensureBrowser(name) {
  if (findBrowser(name)) return;
  console.log(`No ${name} found: installing one.`);
  await downloadBrowser(name);
  // Ubuntu's packages of these names only lead to snaps, which do not run in containers.
  if (!findBrowser(name) && osRelease().ID === 'debian') {
    await aptInstall([name === 'firefox' ? 'firefox-esr' : 'chromium']);
  }
  if (!findBrowser(name))
    throw new Error(`There is no ${name}, and installing one failed. ${installHint(name)}`);
}

/** @param {import('./browsers.mjs').Browser} name */
async function downloadBrowser(name) {
  const args = ['browsers', 'install', name === 'firefox' ? 'firefox@stable' : 'chrome'];
  if (name === 'chromium' && isRoot()) args.push('--install-deps');
  console.log(`$ npx puppeteer ${args.join(' ')}`);
  // Many networks have no way to where browsers are downloaded from; some swallow the request silently.
  const status = await node(bin.puppeteer, args, { timeout: 180_000, quiet: 0 });
  if (status !== 0) console.log('  did not work here, trying another way');
}

/**
 * A lavapipe recent enough for Dawn (f16, subgroups of 8), which Debian 12 has among its backports. Without, Dawn runs
 * on the SwiftShader that comes with Chromium, and Firefox and Deno on Debian's own lavapipe 22, which ends a thread's
 * loops after 65,535 iterations without a word: the forced `thread` strategy on rows of a million is then wrong.
 */
async function ensureRecentLavapipe() {
  const lavapipe = findLavapipe();
  if (lavapipe && servesDawn(lavapipe)) return;
  const codename = osRelease().VERSION_CODENAME;
  if (osRelease().ID === 'debian' && codename) {
    await withBackports(codename, (options) =>
      aptInstall(['mesa-vulkan-drivers'], { options, release: ['-t', `${codename}-backports`] }),
    );
  }
}

/**
 * Calls `install` with apt options that add the backports of the machine's own Debian mirror for this one
 * call: the machine's list of sources stays as it is.
 *
 * @param {string} codename
 * @param {(options: string[]) => Promise<unknown>} install
 */
async function withBackports(codename, install) {
  const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-apt-'));
  const own = '/etc/apt/sources.list.d';
  if (existsSync(own)) cpSync(own, folder, { recursive: true });
  for (const name of existsSync(own) ? readdirSync(own) : []) {
    if (!name.endsWith('.sources')) continue;
    // Stanzas are separated by empty lines; the wanted ones list the release itself among their suites.
    const stanzas = readFileSync(join(own, name), 'utf8')
      .split(/\n\s*\n/)
      .filter((stanza) => new RegExp(`^Suites:(.*\\s)?${codename}(\\s|$)`, 'm').test(stanza))
      .map((stanza) => stanza.replace(/^Suites:.*$/m, `Suites: ${codename}-backports`));
    if (stanzas.length > 0) writeFileSync(join(folder, `backports-${name}`), `${stanzas.join('\n\n')}\n`);
  }
  if (existsSync('/etc/apt/sources.list')) {
    const lines = readFileSync('/etc/apt/sources.list', 'utf8')
      .split('\n')
      .filter((line) => new RegExp(`^deb\\s.*\\s${codename}\\s`).test(line))
      .map((line) => line.replace(` ${codename} `, ` ${codename}-backports `));
    writeFileSync(join(folder, 'backports.list'), `${lines.join('\n')}\n`);
  }
  try {
    await install(['-o', `Dir::Etc::sourceparts=${folder}`]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Installs Debian or Ubuntu packages, as root or, in CI, through sudo where that asks no password. Elsewhere
 * it does nothing: the caller looks again and says what is missing.
 *
 * @param {string[]} packages
 * @param {{ options?: string[], release?: string[] }} [extra] options for both steps; for `install` alone
 */
async function aptInstall(packages, { options = [], release = [] } = {}) {
  if (!existsSync('/usr/bin/apt-get') || !(isRoot() || process.env.CI)) return;
  const sudo = isRoot() ? [] : ['sudo', '-n'];
  const apt = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...options];
  for (const step of [
    [...apt, 'update'],
    [...apt, 'install', '-y', '--no-install-recommends', ...release, ...packages],
  ]) {
    console.log(`$ ${step.join(' ')}`);
    const [command = '', ...args] = step;
    if ((await run(command, args, { timeout: 600_000, quiet: 8 })) !== 0) return;
  }
}

function isRoot() {
  return process.platform === 'linux' && process.getuid?.() === 0;
}
