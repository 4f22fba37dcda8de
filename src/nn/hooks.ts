import type { Tensor } from '../gpu/tensor.ts';
import type { AwaitedModule } from './awaited.ts';
import type { Module, PassOptions } from './module.ts';

/** Runs before a module's forward; a tensor that it returns takes the place of the input. */
export type ForwardPreHook = (module: Module, input: Tensor) => Tensor | undefined;

/** Runs after a module's forward; a tensor that it returns takes the place of the output. */
export type ForwardHook = (module: Module, input: Tensor, output: Tensor) => Tensor | undefined;

/** Runs before a module's backward; a tensor that it returns takes the place of the gradient of the output. */
export type BackwardPreHook = (module: Module, gradOutput: Tensor) => Tensor | undefined;

/** Runs after a module's backward; a tensor that it returns takes the place of the gradient of the input. */
export type BackwardHook = (module: Module, gradInput: Tensor, gradOutput: Tensor) => Tensor | undefined;

/** What registering a hook returns. */
export interface HookHandle {
  /** Takes the hook away. Idempotent. */
  remove(): void;
}

/** Hooks of one kind, in order of registration; one that is registered twice runs twice. */
class Hooks<Hook> {
  readonly #entries = new Set<{ hook: Hook }>();

  add(hook: Hook): HookHandle {
    const entry = { hook };
    this.#entries.add(entry);
    return { remove: () => void this.#entries.delete(entry) };
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What becomes of a tensor when every hook in turn may replace it. */
  run(module: Module, tensor: Tensor, call: (hook: Hook, tensor: Tensor) => Tensor | undefined): Tensor {
    let current = tensor;
    for (const { hook } of [...this.#entries]) {
      const replacement = call(hook, current) ?? undefined;
      if (replacement === undefined) continue;
      module.gpu.checkUsable(replacement, 'what a hook returned');
      current = replacement;
    }
    return current;
  }
}

/**
 * The hooks of a module, around its forward and backward, whatever class these come from: subclasses need not know of
 * hooks, and a module that never had one has none of this.
 */
export class ModuleHooks {
  forwardPre = new Hooks<ForwardPreHook>();
  forward = new Hooks<ForwardHook>();
  backwardPre = new Hooks<BackwardPreHook>();
  backward = new Hooks<BackwardHook>();

  constructor(module: Module) {
    const methods = module as Module & Partial<Pick<AwaitedModule, 'forwardAsync' | 'backwardAsync'>>;
    const { forward, forwardAsync, backward, backwardAsync } = methods;
    const aroundForward = (pass: Pass) =>
      around(
        module,
        pass,
        () => this.forwardPre,
        (x, y) => this.forward.run(module, y, (hook, tensor) => hook(module, x, tensor)),
      );
    const aroundBackward = (pass: Pass) =>
      around(
        module,
        pass,
        () => this.backwardPre,
        (dy, dx) => this.backward.run(module, dx, (hook, tensor) => hook(module, tensor, dy)),
      );
    methods.forward = aroundForward(forward);
    methods.backward = aroundBackward(backward);
    if (forwardAsync) methods.forwardAsync = aroundForward(forwardAsync) as typeof forwardAsync;
    if (backwardAsync) methods.backwardAsync = aroundBackward(backwardAsync) as typeof backwardAsync;
  }

  /** Whether one is registered that sees or changes what is between this module and the one after it. */
  get seesOutput(): boolean {
    return this.forward.size + this.backwardPre.size + this.backward.size > 0;
  }

  /** Whether any is registered. */
  get any(): boolean {
    return this.seesOutput || this.forwardPre.size > 0;
  }

  /** Takes those of another module, which has none then. Their handles stay valid. */
  take(from: ModuleHooks): void {
    Object.assign(this, {
      forwardPre: from.forwardPre,
      forward: from.forward,
      backwardPre: from.backwardPre,
      backward: from.backward,
    });
    from.forwardPre = new Hooks();
    from.forward = new Hooks();
    from.backwardPre = new Hooks();
    from.backward = new Hooks();
  }
}

type Pass = (tensor: Tensor, options?: PassOptions) => Tensor | Promise<Tensor>;

/** A pass with hooks before it and what follows them after it. */
function around(
  module: Module,
  pass: Pass,
  before: () => Hooks<ForwardPreHook | BackwardPreHook>,
  after: (given: Tensor, made: Tensor) => Tensor,
): Pass {
  return (tensor, options) => {
    const given = before().run(module, tensor, (hook, one) => hook(module, one));
    const made = pass.call(module, given, options);
    return made instanceof Promise ? made.then((one) => after(given, one)) : after(given, made);
  };
}
