// What travels between ranks: 64 bytes that say everything about a payload, then the payload or a part of it.
//
//   0  'WGN' and the version          28  seq: number of the call, from 1
//   4  kind, op                       32  done: all calls of the sender up to this one have ended
//   6  root of a broadcast, or hash of lengths, or 0      36  bytes of the payload as a whole
//   8  hash of the group's name       40  offset of this part in it
//  12  checksum of the frame          44  elements: the length that the caller gave
//  16  epoch: 64 random bits          48  label, 16 bytes
//  24  from: rank; level in the tree (u8)
//
// Little endian. Another name, another epoch or a wrong checksum makes a frame foreign: it is dropped. Where a group has a
// secret, frames travel in envelopes (envelope.ts), whose version is 2.
import type { Bytes } from './merge.ts';

export const headerBytes = 64;
const version = 1;
export const sealedVersion = 2;
export const magic = [0x57, 0x47, 0x4e];

/** Kinds of frames. */
export const Kind = {
  /** I am here; epoch: my own random number; payload: size, fanOut, treeAbove. */
  hello: 1,
  /** I know all ranks; epoch: what follows from their numbers. */
  ready: 2,
  /** A part of a collective. */
  data: 3,
  /** Send me your part of this call again. */
  resend: 4,
  /** This group has failed; payload: why, as JSON. */
  fault: 5,
  /** I leave. */
  bye: 6,
} as const;

/** Collectives. */
export const Op = { allGather: 1, merge: 2, broadcast: 3, barrier: 4, reduceScatter: 5 } as const;
export const opNames = [
  'none',
  'allGather',
  'allReduce or allMerge',
  'broadcast',
  'barrier',
  'reduceScatter',
] as const;

/** Level of what rank 0 sends back to all. */
export const resultLevel = 255;

export interface Frame {
  kind: number;
  op: number;
  root: number;
  epoch: Epoch;
  from: number;
  level: number;
  seq: number;
  done: number;
  bytes: number;
  offset: number;
  elements: number;
  label: string;
  payload: Bytes;
}

/** 64 bits, as two u32. */
export type Epoch = readonly [number, number];

export const sameEpoch = (a: Epoch, b: Epoch): boolean => a[0] === b[0] && a[1] === b[1];

/** FNV-1a (Fowler, Noll and Vo) of a text. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** One round of MurmurHash3 (Austin Appleby, public domain) per word. */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** The epoch of a group: what the random numbers of its ranks, in rank order, have in common. */
export function commonEpoch(nonces: readonly Epoch[]): Epoch {
  const half = (seed: number) => nonces.flat().reduce(mix, seed) >>> 0;
  return [half(1), half(2)];
}

/** Of all words but the checksum's own. */
export function checksum(words: Uint32Array): number {
  let hash = words.length;
  for (let i = 0; i < words.length; i++) if (i !== 3) hash = mix(hash, words[i] as number);
  return hash >>> 0;
}

/** Fields that are not given are 0 or empty; `bytes` is that of the payload. Payloads are multiples of 4 bytes. */
export function encode(group: number, frame: Partial<Frame> & Pick<Frame, 'kind' | 'epoch' | 'from'>): Bytes {
  const { payload = new Uint8Array(), label = '' } = frame;
  const all = new Uint8Array(headerBytes + payload.length);
  const view = new DataView(all.buffer);
  all.set([...magic, version, frame.kind, frame.op ?? 0]);
  view.setUint16(6, frame.root ?? 0, true);
  view.setUint32(8, group, true);
  view.setUint32(16, frame.epoch[0], true);
  view.setUint32(20, frame.epoch[1], true);
  view.setUint16(24, frame.from, true);
  view.setUint8(26, frame.level ?? 0);
  const rest = [frame.seq, frame.done, frame.bytes ?? payload.length, frame.offset, frame.elements];
  rest.forEach((value, i) => {
    view.setUint32(28 + 4 * i, value ?? 0, true);
  });
  for (let i = 0; i < label.length; i++) all[48 + i] = label.charCodeAt(i);
  all.set(payload, headerBytes);
  return seal(all);
}

/** Writes the checksum of a frame that is otherwise complete. */
export function seal(frame: Bytes): Bytes {
  new DataView(frame.buffer).setUint32(12, checksum(new Uint32Array(frame.buffer)), true);
  return frame;
}

/**
 * Null if this is no frame of that group, or one that was damaged on its way; 'sealed' if it is the envelope of a group that
 * has a secret; 'version' if it is of another version of this protocol.
 */
export function decode(group: number, given: Uint8Array): Frame | 'version' | 'sealed' | null {
  if (given.length < headerBytes || given.length % 4 !== 0) return null;
  if (magic.some((byte, i) => given[i] !== byte)) return null;
  // Payloads are read as floats in place, which needs alignment.
  const aligned = given.byteOffset % 8 === 0 && given.buffer instanceof ArrayBuffer;
  const all = aligned ? (given as Bytes) : Uint8Array.from(given);
  const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
  if (view.getUint32(8, true) !== group) return null;
  // All versions have the magic, the group and the checksum in the same places. A flipped bit is no other version.
  const isSealed = all[3] === sealedVersion;
  const words = new Uint32Array(all.buffer, all.byteOffset, (isSealed ? headerBytes : all.byteLength) / 4);
  if (view.getUint32(12, true) !== checksum(words)) return null;
  if (isSealed) return 'sealed';
  if (all[3] !== version) return 'version';
  const word = (at: number) => view.getUint32(at, true);
  const payload = all.subarray(headerBytes);
  const frame: Frame = {
    kind: all[4] as number,
    op: all[5] as number,
    root: view.getUint16(6, true),
    epoch: [word(16), word(20)],
    from: view.getUint16(24, true),
    level: all[26] as number,
    seq: word(28),
    done: word(32),
    bytes: word(36),
    offset: word(40),
    elements: word(44),
    label: String.fromCharCode(...all.subarray(48, headerBytes)).replace(/\0+$/, ''),
    payload,
  };
  return frame.offset % 8 === 0 && frame.offset + payload.length <= frame.bytes ? frame : null;
}

const encoder = new TextEncoder();

/** Text as a payload, padded with blanks. */
export function textPayload(text: string): Bytes {
  const bytes = encoder.encode(text);
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4).fill(0x20);
  padded.set(bytes);
  return padded;
}
