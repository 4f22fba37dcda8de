/** Frames: what is sent is what is read, and everything else is dropped. */
import { expect, test } from 'vitest';
import { decode, encode, type Frame, hashText, Kind, Op, seal } from '../../src/distributed/frame.ts';
import { MessagePortProcessGroup } from '../../src/distributed/index.ts';
import { random } from '../support/data.ts';
import { groupName } from './fabrics.ts';
import { refusal } from './refusal.ts';

const group = hashText('group');
const payload = new Uint8Array(Float32Array.of(1, -2, Number.NaN, 0.5).buffer);
const frame = {
  kind: Kind.data,
  op: Op.broadcast,
  root: 258,
  epoch: [0xffffffff, 7] as const,
  from: 65_534,
  level: 255,
  seq: 0xfffffffe,
  done: 3,
  bytes: 64,
  offset: 48,
  elements: 16,
  label: 'sixteen letters.',
  payload,
};

test('every field arrives', () => {
  const bytes = encode(group, frame);
  expect(bytes.length).toBe(64 + payload.length);
  expect(decode(group, bytes)).toEqual(frame);
  // Wherever the bytes lie in a buffer: NATS hands out parts of what it has read.
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  expect(decode(group, shifted.subarray(3))).toEqual(frame);
});

test('any bit that flips, any missing byte and any other group make a frame foreign', () => {
  const bytes = encode(group, frame);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const wrong = bytes.slice();
    wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(decode(group, wrong)).toBeNull();
  }
  for (let length = 0; length < bytes.length; length++)
    expect(decode(group, bytes.slice(0, length))).toBeNull();
  expect(decode(hashText('other'), bytes)).toBeNull();
  const next = random(3);
  for (let i = 0; i < 1000; i++) {
    const noise = Uint8Array.from({ length: Math.floor(200 * next()) }, () => 256 * next());
    expect(decode(group, noise)).toBeNull();
  }
});

test('a part that claims to lie outside of its payload is dropped', () => {
  const outside: Partial<Frame>[] = [{ offset: 56 }, { bytes: 8, offset: 0 }, { offset: 4 }];
  for (const one of outside) expect(decode(group, encode(group, { ...frame, ...one }))).toBeNull();
});

test('a rank that speaks another version is a mismatch for those that join', async () => {
  const name = groupName();
  const where = { rank: 0, size: 2, group: name, timeout: 5000 };
  const joining = refusal(MessagePortProcessGroup.join(new BroadcastChannel(name), where));
  const newer = new BroadcastChannel(name);
  const hello = encode(hashText(name), { kind: Kind.hello, epoch: [1, 2], from: 1 });
  hello[3] = 3;
  newer.postMessage({ tag: 'webgpu-norm/frame', from: 1, frame: seal(hello) });
  const { error } = await joining;
  newer.close();
  expect(error).toMatchObject({ code: 'mismatch', ranks: [0] });
  expect(error.message).toMatch(/different versions/);
});
