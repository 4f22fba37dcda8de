// How the tests and the bench start a browser.
import { vulkanEnvironment } from './vulkan.mjs';

export const chromiumArguments = [
  // Containers and hardened kernels forbid the sandbox its namespaces, and the one page opened is ours.
  ...(process.platform === 'linux' ? ['--no-sandbox'] : []),
  // WebGPU on software adapters and on drivers that are on the blocklist.
  '--enable-unsafe-webgpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  ...(process.env.WEBGPU_NORM_CHROMIUM_ARGS?.split(/\s+/).filter(Boolean) ?? []),
];

/** Chromium on SwiftShader throughout: without it, its GPU process ends when a canvas of WebGPU is shown where there is no GPU. */
export const canvasArguments = [
  ...chromiumArguments,
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
  '--use-angle=swiftshader',
];

/**
 * For puppeteer.
 *
 * @param {import('./browsers.mjs').Browser} name
 * @returns {import('puppeteer').LaunchOptions}
 */
export function launchOptions(name) {
  if (name === 'chromium') return { browser: 'chrome', args: chromiumArguments };
  return {
    browser: 'firefox',
    env: { ...process.env, ...vulkanEnvironment('firefox') },
    extraPrefsFirefox: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
  };
}
