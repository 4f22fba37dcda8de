import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bin, cache, resultFile } from './paths.mjs';
import { node } from './run.mjs';

/** @typedef {import('./steps.mjs').Tally} Tally */

/**
 * lavapipe, which the tests spend most of their time compiling for, compiles vectors of 4 lanes in half the time of 8. Dawn's GPU cases
 * keep its own width: their subgroups have 8 lanes where Chromium's have 4.
 */
const narrowVectors = { LP_NATIVE_VECTOR_WIDTH: process.env.LP_NATIVE_VECTOR_WIDTH ?? '128' };

/** @param {Tally} tally */
export function testCpu(tally) {
  return vitest(tally, 'cpu');
}

/**
 * Files and scripts that Python and PyTorch share with this library.
 *
 * @param {Tally} tally
 */
export function testPython(tally) {
  return vitest(tally, 'python');
}

/**
 * The packed package's types in every TypeScript that it supports.
 *
 * @param {Tally} tally
 */
export function testTypescript(tally) {
  return vitest(tally, 'typescript');
}

/**
 * Process groups over every transport, with a real nats-server.
 *
 * @param {Tally} tally
 */
export function testDistributed(tally) {
  return vitest(tally, 'distributed');
}

/**
 * Drives the demo page in a headless browser: all of it in Chromium, two screens in Firefox.
 *
 * @param {Tally} tally
 * @param {'chromium' | 'firefox'} [browser]
 */
export function testDemo(tally, browser = 'chromium') {
  return vitest(tally, browser === 'firefox' ? 'demo-firefox' : 'demo');
}

/**
 * Works beside onnxruntime-web, tfjs and TypeGPU in headless Chromium.
 *
 * @param {Tally} tally
 */
export function testInterop(tally) {
  return vitest(tally, 'interop');
}

/**
 * The packed package: examples, documentation and command line, each from the tarball in an empty folder.
 *
 * @param {Tally} tally
 */
export function testPackage(tally) {
  return vitest(tally, 'package');
}

/**
 * Runs the GPU cases in one engine.
 *
 * @param {Tally} tally
 * @param {import('./vulkan.mjs').Engine} engine
 * @param {string} filter only the cases whose name contains it
 * @param {string} [share] which of them, such as '2/3': every third, from the second on
 */
export function testGpu(tally, engine, filter, share = '') {
  rmSync(resultFile(engine), { force: true });
  const width = engine === 'dawn' ? {} : narrowVectors;
  return vitest(tally, 'gpu', {
    ...width,
    WEBGPU_NORM_ENGINE: engine,
    WEBGPU_NORM_FILTER: filter,
    WEBGPU_NORM_SHARE: share,
  });
}

/**
 * Runs random configurations in one engine.
 *
 * @param {Tally} tally
 * @param {import('./vulkan.mjs').Engine} engine
 * @param {string} which seed, first and last index
 */
export function testFuzz(tally, engine, which) {
  return vitest(tally, 'gpu', { ...narrowVectors, WEBGPU_NORM_ENGINE: engine, WEBGPU_NORM_FUZZ: which });
}

/**
 * Runs one of vitest's projects, adds up its tests and throws when any failed.
 *
 * @param {Tally} tally
 * @param {'cpu' | 'python' | 'gpu' | 'demo' | 'demo-firefox' | 'distributed' | 'interop' | 'package' | 'typescript'} project
 * @param {Record<string, string>} [env]
 */
async function vitest(tally, project, env = narrowVectors) {
  const report = join(cache, `vitest-${project}.json`);
  mkdirSync(cache, { recursive: true });
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const status = await node(bin.vitest, ['run', '--project', project, ...reporters], { env });
  const counts = { passed: 0, failed: 0, skipped: 0, failures: /** @type {string[]} */ ([]) };
  if (existsSync(report)) {
    const results = JSON.parse(readFileSync(report, 'utf8'));
    const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = results;
    Object.assign(counts, { passed, failed, skipped, failures: failuresOf(results, project) });
  }
  // A file that does not load has no test to blame. Tests that could not run because their engine did not start
  // are reported as skipped, but a run that did not happen is not a run that had nothing to do.
  if (status !== 0 && counts.failed === 0) {
    counts.failed = Math.max(1, counts.skipped);
    counts.skipped = 0;
    counts.failures.push(`${project}: it did not start, or a file did not load`);
  }
  tally.add(counts);
  if (counts.failed > 0) throw new Error(`${counts.failed} failed`);
}

/**
 * A line for each test that failed, so that the end of a log tells which.
 *
 * @param {{ testResults: { assertionResults: { status: string, fullName: string, failureMessages: string[] }[] }[] }} results
 * @param {string} project
 */
function failuresOf({ testResults }, project) {
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages: [first = ''] }) => `${project}: ${fullName}: ${first.split('\n')[0]}`);
}
