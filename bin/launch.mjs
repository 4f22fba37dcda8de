// `webgpu-norm launch`: one process per rank on this machine, as torchrun.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import { startNats } from './nats-server.mjs';

/** Between asking a rank to stop and stopping it, in ms. */
const grace = 2000;

/**
 * @param {object} options
 * @param {number} options.nproc ranks on this machine
 * @param {number} [options.nodes] machines
 * @param {number} [options.node] which of them this is
 * @param {string} [options.nats] address of the NATS server; default NATS_URL, else one is started here
 * @param {string} [options.group] name of the group
 * @param {string} script
 * @param {string[]} args of the script
 * @returns {Promise<number>} 0, or the exit code of the first rank that failed
 */
export async function launch({ nproc, nodes = 1, node = 0, nats, group }, script, args) {
  const address = nats ?? process.env.NATS_URL;
  if (!address && nodes > 1) throw new Error('Several machines need one NATS server: --nats URL.');
  // Runs that share a server must not meet; machines of one run must.
  const name = group ?? process.env.GROUP_NAME ?? (nodes === 1 ? randomUUID() : 'default');
  const server = address ? undefined : await startNats();
  /** @type {import('node:child_process').ChildProcess[]} */
  const ranks = [];
  const stop = (signal = 'SIGTERM') => {
    for (const rank of ranks) if (rank.exitCode === null) rank.kill(/** @type {NodeJS.Signals} */ (signal));
  };
  let status = 0;
  /** @type {NodeJS.Timeout | undefined} */
  let last;
  const stopAll = (/** @type {number} */ code) => {
    if (status !== 0) return;
    status = code;
    stop();
    last = setTimeout(() => stop('SIGKILL'), grace);
  };
  const interrupt = () => stopAll(130);
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    const ends = Array.from({ length: nproc }, (_, local) => {
      const rank = node * nproc + local;
      const child = spawn(process.execPath, [script, ...args], {
        stdio: ['inherit', 'pipe', 'pipe'],
        env: {
          ...process.env,
          RANK: String(rank),
          LOCAL_RANK: String(local),
          WORLD_SIZE: String(nodes * nproc),
          NATS_URL: server?.url ?? address ?? '',
          GROUP_NAME: name,
        },
      });
      ranks.push(child);
      createInterface({ input: child.stdout }).on('line', (line) => console.log(`[${rank}] ${line}`));
      createInterface({ input: child.stderr }).on('line', (line) => console.error(`[${rank}] ${line}`));
      return new Promise((resolve) => {
        child.once('error', () => stopAll(127));
        child.once('close', (code, signal) => {
          const ended = code ?? 128 + (signal ? constants.signals[signal] : 0);
          if (ended !== 0) {
            if (status === 0) console.error(`[${rank}] ended with ${signal ?? code}: stopping all ranks`);
            stopAll(ended);
          }
          resolve(undefined);
        });
      });
    });
    await Promise.all(ends);
  } finally {
    clearTimeout(last);
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await server?.stop();
  }
  return status;
}
