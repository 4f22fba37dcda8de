import type { NormError } from '../gpu/errors.ts';
import { defaultGroup, identity, type Member } from './member.ts';
import type { JoinOptions } from './process-group.ts';
import { Rendezvous } from './rendezvous.ts';
import { SealedTransport } from './sealed-transport.ts';
import type { Transport } from './transport.ts';

/** Directs a transport's frames to a group. */
export type TakeOver = (receive: (frame: Uint8Array) => void, broken: (error: NormError) => void) => void;

/** Meets the other ranks and makes the group of them. If that fails, the transport is closed. */
export async function join<G>(
  given: Transport,
  options: JoinOptions,
  make: (transport: Transport, member: Member, takeOver: TakeOver) => G,
): Promise<G> {
  const own = identity(options);
  const transport = await withSecret(given, options);
  const rendezvous = new Rendezvous(transport, own, options.signal);
  let receive = (frame: Uint8Array) => rendezvous.receive(frame);
  let broken = (error: NormError) => rendezvous.fail(error);
  transport.listen(
    (frame) => receive(frame),
    (error) => broken(error),
  );
  rendezvous.start();
  try {
    const member = await rendezvous.met;
    return make(transport, member, (listener, failed) => {
      receive = listener;
      broken = failed;
      for (const frame of rendezvous.takeBacklog()) listener(frame);
    });
  } catch (error) {
    await transport.close();
    throw error;
  }
}

/** The transport, or where the group has a secret one on which nobody else is heard. */
async function withSecret(transport: Transport, { secret, group, rank }: JoinOptions): Promise<Transport> {
  if (secret === undefined) return transport;
  try {
    return await SealedTransport.over(transport, secret, group ?? defaultGroup, rank);
  } catch (error) {
    await transport.close();
    throw error;
  }
}
