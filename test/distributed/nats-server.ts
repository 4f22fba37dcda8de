/** A real nats-server on the loopback, for one test file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNats, natsConfig } from '../../scripts/lib/nats.mjs';

export interface NatsServer {
  url: string;
  webSocketUrl: string;
  /** Stops it, and after a pause starts it again at the same ports. */
  restart(pauseMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export interface NatsSettings {
  user?: string;
  password?: string;
  maxPayload?: number;
}

export async function startNats(settings: NatsSettings = {}): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'webgpu-norm-nats-'));
  const file = join(folder, 'nats.conf');
  const [port, webSocketPort] = await freePorts(2);
  writeFileSync(
    file,
    natsConfig({ port: port as number, webSocketPort: webSocketPort as number, ...settings }),
  );
  let server = await launch(file);
  const stop = async () => {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await ended;
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    webSocketUrl: `ws://127.0.0.1:${webSocketPort}`,
    async restart(pauseMs = 0) {
      await stop();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      server = await launch(file);
    },
    async stop() {
      await stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Resolves when the server says that it is ready. */
function launch(file: string): Promise<ChildProcess> {
  const server = spawn(findNats(), ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  return new Promise((resolve, reject) => {
    let said = '';
    server.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('Server is ready')) resolve(server);
    });
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`nats-server ended with ${code}:\n${said}`)));
  });
}

/** Ports that nobody listens at. All are held until all are known, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
