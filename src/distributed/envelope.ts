// What a frame travels in where a group has a secret: 64 bytes, then the frame.
//
//   0  'WGN' and the version, 2       32  session of the sender, 128 random bits
//   4  nothing                        48  counter: how many envelopes the sender has sent before, 64 bits
//   8  hash of the group's name       56  kind (u16), rank of the sender (u16)
//  12  checksum of the first 64 bytes 60  rank that it is for + 1, or 0: all (u16), nothing
//  16  authentication code, 16 bytes  64  a frame; or, in a greeting, the session of the receiver
//
// The code covers everything from byte 32 on: HMAC-SHA-256 (RFC 2104), cut to 128 bits as that allows, with a key that HKDF
// (RFC 5869) makes of the secret and the group's name.
import { checksum, hashText, headerBytes, magic, sealedVersion } from './frame.ts';
import type { Bytes } from './merge.ts';

/** Bytes that an envelope adds to a frame. */
export const envelopeBytes = 64;
const codeAt = 16;
const codeBytes = 16;
const signedFrom = 32;
export const sessionBytes = 16;

/** Kinds of envelopes. */
export const Sealed = {
  /** It holds a frame. */
  frame: 0,
  /** I have seen your session, and would see that you have seen mine. */
  greeting: 1,
  /** I have seen your session. */
  answer: 2,
} as const;

export interface Envelope {
  kind: number;
  from: number;
  /** Absent: for all. */
  to?: number | undefined;
  session: Bytes;
  counter: number;
  content: Uint8Array;
}

/** The key of a group: that of another name, or from another secret, is another one. */
export async function groupKey(secret: Bytes, name: string): Promise<CryptoKey> {
  const text = (of: string) => new TextEncoder().encode(of) as Bytes;
  const given = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
  const how = { name: 'HKDF', hash: 'SHA-256', salt: text('webgpu-norm process group'), info: text(name) };
  const hmac = { name: 'HMAC', hash: 'SHA-256', length: 256 };
  return crypto.subtle.deriveKey(how, given, hmac, false, ['sign']);
}

async function codeOf(key: CryptoKey, envelope: Uint8Array): Promise<Uint8Array> {
  const signed = envelope.subarray(signedFrom) as Bytes;
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, signed), 0, codeBytes);
}

/** Writes an envelope; `content` is copied before this returns its promise. */
export async function seal(key: CryptoKey, name: string, envelope: Envelope): Promise<Bytes> {
  const { kind, from, to, session, counter, content } = envelope;
  const all = new Uint8Array(envelopeBytes + content.length);
  const view = new DataView(all.buffer);
  all.set([...magic, sealedVersion]);
  view.setUint32(8, hashText(name), true);
  all.set(session, signedFrom);
  view.setUint32(48, counter % 2 ** 32, true);
  view.setUint32(52, Math.floor(counter / 2 ** 32), true);
  view.setUint16(56, kind, true);
  view.setUint16(58, from, true);
  view.setUint16(60, to === undefined ? 0 : to + 1, true);
  all.set(content, envelopeBytes);
  all.set(await codeOf(key, all), codeAt);
  view.setUint32(12, checksum(new Uint32Array(all.buffer, 0, headerBytes / 4)), true);
  return all;
}

/** What an envelope says, whoever wrote it; undefined if it is none. Takes no memory of its own. */
export function read(given: Uint8Array): Envelope | undefined {
  if (given.length < envelopeBytes || given.length % 4 !== 0 || given[3] !== sealedVersion) return undefined;
  if (magic.some((byte, i) => given[i] !== byte)) return undefined;
  const view = new DataView(given.buffer, given.byteOffset, given.byteLength);
  const to = view.getUint16(60, true);
  return {
    kind: view.getUint16(56, true),
    from: view.getUint16(58, true),
    to: to === 0 ? undefined : to - 1,
    session: given.subarray(signedFrom, signedFrom + sessionBytes) as Bytes,
    counter: view.getUint32(48, true) + 2 ** 32 * view.getUint32(52, true),
    content: given.subarray(envelopeBytes),
  };
}

/** Whether one that has the key wrote this envelope. */
export async function isGenuine(key: CryptoKey, given: Uint8Array): Promise<boolean> {
  const code = await codeOf(key, given);
  // All bytes are looked at, so that the time it takes says nothing of how many were right.
  return code.reduce((different, byte, i) => different | (byte ^ (given[codeAt + i] as number)), 0) === 0;
}
