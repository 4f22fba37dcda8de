/** Frames that claim more than they bring, or that come too early: what a rank keeps of them is bounded. */
import { expect, test } from 'vitest';
import { GroupError } from '../../src/distributed/errors.ts';
import { commonEpoch, encode, Kind, Op, seal } from '../../src/distributed/frame.ts';
import { FramedGroup } from '../../src/distributed/framed-group.ts';
import { identity, settingsOf } from '../../src/distributed/member.ts';
import { Rendezvous } from '../../src/distributed/rendezvous.ts';
import type { Transport } from '../../src/distributed/transport.ts';
import { refusal } from './refusal.ts';

class Group extends FramedGroup {
  protected override readonly mostAhead = 1000;
}

/** Rank 0 of a group, whose other ranks are this test. */
function rankOf(size: number, options: { reliable?: boolean; treeAbove?: number; fanOut?: number } = {}) {
  const { reliable = false, ...settings } = options;
  const own = identity({ rank: 0, size, ...settings });
  const epoch = commonEpoch([own.nonce]);
  const sent: Uint8Array[] = [];
  let receive: (frame: Uint8Array) => void = () => {};
  const transport: Transport = {
    maxFrame: 1024,
    reliable,
    send: (frame) => sent.push(frame),
    listen: () => {},
    close: async () => {},
  };
  const group = new Group(transport, { ...own, epoch }, (listener) => {
    receive = listener;
  });
  const data = (frame: Partial<Parameters<typeof encode>[1]>) =>
    receive(encode(own.group, { kind: Kind.data, op: Op.allGather, epoch, from: 1, ...frame }));
  return { group, data, sent };
}

const eight = () => new Uint8Array(8);
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

test('a frame that claims a payload of 4 GiB takes the memory of what it brings', async () => {
  const { group, data } = rankOf(4);
  const before = process.memoryUsage().arrayBuffers;
  for (const from of [1, 2, 3])
    data({ from, seq: 1, elements: 2 ** 30, bytes: 2 ** 32 - 4, payload: eight() });
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  const { error } = await refusal(group.allGather(Float32Array.of(1, 2)));
  expect(error).toMatchObject({ code: 'mismatch', ranks: [0, 1] });
});

test('a claim that does not fit the call at hand is a mismatch, at every level of a tree', async () => {
  const { group, data } = rankOf(8, { treeAbove: 1, fanOut: 2 });
  const call = refusal(group.allGather(Float32Array.of(1)));
  data({ from: 1, seq: 1, level: 0, elements: 1, payload: floats(1) });
  // Of four ranks it may be 16 bytes; no part of eight ranks has more than 32.
  data({ from: 2, seq: 1, level: 1, elements: 1, bytes: 4096, payload: eight() });
  expect((await call).error).toMatchObject({ code: 'mismatch', ranks: [0, 2] });
});

test('pieces that overlap, since they were cut in two ways, make the payload that was sent', async () => {
  const { group, data } = rankOf(2);
  const values = Float32Array.from({ length: 8 }, (_, i) => i + 1);
  const bytes = new Uint8Array(values.buffer);
  const piece = (offset: number, end: number) =>
    data({ seq: 1, elements: 8, bytes: 32, offset, payload: bytes.slice(offset, end) });
  piece(0, 16);
  // As many bytes as the whole, with a gap from 16 to 24.
  piece(8, 16);
  piece(24, 32);
  const call = group.allGather(new Float32Array(8));
  piece(0, 24);
  expect(await call).toEqual([new Float32Array(8), values]);
});

test('parts for calls far ahead are kept up to a bound, and asked for again where the transport may lose them', async () => {
  const { group, data, sent } = rankOf(2);
  const part = (seq: number) => data({ seq, elements: 100, payload: floats(...new Array(100).fill(seq)) });
  for (const seq of [1, 2, 3, 4, 5, 2000]) part(seq);
  const received = group.traffic.bytesReceived;
  expect(received).toBe(3 * 464); // the next call, and 800 of 1000 bytes beyond it
  const gather = () => group.allGather(new Float32Array(100));
  for (const seq of [1, 2, 3]) expect((await gather())[1]?.[0]).toBe(seq);
  const fourth = gather();
  await expect.poll(() => sent.some((frame) => frame[4] === Kind.resend), { timeout: 10_000 }).toBe(true);
  part(4);
  expect((await fourth)[1]?.[0]).toBe(4);
  await group.close();
});

test('where the transport is reliable, nobody sends again what was dropped: the group ends with limit', async () => {
  for (const far of [5, 1026]) {
    const { group, data, sent } = rankOf(2, { reliable: true });
    for (const seq of [1, 2, 3]) data({ seq, elements: 100, payload: new Uint8Array(400) });
    expect(sent).toEqual([]);
    data({ seq: far, elements: 100, payload: new Uint8Array(400) });
    expect(sent.map((frame) => frame[4])).toEqual([Kind.fault]);
    const { error } = await refusal(group.barrier());
    expect(error).toBeInstanceOf(GroupError);
    expect(error).toMatchObject({ code: 'limit', ranks: [0, 1] });
    expect(error.message).toContain(`${far} calls ahead`);
  }
});

test('what no rank sends at that level is not kept', async () => {
  const { group, data } = rankOf(8, { treeAbove: 1, fanOut: 2 });
  for (const [from, level] of [
    [1, 1], // it reports at level 0
    [3, 0], // it reports to rank 2
    [1, 7],
    [2, 255], // the result is rank 0's
  ] as const) {
    data({ from, level, seq: 1, elements: 1, payload: floats(1) });
  }
  expect(group.traffic.bytesReceived).toBe(0);
  await group.close();
});

/** Rank 0, which looks for the others. */
function joining(reliable: boolean, size = 2, mostBacklog?: number) {
  const own = identity({ rank: 0, size, timeout: 60_000 });
  const transport: Transport = {
    maxFrame: 1024,
    reliable,
    send: () => {},
    listen: () => {},
    close: async () => {},
  };
  const rendezvous = new Rendezvous(transport, own, undefined, mostBacklog);
  rendezvous.start();
  const nonceOf = (rank: number) => [5, rank] as const;
  const hello = (from = 1) =>
    encode(own.group, { kind: Kind.hello, epoch: nonceOf(from), from, payload: settingsOf(own) });
  const others = Array.from({ length: size - 1 }, (_, i) => nonceOf(i + 1));
  const epoch = commonEpoch([own.nonce, ...others]);
  const ready = (from = 1) => encode(own.group, { kind: Kind.ready, epoch, from });
  return { rendezvous, own, hello, ready, epoch };
}

test('a damaged frame does not end joining, whichever bit has flipped', async () => {
  const { rendezvous, hello, ready, epoch } = joining(false);
  for (const frame of [hello(), ready()]) {
    for (let bit = 0; bit < 8 * frame.length; bit++) {
      const wrong = frame.slice();
      wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7));
      rendezvous.receive(wrong);
    }
  }
  rendezvous.receive(hello(7)); // no rank of this group
  rendezvous.receive(hello());
  rendezvous.receive(ready());
  expect((await rendezvous.met).epoch).toEqual(epoch);
});

test('another version, undamaged, ends joining with mismatch', async () => {
  const { rendezvous, hello } = joining(false);
  const newer = hello();
  newer[3] = 3;
  rendezvous.receive(seal(newer));
  const { error } = await refusal(rendezvous.met);
  expect(error).toMatchObject({ code: 'mismatch', ranks: [0] });
});

test('what comes of calls while a rank joins is kept up to a bound', async () => {
  for (const reliable of [false, true]) {
    const { rendezvous, own, hello, ready, epoch } = joining(reliable, 3, 200);
    rendezvous.receive(hello(1));
    rendezvous.receive(hello(2));
    // Rank 1 is in, while rank 0 has yet to hear that rank 2 is ready.
    for (let seq = 1; seq < 10; seq++) {
      rendezvous.receive(encode(own.group, { kind: Kind.data, op: Op.barrier, epoch, from: 1, seq }));
    }
    if (!reliable) rendezvous.receive(ready(2));
    if (reliable) {
      expect((await refusal(rendezvous.met)).error).toMatchObject({ code: 'limit', ranks: [0, 1] });
    } else {
      await rendezvous.met;
      expect(rendezvous.takeBacklog().map((frame) => frame[28])).toEqual([1, 2, 3]);
    }
  }
});
