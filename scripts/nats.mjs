// `npm run nats`: a nats-server for ranks on this machine, pages included. Options: --host=127.0.0.1 --port=4222
// --ws-port=4223 --user=… --password=…; on other addresses than this machine's own, use them.
import { startNats } from '../bin/nats-server.mjs';
import { ensureNats } from './lib/install.mjs';
import { message, textOption } from './lib/steps.mjs';

try {
  await ensureNats();
  const [user, password] = [textOption('user'), textOption('password')];
  const server = await startNats({
    host: textOption('host') ?? '127.0.0.1',
    port: Number(textOption('port') ?? 4222),
    webSocketPort: Number(textOption('ws-port') ?? 4223),
    ...(user && password && { user, password }),
  });
  console.log(`NATS_URL=${server.url}   in Node and Deno`);
  console.log(`         ${server.webSocketUrl}   in browsers`);
  process.on('SIGINT', () => server.stop());
  process.exitCode = (await server.ended) ?? 0;
} catch (error) {
  console.error(message(error));
  process.exitCode = 1;
}
