// nats-server on this machine: where it is, what it is told, how it is started and stopped.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export const natsHint =
  'Install it (apt-get install nats-server, brew install nats-server, or nats.io/download), or set NATS_SERVER to its path.';

/** The path of nats-server; undefined where there is none. Debian puts it where only root's PATH leads. */
export function findNats() {
  const { NATS_SERVER, PATH = '' } = process.env;
  if (NATS_SERVER) return NATS_SERVER;
  const name = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
  const folders = [...PATH.split(delimiter), '/usr/sbin', '/usr/local/bin', '/usr/local/sbin'].filter(
    Boolean,
  );
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/**
 * @typedef {object} NatsSettings
 * @property {string} [host] default 127.0.0.1: this machine alone
 * @property {number} [port] default -1: a free one
 * @property {number} [webSocketPort] likewise, without TLS
 * @property {string} [user]
 * @property {string} [password]
 * @property {number} [maxPayload] bytes
 * @property {string[]} [lines] more of its configuration
 */

/** @param {NatsSettings} settings */
function config(settings) {
  const {
    host = '127.0.0.1',
    port = -1,
    webSocketPort = -1,
    user,
    password,
    maxPayload,
    lines = [],
  } = settings;
  return [
    `host: "${host}"`,
    `port: ${port}`,
    `websocket { host: "${host}", port: ${webSocketPort}, no_tls: true }`,
    ...(user ? [`authorization { user: "${user}", password: "${password}" }`] : []),
    ...(maxPayload ? [`max_payload: ${maxPayload}`] : []),
    ...lines,
    '',
  ].join('\n');
}

/**
 * Starts a nats-server and waits until it is ready.
 *
 * @param {NatsSettings} [settings]
 * @returns {Promise<{ url: string, webSocketUrl: string, ended: Promise<number | null>, stop(): Promise<void> }>}
 */
export async function startNats(settings = {}) {
  const path = findNats();
  if (!path) throw new Error(`There is no nats-server. ${natsHint}`);
  const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-nats-'));
  const file = join(folder, 'nats.conf');
  writeFileSync(file, config(settings), { mode: 0o600 });
  const server = spawn(path, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  /** @type {Promise<number | null>} */
  const ended = new Promise((resolve) => {
    server.once('error', () => resolve(127));
    server.once('exit', (code) => {
      rmSync(folder, { recursive: true, force: true });
      resolve(code);
    });
  });
  // It may outlive nobody who started it.
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  ended.then(() => process.off('exit', kill));

  let said = '';
  /** @type {(line: RegExp) => string} */
  const port = (line) => line.exec(said)?.[1] ?? '';
  const host = settings.host ?? '127.0.0.1';
  await new Promise((resolve, reject) => {
    server.stderr.setEncoding('utf8').on('data', (text) => {
      if (!said.includes('Server is ready')) said += text;
      if (said.includes('Server is ready')) resolve(undefined);
    });
    ended.then((code) => reject(new Error(`nats-server ended with ${code}:\n${said}`)));
  });
  return {
    url: `nats://${host}:${port(/client connections on \S+:(\d+)/)}`,
    webSocketUrl: `ws://${host}:${port(/websocket clients on \S+:(\d+)/)}`,
    ended,
    async stop() {
      server.kill('SIGKILL');
      await ended;
    },
  };
}
