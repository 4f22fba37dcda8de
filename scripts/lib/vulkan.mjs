// Which Vulkan driver an engine is pointed at. With a GPU that is the system's business; without one, the
// engines that do not bring a software driver along need to be told where one lies.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { findBrowser } from './browsers.mjs';

/** @typedef {'chromium' | 'firefox' | 'dawn' | 'deno'} Engine */

/**
 * The environment variables that select the driver: none where the user chose one or the machine has a GPU.
 *
 * @param {Engine} engine
 * @returns {Record<string, string>}
 */
export function vulkanEnvironment(engine) {
  if (!needsSoftwareDriver(engine)) return {};
  const driver = engine === 'dawn' ? dawnDriver() : findLavapipe();
  if (!driver) {
    throw new Error(
      `${engine} needs a Vulkan driver and this machine has no GPU. ` +
        'Install a software one, on Debian or Ubuntu: `sudo apt-get install mesa-vulkan-drivers`.',
    );
  }
  return { VK_DRIVER_FILES: driver };
}

/**
 * The name of the driver file `vulkanEnvironment` selects, for reports.
 *
 * @param {Engine} engine
 */
export function driverName(engine) {
  const file = vulkanEnvironment(engine).VK_DRIVER_FILES ?? process.env.VK_DRIVER_FILES;
  return engine === 'chromium' || !file ? undefined : basename(file, '.json');
}

/** @param {Engine} engine Chromium carries its own */
export function needsSoftwareDriver(engine) {
  return engine !== 'chromium' && runsInSoftware();
}

/** Whether engines find no GPU here, as far as files tell, and the user names no driver. */
export function runsInSoftware() {
  if (process.platform !== 'linux') return false;
  if (process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES) return false;
  const devices = existsSync('/dev/dri') ? readdirSync('/dev/dri') : [];
  return !existsSync('/dev/nvidiactl') && !devices.some((name) => name.startsWith('renderD'));
}

/** Mesa's lavapipe. */
export function findLavapipe() {
  for (const folder of ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d']) {
    if (!existsSync(folder)) continue;
    const file = readdirSync(folder).find((name) => /^lvp_icd.*\.json$/.test(name));
    if (file) return join(folder, file);
  }
  return undefined;
}

/** lavapipe has f16 and wider subgroups, but Dawn accepts only recent ones; SwiftShader it always accepts. */
export function dawnDriver() {
  const lavapipe = findLavapipe();
  if (lavapipe && servesDawn(lavapipe)) return lavapipe;
  return findSwiftShader() ?? lavapipe;
}

/** Dawn refuses the lavapipe of Mesa 22 for missing dynamic indexing; from Vulkan 1.4 on it has all of it. */
export function servesDawn(icd) {
  const version = JSON.parse(readFileSync(icd, 'utf8')).ICD?.api_version ?? '0.0.0';
  const [major, minor] = version.split('.').map(Number);
  return major > 1 || minor >= 4;
}

/** SwiftShader comes with Chromium, next to its executable. */
function findSwiftShader() {
  const name = 'vk_swiftshader_icd.json';
  const chromium = findBrowser('chromium');
  const folders = [
    ...(chromium ? [dirname(realpathSync(chromium))] : []),
    '/usr/lib/chromium',
    '/usr/lib/chromium-browser',
    '/opt/google/chrome',
    '/opt/microsoft/msedge',
  ];
  const near = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (near) return near;
  const listing = spawnSync('dpkg', ['-L', 'chromium', 'chromium-common'], { encoding: 'utf8' });
  return listing.stdout?.split('\n').find((line) => line.endsWith(name));
}
