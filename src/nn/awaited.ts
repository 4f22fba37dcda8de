import type { Tensor } from '../gpu/tensor.ts';
import type { Module, PassOptions } from './module.ts';

/** Options of passes that have to be awaited: they cannot be recorded. */
export type AwaitedOptions = Omit<PassOptions, 'encoder' | 'pass'>;

/** A module of modules whose passes have to be awaited where one inside is asynchronous, such as Sequential. */
export interface AwaitedModule extends Module {
  /** forward, awaited; with its hooks. */
  forwardAsync(x: Tensor, options?: AwaitedOptions): Promise<Tensor>;
  /** backward, likewise; absent where there is none. */
  backwardAsync?(dy: Tensor, options?: AwaitedOptions): Promise<Tensor>;
}

/** forward of any module: what it returns or promises. */
export const forwardOf = (module: Module, x: Tensor, options: PassOptions): Tensor | Promise<Tensor> =>
  isAwaited(module) ? module.forwardAsync(x, options) : module.forward(x, options);

/** backward of any module, likewise. */
export const backwardOf = (module: Module, dy: Tensor, options: PassOptions): Tensor | Promise<Tensor> =>
  isAwaited(module) && module.backwardAsync
    ? module.backwardAsync(dy, options)
    : module.backward(dy, options);

const isAwaited = (module: Module): module is AwaitedModule =>
  module.asynchronous && 'forwardAsync' in module;
