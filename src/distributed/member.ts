import { NormError } from '../gpu/errors.ts';
import { checkSignal } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { GroupError } from './errors.ts';
import { type Epoch, type Frame, hashText, sameEpoch, textPayload } from './frame.ts';
import type { Bytes } from './merge.ts';
import type { JoinOptions } from './process-group.ts';
import { secretBytes } from './secret.ts';

/** What a rank knows of itself before it has met the others. */
export interface Identity {
  rank: number;
  size: number;
  /** Hash of the group's name. */
  group: number;
  /** A random number: two processes with one rank, or one that was started again, differ by it. */
  nonce: Epoch;
  timeout: number;
  treeAbove: number;
  fanOut: number;
}

/** A rank that has met the others. */
export interface Member extends Identity {
  /** What the random numbers of all ranks make. */
  epoch: Epoch;
}

/** Later than this, in ms, setTimeout fires at once. */
const longestTimeout = 2 ** 31 - 1;
const mostRanks = 65_535;
export const defaultGroup = 'default';

/** A timeout in ms. Throws `value` unless it is one. */
export function checkTimeout(timeout: number): number {
  if (!(typeof timeout === 'number' && timeout > 0 && timeout <= longestTimeout)) {
    throw new NormError(
      'value',
      `timeout is ${shown(timeout)}.`,
      'Use milliseconds, more than 0 and below 2^31.',
    );
  }
  return timeout;
}

/** Throws `value` unless the options can be joined with. */
export function identity(options: JoinOptions): Identity {
  const { rank, size, group = defaultGroup, timeout = 30_000, treeAbove = 32, fanOut = 16 } = options ?? {};
  checkSignal(options?.signal);
  if (options?.secret !== undefined) secretBytes(options.secret);
  const integer = (name: string, value: number, least: number, most: number) => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    throw new NormError('value', `${name} is ${shown(value)}.`, `Use an integer from ${least} to ${most}.`);
  };
  integer('size', size, 1, mostRanks);
  integer('rank', rank, 0, size - 1);
  integer('treeAbove', treeAbove, 1, mostRanks);
  integer('fanOut', fanOut, 2, mostRanks);
  if (typeof group !== 'string' || !/^[\w-]{1,64}$/.test(group)) {
    throw new NormError(
      'value',
      `The group is named '${shown(group)}'.`,
      'Use up to 64 letters, digits, "-" and "_".',
    );
  }
  checkTimeout(timeout);
  const [a, b] = crypto.getRandomValues(new Uint32Array(2));
  const nonce: Epoch = [a as number, b as number];
  return { rank, size, group: hashText(group), nonce, timeout, treeAbove, fanOut };
}

/** The payload of a hello: what must be the same on all ranks. */
export const settingsOf = ({ size, fanOut, treeAbove }: Identity): Bytes =>
  new Uint8Array(Uint32Array.of(size, fanOut, treeAbove).buffer);

/** What stands against joining with the rank that said this hello; undefined if nothing does. */
export function objection(own: Identity, { from, epoch, payload }: Frame): GroupError | undefined {
  const { rank, size } = own;
  const wanted = settingsOf(own);
  if (payload.length !== wanted.length || payload.some((byte, i) => byte !== wanted[i])) {
    const [itsSize] = new Uint32Array(payload.buffer, payload.byteOffset, payload.byteLength / 4);
    const what =
      itsSize === size
        ? `Ranks ${from} and ${rank} join with different treeAbove or fanOut.`
        : `Rank ${from} joins a group of size ${itsSize}, rank ${rank} one of size ${size}.`;
    return new GroupError('mismatch', what, 'Start all ranks with the same WORLD_SIZE and options.', [
      from,
      rank,
    ]);
  }
  if (from !== rank || sameEpoch(epoch, own.nonce)) return undefined;
  return new GroupError(
    'mismatch',
    `There are two of rank ${rank} of ${size}.`,
    'Give every process a RANK of its own.',
    [rank],
  );
}

/** The payload of a fault. */
export function faultPayload({ code, message, fix, ranks }: GroupError): Bytes {
  return textPayload(JSON.stringify({ code, message: message.slice(0, -fix.length - 1), fix, ranks }));
}

const faultCodes = ['timeout', 'mismatch', 'aborted', 'rank-lost', 'connection', 'limit'] as const;

/** The error that another rank told of; undefined if the payload is none. */
export function readFault({ payload }: Frame): GroupError | undefined {
  try {
    const told = JSON.parse(new TextDecoder().decode(payload));
    const code = faultCodes.find((one) => one === told.code);
    if (!code || !Array.isArray(told.ranks)) return undefined;
    return new GroupError(code, String(told.message), String(told.fix), told.ranks.map(Number));
  } catch {
    return undefined;
  }
}
