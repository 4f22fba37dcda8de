// What deno.mjs starts: `deno run deno-program.mjs <bundle>`. Replies are marked with @.
import process from 'node:process';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { bench } = await import(pathToFileURL(process.argv[2] ?? '').href);
const methods = {
  version: () => `Deno ${globalThis.Deno.version.deno}`,
  start: (options) => bench.start({ gpu: navigator.gpu, ...options }),
  run: bench.run,
  sweep: bench.sweep,
  overhead: bench.overhead,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { method, given } = JSON.parse(line);
  try {
    process.stdout.write(`@${JSON.stringify({ value: await methods[method](...given) })}\n`);
  } catch (error) {
    process.stdout.write(`@${JSON.stringify({ error: error?.message ?? String(error) })}\n`);
  }
}
process.exit(0);
