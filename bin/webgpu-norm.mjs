#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { launch } from './launch.mjs';

const usage = `webgpu-norm launch --nproc N [options] script.mjs [arguments]

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

async function main() {
  const [command, ...rest] = process.argv.slice(2);
  if (command === undefined || command === '--help' || rest[0] === '--help') return void console.log(usage);
  if (command !== 'launch') throw new Error(`There is no command '${command}'.`);
  // What follows the script is the script's. Every option before it has a value.
  let at = 0;
  while (rest[at]?.startsWith('--')) at += rest[at]?.includes('=') ? 1 : 2;
  const { values } = parseArgs({
    args: rest.slice(0, at),
    options: {
      nproc: { type: 'string' },
      nats: { type: 'string' },
      group: { type: 'string' },
      nodes: { type: 'string' },
      node: { type: 'string' },
    },
  });
  const script = rest[at];
  if (!script) throw new Error('Which script? webgpu-norm launch --nproc 4 script.mjs');
  if (!existsSync(script)) throw new Error(`There is no ${script}.`);
  const nodes = integer(values.nodes ?? '1', 'nodes', 1);
  const node = integer(values.node ?? '0', 'node', 0);
  if (node >= nodes) throw new Error(`--node is ${node}, but there are ${nodes} machines, from 0.`);
  const { nats, group } = values;
  process.exitCode = await launch(
    { nproc: integer(values.nproc, 'nproc', 1), nodes, node, ...(nats && { nats }), ...(group && { group }) },
    script,
    rest.slice(at + 1),
  );
}

main().catch((error) => {
  console.error(`webgpu-norm: ${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
});
