/** What the bench asks of another library. */
import type { Results, Subject } from '../subject.ts';

/** A row prepared in a peer, on the subject's own input buffers. */
export interface PeerRun {
  /** Starts `times` runs; awaits what the peer's own call makes its callers await. The bench waits for the device. */
  run(times: number): Promise<void>;
  /** What the last run gave. */
  results(): Promise<Results>;
  destroy(): Promise<void>;
}

export interface Peer {
  /** Name and version. */
  name: string;
  /** undefined where the peer has no such op. */
  prepare(subject: Subject): Promise<PeerRun | undefined>;
}

/** Starts a library that brings its own device, which the bench and all other peers then run on too. */
export type DevicePeerStart = () => Promise<{ peer: Peer; device: GPUDevice }>;
/** Starts a library on a device that is there. */
export type PeerStart = (device: GPUDevice) => Promise<Peer>;
