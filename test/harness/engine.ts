import { bundleSuite, mapStack } from './bundle.ts';
import type { AdapterFacts, Outcome } from './case.ts';
import { serve } from './server.ts';

export const engineNames = ['chromium', 'firefox', 'dawn', 'deno'] as const;
export type EngineName = (typeof engineNames)[number];

/** A started engine with the suite loaded: the part that differs between browsers and processes. */
export interface Host {
  /** Name and version, for the report. */
  version: string;
  /** The driver it was pointed at; undefined when it was left to choose. */
  driver: string | undefined;
  start(): Promise<AdapterFacts>;
  run(name: string): Promise<Outcome>;
  /** Settles, with the reason, when the engine dies. Never rejects. */
  died: Promise<string>;
  close(): Promise<void>;
}

export interface Engine {
  name: EngineName;
  version: string;
  driver: string | undefined;
  facts: AdapterFacts;
  /** Runs one case. Never rejects: a dead or silent engine is a failed outcome. */
  run(name: string, timeout: number): Promise<Outcome>;
  close(): Promise<void>;
}

const startTimeout = 90_000;

/** Bundles the suite and starts some of an engine on it. Rejects when the engine or its adapter is missing. */
export async function openEngines(name: EngineName, count: number): Promise<Engine[]> {
  await bundleSuite();
  const opened = await Promise.allSettled(Array.from({ length: count }, () => openEngine(name)));
  const engines = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failure = opened.find((one) => one.status === 'rejected');
  if (!failure) return engines;
  await Promise.all(engines.map((engine) => engine.close()));
  throw failure.reason;
}

async function openEngine(name: EngineName): Promise<Engine> {
  const server = await serve();
  let host: Host;
  try {
    host = await openHost(name, server.url);
  } catch (error) {
    server.close();
    throw error;
  }
  const close = async () => {
    await host.close();
    server.close();
  };

  let dead: string | undefined;
  host.died.then((reason) => {
    dead ??= reason;
  });
  /** The result of `work`, or an Error as soon as the engine dies or the time is up. */
  const guard = async <T>(work: Promise<T>, timeout: number, what: string): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // What it was doing is unknown from here on, so no later case may share the engine with it.
        dead = `given up: ${what} took longer than ${timeout / 1000} s`;
        reject(new Error(dead));
      }, timeout);
    });
    const death = host.died.then((reason) =>
      Promise.reject(new Error(`${name} died during ${what}: ${reason}`)),
    );
    try {
      return await Promise.race([work, late, death]);
    } finally {
      clearTimeout(timer);
    }
  };

  let facts: AdapterFacts;
  try {
    facts = await guard(host.start(), startTimeout, 'start-up');
  } catch (error) {
    await close();
    throw error;
  }

  return {
    name,
    version: host.version,
    driver: host.driver,
    facts,
    async run(caseName, timeout) {
      if (dead) return failed(caseName, `not run, ${name} is gone: ${dead}`);
      try {
        const outcome = await guard(host.run(caseName), timeout, `"${caseName}"`);
        if (outcome.error) outcome.error.stack = await mapStack(outcome.error.stack);
        return outcome;
      } catch (error) {
        // A case that fails is an outcome; what rejects is the connection to the engine.
        dead ??= (error as Error).message;
        return failed(caseName, (error as Error).message);
      }
    },
    close,
  };
}

async function openHost(name: EngineName, url: string): Promise<Host> {
  switch (name) {
    case 'chromium':
    case 'firefox':
      return (await import('./browser.ts')).openBrowser(name, url);
    case 'dawn':
    case 'deno':
      return (await import('./process.ts')).openProcess(name, url);
  }
}

function failed(name: string, message: string): Outcome {
  return { name, status: 'failed', error: { message, stack: '' }, ms: 0, notes: [] };
}
