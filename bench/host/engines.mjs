import { openChromium } from './chromium.mjs';
import { openDawn } from './dawn.mjs';

/**
 * A started engine with the bench loaded.
 *
 * @typedef {object} Host
 * @property {string} version name and version
 * @property {(options: { peers: boolean }) => Promise<any>} start resolves to BenchFacts of page.ts
 * @property {(name: string, options: Timing & { peers: string[] }) => Promise<any>} run resolves to RowResult of measure.ts
 * @property {(name: string, options: Timing) => Promise<any>} sweep resolves to SweepResult of sweep.ts
 * @property {() => Promise<void>} close
 *
 * @typedef {{ rounds: number, sampleMs: number, maxRepeats: number }} Timing
 */

/**
 * Engines by name: each loads the bundle from the server at a URL. Another one (Firefox, Deno) is a function
 * here.
 *
 * @type {Record<string, (url: string) => Promise<Host>>}
 */
export const engines = { chromium: openChromium, dawn: openDawn };
