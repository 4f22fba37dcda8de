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
  readonly forwardPre = new Hooks<ForwardPreHook>();
  readonly forward = new Hooks<ForwardHook>();
  readonly backwardPre = new Hooks<BackwardPreHook>();
  readonly backward = new Hooks<BackwardHook>();

  constructor(module: Module) {
    const awaited = module as Module & Partial<Pick<AwaitedModule, 'forwardAsync' | 'backwardAsync'>>;
    const { forward, backward } = module;
    const { forwardAsync, backwardAsync } = awaited;
    module.forward = this.#forward(module, forward);
    module.backward = this.#backward(module, backward);
    if (forwardAsync) awaited.forwardAsync = this.#forward(module, forwardAsync) as typeof forwardAsync;
    if (backwardAsync) awaited.backwardAsync = this.#backward(module, backwardAsync) as typeof backwardAsync;
  }

  #forward(module: Module, forward: Pass): Pass {
    return (x, options) => {
      const input = this.forwardPre.run(module, x, (hook, tensor) => hook(module, tensor));
      const output = forward.call(module, input, options);
      const after = (y: Tensor) => this.forward.run(module, y, (hook, tensor) => hook(module, input, tensor));
      return output instanceof Promise ? output.then(after) : after(output);
    };
  }

  #backward(module: Module, backward: Pass): Pass {
    return (dy, options) => {
      const gradOutput = this.backwardPre.run(module, dy, (hook, tensor) => hook(module, tensor));
      const gradInput = backward.call(module, gradOutput, options);
      const after = (dx: Tensor) =>
        this.backward.run(module, dx, (hook, tensor) => hook(module, tensor, gradOutput));
      return gradInput instanceof Promise ? gradInput.then(after) : after(gradInput);
    };
  }
}

type Pass = (tensor: Tensor, options?: PassOptions) => Tensor | Promise<Tensor>;
