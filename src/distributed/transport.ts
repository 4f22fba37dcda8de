import type { NormError } from '../gpu/errors.ts';
import type { Bytes } from './merge.ts';

/**
 * Carries frames between the ranks of a group. It knows nothing of what is in them: order, completeness, timeouts and
 * strangers are the group's business (framed-group.ts). It may lose, repeat, reorder or invent frames.
 */
export interface Transport {
  /** The longest frame in bytes, more than 64. */
  readonly maxFrame: number;
  /** Whether every frame that is sent arrives, as long as its receiver lives. */
  readonly reliable: boolean;
  /** Bytes that it adds to a frame. */
  readonly overhead?: number;
  /** Frames that it dropped since no member can have sent them. */
  readonly refused?: number;
  /** Sends to one rank, or to all others. `seq` is for the address alone. Returns at once; the frame is not reused. */
  send(frame: Bytes, seq: number, to?: number): void;
  /** Called once. `receive` gets every frame from then on; `broken` is told that nothing will come any more. */
  listen(receive: (frame: Uint8Array) => void, broken: (error: NormError) => void): void;
  /** Sends what is left and stops. */
  close(): Promise<void>;
}
