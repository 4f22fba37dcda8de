// Where browsers and Deno lie on a machine. Looks only; scripts/lib/install.mjs installs.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { root } from './paths.mjs';

/** @typedef {'chromium' | 'firefox'} Browser */

const env = process.env;
const windowsFolders = [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA].filter(
  (folder) => folder !== undefined,
);
const macFolders = ['/Applications', join(homedir(), 'Applications')];

const places = {
  chromium: {
    variables: ['PUPPETEER_EXECUTABLE_PATH', 'CHROME_PATH'],
    cached: {
      folder: 'chrome',
      files: [
        'chrome-linux64/chrome',
        'chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
        'chrome-mac-x64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
        'chrome-win64/chrome.exe',
        'chrome-win32/chrome.exe',
      ],
    },
    commands: [
      'google-chrome-stable',
      'google-chrome',
      'chromium',
      'chromium-browser',
      'microsoft-edge-stable',
      'microsoft-edge',
    ],
    mac: [
      'Google Chrome.app/Contents/MacOS/Google Chrome',
      'Chromium.app/Contents/MacOS/Chromium',
      'Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
    ],
    windows: [
      'Google/Chrome/Application/chrome.exe',
      'Chromium/Application/chrome.exe',
      'Microsoft/Edge/Application/msedge.exe',
    ],
  },
  firefox: {
    variables: ['FIREFOX_PATH'],
    cached: {
      folder: 'firefox',
      files: [
        'firefox/firefox',
        'Firefox.app/Contents/MacOS/firefox',
        'core/firefox.exe',
        'firefox/firefox.exe',
      ],
    },
    commands: ['firefox', 'firefox-esr'],
    mac: ['Firefox.app/Contents/MacOS/firefox'],
    windows: ['Mozilla Firefox/firefox.exe'],
  },
};

/**
 * The browser to drive: the one an environment variable names, else one puppeteer downloaded, else one
 * installed on the machine.
 *
 * @param {Browser} name
 * @returns {string | undefined}
 */
export function findBrowser(name) {
  const { variables, cached, commands, mac, windows } = places[name];
  for (const variable of variables) {
    const path = env[variable];
    if (!path) continue;
    if (!existsSync(path)) throw new Error(`${variable} is set to ${path}, which does not exist`);
    return path;
  }
  return (
    downloaded(cached).find(starts) ??
    (process.platform === 'darwin'
      ? firstFile(macFolders, mac)
      : process.platform === 'win32'
        ? firstFile(windowsFolders, windows)
        : firstFile((env.PATH ?? '').split(delimiter), commands, '/usr/bin', '/usr/local/bin', '/snap/bin'))
  );
}

/** @param {Browser} name what to do when there is none */
export function installHint(name) {
  const puppeteer = `npx puppeteer browsers install ${name === 'firefox' ? 'firefox@stable' : 'chrome'}`;
  const packages = name === 'firefox' ? 'firefox-esr mesa-vulkan-drivers' : 'chromium';
  return (
    `Run \`${puppeteer}\`, or on Debian \`sudo apt-get install ${packages}\`, ` +
    `or set ${places[name].variables[0]} to the browser you have.`
  );
}

export const puppeteerCache = env.PUPPETEER_CACHE_DIR ?? join(homedir(), '.cache', 'puppeteer');

/** @param {{ folder: string, files: string[] }} cached newest first */
function downloaded({ folder, files }) {
  const base = join(puppeteerCache, folder);
  if (!existsSync(base)) return [];
  return readdirSync(base)
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    .flatMap((build) => files.map((file) => join(base, build, file)))
    .filter(isFile);
}

/**
 * A downloaded browser may lack system libraries; then one from the system is the better choice. Only Linux
 * has the problem.
 *
 * @param {string} path
 */
function starts(path) {
  return process.platform !== 'linux' || spawnSync(path, ['--version'], { timeout: 20_000 }).status === 0;
}

/**
 * @param {string[]} folders
 * @param {string[]} files
 * @param {...string} more folders to look in afterwards
 */
function firstFile(folders, files, ...more) {
  for (const file of files) {
    for (const folder of [...folders, ...more]) {
      const path = join(folder, file);
      if (isFile(path)) return path;
    }
  }
  return undefined;
}

/** @param {string} path */
function isFile(path) {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // absent, or in a folder that is closed to us: PATH may well list such folders
  }
}

/** The Deno binary of the npm package `deno`: copied next to it, or still in the platform's own package. */
export function findDeno() {
  const file = process.platform === 'win32' ? 'deno.exe' : 'deno';
  const os = process.platform === 'linux' ? 'linux' : process.platform;
  const libc = process.platform === 'linux' ? '-glibc' : '';
  const path = [
    env.DENO_PATH,
    join(root, 'node_modules', 'deno', file),
    join(root, 'node_modules', '@deno', `${os}-${process.arch}${libc}`, file),
  ].find((one) => one && isFile(one));
  if (!path) throw new Error('the Deno binary is missing from node_modules: run `npm ci`, or set DENO_PATH');
  return path;
}

/** @returns {Record<string, string>} /etc/os-release, empty where there is none */
export function osRelease() {
  if (!existsSync('/etc/os-release')) return {};
  const lines = readFileSync('/etc/os-release', 'utf8').split('\n');
  return Object.fromEntries(
    lines.filter((line) => line.includes('=')).map((line) => line.replaceAll('"', '').split(/=(.*)/, 2)),
  );
}
