/**
 * Process groups over NATS: ranks in processes and on machines.
 *
 * Needs @nats-io/nats-core, and in Node and Deno for addresses that are no WebSockets @nats-io/transport-node.
 *
 * @packageDocumentation
 */
import type { ConnectionOptions, NatsConnection, Status } from '@nats-io/nats-core';
import { NormError } from '../gpu/errors.ts';
import { GroupError } from './errors.ts';
import { FramedGroup } from './framed-group.ts';
import { join } from './join.ts';
import { identity } from './member.ts';
import type { JoinOptions } from './process-group.ts';
import type { Transport } from './transport.ts';

/** Options of {@link NatsProcessGroup.join}. */
export interface NatsJoinOptions extends Partial<JoinOptions> {
  /**
   * Options of the NATS client: `servers`, `user` and `pass`, `token`, `authenticator`, `tls`, … Where `servers` is
   * missing, that of NATS_URL, or nats://127.0.0.1:4222.
   */
  nats?: ConnectionOptions | undefined;
  /** An open connection instead, which stays open when the group is closed. */
  connection?: NatsConnection | undefined;
  /** How subjects begin: `<prefix>.<group>.…`; for accounts with permissions. Default 'webgpu-norm'. */
  prefix?: string | undefined;
}

/** Ranks in processes and on machines that reach one NATS server or cluster. */
export class NatsProcessGroup extends FramedGroup {
  /**
   * Connects and meets the other ranks. rank, size, the group's name, its secret and the address that are not given come
   * from the environment variables RANK, WORLD_SIZE, GROUP_NAME, GROUP_SECRET and NATS_URL; `webgpu-norm launch` sets all but the
   * secret.
   *
   * @throws NormError `value`; {@link GroupError} `connection` (no server, refused credentials), `timeout`, `mismatch`,
   * `aborted`.
   */
  static async join(options: NatsJoinOptions = {}): Promise<NatsProcessGroup> {
    const { nats = {}, connection, prefix = 'webgpu-norm', ...rest } = options;
    const where: JoinOptions = {
      ...rest,
      rank: rest.rank ?? numberFrom('RANK'),
      size: rest.size ?? numberFrom('WORLD_SIZE'),
      group: rest.group ?? environment('GROUP_NAME') ?? 'default',
      secret: rest.secret === undefined ? environment('GROUP_SECRET') : rest.secret,
    };
    identity(where); // throws before anything is connected
    const open = connection ?? (await connect(nats, where));
    const subjects = `${prefix}.${where.group}`;
    return join(
      new NatsTransport(open, subjects, where.rank, connection === undefined),
      where,
      (...args) => new NatsProcessGroup(...args),
    );
  }
}

function environment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}

function numberFrom(name: string): number {
  const text = environment(name);
  if (text === undefined) {
    throw new NormError(
      'value',
      `${name} is not set, and no such option was given.`,
      `Pass rank and size, set RANK and WORLD_SIZE, or start with 'webgpu-norm launch'.`,
    );
  }
  return text.trim() === '' ? Number.NaN : Number(text);
}

async function connect(
  nats: ConnectionOptions,
  { rank, timeout, signal }: JoinOptions,
): Promise<NatsConnection> {
  const servers = nats.servers ?? (environment('NATS_URL') ?? 'nats://127.0.0.1:4222').split(',');
  const first = String(Array.isArray(servers) ? servers[0] : servers);
  const options: ConnectionOptions = {
    name: `webgpu-norm rank ${rank}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 50,
    timeout: Math.min(timeout ?? 30_000, 10_000),
    ...nats,
    servers,
  };
  const isWebSocket = /^wss?:/.test(first);
  if (isWebSocket && typeof WebSocket === 'undefined') {
    throw new GroupError(
      'connection',
      `${first} is a WebSocket, which this platform lacks.`,
      'Use a nats:// address, or Node 22 or newer.',
      [rank],
    );
  }
  if (signal?.aborted) throw new GroupError('aborted', 'Joining was aborted.', 'Join again.', [rank]);
  try {
    if (isWebSocket) {
      const { wsconnect } = await import('@nats-io/nats-core');
      return await wsconnect(options);
    }
    // A name that bundlers do not follow: in browsers there is no such transport.
    const transport = '@nats-io/transport-node';
    const { connect } = await import(/* @vite-ignore */ transport);
    return await connect(options);
  } catch (error) {
    throw connectionError(error, String(servers), [rank]);
  }
}

/** What went wrong with a connection, in our words. */
function connectionError(error: unknown, servers: string, ranks: readonly number[]): GroupError {
  const { name = '', code = '', message = String(error) } = (error ?? {}) as Error & { code?: string };
  if (/MODULE_NOT_FOUND|Cannot find (module|package)|Failed to resolve/.test(`${code} ${message}`)) {
    return new GroupError(
      'connection',
      'The NATS client is not installed.',
      'npm install @nats-io/nats-core @nats-io/transport-node; in browsers use a ws:// or wss:// address.',
      ranks,
      error,
    );
  }
  if (name.includes('Authori') || name.includes('Authentication') || /authori[sz]ation/i.test(message)) {
    return new GroupError(
      'connection',
      `NATS at ${servers} refused the credentials: ${message}.`,
      'Pass user and pass, token or authenticator in the option `nats`.',
      ranks,
      error,
    );
  }
  if (name.includes('Permission')) {
    return new GroupError(
      'connection',
      `NATS at ${servers} forbids a subject: ${message}.`,
      'Allow the user to publish and subscribe to `<prefix>.<group>.>`.',
      ranks,
      error,
    );
  }
  return new GroupError(
    'connection',
    `NATS at ${servers} cannot be reached: ${message}.`,
    'Start a nats-server (npm run nats), and check NATS_URL and firewalls.',
    ranks,
    error,
  );
}

/** How long closing waits for the server to take what is left, in ms. */
const longestFlush = 500;

/** Listens to one connection on behalf of all groups on it, as long as there are any. */
class ConnectionWatch {
  static readonly #ofConnection = new WeakMap<NatsConnection, ConnectionWatch>();
  readonly #connection: NatsConnection;
  readonly #listeners = new Set<(error: unknown) => void>();
  #status: (AsyncIterable<Status> & { stop?(): void }) | undefined;

  static of(connection: NatsConnection): ConnectionWatch {
    const known = ConnectionWatch.#ofConnection.get(connection);
    if (known) return known;
    const made = new ConnectionWatch(connection);
    ConnectionWatch.#ofConnection.set(connection, made);
    return made;
  }

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
    void connection.closed().then((error) => this.#tell(error ?? new Error('the connection was closed')));
  }

  add(listener: (error: unknown) => void): void {
    this.#listeners.add(listener);
    if (!this.#status) void this.#watch();
  }

  remove(listener: (error: unknown) => void): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    // The client's iterator has it, though its type does not say so: an iterator's return() would wait for the next status.
    this.#status?.stop?.();
    this.#status = undefined;
  }

  /** Errors that belong to no subscription, such as a subject that may not be published to. */
  async #watch(): Promise<void> {
    this.#status = this.#connection.status();
    for await (const status of this.#status) if (status.type === 'error') this.#tell(status.error);
  }

  #tell(error: unknown): void {
    for (const listener of [...this.#listeners]) listener(error);
  }
}

/** Frames as messages: `<subjects>.all.<seq>` for all ranks, `<subjects>.<rank>.<seq>` for one. */
class NatsTransport implements Transport {
  /** The client connects again by itself, but what was under way meanwhile may be lost. */
  readonly reliable = false;
  readonly #connection: NatsConnection;
  readonly #subjects: string;
  readonly #rank: number;
  readonly #owns: boolean;
  readonly #subscriptions: { unsubscribe(): void }[] = [];
  #broken: (error: NormError) => void = () => {};
  #closed = false;

  constructor(connection: NatsConnection, subjects: string, rank: number, owns: boolean) {
    this.#connection = connection;
    this.#subjects = subjects;
    this.#rank = rank;
    this.#owns = owns;
  }

  get maxFrame(): number {
    return this.#connection.info?.max_payload ?? 2 ** 20;
  }

  send(frame: Uint8Array, seq: number, to?: number): void {
    if (this.#closed) return;
    try {
      this.#connection.publish(`${this.#subjects}.${to ?? 'all'}.${seq}`, frame);
    } catch (error) {
      this.#fail(error);
    }
  }

  listen(receive: (frame: Uint8Array) => void, broken: (error: NormError) => void): void {
    this.#broken = broken;
    try {
      for (const to of ['all', this.#rank]) {
        const subscription = this.#connection.subscribe(`${this.#subjects}.${to}.*`, {
          callback: (error, message) => (error ? this.#fail(error) : receive(message.data)),
        });
        this.#subscriptions.push(subscription);
      }
      ConnectionWatch.of(this.#connection).add(this.#fail);
    } catch (error) {
      this.#fail(error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    ConnectionWatch.of(this.#connection).remove(this.#fail);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    // Without a server, flushing would wait for one for ever.
    const flushed = this.#connection.isClosed() ? undefined : this.#connection.flush().catch(() => {});
    let patience: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => {
      patience = setTimeout(resolve, longestFlush);
    });
    await Promise.race([flushed, late]);
    clearTimeout(patience);
    if (this.#owns) await this.#connection.close();
  }

  readonly #fail = (error: unknown): void => {
    if (!this.#closed) this.#broken(connectionError(error, this.#connection.getServer(), [this.#rank]));
  };
}
