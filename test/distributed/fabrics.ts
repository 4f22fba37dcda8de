/** The transports under one interface, so that one suite runs over all of them. */

import {
  type JoinOptions,
  LocalProcessGroup,
  MessagePortHub,
  MessagePortProcessGroup,
  type ProcessGroup,
} from '../../src/distributed/index.ts';
import { NatsProcessGroup } from '../../src/distributed/nats.ts';
import { type NatsServer, natsServer } from './nats-server.ts';

export interface Fabric {
  name: string;
  /** Whether ranks have to find each other. */
  meets: boolean;
  /** Bytes that travel with a frame's payload. */
  framing: number;
  start(): Promise<void>;
  /** All ranks of a new group. */
  groups(size: number, options?: Partial<JoinOptions>): Promise<ProcessGroup[]>;
  /** One rank, where ranks meet. */
  join(options: JoinOptions): Promise<ProcessGroup>;
  stop(): Promise<void>;
}

let made = 0;
/** A name that no other group has had. */
export const groupName = () => `group-${process.pid}-${++made}`;

const local: Fabric = {
  name: 'local',
  meets: false,
  framing: 64,
  async start() {},
  async groups(size, options) {
    return LocalProcessGroup.create(size, options);
  },
  join() {
    throw new Error('local ranks do not meet');
  },
  async stop() {},
};

function meeting(fabric: Omit<Fabric, 'meets' | 'groups' | 'framing'>): Fabric {
  return {
    ...fabric,
    meets: true,
    framing: 64,
    groups(size, options) {
      const group = groupName();
      const ranks = Array.from({ length: size }, (_, rank) => ({ group, size, ...options, rank }));
      return Promise.all(ranks.map((one) => fabric.join(one)));
    },
  };
}

let hubs = new Map<string, MessagePortHub>();
const hub = meeting({
  name: 'MessagePorts of a hub',
  async start() {},
  async join(options) {
    const { group = '' } = options;
    let its = hubs.get(group);
    if (!its) {
      its = new MessagePortHub();
      hubs.set(group, its);
    }
    return MessagePortProcessGroup.join(its.connect(), options);
  },
  async stop() {
    for (const one of hubs.values()) one.close();
    hubs = new Map();
  },
});

const channel = meeting({
  name: 'BroadcastChannel',
  async start() {},
  join: (options) => MessagePortProcessGroup.join(new BroadcastChannel(options.group ?? ''), options),
  async stop() {},
});

let server: NatsServer | undefined;
/** Small messages, so that everything longer comes in pieces. */
const nats = meeting({
  name: 'NATS',
  async start() {
    server = await natsServer({ maxPayload: 1024 });
  },
  join: (options) => NatsProcessGroup.join({ nats: { servers: server?.url ?? '' }, ...options }),
  async stop() {
    await server?.stop();
  },
});

/** The same, where the ranks share a secret. */
function secretly(fabric: Fabric): Fabric {
  const secret = 'sixteen letters at least';
  return {
    ...fabric,
    name: `${fabric.name} with a secret`,
    framing: 128,
    groups: (size, options) => fabric.groups(size, { secret, ...options }),
    join: (options) => fabric.join({ secret, ...options }),
  };
}

export const fabrics: readonly Fabric[] = [local, hub, channel, nats, secretly(channel), secretly(nats)];
