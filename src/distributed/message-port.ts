import { NormError } from '../gpu/errors.ts';
import { FramedGroup } from './framed-group.ts';
import { join } from './join.ts';
import { identity } from './member.ts';
import type { Bytes } from './merge.ts';
import type { JoinOptions } from './process-group.ts';
import type { Transport } from './transport.ts';

/** What MessagePort and BroadcastChannel have in common, in browsers, Deno and Node's worker_threads. */
export interface PortLike {
  postMessage(message: unknown): void;
  // biome-ignore lint/suspicious/noExplicitAny: the platforms disagree about what an event is
  addEventListener(type: 'message' | 'messageerror', listener: (event: any) => void): void;
  /** MessagePorts deliver only after this. */
  start?(): void;
  close(): void;
}

/** A frame on its way. Ports carry other things too: what lacks the tag is not ours. */
interface Envelope {
  tag: typeof tag;
  from: number;
  /** Absent: all. */
  to?: number | undefined;
  frame: Bytes;
}

const tag = 'webgpu-norm/frame';

function isEnvelope(data: unknown): data is Envelope {
  const { tag: its, from, frame } = (data ?? {}) as Partial<Envelope>;
  return its === tag && typeof from === 'number' && frame instanceof Uint8Array;
}

/**
 * Ranks in Web Workers, tabs or Node's worker_threads. They share a BroadcastChannel of one name, or each has a
 * MessagePort of one {@link MessagePortHub}.
 */
export class MessagePortProcessGroup extends FramedGroup {
  /**
   * Meets the other ranks. The port is the group's from then on, and is closed with it.
   *
   * @throws NormError `value`; {@link GroupError} `timeout`, `mismatch`, `aborted`.
   */
  static async join(port: PortLike, options: JoinOptions): Promise<MessagePortProcessGroup> {
    if (typeof port?.postMessage !== 'function' || typeof port.addEventListener !== 'function') {
      throw new NormError('value', 'This is no MessagePort.', 'Pass a MessagePort or a BroadcastChannel.');
    }
    identity(options); // throws before anything is listened to
    return join(
      portTransport(port, options.rank),
      options,
      (...args) => new MessagePortProcessGroup(...args),
    );
  }
}

function portTransport(port: PortLike, rank: number): Transport {
  return {
    maxFrame: Number.POSITIVE_INFINITY,
    reliable: true,
    send(frame, _, to) {
      const envelope: Envelope = { tag, from: rank, to, frame };
      port.postMessage(envelope);
    },
    listen(receive) {
      port.addEventListener('message', ({ data }) => {
        if (isEnvelope(data) && (data.to === undefined || data.to === rank)) receive(data.frame);
      });
      port.start?.();
    },
    async close() {
      port.close();
    },
  };
}

/**
 * Joins MessagePorts, as an ethernet hub does cables: what comes in at one goes out at all others, or at the one it is
 * meant for. It lives in the page or the main thread; each rank gets a port of {@link connect}.
 */
export class MessagePortHub {
  readonly #ports = new Set<MessagePort>();
  readonly #portOf = new Map<number, MessagePort>();

  /** A port for one rank, to be transferred to its worker: `worker.postMessage({ port }, [port])`. */
  connect(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#ports.add(port1);
    port1.addEventListener('message', ({ data }) => {
      if (!isEnvelope(data)) return;
      this.#portOf.set(data.from, port1);
      const only = data.to === undefined ? undefined : this.#portOf.get(data.to);
      for (const port of only ? [only] : this.#ports) if (port !== port1) port.postMessage(data);
    });
    // Not all platforms tell that the other end is gone.
    port1.addEventListener('close', () => this.#ports.delete(port1));
    port1.start();
    return port2;
  }

  /** Closes all ports. */
  close(): void {
    for (const port of this.#ports) port.close();
    this.#ports.clear();
    this.#portOf.clear();
  }
}
