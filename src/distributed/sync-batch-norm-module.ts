import { NormError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkOptions, listOf } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { BatchNorm, type BatchNormModuleOptions, innerBatchNorm } from '../nn/batch-norm.ts';
import { Module } from '../nn/module.ts';
import {
  backwardNames,
  type ForwardOptions,
  forwardNames,
  type ModulePrepareOptions,
  type ResidualBackwardOptions,
} from '../nn/norm-module.ts';
import type { Parameter } from '../nn/parameter.ts';
import { keepCount } from '../nn/running-norm.ts';
import type { Like } from '../ops/check.ts';
import type { RunningVariance } from '../ops/conventions.ts';
import { checkGroup } from './check-group.ts';
import { backwardInSteps, forwardInSteps, prepareInSteps } from './module-steps.ts';
import type { CollectiveOptions, ProcessGroup } from './process-group.ts';
import { refuseRecording } from './refuse-recording.ts';
import { backwardTogether, forwardTogether, recorded } from './sync-batch-norm.ts';

/** Options of {@link SyncBatchNorm}. */
export interface SyncBatchNormModuleOptions extends BatchNormModuleOptions {
  /** The ranks whose inputs are normalized together. */
  group: ProcessGroup;
}

const waitingNames = { signal: 'other', timeout: 'number' } as const;
const { gate: _, ...plainForwardNames } = forwardNames;
const syncForwardNames = { ...plainForwardNames, ...waitingNames };
const { outGate: __, ...plainBackwardNames } = backwardNames;
const syncBackwardNames = { ...plainBackwardNames, ...waitingNames };

type Waiting = Pick<CollectiveOptions, 'signal' | 'timeout'>;

/** Options of SyncBatchNorm's forward. `encoder` and `pass` are for evaluation: training cannot be recorded. */
export interface SyncForwardOptions extends Omit<ForwardOptions, 'gate'>, Waiting {}

/** Options of SyncBatchNorm's backward, likewise. */
export interface SyncBackwardOptions extends ResidualBackwardOptions, Waiting {}

/** What a norm that waits for nobody is told. */
function withoutWaiting<Options extends object>(options: Options | undefined): Omit<Options, keyof Waiting> {
  const { signal: _, timeout: __, ...rest } = (options ?? {}) as Options & Waiting;
  return rest;
}

/** Takes inputs of any number of spatial dimensions. */
class AnyBatchNorm extends BatchNorm {
  protected override readonly ranks = [2, 3, 4, 5, 6, 7, 8];
}

/**
 * torch.nn.SyncBatchNorm: BatchNorm over the inputs of all ranks of a group. See {@link syncBatchNorm} for what the
 * ranks say to each other. In training forward and backward promise their result: every rank has to call them, in the same
 * order. Until the promise is settled, leave x alone.
 *
 * Without training, and in a group of one rank, it is BatchNorm: forward returns a tensor at once, can be recorded, and
 * says nothing to other ranks. dweight and dbias are those of this
 * rank: add them up with {@link syncGradients}.
 */
export class SyncBatchNorm extends Module {
  #group: ProcessGroup;
  readonly #norm: BatchNorm;
  /** Elements of a channel in all replicas of the last forward; undefined if it was BatchNorm's own. */
  #total: number | undefined;
  #busy = false;

  /**
   * @param numFeatures - channels.
   * @param norm - a BatchNorm whose parameters and buffers it shares, in place of new ones.
   * @throws NormError `value`, `dtype`.
   */
  constructor(gpu: Gpu, numFeatures: number, options: SyncBatchNormModuleOptions, norm?: BatchNorm) {
    super(gpu);
    const { group, ...settings } = options ?? {};
    this.#group = checkGroup(group);
    this.#norm = norm ?? new AnyBatchNorm(gpu, numFeatures, settings);
    this.training = this.#norm.training;
    this.shareRegistry(this.#norm);
  }

  /** The ranks whose inputs are normalized together. */
  get group(): ProcessGroup {
    this.checkOwn();
    return this.#group;
  }

  /**
   * @internal From now on these ranks. The last forward is forgotten, since backward would go with other ranks.
   */
  regroup(group: ProcessGroup): void {
    if (group === this.#group) return;
    this.#group = checkGroup(group);
    this.#total = undefined;
    this.#norm.keepForward(null);
  }

  /** @internal The BatchNorm that does its work, to take its place. */
  revert(): BatchNorm {
    const norm = this.#norm;
    norm.training = this.training;
    norm.replicas = 1;
    norm.keepForward(null);
    return norm;
  }

  /** @internal Throws `order` while a call is under way. */
  checkIdle(): void {
    this.#check();
  }

  get numFeatures(): number {
    return this[innerBatchNorm].numFeatures;
  }

  get eps(): number {
    return this[innerBatchNorm].eps;
  }

  /** As BatchNorm's. */
  get runningVariance(): RunningVariance {
    return this[innerBatchNorm].runningVariance;
  }

  /** γ, or null. */
  get weight(): Parameter | null {
    return this[innerBatchNorm].weight;
  }

  set weight(value: Parameter | null) {
    this[innerBatchNorm].weight = value;
  }

  /** β, or null. */
  get bias(): Parameter | null {
    return this[innerBatchNorm].bias;
  }

  set bias(value: Parameter | null) {
    this[innerBatchNorm].bias = value;
  }

  /** As BatchNorm's. */
  get runningMean(): Tensor | null {
    return this[innerBatchNorm].runningMean;
  }

  set runningMean(value: Tensor | null) {
    this[innerBatchNorm].runningMean = value;
  }

  get runningVar(): Tensor | null {
    return this[innerBatchNorm].runningVar;
  }

  set runningVar(value: Tensor | null) {
    this[innerBatchNorm].runningVar = value;
  }

  get numBatchesTracked(): Tensor | null {
    return this[innerBatchNorm].numBatchesTracked;
  }

  set numBatchesTracked(value: Tensor | null) {
    this[innerBatchNorm].numBatchesTracked = value;
  }

  /** As BatchNorm's: it can be changed at any time; the same on all ranks. */
  get momentum(): number | null {
    return this[innerBatchNorm].momentum;
  }

  set momentum(momentum: number | null) {
    this[innerBatchNorm].momentum = momentum;
  }

  /** As BatchNorm's. */
  get trackRunningStats(): boolean {
    return this[innerBatchNorm].trackRunningStats;
  }

  set trackRunningStats(track: boolean) {
    this[innerBatchNorm].trackRunningStats = track;
  }

  /** @internal */
  get [innerBatchNorm](): BatchNorm {
    this.checkOwn();
    return this.#norm;
  }

  /** Whether forward promises its result: in training, in a group of several ranks. */
  override get asynchronous(): boolean {
    this.checkOwn();
    return this.#communicates;
  }

  /** As BatchNorm's. */
  resetRunningStats(): void {
    this[innerBatchNorm].resetRunningStats();
  }

  /**
   * y = activation(norm(x) + residual), shape and dtype of x; in training promised, for when all ranks have called.
   *
   * @throws NormError as {@link syncBatchNorm}, `unsupported` for an encoder or pass in training; GroupError. The running
   * statistics are then as they were.
   */
  override forward(x: Tensor, options: SyncForwardOptions = {}): Tensor | Promise<Tensor> {
    this.checkOwn();
    this.#check();
    checkOptions('forward', options, syncForwardNames);
    if (this.#communicates) {
      return SyncBatchNorm.forwardAll([[this, x, options]], options).then(([y]) => y as Tensor);
    }
    return this.#alone(x, options);
  }

  /**
   * Backward of the last forward: dx, shape and dtype of x; promised where forward was. Adds to the gradients of weight
   * and bias.
   *
   * @throws NormError `order` before forward, or after one with a residual; as {@link syncBatchNormBackward}. No gradient
   * is then changed.
   */
  override backward(
    dy: Tensor,
    options: Omit<SyncBackwardOptions, 'outResidual'> = {},
  ): Tensor | Promise<Tensor> {
    this.checkOwn();
    this.#check();
    checkOptions('backward', options, syncBackwardNames);
    if (this.#total === undefined) return this.#norm.backward(dy, withoutWaiting(options));
    return SyncBatchNorm.backwardAll([[this, dy, options]], options).then(([dx]) => dx as Tensor);
  }

  /** Backward of a forward with a residual: dx and dresidual. Otherwise as {@link backward}. */
  backwardResidual(
    dy: Tensor,
    options: SyncBackwardOptions = {},
  ): { dx: Tensor; dresidual: Tensor } | Promise<{ dx: Tensor; dresidual: Tensor }> {
    this.checkOwn();
    this.#check();
    checkOptions('backwardResidual', options, syncBackwardNames);
    if (this.#total === undefined) return this.#norm.backwardResidual(dy, withoutWaiting(options));
    return this.#backwardResidual(dy, options, this.#total);
  }

  async #backwardResidual(dy: Tensor, options: SyncBackwardOptions, total: number) {
    refuseRecording(options, recorded);
    const step = backwardInSteps(this.#norm, dy, options);
    if (!step.residual) {
      throw new NormError('order', 'The last forward() had no residual.', 'Call backward().');
    }
    const [result] = await SyncBatchNorm.#together([this], () =>
      backwardTogether(this.gpu, [{ backward: step.backward, total }], { ...options, group: this.group }),
    );
    step.keep();
    return { dx: result?.dx as Tensor, dresidual: result?.dresidual as Tensor };
  }

  /** forward of BatchNorm's own. */
  #alone(x: Tensor, options: SyncForwardOptions | undefined): Tensor {
    const y = this.#norm.forward(x, withoutWaiting(options));
    this.#total = undefined;
    return y;
  }

  /**
   * forward of several layers that do not need each other's results, such as parallel branches, with one read-back and
   * one collective for all. Every rank gives the same layers in the same order.
   *
   * @param calls - module, input and options (`out`, `residual`, `schedule`) of each.
   * @returns y of each.
   * @throws NormError `value` if the modules differ in group, device, mode or dtype of their inputs; else as {@link forward}.
   * Then none of them has changed.
   */
  static async forwardAll(
    calls: readonly (readonly [SyncBatchNorm, Tensor, Omit<SyncForwardOptions, keyof Waiting>?])[],
    waiting: Waiting = {},
  ): Promise<Tensor[]> {
    const modules = SyncBatchNorm.#modulesOf(calls);
    const first = SyncBatchNorm.#first(modules);
    if (!first) return [];
    if (!first.#communicates) {
      return calls.map(([module, x, options]) => module.#alone(x, options));
    }
    for (const [, x] of calls) first.gpu.checkUsable(x, 'x');
    if (new Set(calls.map(([, x]) => x.dtype)).size > 1) {
      throw new NormError('value', 'The inputs differ in dtype.', 'Call forward() of each.');
    }
    for (const [, , options = {}] of calls) refuseRecording(options, recorded);
    const steps = calls.map(([module, x, options = {}]) => forwardInSteps(module.#norm, x, options));
    const results = await SyncBatchNorm.#together(modules, () =>
      forwardTogether(
        first.gpu,
        steps.map(({ forward }) => forward),
        { ...waiting, group: first.group },
      ),
    );
    return results.map((result, i) => {
      steps[i]?.keep(result);
      (modules[i] as SyncBatchNorm).#total = result.count;
      return result.y;
    });
  }

  /** backward of several layers, as {@link forwardAll}. */
  static async backwardAll(
    calls: readonly (readonly [SyncBatchNorm, Tensor, Omit<SyncBackwardOptions, keyof Waiting>?])[],
    waiting: Waiting = {},
  ): Promise<Tensor[]> {
    const modules = SyncBatchNorm.#modulesOf(calls);
    const first = SyncBatchNorm.#first(modules);
    if (!first) return [];
    if (modules.every((module) => module.#total === undefined)) {
      return calls.map(([module, dy, options]) => module.#norm.backward(dy, withoutWaiting(options)));
    }
    for (const [, , options = {}] of calls) refuseRecording(options, recorded);
    const steps = calls.map(([module, dy, options = {}]) => {
      const step = backwardInSteps(module.#norm, dy, options);
      if (module.#total === undefined || step.residual) {
        throw new NormError(
          'order',
          step.residual ? 'forward() had a residual.' : 'The last forward() did not communicate.',
          step.residual ? 'Call backwardResidual().' : 'Call backward() of each.',
        );
      }
      return { ...step, total: module.#total };
    });
    const results = await SyncBatchNorm.#together(modules, () =>
      backwardTogether(first.gpu, steps, { ...waiting, group: first.group }),
    );
    for (const { keep } of steps) keep();
    return results.map(({ dx }) => dx);
  }

  /** Compiles what forward and backward need for inputs of that shape, without blocking. */
  override async prepare(shape: readonly number[], options: ModulePrepareOptions = {}): Promise<void> {
    this.checkOwn();
    this.#check();
    if (!this.#communicates) return this.#norm.prepare(shape, options);
    await prepareInSteps(this.#norm, shape, options);
  }

  protected override accepts(input: Like, out?: Tensor): readonly number[] | null {
    if (this.forward !== SyncBatchNorm.prototype.forward) return super.accepts(input);
    this.#check();
    return this.#norm.acceptsInput(input, out);
  }

  protected override acceptsBackward(output: Like, out?: Tensor): void {
    if (this.backward !== SyncBatchNorm.prototype.backward) return;
    this.#check();
    this.#norm.acceptsGradient(output, out);
  }

  /** As torch's. */
  protected override get stateVersion(): number {
    return 2;
  }

  protected override adaptState(
    entries: Map<string, Tensor | HostTensor>,
    prefix: string,
    version: number | undefined,
    _problems: string[],
  ): void {
    keepCount(entries, prefix, version, this.numBatchesTracked);
  }

  override destroy(): void {
    this[innerBatchNorm].destroy();
    super.destroy();
  }

  get #communicates(): boolean {
    return this.group.size > 1 && this.training;
  }

  /** Throws unless the module can be used; the norm is told its mode and whom it goes with. */
  #check(): void {
    this.checkUsable();
    this.#norm.training = this.training;
    this.#norm.replicas = this.#communicates ? this.group.size : 1;
    if (this.#busy) throw new NormError('order', 'A call of this module is under way.', 'Await it first.');
  }

  /** The modules of calls. Throws `value` unless each begins with one. */
  static #modulesOf(calls: readonly (readonly [SyncBatchNorm, ...unknown[]])[]): SyncBatchNorm[] {
    return listOf('The calls', calls).map((call) => {
      const [module] = Array.isArray(call) ? call : [];
      if (module instanceof SyncBatchNorm) return module;
      throw new NormError('value', `${shown(call)} is no call.`, 'Pass [SyncBatchNorm, tensor, options].');
    });
  }

  /** The first of the modules, if all can go together. */
  static #first(modules: readonly SyncBatchNorm[]): SyncBatchNorm | undefined {
    const [first] = modules;
    for (const module of modules) {
      module.#check();
      const alike = module.group === first?.group && module.gpu.device === first.gpu.device;
      if (
        !alike ||
        module.training !== first.training ||
        modules.lastIndexOf(module) !== modules.indexOf(module)
      ) {
        throw new NormError(
          'value',
          'The modules differ in group, device or mode, or one is there twice.',
          'Call each by itself.',
        );
      }
    }
    return first;
  }

  static async #together<T>(modules: readonly SyncBatchNorm[], body: () => Promise<T>): Promise<T> {
    for (const module of modules) module.#busy = true;
    try {
      return await body();
    } finally {
      for (const module of modules) module.#busy = false;
    }
  }
}
