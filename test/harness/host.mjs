// Hosts the bundled suite outside a browser: `node host.mjs <suite> <dataUrl>` on Dawn, or the same with Deno.
// One request per line on stdin, one reply per line, marked with @, on stdout.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [suiteFile, dataUrl] = process.argv.slice(2);
const isDeno = 'Deno' in globalThis;

// stdout belongs to the protocol.
console.log = console.info = console.debug = console.error;

async function engineGpu() {
  if (isDeno) return navigator.gpu;
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  // Every device dies with the object that create() returns, so nothing may ever collect it.
  globalThis.dawn = create([]);
  return globalThis.dawn;
}

function version() {
  if (isDeno) return `Deno ${globalThis.Deno.version.deno}`;
  const dawn = JSON.parse(
    readFileSync(new URL('../../node_modules/webgpu/package.json', import.meta.url), 'utf8'),
  );
  return `Node ${process.versions.node}, webgpu ${dawn.version}`;
}

let suite;
const methods = {
  version,
  async start() {
    suite = await import(pathToFileURL(suiteFile).href);
    return suite.start({ gpu: await engineGpu(), dataUrl });
  },
  run: (name) => suite.run(name),
};

function reply(message) {
  process.stdout.write(`@${JSON.stringify(message)}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, argument } = JSON.parse(line);
  try {
    reply({ id, value: await methods[method](argument) });
  } catch (error) {
    reply({ id, error: error?.message ?? String(error) });
  }
}
// Dawn's threads would keep the process alive.
process.exit(0);
