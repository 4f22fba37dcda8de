import { NormError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import { shown } from './shown.ts';
import type { Tensor } from './tensor.ts';

/** Throws unless `gpu` is a context that can be used: where every function and module begins. */
export function checkContext(gpu: Gpu): void {
  if (!isContext(gpu)) throw noContext(gpu);
  gpu.checkAlive();
}

/** Throws unless `gpu` is a context, and the tensor can be used on it now, dense unless it may be `strided`. */
export function checkTensor(gpu: Gpu, tensor: Tensor, name: string, strided = false): void {
  if (!isContext(gpu)) throw noContext(gpu);
  gpu.checkUsable(tensor, name, strided);
}

// Told by a method, since an import of the class itself would bring all of it into the bundle of every norm. The method finds Proxies.
const isContext = (gpu: Gpu): boolean => typeof gpu?.checkAlive === 'function';

function noContext(given: unknown): NormError {
  const { then, createBuffer } = (given ?? {}) as { then?: unknown; createBuffer?: unknown };
  const [what, fix] =
    typeof then === 'function'
      ? ['a promise', 'Await it: const gpu = await init().']
      : typeof createBuffer === 'function'
        ? ['a GPUDevice', 'Make a context on it: const gpu = await init({ device }).']
        : [shown(given), 'Pass what `await init()` returned as the first argument.'];
  return new NormError('value', `A context of init() is needed, not ${what}.`, fix);
}
