import type { Tensor } from '../gpu/tensor.ts';
import type { Module } from './module.ts';

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
export class Hooks<Hook> {
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
      const replacement = call(hook, current) ?? current;
      module.gpu.checkUsable(replacement, 'what a hook returned');
      current = replacement;
    }
    return current;
  }
}
