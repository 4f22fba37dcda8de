import { NormError } from '../gpu/errors.ts';
import { checkKind, checkOptions, type OptionNames } from '../gpu/options.ts';
import type { FloatDType, Tensor } from '../gpu/tensor.ts';
import { type AwaitedOptions, backwardOf, forwardOf } from '../nn/awaited.ts';
import { checkModule, Module } from '../nn/module.ts';
import type { Like } from '../ops/check.ts';
import { checkGroup } from './check-group.ts';
import { broadcastParameters, checkBucketBytes, defaultBucketBytes } from './gradients.ts';
import type { ProcessGroup } from './process-group.ts';
import { Reducer } from './reducer.ts';
import { refuseRecording } from './refuse-recording.ts';
import { SyncBatchNorm } from './sync-batch-norm-module.ts';

/** Options of {@link DistributedDataParallel.wrap}. The same on all ranks. */
export interface DistributedDataParallelOptions {
  /** Most bytes of gradients, as f32, that travel together; the first bucket has at most 1 MiB. Default 25 MiB: PyTorch's bucket_cap_mb. */
  bucketBytes?: number | undefined;
  /** Gives all ranks the buffers of rank 0, such as running statistics, before a forward in training. Default true. */
  broadcastBuffers?: boolean | undefined;
  /**
   * A parameter may be without a gradient on some ranks, where it counts as zero, or on all, where it stays without one. Nothing is
   * then sent before backward has ended. Default false: that is an error.
   */
  findUnusedParameters?: boolean | undefined;
}

const names = {
  bucketBytes: 'number',
  broadcastBuffers: 'boolean',
  findUnusedParameters: 'boolean',
} as const satisfies OptionNames<DistributedDataParallelOptions>;

/** Options of {@link DistributedDataParallel.join}. The same on all ranks. */
export interface JoinUnevenOptions {
  /**
   * Divides sums of gradients by the number of all ranks, also when some have run out of batches: then every sample counts alike. False:
   * by the number of ranks that still have some. Default true.
   */
  divideByInitialWorldSize?: boolean | undefined;
  /** False: all ranks have as many batches, and nothing is said about it. Default true. */
  enable?: boolean | undefined;
  /** Ends with `order` on all ranks as soon as one has run out of batches. Default false. */
  throwOnEarlyTermination?: boolean | undefined;
  /**
   * What a rank that has run out of batches does when the others have synchronized gradients, which it then has, too: the step of its
   * optimizer and zeroGrad, so that the optimizer's state stays the same on all ranks. Needed for {@link ZeroRedundancyOptimizer},
   * whose step is one of all ranks. Default: nothing, as in PyTorch.
   */
  shadow?: (() => unknown) | undefined;
}

const joinNames = {
  divideByInitialWorldSize: 'boolean',
  enable: 'boolean',
  throwOnEarlyTermination: 'boolean',
  shadow: 'function',
} as const satisfies OptionNames<JoinUnevenOptions>;

/** What a forward of the group is: who goes forward, and whether the backward after it synchronizes. */
interface Round {
  ranks: readonly number[];
  sync: boolean;
}

/** Which reducer has a model: that of the last wrap. */
const owners = new WeakMap<Module, Reducer>();

/** A join under way. */
interface Joining {
  divideByInitialWorldSize: boolean;
  throwOnEarlyTermination: boolean;
  /** The last round that somebody was in. */
  last: Round | undefined;
  /** The round whose backward is to come. */
  open: Round | undefined;
}

/**
 * A model that every rank of a group trains on its part of each batch: torch.nn.parallel.DistributedDataParallel. {@link backward}
 * leaves in every parameter the mean over the ranks of their gradients, on the GPU, with the same bits on all ranks.
 *
 * Gradients travel in buckets, the last parameters first. A bucket is on its way as soon as backward has submitted its last gradient,
 * while backward goes on; a parameter that several modules have, and what a module of yours adds without telling
 * `parameter.keepGradient` where, wait for its end. Sums are those of allReduce: f32 on the way, added in float64 in rank order.
 *
 * Every rank makes the same calls in the same order. There may be SyncBatchNorm inside, of the same group or another.
 *
 * It is a module whose state dict has the model's under `module.…`, as in PyTorch; destroy() destroys the model.
 *
 * @example
 * const ddp = await DistributedDataParallel.wrap(model, group);
 * const optimizer = new AdamW(ddp.parameters(), { lr: 1e-3 });
 * for (const x of myBatches) {
 *   const y = await ddp.forward(x);
 *   await ddp.backward(gradientOfTheLoss(y));
 *   optimizer.step();
 *   optimizer.zeroGrad();
 * }
 */
export class DistributedDataParallel<M extends Module = Module> extends Module {
  /** The model. */
  readonly module: M;
  /** The ranks. */
  readonly group: ProcessGroup;
  readonly #reducer: Reducer;
  readonly #broadcastsBuffers: boolean;
  /** Whether the next forward in training gives all ranks the buffers: the last one's gradients were to be synchronized. */
  #buffersDue = true;
  #quiet = false;
  #joining: Joining | undefined;

  private constructor(module: M, group: ProcessGroup, reducer: Reducer, broadcastsBuffers: boolean) {
    super(module.gpu);
    this.group = group;
    this.#reducer = reducer;
    this.#broadcastsBuffers = broadcastsBuffers;
    this.training = module.training;
    this.module = this.registerModule('module', module);
  }

  /**
   * Gives all ranks the parameters and buffers of rank 0, and makes the model a distributed one. What requires a gradient now is what is
   * synchronized: freeze the rest before, and wrap again when that changes, when a module is replaced, or in a new group after a
   * failure. What wrapped the model before can then be used no more.
   *
   * @param module - the model, of the same parameters and buffers on all ranks.
   * @param group - the ranks, this one among them.
   * @throws NormError `value` for a model without parameters that require a gradient, for parameters that are marked
   * `sequenceParallel`, and for options; `destroyed`; GroupError
   * `mismatch` if the models differ, and as broadcast. The model is then as it was.
   */
  static async wrap<M extends Module>(
    module: M,
    group: ProcessGroup,
    options: DistributedDataParallelOptions = {},
  ): Promise<DistributedDataParallel<M>> {
    checkModule(module);
    checkGroup(group, 'The group');
    checkOptions('DistributedDataParallel', options, names);
    const { broadcastBuffers = true, findUnusedParameters = false } = options;
    const bucketBytes = checkBucketBytes(options.bucketBytes ?? defaultBucketBytes);
    const reducer = new Reducer(module, group, { bucketBytes, findUnusedParameters });
    try {
      await broadcastParameters(module, group);
      const wrapped = new DistributedDataParallel(module, group, reducer, broadcastBuffers);
      owners.get(module)?.destroy();
      owners.set(module, reducer);
      return wrapped;
    } catch (error) {
      reducer.destroy();
      throw error;
    }
  }

  /** Always true: forward and backward promise their results. */
  override get asynchronous(): boolean {
    this.checkOwn();
    return true;
  }

  /**
   * The model's forward, which is given `options`. In training all ranks call it.
   *
   * @throws NormError `unsupported` for an encoder or pass; as the model; `order` within {@link join} where that is to throw,
   * `mismatch` where only some of the ranks are in noSync; GroupError.
   */
  override async forward(x: Tensor, options: AwaitedOptions = {}): Promise<Tensor> {
    this.checkWrapped();
    refuseRecording(options, 'DistributedDataParallel');
    this.gpu.checkUsable(x, 'x');
    if (this.training) await this.#begin(true);
    return forwardOf(this.module, x, options);
  }

  /**
   * The model's backward, which is given `options`; then, outside {@link noSync}, {@link synchronize}.
   *
   * @returns the gradient of forward's x on this rank, which is not averaged.
   * @throws NormError `unsupported` for an encoder or pass; as the model; as {@link synchronize}.
   */
  override async backward(dy: Tensor, options: AwaitedOptions = {}): Promise<Tensor> {
    this.checkWrapped();
    refuseRecording(options, 'DistributedDataParallel');
    this.gpu.checkUsable(dy, 'dy');
    this.#checkRound();
    let dx: Tensor;
    try {
      dx = await backwardOf(this.module, dy, options);
    } catch (error) {
      this.#reducer.abandon();
      throw error;
    }
    if (!this.#quiet) await this.synchronize();
    return dx;
  }

  /**
   * Waits until the gradients of all ranks are there, and leaves their mean in the parameters. {@link backward} does it; call it
   * yourself where you call the backward methods of the modules inside instead. All that they recorded must be submitted before.
   *
   * @throws NormError `order` within noSync; for a parameter without a gradient, which it names, unless `findUnusedParameters`; for
   * gradients that were added to when they had been sent; GroupError. The gradients are then those of this rank.
   */
  async synchronize(): Promise<void> {
    this.checkWrapped();
    if (this.#quiet) {
      throw new NormError(
        'order',
        'Within noSync() nothing is synchronized.',
        'Call synchronize() after it.',
      );
    }
    this.#checkRound();
    const { size } = this.group;
    const joining = this.#joining;
    const having = joining?.open?.ranks.length ?? size;
    if (joining) joining.open = undefined;
    await this.#reducer.finish(having, joining?.divideByInitialWorldSize === false ? having : size);
  }

  /**
   * Within `body` backward only adds to the gradients of this rank; the first backward after it sends all. PyTorch's no_sync: for batches
   * that are too large for one pass. All ranks do it for as many passes, with their forward inside.
   *
   * @returns what `body` returns.
   * @throws NormError `value`; what `body` throws.
   *
   * @example
   * await ddp.noSync(async () => ddp.backward(gradientOfTheLoss(await ddp.forward(half))));
   * await ddp.backward(gradientOfTheLoss(await ddp.forward(otherHalf)));
   * optimizer.step();
   */
  async noSync<T>(body: () => T): Promise<Awaited<T>> {
    this.checkWrapped();
    checkKind('noSync', 'body', body, 'function');
    const before = this.#quiet;
    this.#setQuiet(true);
    try {
      return await body();
    } finally {
      this.#setQuiet(before);
    }
  }

  /**
   * Lets ranks have unequal numbers of batches: PyTorch's join. A rank whose `body` has ended goes on to answer the others, with
   * zeros for gradients, until the last has ended; then all have its parameters and buffers, those of the lowest rank where several
   * end together. Every training step of `body` is one {@link forward} and one {@link backward}.
   *
   * Buffers are meanwhile those of the lowest rank that still has batches.
   *
   * @returns what `body` returns, when all ranks have come to their end.
   * @throws NormError `value`; `order` for a join within a join, and on all ranks with `throwOnEarlyTermination`; `unsupported` for a
   * model with SyncBatchNorm, which takes part in every forward: give it empty batches; what `body` and `shadow` throw; GroupError.
   *
   * @example
   * await ddp.join(async () => {
   *   for (const x of myBatches) await step(x);
   * });
   */
  async join<T>(body: () => T, options: JoinUnevenOptions = {}): Promise<Awaited<T>> {
    this.checkWrapped();
    checkKind('join', 'body', body, 'function');
    checkOptions('join', options, joinNames);
    const { divideByInitialWorldSize = true, enable = true, throwOnEarlyTermination = false } = options;
    if (!enable) return await body();
    if (this.#joining) {
      throw new NormError('order', 'A join of this is under way.', 'Await it first.');
    }
    if (!throwOnEarlyTermination && this.modules().some((module) => module instanceof SyncBatchNorm)) {
      throw new NormError(
        'unsupported',
        'A rank without batches cannot shadow the SyncBatchNorm in this model.',
        'Give such ranks empty batches, of no sample, or pass throwOnEarlyTermination: true.',
      );
    }
    const joining: Joining = {
      divideByInitialWorldSize,
      throwOnEarlyTermination,
      last: undefined,
      open: undefined,
    };
    this.#joining = joining;
    try {
      const result = await body();
      await this.#shadow(joining, options.shadow);
      return result;
    } finally {
      this.#joining = undefined;
    }
  }

  protected override accepts(input: Like, out?: Tensor): readonly number[] | null {
    const overridden = this.forward !== DistributedDataParallel.prototype.forward;
    return overridden ? super.accepts(input) : this.module.expects(input, out);
  }

  protected override acceptsBackward(output: Like, out?: Tensor): void {
    if (this.backward === DistributedDataParallel.prototype.backward)
      this.module.expectsBackward(output, out);
  }

  override outputShape(shape: readonly number[]): readonly number[] {
    return this.module.outputShape(shape);
  }

  override prepare(shape: readonly number[], options?: { dtype?: FloatDType | undefined }): Promise<void> {
    return this.module.prepare(shape, options);
  }

  override destroy(): void {
    this.checkOwn();
    this.#reducer.destroy();
    super.destroy();
  }

  /** @internal Throws `destroyed` unless it can be used. */
  protected checkWrapped(): void {
    this.checkUsable();
    if (owners.get(this.module) === this.#reducer) return;
    throw new NormError(
      'destroyed',
      'The model has been wrapped again since.',
      'Use what wrap() returned last.',
    );
  }

  #setQuiet(quiet: boolean): void {
    this.#quiet = quiet;
    this.#reducer.listening = !quiet;
  }

  /** What comes before every forward in training, on ranks without batches, too. */
  async #begin(active: boolean): Promise<Round> {
    const joining = this.#joining;
    const round = joining ? await this.#meet(joining, active) : { ranks: [0], sync: !this.#quiet };
    const [root] = round.ranks;
    if (root === undefined) return round;
    const buffers = this.#broadcastsBuffers && this.#buffersDue ? this.module.buffers() : [];
    if (buffers.length > 0) await broadcastParameters(buffers, this.group, { root });
    this.#buffersDue = round.sync;
    return round;
  }

  /** Tells the others whether this rank has a batch, and hears it of them. */
  async #meet(joining: Joining, active: boolean): Promise<Round> {
    const said = await this.group.allGather(Float32Array.of(Number(active), Number(!this.#quiet)), {
      label: 'ddp.join',
    });
    const ranks = said.flatMap(([has], rank) => (has === 1 ? [rank] : []));
    const sync = ranks.map((rank) => said[rank]?.[1] === 1);
    const someEnded = ranks.length > 0 && ranks.length < said.length;
    if (someEnded && joining.throwOnEarlyTermination) {
      throw new NormError(
        'order',
        `Of ${said.length} ranks only ${ranks.join(', ')} had another batch.`,
        'Give all ranks as many, or leave out throwOnEarlyTermination.',
      );
    }
    if (new Set(sync).size > 1) {
      throw new NormError(
        'mismatch',
        'Some of the ranks are in noSync(), others are not.',
        'Let all ranks run noSync() for the same steps.',
      );
    }
    const round = { ranks, sync: sync[0] === true };
    if (ranks.length > 0) joining.last = round;
    joining.open = active && round.sync ? round : undefined;
    return round;
  }

  /** Takes part in what the others do, until none has batches; then all have the state of one that was among the last. */
  async #shadow(joining: Joining, after: (() => unknown) | undefined): Promise<void> {
    const { size } = this.group;
    for (;;) {
      const { ranks, sync } = await this.#begin(false);
      if (ranks.length === 0) break;
      if (!sync) continue;
      await this.#reducer.finish(ranks.length, joining.divideByInitialWorldSize ? size : ranks.length, true);
      await after?.();
    }
    const root = joining.last?.ranks[0];
    if (root !== undefined) await broadcastParameters(this.module, this.group, { root });
  }

  /** Throws `order` where the ranks that have no batches do not know of a backward. */
  #checkRound(): void {
    if (!this.#joining || this.#quiet || this.#joining.open) return;
    throw new NormError(
      'order',
      'Within join(), backward came without a forward of this in training that was outside noSync(), too.',
      'Call forward() of the DistributedDataParallel before each backward, and train().',
    );
  }
}
