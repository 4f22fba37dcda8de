import { checkContext } from '../gpu/check-context.ts';
import { NormError } from '../gpu/errors.ts';
import { type RecordOptions, recordNames } from '../gpu/execute.ts';
import { filled } from '../gpu/filled.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkKind, checkOptions, type OptionNames } from '../gpu/options.ts';
import { proxied } from '../gpu/proxied.ts';
import { shown } from '../gpu/shown.ts';
import { type FloatDType, Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import { StateDict } from '../io/state-dict.ts';
import { floatDType, type Like } from '../ops/check.ts';
import { bindField, checkField } from './fields.ts';
import {
  type BackwardHook,
  type BackwardPreHook,
  type ForwardHook,
  type ForwardPreHook,
  type HookHandle,
  ModuleHooks,
} from './hooks.ts';
import { type LoadableState, type LoadResult, loadable, loadState } from './load-state.ts';
import { clearGradients, convertParameters, Parameter, type ZeroGradOptions } from './parameter.ts';
import { joined, modulePaths, namedIn, once, Registry } from './registry.ts';

/** Options of every module's forward and backward. */
export interface PassOptions extends RecordOptions {
  /** The result is written here instead of to a new tensor: its shape and dtype, none of the elements of what is still needed. */
  out?: Tensor | undefined;
}

/** @internal */
export const passNames = { ...recordNames, out: 'tensor' } as const satisfies OptionNames<PassOptions>;

/**
 * torch.nn.Module: named parameters, buffers and modules on one context.
 *
 * @remarks A module of your own registers what it has in its constructor and overrides {@link forward} and
 * {@link backward}. backward goes with the last forward, which therefore keeps what it needs: forward, backward,
 * forward, backward. Commands that are recorded but not yet submitted keep referring to it, so what every pass writes
 * anew is to be used again, not freed.
 */
export abstract class Module {
  readonly gpu: Gpu;
  /** Whether it is training, true at first; see {@link train}. */
  training = true;
  #registry = new Registry();
  #hooks: ModuleHooks | undefined;
  #destroyed = false;

  constructor(gpu: Gpu) {
    checkContext(gpu);
    this.gpu = gpu;
  }

  /**
   * The output for x. An override writes it to `options.out` where that is given, else to a new tensor, which is the
   * caller's. Most modules return it at once; those that are {@link asynchronous} promise it.
   *
   * @throws NormError `unsupported` unless overridden.
   */
  forward(_x: Tensor, _options?: PassOptions): Tensor | Promise<Tensor> {
    throw this.#lacks('forward');
  }

  /**
   * The gradient of forward's x, given that of its output; adds to the gradients of the parameters. An override writes
   * it to `options.out` where that is given, else to a new tensor, which is the caller's.
   *
   * @throws NormError `unsupported` unless overridden.
   */
  backward(_dy: Tensor, _options?: PassOptions): Tensor | Promise<Tensor> {
    throw this.#lacks('backward');
  }

  /** Whether forward and backward, here or in a module inside, wait for something: SyncBatchNorm's do. */
  get asynchronous(): boolean {
    return this.children().some((child) => child.asynchronous);
  }

  /** The shape of forward's output for an input of that shape; the same unless overridden. */
  outputShape(shape: readonly number[]): readonly number[] {
    return shape;
  }

  /**
   * Compiles what forward and backward need for inputs of that shape and dtype, without blocking, so that recording never
   * stalls. Nothing unless overridden.
   */
  async prepare(_shape: readonly number[], _options?: { dtype?: FloatDType | undefined }): Promise<void> {}

  /** @internal Vue leaves it as it is. */
  get __v_skip(): boolean {
    return true;
  }

  /** @internal Throws `value` if this is a Proxy of a module. */
  checkOwn(): void {
    if (!(#registry in this)) throw proxied('Module');
  }

  /** @internal What this module has by name, with what was assigned to fields of these names. */
  get registry(): Registry {
    this.checkOwn();
    // A class field of a registered name is defined after registering (`norm = this.registerModule('norm', …)`): it is
    // bound, and what it has is taken, at the next look.
    for (const name of this.#registry.names()) {
      const value = this.#bind(name);
      if (value !== undefined && value !== this.#registry.get(name)) this.#assign(name, value);
    }
    return this.#registry;
  }

  #bind(name: string): unknown {
    return bindField(
      this,
      name,
      () => this.#registry.get(name),
      (value) => this.#assign(name, value),
    );
  }

  #assign(name: string, value: unknown): void {
    const { parameters, buffers } = this.#registry;
    if (parameters.has(name)) this.registerParameter(name, value as Parameter | null);
    else if (buffers.has(name)) {
      this.registerBuffer(name, value as Tensor | null, { persistent: buffers.get(name)?.persistent });
    } else this.registerModule(name, value as Module | null);
  }

  /** Throws `value` unless this can be registered by that name, as what it is to be or null. */
  #checkEntry(name: string, kind: 'parameters' | 'buffers' | 'modules', value: unknown): void {
    this.registry.checkName(name, kind);
    const needed = { parameters: Parameter, buffers: Tensor, modules: Module }[kind];
    checkField(this, name, needed, value);
  }

  /** The parameter of that name. */
  protected parameterOf(name: string): Parameter | null {
    this.checkOwn();
    return this.#registry.parameters.get(name) ?? null;
  }

  /** The buffer of that name. */
  protected bufferOf(name: string): Tensor | null {
    this.checkOwn();
    return this.#registry.buffers.get(name)?.tensor ?? null;
  }

  /** @internal The tensors of its parameters and buffers as they are now: what a Replay compares. */
  protected registeredTensors(): readonly (Tensor | null)[] {
    return this.#registry.tensors();
  }

  /** From now on this module has what another one has by name: the two are the same but for what they do. */
  protected shareRegistry(other: Module): void {
    this.#registry = other.#registry;
  }

  /**
   * Names a parameter of this module, or says with null that it has none of that name. In place of one of the same
   * name, which is yours again. `module.name` is then that parameter, and assigning to it registers another: a parameter that
   * two modules have is how they are tied.
   *
   * @throws NormError `value` if the name is empty, has a dot or is that of a buffer or module; `wrong-device`.
   * @returns the parameter.
   */
  registerParameter<T extends Parameter | null>(name: string, parameter: T): T {
    this.checkUsable();
    this.#checkEntry(name, 'parameters', parameter);
    if (parameter) this.gpu.checkUsable(parameter.data, name);
    this.#registry.setParameter(name, parameter);
    this.#bind(name);
    return parameter;
  }

  /**
   * Names a tensor that is no parameter but belongs to the module's state, such as running statistics; or null. The
   * module owns it: destroy() destroys it, and no `gpu.scope` does.
   *
   * @param options.persistent - whether it is in {@link stateDict}. Default true.
   * @throws NormError `value` if the name is empty, has a dot or is that of a parameter or module; `wrong-device`.
   * @returns the tensor.
   */
  registerBuffer<T extends Tensor | null>(
    name: string,
    tensor: T,
    options: { persistent?: boolean | undefined } = {},
  ): T {
    this.checkUsable();
    checkOptions('registerBuffer', options, { persistent: 'boolean' });
    const { persistent = true } = options;
    this.#checkEntry(name, 'buffers', tensor);
    if (tensor) {
      this.gpu.checkUsable(tensor, name);
      this.gpu.keep(tensor as Tensor);
    }
    this.#registry.setBuffer(name, { tensor, persistent });
    this.#bind(name);
    return tensor;
  }

  /**
   * Names a module inside this one; or null.
   *
   * @throws NormError `value` if the name is empty, has a dot or is that of a parameter or buffer, or if the module
   * contains this one; `wrong-device`.
   * @returns the module.
   */
  registerModule<T extends Module | null>(name: string, module: T): T {
    this.checkUsable();
    this.#checkEntry(name, 'modules', module);
    if (module && module.gpu.device !== this.gpu.device) {
      throw new NormError('wrong-device', `${name} is on another device.`, 'Make it on this context.');
    }
    if (module?.modules().includes(this)) {
      throw new NormError('value', `${name} contains the module that it is to be part of.`, 'Make another.');
    }
    this.#registry.modules.set(name, module);
    this.#bind(name);
    return module;
  }

  /** All parameters, those of modules inside included, each once. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** {@link parameters} with their names, such as 'block.norm.weight', in PyTorch's order. */
  namedParameters(): [string, Parameter][] {
    return namedIn(this, ({ parameters }) => [...parameters]);
  }

  /** All buffers, those of modules inside included, each once. */
  buffers(): Tensor[] {
    return this.namedBuffers().map(([, tensor]) => tensor);
  }

  /** {@link buffers} with their names, in PyTorch's order. */
  namedBuffers(): [string, Tensor][] {
    return namedIn(this, ({ buffers }) => [...buffers].map(([name, { tensor }]) => [name, tensor]));
  }

  /** This module and all inside it, each once, outer before inner. */
  modules(): Module[] {
    return this.namedModules().map(([, module]) => module);
  }

  /** {@link modules} with their names; this one's is ''. */
  namedModules(): [string, Module][] {
    return once([...modulePaths(this)]);
  }

  /** The modules directly inside this one, each once. */
  children(): Module[] {
    return this.namedChildren().map(([, module]) => module);
  }

  /** {@link children} with their names. */
  namedChildren(): [string, Module][] {
    return once([...this.registry.modules]);
  }

  /** Sets {@link training} here and in all modules inside. `train(false)` is `eval()`. */
  train(mode = true): this {
    checkKind('train', 'mode', mode, 'boolean');
    this.checkOwn();
    this.training = mode;
    for (const child of this.children()) child.train(mode);
    return this;
  }

  /** `train(false)`: from now on modules evaluate, as BatchNorm does with its running statistics. */
  eval(): this {
    return this.train(false);
  }

  /** Sets `requiresGrad` of all parameters: PyTorch's requires_grad_. */
  requiresGrad(on = true): this {
    checkKind('requiresGrad', 'on', on, 'boolean');
    for (const parameter of this.parameters()) parameter.requiresGrad = on;
    return this;
  }

  /** Forgets all gradients, as {@link Parameter.zeroGrad}. */
  zeroGrad(options: ZeroGradOptions = {}): void {
    clearGradients(this.gpu, this.parameters(), options);
  }

  /** Calls `fn` with every module inside, inner before outer, then with this one. */
  apply(fn: (module: Module) => void): this {
    checkKind('apply', 'fn', fn, 'function');
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  /**
   * Converts the parameters, on the GPU; f16 and bf16 round to nearest even. Their gradients are dropped. Buffers stay as they are:
   * unlike PyTorch's half(), which makes running statistics f16, they lose no precision here. Frees the old values, so
   * submit first what was recorded with them.
   *
   * @throws NormError `dtype`, `limit`.
   */
  to(dtype: FloatDType): this {
    this.checkUsable();
    this.gpu.checkDType(floatDType({ dtype }, 'the parameters'));
    convertParameters(this.gpu, this.parameters(), dtype);
    return this;
  }

  /**
   * Calls a hook before every {@link forward}, with (module, input). A tensor that it returns takes the place of the
   * input. Hooks run in the order of their registration, as PyTorch's. What a hook makes is its own: no module frees it.
   * They belong to forward and backward: methods such as forwardResidual run none.
   */
  registerForwardPreHook(hook: ForwardPreHook): HookHandle {
    this.checkOwn();
    return this.#hookable(hook).forwardPre.add(hook);
  }

  /**
   * As {@link registerForwardPreHook}, after forward, with (module, input, output); may replace the output. backward
   * knows nothing of what hooks replace: there is no graph.
   */
  registerForwardHook(hook: ForwardHook): HookHandle {
    this.checkOwn();
    return this.#hookable(hook).forward.add(hook);
  }

  /** As {@link registerForwardPreHook}, before {@link backward}, with (module, gradOutput); may replace gradOutput. */
  registerBackwardPreHook(hook: BackwardPreHook): HookHandle {
    this.checkOwn();
    return this.#hookable(hook).backwardPre.add(hook);
  }

  /**
   * As {@link registerForwardPreHook}, after backward, with (module, gradInput, gradOutput); may replace gradInput.
   * PyTorch's register_full_backward_hook.
   */
  registerBackwardHook(hook: BackwardHook): HookHandle {
    this.checkOwn();
    return this.#hookable(hook).backward.add(hook);
  }

  /**
   * Every parameter and persistent buffer by name, in PyTorch's order: state_dict(). The tensors are the module's own,
   * not copies. One that is shared occurs under each of its names.
   */
  stateDict(): StateDict {
    this.checkUsable();
    const dict = new StateDict();
    for (const [name, module] of modulePaths(this)) {
      dict.versions.set(name, module.stateVersion);
      for (const [key, tensor] of module.registry.state()) dict.set(joined(name, key), tensor);
    }
    return dict;
  }

  /**
   * Copies values into the parameters and buffers of the same names: load_state_dict(). Their dtypes stay: values are
   * converted. At once: commands that are recorded but not yet submitted come after it.
   *
   * @param dict - what {@link stateDict} returned on this device, or `decodeSafetensors`.
   * @param options.strict - whether the names must be the same. Default true.
   * @returns the names that only one of the two has.
   * @throws NormError `state`, which lists every missing and unexpected key (if strict), every wrong shape, dtype and
   * count; `wrong-device`, `destroyed`. Nothing is changed then.
   */
  loadStateDict(dict: LoadableState, options: { strict?: boolean | undefined } = {}): LoadResult {
    this.checkUsable();
    checkOptions('loadStateDict', options, { strict: 'boolean' });
    const { strict = true } = options;
    const { entries, versions, unsupported } = loadable(dict);
    const problems: string[] = [];
    for (const [name, module] of modulePaths(this)) {
      module.adaptState(entries, name && `${name}.`, versions.get(name), problems);
    }
    return loadState(this.constructor.name, this.stateDict(), entries, problems, strict, unsupported);
  }

  /** Frees parameters and their gradients, buffers, and what forward kept, here and in all modules inside. Idempotent. */
  destroy(): void {
    this.checkOwn();
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const parameter of this.registry.parameters.values()) parameter?.destroy();
    for (const { tensor } of this.registry.buffers.values()) tensor?.destroy();
    for (const module of this.registry.modules.values()) module?.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** @internal The hooks of a module that this one replaces are from now on this one's. */
  takeHooks(from: Module): void {
    if (from.#hooks?.any) this.#hooked().take(from.#hooks);
  }

  /** @internal The hooks; undefined where there never was one. */
  get hooks(): ModuleHooks | undefined {
    return this.#hooks;
  }

  /** PyTorch's `_version` of what this module alone has in a state dict. */
  protected get stateVersion(): number {
    return 1;
  }

  /**
   * Makes what is loaded fit this version of this module's own entries, where it comes from another one.
   *
   * @param entries - what is loaded, to be changed.
   * @param prefix - of this module's names in it.
   * @param version - {@link stateVersion} of when it was saved; undefined where that is not known.
   * @param problems - what to refuse it for.
   */
  protected adaptState(
    _entries: Map<string, Tensor | HostTensor>,
    _prefix: string,
    _version: number | undefined,
    _problems: string[],
  ): void {}

  /** The modules directly inside, in order, one that has two names twice. */
  protected registeredModules(): Module[] {
    return [...this.registry.modules.values()].filter((module) => module !== null);
  }

  /** A parameter filled with one value. */
  protected register(name: string, shape: readonly number[], dtype: FloatDType, fill: number): Parameter {
    floatDType({ dtype }, name);
    return this.registerParameter(name, new Parameter(filled(this.gpu, fill, shape, dtype)));
  }

  /**
   * @internal Throws what forward would throw for an input like that, and leaves all as it is: a composite asks all its
   * modules before the first one records.
   *
   * @returns the shape of the output; null where only forward itself can tell, as with hooks.
   */
  expects(input: Like, out?: Tensor): readonly number[] | null {
    this.checkUsable();
    return this.#hooks ? null : this.accepts(input, out);
  }

  /** @internal Throws what backward would throw for the gradient of an output like that; as {@link expects}. */
  expectsBackward(output: Like, out?: Tensor): void {
    this.checkUsable();
    if (!this.#hooks) this.acceptsBackward(output, out);
  }

  /** @internal What {@link expects} asks a module without hooks. One of a user's own may say its output's shape. */
  protected accepts({ shape }: Like, _out?: Tensor): readonly number[] | null {
    if (this.forward === Module.prototype.forward && !('forwardAsync' in this)) throw this.#lacks('forward');
    return this.outputShape === Module.prototype.outputShape ? null : this.outputShape(shape);
  }

  /** @internal What {@link expectsBackward} asks a module without hooks. */
  protected acceptsBackward(_output: Like, _out?: Tensor): void {
    if (this.backward === Module.prototype.backward && !('backwardAsync' in this))
      throw this.#lacks('backward');
  }

  protected checkUsable(): void {
    this.checkOwn();
    this.gpu.checkAlive();
    if (this.#destroyed) throw new NormError('destroyed', 'This module was destroyed.', 'Make a new one.');
  }

  #lacks(method: string): NormError {
    return new NormError(
      'unsupported',
      `${this.constructor.name} has no ${method}().`,
      `Override ${method}() in its class.`,
    );
  }

  /** The hooks, for a new one. */
  #hookable(hook: unknown): ModuleHooks {
    checkKind('A hook', 'it', hook, 'function');
    return this.#hooked();
  }

  #hooked(): ModuleHooks {
    this.#hooks ??= new ModuleHooks(this);
    return this.#hooks;
  }
}

/** @internal Throws `value` unless it is a module. */
export function checkModule(module: Module, name = 'the model'): void {
  if (!(module instanceof Module)) {
    throw new NormError(
      'value',
      `${name} is ${shown(module)}, which is no Module.`,
      'Pass a module of this library, or a class of yours that extends Module.',
    );
  }
  module.checkOwn();
}
