import { startOnnxRuntime } from './onnxruntime.ts';
import type { DevicePeerStart, PeerStart } from './peer.ts';
import { startTfjs } from './tfjs.ts';

export { type Peer, type PeerRun, type PeerSources, servedPeers } from './peer.ts';

/** The library that brings the device: onnxruntime-web takes no other. */
export const firstPeerStart: DevicePeerStart = startOnnxRuntime;

/** The other libraries that rows are compared with; each is a file beside these and a line here. */
export const peerStarts: readonly PeerStart[] = [startTfjs];
