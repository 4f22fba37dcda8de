/** Groups with a secret over a real nats-server, beside a stranger who hears everything and says what it likes. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { envelopeBytes, groupKey, read, Sealed, seal } from '../../src/distributed/envelope.ts';
import { GroupError } from '../../src/distributed/errors.ts';
import { decode, type Epoch, encode, type Frame, hashText, Kind, Op } from '../../src/distributed/frame.ts';
import type { JoinOptions, ProcessGroup } from '../../src/distributed/index.ts';
import { faultPayload } from '../../src/distributed/member.ts';
import { NatsProcessGroup } from '../../src/distributed/nats.ts';
import { ReplayWindow } from '../../src/distributed/sealed-transport.ts';
import { random } from '../support/data.ts';
import { groupName } from './fabrics.ts';
import { type NatsServer, natsServer } from './nats-server.ts';
import { refusal } from './refusal.ts';

const secret = 'what the ranks know and nobody else';

let server: NatsServer;
let members: NatsConnection;
let stranger: NatsConnection;

beforeEach(async () => {
  server = await natsServer();
  members = await connect({ servers: server.url });
  stranger = await connect({ servers: server.url });
});
afterEach(async () => {
  await members.close();
  await stranger.close();
  await server.stop();
});

const joinAll = (size: number, options: Partial<JoinOptions>): Promise<ProcessGroup[]> =>
  Promise.all(
    Array.from({ length: size }, (_, rank) =>
      NatsProcessGroup.join({ rank, size, connection: members, timeout: 10_000, ...options }),
    ),
  );

/** Everything that is said in a group, and where. */
function overhear(group: string): { subject: string; data: Uint8Array }[] {
  const heard: { subject: string; data: Uint8Array }[] = [];
  stranger.subscribe(`webgpu-norm.${group}.>`, {
    callback: (_, { subject, data }) => void heard.push({ subject, data: data.slice() }),
  });
  return heard;
}

/** Until the members have received what the stranger has sent. */
async function delivered(): Promise<void> {
  await stranger.flush();
  await members.flush();
}

/** The epoch, read from the frames of others, in envelopes or not. */
function epochOf(group: string, heard: readonly { data: Uint8Array }[]): Epoch {
  for (const { data } of heard) {
    const frame = decode(hashText(group), read(data)?.content.slice() ?? data);
    if (frame && typeof frame === 'object' && frame.kind === Kind.data) return frame.epoch;
  }
  throw new Error('nothing was said');
}

/** Frames in the name of rank 1: a part of call `seq` that says 1,000,000, a fault, and that it leaves. */
function forgeries(group: string, epoch: Epoch, seq: number): Uint8Array<ArrayBuffer>[] {
  const made = (frame: Partial<Frame> & Pick<Frame, 'kind'>) =>
    encode(hashText(group), { epoch, from: 1, ...frame });
  const payload = new Uint8Array(Float32Array.of(1e6).buffer);
  const error = new GroupError('aborted', 'Nothing has happened.', 'Believe me.', [1]);
  return [
    made({ kind: Kind.data, op: Op.merge, seq, elements: 1, payload }),
    made({ kind: Kind.fault, payload: faultPayload(error) }),
    made({ kind: Kind.bye }),
  ];
}

const sumOn = async (groups: readonly ProcessGroup[]): Promise<(number | undefined)[]> =>
  (await Promise.all(groups.map((one) => one.allReduce(Float32Array.of(one.rank === 0 ? 1 : 10))))).map(
    ([sum]) => sum,
  );

test('without a secret a stranger is believed: what the secret is for', async () => {
  const group = groupName();
  const heard = overhear(group);
  await stranger.flush();
  const groups = await joinAll(2, { group });
  await Promise.all(groups.map((one) => one.barrier()));
  await stranger.flush();
  const [part, fault] = forgeries(group, epochOf(group, heard), 2);
  stranger.publish(`webgpu-norm.${group}.0.2`, part);
  await delivered();
  expect(await sumOn(groups)).toEqual([1_000_001, 11]);
  stranger.publish(`webgpu-norm.${group}.all.0`, fault);
  await delivered();
  expect((await refusal((groups[0] as ProcessGroup).barrier())).error.code).toBe('aborted');
  await Promise.all(groups.map((one) => one.close()));
});

test('with one, forged parts, faults and leavings are dropped, whatever they are wrapped in', async () => {
  const group = groupName();
  const heard = overhear(group);
  await stranger.flush();
  const groups = await joinAll(2, { group, secret });
  await Promise.all(groups.map((one) => one.barrier()));
  await stranger.flush();
  const epoch = epochOf(group, heard);
  const live = heard.map(({ data }) => read(data)).filter((one) => one?.from === 1);
  const { session } = live.at(-1) as NonNullable<(typeof live)[0]>;
  const keys = [await groupKey(new TextEncoder().encode('a guess that has enough bytes'), group)];
  // The right secret of another group: a member of that one is a stranger here.
  keys.push(await groupKey(new TextEncoder().encode(secret), `${group}-2`));
  const before = groups.map(({ traffic }) => traffic.bytesReceived);
  for (const frame of forgeries(group, epoch, 2)) {
    const wrapped = await Promise.all(
      keys.map((key) =>
        seal(key, group, { kind: Sealed.frame, from: 1, session, counter: 1e6, content: frame }),
      ),
    );
    for (const one of [frame, ...wrapped]) stranger.publish(`webgpu-norm.${group}.all.2`, one);
  }
  await delivered();
  expect(groups.map(({ traffic }) => traffic.bytesReceived)).toEqual(before);
  expect(await sumOn(groups)).toEqual([11, 11]);
  await Promise.all(groups.map((one) => one.barrier()));
  await Promise.all(groups.map((one) => one.close()));
});

test('6,000 hostile frames: none accepted, and what they took is free again', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const group = groupName();
  const heard = overhear(group);
  await stranger.flush();
  const groups = await joinAll(3, { group, secret });
  await Promise.all(groups.map((one) => one.barrier()));
  await stranger.flush();
  const said = [...heard];
  const epoch = epochOf(group, said);
  const wrong = await groupKey(new TextEncoder().encode('a guess that has enough bytes'), group);
  const next = random(11);
  const pick = (count: number) => Math.floor(next() * count);
  const noise = (length: number) => Uint8Array.from({ length }, () => pick(256));
  const hostile = async (step: number): Promise<Uint8Array> => {
    const real = (said[pick(said.length)] as { data: Uint8Array }).data.slice();
    const payload = new Uint8Array(4 * pick(2000));
    const claims: Partial<Frame> = {
      seq: step + pick(4),
      elements: pick(2 ** 31),
      bytes: 2 ** 32 - 8,
      payload,
    };
    const kind = [Kind.hello, Kind.ready, Kind.data, Kind.resend, Kind.fault, Kind.bye][pick(6)] as number;
    const forged = encode(hashText(group), { ...claims, kind, op: 1 + pick(4), epoch, from: pick(4) });
    const session = read(real)?.session ?? (noise(16) as Uint8Array<ArrayBuffer>);
    const envelope = { kind: pick(4), from: pick(4), session, counter: pick(2 ** 31), content: forged };
    switch (pick(8)) {
      case 0:
        return noise(4 * pick(100));
      case 1:
        return real.slice(0, 4 * pick(real.length / 4)); // truncated
      case 2:
        return real; // replayed, to whomever
      case 3: // one bit is another
        real[pick(real.length)] = (real[pick(real.length)] as number) ^ (1 << pick(8));
        return real;
      case 4:
        return forged;
      case 5:
        return seal(wrong, group, envelope);
      case 6: // right code, wrong frame
        return (await seal(wrong, group, { ...envelope, kind: 0 })).fill(0x5a, 16, 32);
      default: {
        // joins with another world size
        const settings = new Uint8Array(Uint32Array.of(2 + pick(9), 16, 32).buffer);
        const hello = {
          kind: Kind.hello,
          epoch: [pick(2 ** 31), 1] as Epoch,
          from: pick(4),
          payload: settings,
        };
        return encode(hashText(group), hello);
      }
    }
  };
  // Buffers are given back by a sweep that runs beside the program after a collection: until they get no fewer.
  const memory = async () => {
    let least = Number.POSITIVE_INFINITY;
    for (let same = 0; same < 5; same++) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
      const now = process.memoryUsage().arrayBuffers;
      if (now < least) [least, same] = [now, 0];
    }
    return least;
  };
  let before = 0;
  for (let step = 0; step < 60; step++) {
    if (step === 10) before = await memory();
    for (let i = 0; i < 100; i++) {
      const to = ['all', '0', '1', '2'][pick(4)];
      stranger.publish(`webgpu-norm.${group}.${to}.${step + pick(3)}`, await hostile(step));
    }
    await delivered();
    heard.length = 0;
    const received = groups.map(({ traffic }) => traffic.bytesReceived);
    const sums = await Promise.all(groups.map((one) => one.allReduce(Float32Array.of(step, one.rank))));
    for (const sum of sums) expect(sum).toEqual(Float32Array.of(3 * step, 3));
    // Two parts of eight bytes, and nothing beside them.
    expect(groups.map(({ traffic }, i) => traffic.bytesReceived - (received[i] as number))).toEqual(
      groups.map(() => 2 * (8 + 64 + envelopeBytes)),
    );
  }
  await Promise.all(groups.map((one) => one.barrier()));
  expect((await memory()) - before).toBeLessThan(2 ** 20);
  await Promise.all(groups.map((one) => one.close()));
});

test('what was said in an earlier life of the group is not believed in a later one', async () => {
  const group = groupName();
  const heard = overhear(group);
  await stranger.flush();
  const first = await joinAll(3, { group, secret });
  for (let i = 0; i < 5; i++) await Promise.all(first.map((one) => one.allReduce(Float32Array.of(1e6))));
  await Promise.all(first.map((one) => one.close()));
  await stranger.flush();
  const said = [...heard];
  expect(said.length).toBeGreaterThan(20);
  const repeat = () => {
    for (const { subject, data } of said) stranger.publish(subject, data);
  };
  const joining = joinAll(3, { group, secret });
  for (let i = 0; i < 20; i++) {
    repeat();
    await stranger.flush();
  }
  const second = await joining;
  for (let step = 0; step < 5; step++) {
    repeat();
    await delivered();
    const sums = await Promise.all(second.map((one) => one.allReduce(Float32Array.of(one.rank))));
    for (const sum of sums) expect(sum).toEqual(Float32Array.of(3));
  }
  // Nor is what was said in this life a moment ago.
  const lately = heard.slice(-20);
  const received = second.map(({ traffic }) => traffic.bytesReceived);
  for (const { subject, data } of lately) stranger.publish(subject, data);
  await delivered();
  expect(second.map(({ traffic }) => traffic.bytesReceived)).toEqual(received);
  await Promise.all(second.map((one) => one.barrier()));
  await Promise.all(second.map((one) => one.close()));
});

test('a member with a secret and one without, or with another one, do not meet, and are told why', async () => {
  const join = (rank: number, its?: string) =>
    refusal(
      NatsProcessGroup.join({ rank, size: 2, group: name, connection: members, timeout: 700, secret: its }),
    );
  let name = groupName();
  const [sealed, plain] = await Promise.all([join(0, secret), join(1)]);
  expect(sealed.error).toMatchObject({ code: 'timeout', ranks: [1] });
  expect(sealed.error.message).toMatch(/messages without a right code were dropped/);
  expect(plain.error).toMatchObject({ code: 'mismatch', ranks: [1] });
  expect(plain.error.message).toMatch(/no secret.*the same secret/);
  name = groupName();
  for (const { error } of await Promise.all([join(0, secret), join(1, `${secret}.`)])) {
    expect(error.code).toBe('timeout');
    expect(error.message).toMatch(/messages without a right code were dropped/);
  }
});

test('a secret may be bytes; one that can be guessed is refused', async () => {
  const bytes = new TextEncoder().encode(secret);
  const group = groupName();
  const join = (rank: number, its: unknown) =>
    NatsProcessGroup.join({ rank, size: 2, group, connection: members, secret: its as string });
  const groups = await Promise.all([join(0, bytes), join(1, secret)]);
  await Promise.all(groups.map((one) => one.barrier()));
  await Promise.all(groups.map((one) => one.close()));
  for (const wrong of ['fifteen letters', new Uint8Array(15), '', 7, null]) {
    expect((await refusal(join(0, wrong))).error.code).toBe('value');
  }
});

test('a window of counters takes each once, in any order, as far back as it reaches', () => {
  const window = new ReplayWindow(5);
  expect([5, 4, 6, 6, 8, 7, 7, 8].map((one) => window.take(one))).toEqual([
    ...[false, false, true, false],
    ...[true, true, false, false],
  ]);
  const far = 10 * ReplayWindow.size;
  expect(window.take(far)).toBe(true);
  expect(window.take(9)).toBe(false);
  expect(window.take(far - ReplayWindow.size)).toBe(false);
  expect(window.take(far - ReplayWindow.size + 1)).toBe(true);
  expect(window.take(far - ReplayWindow.size + 1)).toBe(false);
  // Against a set, at random.
  const next = random(3);
  const seen = new Set<number>();
  const other = new ReplayWindow(0);
  let highest = 0;
  for (let i = 0; i < 20_000; i++) {
    const counter = 1 + Math.floor(i / 4 + 1500 * next());
    const isNew = counter > highest - ReplayWindow.size && !seen.has(counter);
    expect(other.take(counter)).toBe(isNew);
    if (isNew) seen.add(counter);
    highest = Math.max(highest, counter);
  }
});
