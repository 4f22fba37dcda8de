// nats-server: where it is and what it is told.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export const natsHint =
  'Install it: apt-get install nats-server (Debian, Ubuntu), brew install nats-server, or see nats.io/download; or set NATS_SERVER to its path.';

/** The path of nats-server. Debian puts it where only root's PATH leads. */
export function findNats() {
  const { NATS_SERVER, PATH = '' } = process.env;
  if (NATS_SERVER) return NATS_SERVER;
  const name = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
  const folders = [...PATH.split(delimiter), '/usr/sbin', '/usr/local/bin', '/usr/local/sbin'].filter(
    Boolean,
  );
  const found = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (!found) throw new Error(`There is no nats-server. ${natsHint}`);
  return found;
}

/** Whether nats-server is on the machine. */
export function hasNats() {
  try {
    return existsSync(findNats());
  } catch {
    return false;
  }
}

/**
 * A configuration: the loopback alone, and a WebSocket listener without TLS for browsers.
 *
 * @param {{ port: number, webSocketPort: number, host?: string, user?: string, password?: string, maxPayload?: number }} settings
 */
export function natsConfig({ port, webSocketPort, host = '127.0.0.1', user, password, maxPayload }) {
  return [
    `host: "${host}"`,
    `port: ${port}`,
    `websocket { host: "${host}", port: ${webSocketPort}, no_tls: true }`,
    ...(user ? [`authorization { user: "${user}", password: "${password}" }`] : []),
    ...(maxPayload ? [`max_payload: ${maxPayload}`] : []),
    '',
  ].join('\n');
}
