import { startOnnxRuntime } from './onnxruntime.ts';
import type { PeerStart } from './peer.ts';

export type { Peer, PeerRun } from './peer.ts';

/**
 * The libraries that rows are compared with. Another one (tfjs) is a file beside onnxruntime.ts and a line here; as long
 * as all share one page, all but the first must be able to borrow a device.
 */
export const peerStarts: readonly PeerStart[] = [startOnnxRuntime];
