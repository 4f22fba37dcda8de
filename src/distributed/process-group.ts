import type { Merge } from './merge.ts';

/** Options of every collective call. */
export interface CollectiveOptions {
  /** Ends the call on all ranks with `aborted`. */
  signal?: AbortSignal | undefined;
  /** Milliseconds until the call ends with `timeout`, naming the missing ranks. Default: the group's. */
  timeout?: number | undefined;
  /**
   * Up to 16 ASCII characters that say what the call is about. Ranks whose labels differ end with `mismatch`: it tells
   * calls of equal lengths apart.
   */
  label?: string | undefined;
}

/** Options of collectives in which every rank has a part of its own: allGather, reduceScatter. */
export interface PartOptions extends CollectiveOptions {
  /** How many floats each rank has, in rank order; the same list on all ranks. Default: all have as many. */
  lengths?: readonly number[] | undefined;
}

/** What a rank has sent and received in collectives, in {@link ProcessGroup.traffic}. */
export interface Traffic {
  collectives: number;
  /** Bytes handed to the transport, framing included: one message to all other ranks counts once. */
  bytesSent: number;
  /** Bytes that came from other ranks, framing included. */
  bytesReceived: number;
}

/**
 * Ranks 0 … size − 1 that call the same collectives in the same order, as torch.distributed's ProcessGroup.
 *
 * Every call gets a sequence number when it is made, so calls may overlap as long as every rank makes them in the same
 * order. The results are the same on every rank, bit for bit. Payloads may be reused as soon as a call returned its
 * promise. A call that cannot finish rejects with a {@link GroupError}:
 *
 * - `timeout`: ranks are missing; the error names them.
 * - `mismatch`: ranks called something else, or with another length or label.
 * - `aborted`: the AbortSignal, here or on another rank.
 * - `rank-lost`: another rank closed its group.
 * - `connection`: the transport failed.
 * - `limit`: over ports or in one realm, a rank is 1024 calls ahead of another, or 1 GiB beyond the other's next call.
 * - `value`, `destroyed`: the arguments; this group was closed. Then nothing was sent.
 *
 * After any of these but the last two the group has failed, on all ranks: the calls under way reject, and so do later
 * ones. Close it and join a new one, which messages of the old one cannot reach.
 */
export interface ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly traffic: Readonly<Traffic>;

  /** The values of every rank, in rank order. The length must be the same on all ranks, or as `lengths` says. */
  allGather(values: Float32Array, options?: PartOptions): Promise<Float32Array<ArrayBuffer>[]>;

  /**
   * This rank's part of the sum over the ranks: with its bits what {@link allReduce} gives, for a rank's share of the traffic.
   * Parts follow each other in rank order.
   *
   * @param values - as many as all parts together. Without `lengths`, a multiple of the number of ranks.
   */
  reduceScatter(values: Float32Array, options?: PartOptions): Promise<Float32Array<ArrayBuffer>>;

  /** The sum over the ranks, added in float64 in a fixed order, rounded once. */
  allReduce(values: Float32Array, options?: CollectiveOptions): Promise<Float32Array<ArrayBuffer>>;

  /**
   * The values of all ranks made into one by an associative operation, in a fixed order: what allReduce does with a
   * sum. Large groups merge by a tree of ranks.
   */
  allMerge(
    values: Float32Array,
    merge: Merge,
    options?: CollectiveOptions,
  ): Promise<Float64Array<ArrayBuffer>>;

  /** The values of rank `root`. Other ranks give an array of the same length, whose contents do not matter. */
  broadcast(
    values: Float32Array,
    root: number,
    options?: CollectiveOptions,
  ): Promise<Float32Array<ArrayBuffer>>;

  /** Resolves when every rank has called it. */
  barrier(options?: CollectiveOptions): Promise<void>;

  /**
   * Leaves the group: calls under way reject with `destroyed` here, and on ranks that still need this one with
   * `rank-lost`. Idempotent.
   */
  close(): Promise<void>;
}

/** How ranks find each other, with every transport. */
export interface JoinOptions {
  /** This rank, from 0; each is there once. */
  rank: number;
  /** How many ranks there are; the same on all of them. */
  size: number;
  /** Names the group: ranks with other names do not meet. Letters, digits, `-`, `_`. Default 'default'. */
  group?: string | undefined;
  /** Milliseconds that joining may take, and every later call where it says nothing else. Default 30,000. */
  timeout?: number | undefined;
  /** Ends joining with `aborted`. */
  signal?: AbortSignal | undefined;
  /**
   * What the ranks share and nobody else knows: at least 16 bytes, or a string of as many in UTF-8, better random than
   * thought up (`openssl rand -hex 32`). The same on all ranks. Every message then carries an authentication code
   * (HMAC-SHA-256, cut to 128 bits), and messages of anybody else, or said before, are dropped as if they had not come. It
   * hides nothing: for that, encrypt the connection. Default: none, and whoever can send to the ranks is believed.
   */
  secret?: string | Uint8Array | undefined;
  /** Most ranks that merge everything by themselves; more merge by a tree. The same on all ranks. Default 32. */
  treeAbove?: number | undefined;
  /** Ranks that one rank of the tree merges; it sets the order of all merges. The same on all ranks. Default 16. */
  fanOut?: number | undefined;
}
