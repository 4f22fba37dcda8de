import { NormError } from '../gpu/errors.ts';
import type { RecordOptions } from '../gpu/execute.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { checkKind, checkOptions } from '../gpu/options.ts';
import { shown } from '../gpu/shown.ts';
import { type FloatDType, sizesOf, type Tensor } from '../gpu/tensor.ts';
import { checkLike, checkTarget, floatDType, type Like } from '../ops/check.ts';
import { type AwaitedOptions, backwardOf, forwardOf } from './awaited.ts';
import { Identity } from './identity.ts';
import { LastForward } from './last-forward.ts';
import { Module, type PassOptions, passNames } from './module.ts';
import { Reusable } from './reusable.ts';

/**
 * torch.nn.Sequential: modules one after another, named '0', '1', … or as you say.
 *
 * What passes between them is the Sequential's own: it gives every module but the last a tensor to write to
 * (`options.out`), of the shape that {@link Module.outputShape} says, and uses it again at the next pass. So nothing has
 * to be freed, and commands that are recorded but not yet submitted stay valid. A module that returns another tensor
 * all the same owns that. destroy() frees what passes between, and the modules.
 *
 * A pass that is refused has changed nothing: all modules are asked before the first one records. What only a module's own
 * forward can tell comes too late for that: what a class of yours throws, what hooks put in the place of a tensor, a rank
 * that is lost. The modules before have then updated running statistics, or those behind added to gradients.
 */
export class Sequential extends Module {
  /** By position: the output of each module but the last. */
  readonly #outputs: Reusable[] = [];
  /** Gradients between modules: one is read while the other is written. */
  readonly #gradients: [Reusable, Reusable];
  /** What a Sequential without modules does. */
  readonly #nothing = new Identity(this.gpu);
  readonly #last = new LastForward<{
    x: Tensor;
    /** Shapes and dtype of what each module got. */
    inputs: { shape: readonly number[]; dtype: FloatDType }[];
    /** Shape and dtype of what the last module returned. */
    returned: Like;
  }>();

  /**
   * @param modules - the modules, or one list of [name, module] (a Map will do).
   * @throws NormError as {@link Module.registerModule}.
   */
  constructor(gpu: Gpu, ...modules: Module[] | [Iterable<readonly [string, Module]>]) {
    super(gpu);
    this.#gradients = [new Reusable(gpu), new Reusable(gpu)];
    for (const [name, module] of namesOf(modules)) this.registerModule(name, module);
  }

  /** Number of modules. */
  get length(): number {
    return this.registeredModules().length;
  }

  /** The module at a position; negative ones count from the end. */
  at(index: number): Module | undefined {
    checkKind('at', 'index', index, 'number');
    return this.registeredModules().at(index);
  }

  [Symbol.iterator](): Iterator<Module> {
    return this.registeredModules()[Symbol.iterator]();
  }

  /**
   * The last module's output for the one before's, and so on, for x. x itself if there are no modules
   * but {@link Identity}.
   *
   * @throws NormError as the modules.
   */
  override forward(x: Tensor, options: PassOptions = {}): Tensor {
    this.checkOwn();
    checkOptions('forward', options, passNames);
    this.#refuseAsynchronous('forward');
    return atOnce(this.#forward(x, options));
  }

  /**
   * forward of a Sequential that has {@link Module.asynchronous} modules inside, such as SyncBatchNorm. They cannot be
   * recorded, so neither can this.
   *
   * @throws NormError as {@link forward}; as the modules.
   */
  async forwardAsync(x: Tensor, options: AwaitedOptions = {}): Promise<Tensor> {
    this.checkOwn();
    checkOptions('forwardAsync', options, passNames);
    return inTurn(this.#forward(x, options));
  }

  /** Yields what each module returns, and is given the tensor that it stands for. */
  *#forward(x: Tensor, { out, ...target }: PassOptions): Passing {
    this.checkUsable();
    this.gpu.checkUsable(x, 'x');
    const modules = this.#steps();
    this.#checkForward(modules, x, out, target);
    const inputs: { shape: readonly number[]; dtype: FloatDType }[] = [];
    this.#last.begin(x);
    let current = x;
    for (const [i, module] of modules.entries()) {
      const dtype = floatDType(current, 'x');
      inputs.push({ shape: current.shape, dtype });
      const last = i === modules.length - 1;
      const made = last ? out : this.#output(i).take(module.outputShape(current.shape), dtype);
      const options = { ...target, out: made };
      current = yield forwardOf(module, current, options);
    }
    this.#last.keep({ x, inputs, returned: { shape: current.shape, dtype: current.dtype } });
    return modules.length === 0 ? this.#nothing.forward(x, { ...target, out }) : current;
  }

  /**
   * Backward of the last forward, from the last module to the first.
   *
   * @throws NormError `order` before forward, or a second time after forwards of several inputs; `unsupported` if a module is
   * here twice: it keeps what one forward needs; as the modules.
   */
  override backward(dy: Tensor, options: PassOptions = {}): Tensor {
    this.checkOwn();
    checkOptions('backward', options, passNames);
    this.#refuseAsynchronous('backward');
    return atOnce(this.#backward(dy, options));
  }

  /** backward as {@link forwardAsync}. */
  async backwardAsync(dy: Tensor, options: AwaitedOptions = {}): Promise<Tensor> {
    this.checkOwn();
    checkOptions('backwardAsync', options, passNames);
    return inTurn(this.#backward(dy, options));
  }

  *#backward(dy: Tensor, { out, ...target }: PassOptions): Passing {
    this.checkUsable();
    this.gpu.checkUsable(dy, 'dy');
    const modules = this.#steps();
    this.#checkTarget(target);
    if (out) this.gpu.checkUsable(out, 'out');
    const inputs = this.#checkBackward(modules, dy, out);
    let current = dy;
    for (let i = modules.length - 1; i >= 0; i--) {
      const { shape, dtype } = inputs[i] as { shape: readonly number[]; dtype: FloatDType };
      const gradients = this.#gradients[i % 2] as Reusable;
      const made = i === 0 ? out : gradients.take(shape, dtype);
      const options = { ...target, out: made };
      current = yield backwardOf(modules[i] as Module, current, options);
    }
    this.#last.answer();
    return modules.length === 0 ? this.#nothing.backward(dy, { ...target, out }) : current;
  }

  /** Throws what a module would, before any has recorded: a pass that fails half way has updated running statistics. */
  #checkForward(modules: readonly Module[], x: Tensor, out: Tensor | undefined, target: RecordOptions): void {
    this.#checkTarget(target);
    if (out) this.gpu.checkUsable(out, 'out');
    if (modules.length === 0) return;
    const dtype = floatDType(x, 'x');
    const shape = shapeBehind(modules, { shape: x.shape, dtype }, out);
    if (out && shape) checkLike({ out }, { shape, dtype });
  }

  /** The inputs of the last forward. Throws what a module's backward would, before any has added to gradients. */
  #checkBackward(modules: readonly Module[], dy: Like, out: Tensor | undefined) {
    const { inputs, returned } = this.#last.get();
    if (inputs.length !== modules.length) {
      throw new NormError('order', 'Modules came or went since forward().', 'Call forward() again.');
    }
    if (this.#repeats()) {
      throw new NormError(
        'unsupported',
        'A module that is in a Sequential twice cannot go backward: it keeps what one forward needs.',
        'Make two modules that share their parameters.',
      );
    }
    checkLike({ dy }, returned);
    if (out && inputs[0]) checkLike({ out }, inputs[0]);
    modules.forEach((module, i) => {
      module.expectsBackward(inputs[i + 1] ?? dy, i === 0 ? out : undefined);
    });
    return inputs;
  }

  protected override accepts(input: Like, out?: Tensor): readonly number[] | null {
    const own = Sequential.prototype;
    const overridden = this.forward !== own.forward || this.forwardAsync !== own.forwardAsync;
    return overridden ? super.accepts(input) : shapeBehind(this.#steps(), input, out);
  }

  protected override acceptsBackward(output: Like, out?: Tensor): void {
    const own = Sequential.prototype;
    if (this.backward !== own.backward || this.backwardAsync !== own.backwardAsync) return;
    this.#checkBackward(this.#steps(), output, out);
  }

  /** Throws where a pass cannot be recorded as it is to be. */
  #checkTarget(target: RecordOptions): void {
    checkTarget(target);
    if ((target.encoder || target.pass) && this.asynchronous) {
      throw new NormError(
        'unsupported',
        'A module in this Sequential is asynchronous: what it does cannot be recorded.',
        'Leave out encoder and pass.',
      );
    }
  }

  #refuseAsynchronous(method: string): void {
    if (this.asynchronous) throw asynchronous(method);
  }

  override outputShape(shape: readonly number[]): readonly number[] {
    return this.registeredModules().reduce((current, module) => module.outputShape(current), shape);
  }

  override async prepare(
    shape: readonly number[],
    options: { dtype?: FloatDType | undefined } = {},
  ): Promise<void> {
    this.checkUsable();
    checkOptions('prepare', options, { dtype: 'string' });
    const preparing: Promise<void>[] = [];
    let current = sizesOf(shape);
    for (const module of this.#steps()) {
      preparing.push(module.prepare(current, options));
      current = module.outputShape(current);
    }
    await Promise.all(preparing);
  }

  override destroy(): void {
    this.checkOwn();
    for (const reusable of [...this.#outputs, ...this.#gradients]) reusable.destroy();
    this.#last.keep(null);
    super.destroy();
  }

  /** Whether a module has several turns in a pass, in a Sequential inside this one included. */
  #repeats(): boolean {
    const turns = this.#turns();
    return new Set(turns).size < turns.length;
  }

  #turns(): Module[] {
    return this.#steps().flatMap((module) => (module instanceof Sequential ? module.#turns() : [module]));
  }

  /** The modules that do something. */
  #steps(): Module[] {
    return this.registeredModules().filter((module) => module.constructor !== Identity);
  }

  #output(position: number): Reusable {
    this.#outputs[position] ??= new Reusable(this.gpu);
    return this.#outputs[position];
  }
}

/** The shape of what the last module returns for an input like that; null from where only a pass can tell. */
function shapeBehind(
  modules: readonly Module[],
  { shape, dtype }: Like,
  out: Tensor | undefined,
): readonly number[] | null {
  let current: readonly number[] | null = shape;
  modules.forEach((module, i) => {
    const last = i === modules.length - 1;
    current = current && module.expects({ shape: current, dtype }, last ? out : undefined);
  });
  return current;
}

/** A pass through modules that can be waited for between any two. */
type Passing = Generator<Tensor | Promise<Tensor>, Tensor, Tensor>;

/** Runs a pass whose modules all return at once. */
function atOnce(passing: Passing): Tensor {
  let step = passing.next();
  while (!step.done) {
    if (step.value instanceof Promise) {
      step.value.catch(() => {}); // what it says comes too late
      throw asynchronous('backward');
    }
    step = passing.next(step.value);
  }
  return step.value;
}

/** Runs a pass whose modules may have to be waited for. */
async function inTurn(passing: Passing): Promise<Tensor> {
  let step = passing.next();
  while (!step.done) step = passing.next(await step.value);
  return step.value;
}

const asynchronous = (method: string): NormError =>
  new NormError(
    'unsupported',
    `A module in this Sequential is asynchronous, so ${method}() cannot return at once.`,
    `Await ${method}Async().`,
  );

/** The modules that a Sequential was given, with names. What is no module among them is found when it is registered. */
function namesOf(modules: Module[] | [Iterable<readonly [string, Module]>]): [string, Module][] {
  const [first] = modules;
  const list = first as Iterable<readonly [string, Module]> | undefined;
  if (first instanceof Module || typeof list !== 'object' || typeof list?.[Symbol.iterator] !== 'function') {
    return (modules as Module[]).map((module, i) => [String(i), module]);
  }
  return [...list].map((entry) => {
    if (Array.isArray(entry)) return [entry[0], entry[1]];
    throw new NormError(
      'value',
      `A Sequential was given a list with ${shown(entry)}.`,
      'Pass modules one by one (...modules), or a list of [name, module].',
    );
  });
}
