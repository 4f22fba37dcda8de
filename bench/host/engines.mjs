import { openBrowser } from './browser.mjs';
import { openDawn } from './dawn.mjs';
import { openDeno } from './deno.mjs';

/**
 * A started engine with the bench loaded.
 *
 * @typedef {object} Host
 * @property {string} version name and version
 * @property {string | undefined} driver the one that it was pointed at, if any
 * @property {boolean} [inProcess] whether it runs in this very process, where nothing can end what hangs
 * @property {(options: { peers: boolean, sampleMs: number }) => Promise<any>} start resolves to BenchFacts of page.ts
 * @property {(name: string, options: Timing & { peers: string[] }) => Promise<any>} run resolves to Outcome of measure.ts
 * @property {(name: string, options: Timing) => Promise<any>} sweep resolves to SweepResult of sweep.ts
 * @property {() => Promise<{ moduleUs: number, byHandUs: number }>} overhead resolves to Overhead of overhead.ts
 * @property {() => Promise<void>} close
 *
 * @typedef {{ rounds: number, sampleMs: number, maxRepeats: number }} Timing
 */

/**
 * Engines by name: each loads the bundle, browsers from the server at a URL.
 *
 * @type {Record<string, (url: string) => Promise<Host>>}
 */
export const engines = {
  chromium: (url) => openBrowser('chromium', url),
  firefox: (url) => openBrowser('firefox', url),
  dawn: openDawn,
  deno: openDeno,
};

/** The engine in which the peers run. */
export const peerEngine = 'chromium';
