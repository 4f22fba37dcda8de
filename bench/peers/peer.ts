/** What the bench asks of another library. */
import type { Subject } from '../subject.ts';

/** A row prepared in a peer, on the subject's own input buffers. */
export interface PeerRun {
  /** Starts `times` runs; awaits what the peer's own call makes its callers await. The bench waits for the device. */
  run(times: number): Promise<void>;
  /** The y of the last run. */
  y(): Promise<Float32Array>;
  destroy(): Promise<void>;
}

export interface Peer {
  /** Name and version. */
  name: string;
  /** The peer's device, which the bench then runs on too. */
  device: GPUDevice;
  /** undefined where the peer has no such op. */
  prepare(subject: Subject): Promise<PeerRun | undefined>;
}

/** Each starts its library on a device of that library's own. */
export type PeerStart = () => Promise<Peer>;
