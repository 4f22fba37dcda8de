/** A real nats-server that can be stopped and started again at the same ports. */
import { startNats } from '../../bin/nats-server.mjs';

export interface NatsServer {
  url: string;
  webSocketUrl: string;
  stop(): Promise<void>;
  /** Stops it, and after a pause starts it again. */
  restart(pauseMs: number): Promise<void>;
}

export async function natsServer(settings: Parameters<typeof startNats>[0] = {}) {
  let server = await startNats(settings);
  const { url, webSocketUrl } = server;
  const portOf = (address: string) => Number(new URL(address.replace('nats:', 'http:')).port);
  return {
    url,
    webSocketUrl,
    stop: () => server.stop(),
    async restart(pauseMs: number) {
      await server.stop();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      server = await startNats({ ...settings, port: portOf(url), webSocketPort: portOf(webSocketUrl) });
    },
  };
}
