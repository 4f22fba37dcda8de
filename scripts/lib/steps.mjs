/** The value of `--name=value` or `--name value` on the command line; true for a bare `--name`. */
export function option(name) {
  const args = process.argv.slice(2);
  const index = args.findIndex((one) => one === `--${name}` || one.startsWith(`--${name}=`));
  if (index < 0) return undefined;
  const [, value] = (args[index] ?? '').split(/=(.*)/s);
  if (value !== undefined) return value;
  const next = args[index + 1];
  return next === undefined || next.startsWith('--') ? true : next;
}

/** `option`, for those that need a value. */
export function textOption(name) {
  const value = option(name);
  if (value === true || value === '') throw new Error(`--${name} needs a value: --${name}=…`);
  return value;
}

/**
 * Does one step and prints how long it took.
 *
 * @template T
 * @param {string} title
 * @param {() => Promise<T> | T} work throws when the step fails, or returns a status other than 0
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  console.log(`\n── ${title}`);
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  try {
    const result = await work();
    if (typeof result === 'number' && result !== 0) throw new Error(`exit ${result}`);
    console.log(`── ${title}: ${seconds()} s`);
    return result;
  } catch (error) {
    console.log(`── ${title}: FAILED after ${seconds()} s`);
    throw new Error(`${title}: ${message(error)}`, { cause: error });
  }
}

/**
 * `step` for one that others do not build on: when it fails, they still have something to say.
 *
 * @param {Tally} tally
 * @param {string} title
 * @param {() => Promise<void>} work adds to the tally what it counts
 */
export async function attempt(tally, title, work) {
  const before = tally.failed;
  try {
    await step(title, work);
  } catch (error) {
    if (tally.failed === before) tally.fail(title, message(error));
  }
}

/** @param {unknown} error */
export function message(error) {
  return error instanceof Error ? error.message : String(error);
}

/** How many tests passed, failed and were skipped. */
export class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** @type {string[]} what failed, and where */
  failures = [];

  /**
   * Counts what is no test, such as the type check.
   *
   * @param {string} what
   * @param {string} [why]
   */
  fail(what, why) {
    this.failed += 1;
    this.failures.push(why ? `${what}: ${why}` : what);
  }

  /** @param {{ passed: number, failed: number, skipped: number, failures: string[] }} other */
  add({ passed, failed, skipped, failures }) {
    this.passed += passed;
    this.failed += failed;
    this.skipped += skipped;
    this.failures.push(...failures);
  }

  /** The last line of every test command, alone on its line. */
  toString() {
    const skipped = this.skipped > 0 ? `, ${this.skipped} skipped` : '';
    return `${this.passed} passed, ${this.failed} failed${skipped}`;
  }
}

/**
 * Runs a command's steps, prints what failed and the closing line whatever happens, and sets the exit status: a step that
 * fails without any test having failed, such as the type check, counts as one failure.
 *
 * @param {(tally: Tally) => Promise<void>} steps
 */
export async function closing(steps) {
  const tally = new Tally();
  try {
    await steps(tally);
  } catch (error) {
    tally.fail(message(error));
  }
  if (tally.failed > 0) process.exitCode = 1;
  console.log();
  for (const failure of tally.failures) console.log(`failed: ${failure.split('\n')[0]}`);
  console.log(`${tally}`);
}
