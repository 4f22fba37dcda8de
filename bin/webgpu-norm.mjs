#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { launch } from './launch.mjs';

const usage = `webgpu-norm COMMAND [options]

  doctor   what this machine's WebGPU has, what will be used of it, and a self-check against float64
  bench    every norm's speed here, beside a copy of as many bytes
  launch   a script once per rank, as torchrun
  export   the kernels of a norm as files, for other runtimes
  shader   prints them

webgpu-norm COMMAND --help tells the options, and webgpu-norm --version the version; -h and -v are short for them.
Exit codes: 0, 1 where it did not work, 2 for a mistake in the command line; launch returns that of the first rank that failed.`;

const doctorUsage = `webgpu-norm doctor [options]

Needs the package 'webgpu' (npm install webgpu). Exit code 1 if there is no adapter or the self-check fails.

  --json         the report as JSON
  --dawn OPTION  for Dawn, such as backend=vulkan or adapter=SwiftShader; may be given several times
  --help`;

const benchUsage = `webgpu-norm bench [options]

Needs the package 'webgpu' (npm install webgpu).

  --quick        smaller tensors, fewer samples
  --json         the results as JSON
  --dawn OPTION  for Dawn, such as backend=vulkan; may be given several times
  --help`;

const launchUsage = `webgpu-norm launch --nproc N [options] script.mjs [arguments]

Runs a script once per rank, with RANK, LOCAL_RANK, WORLD_SIZE, GROUP_NAME and NATS_URL set, so that
NatsProcessGroup.join() needs no options. When one rank fails all are stopped, and its exit code is returned.

  --nproc N      ranks on this machine
  --nats URL     address of the NATS server; default NATS_URL, else a nats-server is started for the run
  --group NAME   name of the process group
  --nodes M      machines that run this command, with the same --nats and --group; default 1
  --node I       which of them this is, from 0
  --help`;

/** @param {string | undefined} text @param {string} name @param {number} least */
function integer(text, name, least) {
  const value = Number(text);
  if (text === undefined || !Number.isInteger(value) || value < least) {
    throw new Error(`--${name} needs an integer of at least ${least}.`);
  }
  return value;
}

/** @param {string[]} args */
async function launchCommand(args) {
  // What follows the script is the script's. Every option before it has a value.
  let at = 0;
  while (args[at]?.startsWith('--')) at += args[at]?.includes('=') ? 1 : 2;
  const { values } = parseArgs({
    args: args.slice(0, at),
    options: {
      nproc: { type: 'string' },
      nats: { type: 'string' },
      group: { type: 'string' },
      nodes: { type: 'string' },
      node: { type: 'string' },
    },
  });
  const script = args[at];
  if (!script) throw new Error('Which script? webgpu-norm launch --nproc 4 script.mjs');
  if (!existsSync(script)) throw new Error(`There is no ${script}.`);
  const nodes = integer(values.nodes ?? '1', 'nodes', 1);
  const node = integer(values.node ?? '0', 'node', 0);
  if (node >= nodes) throw new Error(`--node is ${node}, but there are ${nodes} machines, from 0.`);
  const { nats, group } = values;
  return launch(
    { nproc: integer(values.nproc, 'nproc', 1), nodes, node, ...(nats && { nats }), ...(group && { group }) },
    script,
    args.slice(at + 1),
  );
}

const dawn = /** @type {const} */ ({ type: 'string', multiple: true });
const flag = /** @type {const} */ ({ type: 'boolean' });

/** By name: what it says of itself, and what it does with its arguments; resolves to the exit code. */
const commands = {
  doctor: {
    usage: () => doctorUsage,
    async run(/** @type {string[]} */ args) {
      const { values } = parseArgs({ args, options: { json: flag, dawn } });
      return (await import('./doctor.mjs')).doctor({ json: values.json === true, dawn: values.dawn ?? [] });
    },
  },
  bench: {
    usage: () => benchUsage,
    async run(/** @type {string[]} */ args) {
      const { values } = parseArgs({ args, options: { json: flag, quick: flag, dawn } });
      const { json, quick } = values;
      return (await import('./bench.mjs')).bench({
        json: json === true,
        quick: quick === true,
        dawn: values.dawn ?? [],
      });
    },
  },
  launch: { usage: () => launchUsage, run: launchCommand },
  export: {
    usage: async () => (await import('./export.mjs')).exportUsage(),
    run: async (/** @type {string[]} */ args) => (await import('./export.mjs')).exportKernels(args),
  },
  shader: {
    usage: async () => (await import('./export.mjs')).shaderUsage(),
    run: async (/** @type {string[]} */ args) => (await import('./export.mjs')).printShaders(args),
  },
};

const isHelp = (/** @type {string | undefined} */ word) => word === '--help' || word === '-h';

const [name, ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, name ?? '')
  ? commands[/** @type {keyof typeof commands} */ (name)]
  : undefined;
try {
  if (name === undefined || isHelp(name)) console.log(usage);
  else if (name === '--version' || name === '-v') {
    console.log(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version);
  } else if (!command) throw new Error(`There is no command '${name}'.`);
  else if (isHelp(args[0])) console.log(await command.usage());
  else process.exitCode = await command.run(args);
} catch (error) {
  // NormErrors are about this machine; all else about the command line.
  const aboutHere = error instanceof Error && error.name === 'NormError';
  const message = error instanceof Error ? error.message : error;
  const help = aboutHere ? '' : `\n\n${(await command?.usage()) ?? usage}`;
  console.error(`webgpu-norm: ${message}${help}`);
  process.exitCode = aboutHere ? 1 : 2;
}
// Dawn's threads would keep Node alive; a pipe must first have taken what was printed.
process.stdout.write('', () => process.exit());
