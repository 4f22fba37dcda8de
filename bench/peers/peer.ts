/** What the bench asks of another library. */
import type { Results } from '../compare.ts';
import type { Subject } from '../subject.ts';

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

/** Where the libraries come from. */
export interface PeerSources {
  /** URLs of onnxruntime-web's module, and of its WebAssembly: the folder, or the two files. */
  onnxRuntime: { module: string; wasm: string | { mjs: string; wasm: string } };
  tfjs(): Promise<typeof import('./tfjs-library.ts')>;
}

/** As the bench's own server hands them out. */
export const servedPeers: PeerSources = {
  onnxRuntime: { module: '/onnxruntime-web/ort.webgpu.min.mjs', wasm: '/onnxruntime-web/' },
  tfjs: () => import(/* @vite-ignore */ `${location.origin}/tfjs.mjs`),
};

/** Starts a library that brings its own device, which the bench and all other peers then run on too. */
export type DevicePeerStart = (sources: PeerSources) => Promise<{ peer: Peer; device: GPUDevice }>;
/** Starts a library on a device that is there. */
export type PeerStart = (device: GPUDevice, sources: PeerSources) => Promise<Peer>;
