/** What NATS alone can do wrong: absence, credentials, strangers, restarts. */
import { connect, nkeyAuthenticator, nkeys } from '@nats-io/transport-node';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ProcessGroup } from '../../src/distributed/index.ts';
import { NatsProcessGroup } from '../../src/distributed/nats.ts';
import { random } from '../support/data.ts';
import { groupName } from './fabrics.ts';
import { type NatsServer, natsServer } from './nats-server.ts';
import { refusal } from './refusal.ts';

let server: NatsServer | undefined;
afterEach(async () => {
  vi.unstubAllEnvs();
  await server?.stop();
  server = undefined;
});

const joinAll = (size: number, nats: object, group = groupName()): Promise<ProcessGroup[]> =>
  Promise.all(
    Array.from({ length: size }, (_, rank) =>
      NatsProcessGroup.join({ rank, size, group, nats, timeout: 5000 }),
    ),
  );

describe('NATS', () => {
  test('an absent server is a clear error', async () => {
    const { error } = await refusal(joinAll(1, { servers: 'nats://127.0.0.1:9' }));
    expect(error).toMatchObject({ code: 'connection', ranks: [0] });
    expect(error.message).toMatch(/cannot be reached/);
    expect(error.fix).toMatch(/npm run nats/);
  });

  test('a WebSocket address where there is no WebSocket', async () => {
    vi.stubGlobal('WebSocket', undefined);
    const { error } = await refusal(joinAll(1, { servers: 'ws://127.0.0.1:9' }));
    vi.unstubAllGlobals();
    expect(error).toMatchObject({ code: 'connection', ranks: [0] });
    expect(error.fix).toMatch(/nats:\/\//);
  });

  test('credentials: none, wrong, right', async () => {
    server = await natsServer({ user: 'alice', password: 'secret' });
    const servers = server.url;
    for (const wrong of [{}, { user: 'alice', pass: 'guess' }, { user: 'mallory', pass: 'secret' }]) {
      const { error } = await refusal(joinAll(1, { servers, ...wrong }));
      expect(error.code).toBe('connection');
      expect(error.message).toMatch(/refused the credentials/);
      expect(error.fix).toMatch(/user and pass/);
    }
    const groups = await joinAll(2, { servers, user: 'alice', pass: 'secret' });
    await Promise.all(groups.map((group) => group.barrier()));
    await Promise.all(groups.map((group) => group.close()));
  });

  test('a token, and an nkey', async () => {
    const pair = nkeys.createUser();
    const key = pair.getPublicKey();
    for (const [lines, right, wrong] of [
      ['authorization { token: "s3cret" }', { token: 's3cret' }, { token: 'guess' }],
      [
        `authorization { users: [ { nkey: ${key} } ] }`,
        { authenticator: nkeyAuthenticator(pair.getSeed()) },
        { authenticator: nkeyAuthenticator(nkeys.createUser().getSeed()) },
      ],
    ] as const) {
      server = await natsServer({ lines: [lines] });
      const { error } = await refusal(joinAll(1, { servers: server.url, ...wrong }));
      expect(error.message).toMatch(/refused the credentials/);
      const groups = await joinAll(2, { servers: server.url, ...right });
      await Promise.all(groups.map((group) => group.barrier()));
      await Promise.all(groups.map((group) => group.close()));
      await server.stop();
    }
  });

  test('rank, size, name and address from the environment', async () => {
    server = await natsServer();
    vi.stubEnv('NATS_URL', server.url);
    vi.stubEnv('WORLD_SIZE', '2');
    vi.stubEnv('GROUP_NAME', groupName());
    const groups = await Promise.all(
      ['0', '1'].map((rank) => {
        vi.stubEnv('RANK', rank);
        return NatsProcessGroup.join();
      }),
    );
    expect(groups.map(({ rank, size }) => [rank, size])).toEqual([
      [0, 2],
      [1, 2],
    ]);
    await Promise.all(groups.map((group) => group.close()));
    for (const [name, value] of [
      ['RANK', '2'],
      ['RANK', 'one'],
      ['RANK', ''],
      ['WORLD_SIZE', '0'],
    ] as const) {
      vi.stubEnv('RANK', '0');
      vi.stubEnv('WORLD_SIZE', '2');
      vi.stubEnv(name, value);
      const { error } = await refusal(NatsProcessGroup.join());
      expect(error.code).toBe('value');
    }
  });

  test('a connection of yours stays open', async () => {
    server = await natsServer();
    const connection = await connect({ servers: server.url });
    const group = await NatsProcessGroup.join({ rank: 0, size: 1, connection });
    await group.close();
    expect(connection.isClosed()).toBe(false);
    await connection.close();
  });

  test('groups on a connection of yours leave no listeners on it, nor do joins that fail', async () => {
    server = await natsServer();
    const connection = await connect({ servers: server.url });
    const { listeners } = (connection as unknown as { protocol: { listeners: unknown[] } }).protocol;
    const before = listeners.length;
    const pair = async () => {
      const group = groupName();
      const join = (rank: number) =>
        NatsProcessGroup.join({ rank, size: 2, group, connection, timeout: 5000 });
      return Promise.all([join(0), join(1)]);
    };
    const stays = await pair();
    for (let i = 0; i < 5; i++) for (const group of await pair()) await group.close();
    for (let i = 0; i < 5; i++) {
      const late = NatsProcessGroup.join({ rank: 0, size: 2, group: groupName(), connection, timeout: 20 });
      expect((await refusal(late)).error.code).toBe('timeout');
    }
    expect(listeners.length).toBe(before + 1);
    await Promise.all(stays.map((group) => group.close()));
    expect(listeners.length).toBe(before);
    // Those that come later still hear that the connection has ended.
    const [one, other] = await pair();
    expect(listeners.length).toBe(before + 1);
    await connection.close();
    expect((await refusal((one as ProcessGroup).barrier())).error.code).toBe('connection');
    expect((await refusal((other as ProcessGroup).barrier())).error.code).toBe('connection');
    const { error } = await refusal(NatsProcessGroup.join({ rank: 0, size: 2, connection }));
    expect(error).toMatchObject({ code: 'connection', ranks: [0] });
  });

  test('10,000 messages of an outsider change no result', async () => {
    server = await natsServer();
    const group = groupName();
    const groups = await joinAll(3, { servers: server.url }, group);
    const outsider = await connect({ servers: server.url });
    const overheard: Uint8Array[] = [];
    outsider.subscribe(`webgpu-norm.${group}.>`, {
      callback: (_, message) => {
        if (overheard.length < 200) overheard.push(message.data.slice());
      },
    });
    await outsider.flush();
    const next = random(5);
    const pick = (count: number) => Math.floor(next() * count);
    const garbage = (): Uint8Array => {
      const noise = Uint8Array.from({ length: pick(400) }, () => pick(256));
      const real = overheard[pick(overheard.length)];
      if (!real || next() < 0.2) return noise;
      if (next() < 0.2) return real; // said before
      const copy = next() < 0.5 ? real.slice() : real.slice(0, pick(real.length));
      // Another epoch, another call, another rank, another payload; all with the old checksum.
      for (let i = 1 + pick(3); i > 0; i--) copy[pick(copy.length)] = pick(256);
      return copy;
    };
    let published = 0;
    for (let step = 0; step < 100; step++) {
      const calls = groups.map((one) =>
        one.allGather(Float32Array.from({ length: 50 }, (_, i) => i + 100 * step + 0.25 * one.rank)),
      );
      for (let i = 0; i < 100; i++) {
        const to = ['all', '0', '1', '2'][pick(4)];
        outsider.publish(`webgpu-norm.${group}.${to}.${step + pick(3)}`, garbage());
        published++;
      }
      for (const all of await Promise.all(calls)) {
        all.forEach((one, rank) => {
          expect(one).toEqual(Float32Array.from({ length: 50 }, (_, i) => i + 100 * step + 0.25 * rank));
        });
      }
    }
    expect(published).toBe(10_000);
    await outsider.close();
    await Promise.all(groups.map((one) => one.close()));
  });

  test('through restarts of the server, a call completes or rejects, and is never wrong', async () => {
    server = await natsServer();
    const groups = await joinAll(3, { servers: server.url });
    let over = false;
    let steps = 0;
    const running = groups.map(async (group) => {
      for (let step = 0; ; step++) {
        const [sum] = await group.allReduce(Float32Array.of(step * (group.rank + 1)));
        expect(sum).toBe(6 * step);
        steps = Math.max(steps, step);
        // All leave after the same step.
        const [more] = await group.broadcast(Float32Array.of(over ? 0 : 1), 0);
        if (more === 0) return step;
      }
    });
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      await server.restart(100);
    }
    const restarted = steps;
    await expect.poll(() => steps, { timeout: 20_000 }).toBeGreaterThan(restarted + 5);
    over = true;
    const [last, ...others] = await Promise.all(running);
    expect(others).toEqual([last, last]);
    await Promise.all(groups.map((group) => group.close()));
  });

  test('a server that does not come back: timeout, and close() returns', async () => {
    server = await natsServer();
    const groups = await joinAll(2, { servers: server.url });
    await server.stop();
    const refusals = await Promise.all(groups.map((group) => refusal(group.barrier({ timeout: 300 }))));
    for (const { error } of refusals) {
      expect(error.code).toBe('timeout');
    }
    await Promise.all(groups.map((group) => group.close()));
  });
});
