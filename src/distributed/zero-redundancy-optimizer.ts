import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import type { Parameter, ZeroGradOptions } from '../nn/parameter.ts';
import { GradScaler } from '../optim/grad-scaler.ts';
import { Optimizer, type ParamGroup, type ParamGroupOptions } from '../optim/optimizer.ts';
import { decodeOptimizer, saveOptimizer } from '../optim/save-optimizer.ts';
import type { OptimizerStateDict } from '../optim/state-dict.ts';
import { checkGroup } from './check-group.ts';
import { fingerprint, kind } from './gradients.ts';
import type { ProcessGroup } from './process-group.ts';
import { lengthsOf, packBytes, readWords, unpackBytes, wordsOf, writeWords } from './tensor-words.ts';

/** Options of {@link ZeroRedundancyOptimizer.step}. */
export interface ZeroRedundancyStepOptions {
  /** The scaler of the loss: the step is then what {@link GradScaler.step} makes of it. `update` it afterwards. Default: none. */
  scaler?: GradScaler | undefined;
}

/** A class of optimizers: `AdamW`, `SGD`, … */
export type OptimizerClass<Settings extends object, Options extends object> = new (
  params: Iterable<Parameter> | Iterable<ParamGroupOptions<Settings>>,
  options?: Options,
) => Optimizer<Settings>;

/**
 * An optimizer whose state is spread over the ranks of a group: ZeRO stage 1 (Rajbhandari et al. 2020, arXiv 1910.02054), as
 * torch.distributed.optim.ZeroRedundancyOptimizer. Each parameter belongs to one rank, which alone has its state and steps it, and then
 * gives it to the others: the parameters are those of the plain optimizer, bit for bit, and a rank has about one Nth of the state.
 *
 * All ranks have the same parameters in the same order and, when they step, the same gradients: those of
 * {@link DistributedDataParallel}. Parameters are dealt out as PyTorch does: group by group, the largest first, each to the rank that has
 * least so far.
 *
 * @example
 * const optimizer = new ZeroRedundancyOptimizer(ddp.parameters(), AdamW, group, { lr: 1e-3 });
 * const schedule = new CosineAnnealingLR(optimizer.scheduled, 1000);
 * await optimizer.step();
 * optimizer.zeroGrad();
 * schedule.step();
 */
export class ZeroRedundancyOptimizer<
  Settings extends { lr: number },
  Options extends object = Record<string, never>,
> {
  readonly gpu: Gpu;
  /** The ranks. */
  readonly group: ProcessGroup;
  /**
   * What schedules of learning rates take: an optimizer of all parameters with the settings that the next step has. It has no state;
   * do not step it.
   */
  readonly scheduled: Optimizer<Settings>;
  readonly #make: OptimizerClass<Settings, Options>;
  /** The rank of each parameter. */
  readonly #ranks = new Map<Parameter, number>();
  /** Elements of each rank. */
  readonly #sizes: number[];
  /** The optimizer of this rank's parameters; none where it has none. Its groups are those of `scheduled` in which it has some. */
  #own: Optimizer<Settings> | undefined;
  #consolidated: OptimizerStateDict<HostTensor> | undefined;

  /**
   * @param params - parameters, or groups of them with settings of their own.
   * @param optimizer - the class of the optimizer.
   * @param group - the ranks, this one among them.
   * @param options - the optimizer's own.
   * @throws NormError `value` for what is no class of optimizers; as the optimizer.
   */
  constructor(
    params: Iterable<Parameter> | Iterable<ParamGroupOptions<Settings>>,
    optimizer: OptimizerClass<Settings, Options>,
    group: ProcessGroup,
    options?: Options,
  ) {
    if (typeof optimizer !== 'function' || !(optimizer.prototype instanceof Optimizer)) {
      throw new NormError('value', `optimizer is ${shown(optimizer)}.`, 'Pass a class such as AdamW.');
    }
    this.group = checkGroup(group, 'The group');
    this.#make = optimizer;
    this.#sizes = new Array<number>(group.size).fill(0);
    this.scheduled = new optimizer(params, options);
    this.gpu = this.scheduled.gpu;
    for (const one of this.paramGroups) this.#deal(one);
  }

  /** The groups of all parameters, in order. Their settings, such as `lr`, can be changed between steps; alike on all ranks. */
  get paramGroups(): readonly ParamGroup<Settings>[] {
    return this.scheduled.paramGroups;
  }

  /**
   * Adds a group, as {@link Optimizer.addParamGroup}. On all ranks.
   *
   * @throws NormError as there.
   */
  addParamGroup(group: ParamGroupOptions<Settings>): void {
    this.checkUsable();
    this.scheduled.addParamGroup(group);
    this.#deal(this.paramGroups.at(-1) as ParamGroup<Settings>);
    this.#consolidated = undefined;
  }

  /**
   * A step of all ranks: each steps its parameters, and all get them. Parameters that have no gradient stay as they are.
   *
   * @throws NormError as {@link Optimizer.step} and {@link GradScaler.step}; nothing has changed then. GroupError `mismatch` if the
   * ranks have other parameters, and as allGather: then this rank's parameters have moved and the others have not, so go on from a
   * saved state, or from another rank's ({@link broadcastState}).
   */
  async step(options: ZeroRedundancyStepOptions = {}): Promise<void> {
    this.checkUsable();
    checkOptions('step', options, { scaler: 'other' });
    const { scaler } = options;
    if (scaler !== undefined && !(scaler instanceof GradScaler)) {
      throw new NormError('value', `scaler is ${shown(scaler)}.`, 'Pass a GradScaler.');
    }
    // What is wrong with any parameter is wrong on all ranks: none is to wait for the others.
    this.scheduled.checkStep();
    this.#passSettings();
    const move = (skip?: Tensor) => this.#own?.stepUnless(skip, {});
    if (scaler) scaler.stepBy(this.scheduled as Optimizer<{ lr: number }>, {}, move);
    else move();
    this.#consolidated = undefined;
    const all = this.paramGroups.flatMap(({ params }) => params);
    const shards = this.#sizes.map((_, rank) => this.#dataOf(all, rank));
    const values = await readWords(this.gpu, shards[this.group.rank] as Tensor[]);
    const parts = await this.group.allGather(values, {
      lengths: shards.map(wordsOf),
      label: `zero.${fingerprint(all.map(({ data }) => kind(data)))}`,
    });
    for (const { data } of all) this.gpu.checkUsable(data, 'a parameter');
    shards.forEach((shard, rank) => {
      if (rank !== this.group.rank) writeWords(shard, parts[rank] as Float32Array<ArrayBuffer>);
    });
  }

  /** Forgets the gradients of all parameters, as {@link Optimizer.zeroGrad}. */
  zeroGrad(options: ZeroGradOptions = {}): void {
    this.scheduled.zeroGrad(options);
  }

  /**
   * Brings the state of all ranks to one, for {@link stateDict}: PyTorch's consolidate_state_dict. All ranks call it.
   *
   * @param options.to - the rank. Default 0.
   * @throws NormError `value`, `destroyed`; GroupError as allGather.
   */
  async consolidateStateDict(options: { to?: number | undefined } = {}): Promise<void> {
    checkOptions('consolidateStateDict', options, { to: 'number' });
    this.checkUsable();
    const { to = 0 } = options;
    const { rank, size } = this.group;
    if (!Number.isInteger(to) || to < 0 || to >= size) {
      throw new NormError('value', `to is ${shown(to)}.`, `Use a rank from 0 to ${size - 1}.`);
    }
    this.#passSettings();
    const file = this.#own ? await saveOptimizer(this.#own as Optimizer<{ lr: number }>) : new Uint8Array();
    const values = packBytes(file);
    const lengths = await lengthsOf(this.group, values.length, 'zero.lengths');
    const files = await this.group.allGather(values, { lengths, label: 'zero.state' });
    if (rank !== to) return;
    const { param_groups } = this.scheduled.stateDict();
    const state: OptimizerStateDict<HostTensor>['state'] = {};
    files.forEach((one, from) => {
      const bytes = unpackBytes(one);
      if (bytes.length === 0) return;
      const part = decodeOptimizer(bytes);
      const indices = this.#indicesOf(from);
      for (const [index, entry] of Object.entries(part.state)) {
        state[indices[Number(index)] as number] = entry;
      }
    });
    this.#consolidated = { state, param_groups };
  }

  /**
   * The state and the settings of all parameters, as {@link consolidateStateDict} brought them here: what the plain optimizer's stateDict
   * has, in host memory.
   *
   * @throws NormError `order` on other ranks, and where there was a step since.
   */
  stateDict(): OptimizerStateDict<HostTensor> {
    this.checkUsable();
    if (this.#consolidated) return this.#consolidated;
    throw new NormError(
      'order',
      `The state is spread over ${this.group.size} ranks.`,
      'Await consolidateStateDict({ to }) on all ranks first, after the last step; then rank `to` has it.',
    );
  }

  /**
   * Takes over the state and the settings of a dictionary, as {@link Optimizer.loadStateDict}: that of {@link stateDict}, of any number
   * of ranks, or of the plain optimizer. All ranks are given the same one; each keeps its part.
   *
   * @throws NormError as there, for the part of this rank, which has not changed then.
   */
  loadStateDict(dict: OptimizerStateDict): void {
    this.checkUsable();
    const before = this.scheduled.stateDict();
    // What is wrong with it as a whole; settings it takes, and state it is not given.
    const { state: given } = dict ?? {};
    this.scheduled.loadStateDict({ ...dict, state: typeof given === 'object' && given ? {} : given });
    if (this.#own) {
      const own = this.#own;
      const indices = dict.param_groups.flatMap(({ params }) => params);
      const state = Object.fromEntries(
        this.#indicesOf(this.group.rank).flatMap((at, i) => {
          const entry = dict.state[indices[at] as number];
          return entry ? [[i, entry]] : [];
        }),
      );
      try {
        this.#passSettings();
        own.loadStateDict({ state, param_groups: own.stateDict().param_groups });
      } catch (error) {
        this.scheduled.loadStateDict(before);
        this.#passSettings();
        throw error;
      }
    }
    this.#consolidated = undefined;
  }

  /** Frees the state. The parameters are not the optimizer's. Idempotent. */
  destroy(): void {
    if (!(#ranks in this)) throw proxied('ZeroRedundancyOptimizer');
    this.#own?.destroy();
    this.scheduled.destroy();
    this.#consolidated = undefined;
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws unless it can be used. */
  checkUsable(): void {
    if (!(#ranks in this)) throw proxied('ZeroRedundancyOptimizer');
    this.scheduled.checkUsable();
  }

  /** Gives each parameter of a new group to a rank: PyTorch's _partition_parameters. */
  #deal({ params, ...settings }: ParamGroup<Settings>): void {
    for (const parameter of [...params].sort((a, b) => b.data.size - a.data.size)) {
      const rank = this.#sizes.indexOf(Math.min(...this.#sizes));
      this.#ranks.set(parameter, rank);
      this.#sizes[rank] = (this.#sizes[rank] as number) + parameter.data.size;
    }
    const own = params.filter((parameter) => this.#ranks.get(parameter) === this.group.rank);
    if (own.length === 0) return;
    const group = { ...settings, params: own } as unknown as ParamGroupOptions<Settings>;
    if (this.#own) this.#own.addParamGroup(group);
    else this.#own = new this.#make([group]);
  }

  /** Settings are changed in the groups of all parameters. */
  #passSettings(): void {
    const groups = this.paramGroups.filter(({ params }) =>
      params.some((parameter) => this.#ranks.get(parameter) === this.group.rank),
    );
    groups.forEach(({ params: _, ...settings }, i) => {
      Object.assign(this.#own?.paramGroups[i] as object, settings);
    });
  }

  #dataOf(all: readonly Parameter[], rank: number): Tensor[] {
    return all.flatMap((parameter) => (this.#ranks.get(parameter) === rank ? [parameter.data] : []));
  }

  /** Which of all parameters a rank's optimizer has, in its order. */
  #indicesOf(rank: number): number[] {
    const all = this.paramGroups.flatMap(({ params }) => params);
    return all.flatMap((parameter, i) => (this.#ranks.get(parameter) === rank ? [i] : []));
  }
}
