/** A rank that does as it is told: in a process, a thread of a page, or with all others in one realm. */
import {
  LocalProcessGroup,
  MessagePortProcessGroup,
  type PortLike,
  type ProcessGroup,
} from '../../../src/distributed/index.ts';
import type { Gpu } from '../../../src/index.ts';
import { train } from './training.ts';
import { type Failure, startTimeout, trainUntilFailure } from './victim.ts';

/** What a rank is told. */
export interface Orders {
  transport: 'nats' | 'ports' | 'channel' | 'local';
  rank: number;
  size: number;
  group: string;
  timeout: number;
  /** NATS: its address. */
  url?: string;
  /** A MessagePort of the hub. */
  port?: PortLike;
  /** Samples of every rank, to train with; else the rank goes on until its group fails. */
  sizes?: readonly number[];
  /** Whose state counts. */
  root?: number;
  /** Local: who dies, after how many ms, and the state of all others. */
  victim?: number;
  moment?: number;
  states?: (number[] | undefined)[];
}

export type Failed = { kind: 'failed'; rank: number; timers: number } & Failure;
export type Said = { kind: 'ready' } | { kind: 'trained'; state: number[] } | Failed;

/** Joins over ports; other transports are the platform's. */
export function joinPorts({ transport, port, ...orders }: Orders): Promise<ProcessGroup> {
  const rest = { ...orders, timeout: startTimeout };
  const line = transport === 'ports' ? port : new BroadcastChannel(rest.group);
  return MessagePortProcessGroup.join(line as PortLike, rest);
}

/** The function that orders are given to. `timers` counts those of the realm that run. */
export function obedient(
  gpu: Gpu,
  join: (orders: Orders) => Promise<ProcessGroup>,
  say: (said: Said) => void,
  timers: () => number,
): (orders: Orders) => Promise<void> {
  let state: number[] | undefined;
  return async (orders) => {
    if (orders.transport === 'local') return obeyLocally(gpu, orders, say);
    const before = timers();
    const group = await join(orders);
    if (orders.sizes) {
      const trained = await train(gpu, group, orders.sizes);
      await group.barrier();
      await group.close();
      say({ kind: 'trained', state: trained });
      return;
    }
    const { root = 0, rank, timeout } = orders;
    const ready = () => say({ kind: 'ready' });
    const failure = await trainUntilFailure(gpu, group, state, { root, timeout }, ready);
    await group.close();
    if (!failure) return;
    state = failure.state;
    say({ kind: 'failed', rank, timers: timers() - before, ...failure });
  };
}

/** All ranks in this realm; the victim just stops. */
async function obeyLocally(gpu: Gpu, orders: Orders, say: (said: Said) => void): Promise<void> {
  const { size, timeout, root = 0, victim, moment, states } = orders;
  const groups = LocalProcessGroup.create(size);
  const { tensors } = gpu.memory();
  const failures: Failed[] = [];
  let ready = 0;
  let over = false;
  const begin = () => {
    ready++;
    if (ready === size) {
      setTimeout(() => {
        over = true;
      }, moment);
    }
  };
  await Promise.all(
    groups.map(async (group) => {
      const dead = () => group.rank === victim && over;
      const failure = await trainUntilFailure(
        gpu,
        group,
        states?.[group.rank],
        { root, timeout },
        begin,
        dead,
      );
      if (failure) failures.push({ kind: 'failed', rank: group.rank, timers: 0, ...failure });
    }),
  );
  await Promise.all(groups.map((group) => group.close()));
  // The ranks share a context: what one leaves behind can only be told at the end.
  // Fewer where the garbage collector has been here.
  const leaked = Math.max(0, gpu.memory().tensors - tensors);
  for (const failure of failures) say({ ...failure, leaked });
}
