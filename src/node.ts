/**
 * webgpu-norm in Node, on Dawn from the package `webgpu`: everything of `webgpu-norm`, and an `init` that needs no
 * `navigator.gpu`.
 *
 * @packageDocumentation
 */
import { NormError } from './gpu/errors.ts';
import type { Gpu } from './gpu/gpu.ts';
import { type InitOptions, init as initAnywhere } from './gpu/init.ts';

export * from './index.ts';
export { fileStorage } from './io/file-storage.ts';

/** Options of {@link init}. */
export interface NodeInitOptions extends InitOptions {
  /**
   * Options for Dawn, as `webgpu`'s `create()` takes them: `['backend=vulkan']`, `['adapter=SwiftShader']`. The first call
   * counts. Default none.
   */
  dawn?: readonly string[] | undefined;
}

// All of Dawn's devices die with the object that create() returns, so nothing may ever collect it.
let dawn: GPU | undefined;

/**
 * As init of `webgpu-norm`, on Dawn. Node does not exit while it has a device: call `gpu.destroy()`, then `process.exit()`.
 *
 * @throws NormError `no-webgpu` where the package `webgpu` is not installed or does not load; as init of `webgpu-norm`.
 */
export async function init(given: NodeInitOptions = {}): Promise<Gpu> {
  const { dawn: options = [], ...rest } = given ?? {};
  if (typeof given !== 'object' || given === null) return initAnywhere(given);
  if (!rest.device && !rest.gpu) dawn ??= await startDawn(options);
  return initAnywhere({ ...(dawn ? { gpu: dawn } : {}), ...rest });
}

async function startDawn(options: readonly string[]): Promise<GPU> {
  try {
    // A bundle leaves it outside: it loads a binary that lies beside it.
    const { create, globals } = await import(/* webpackIgnore: true */ /* @vite-ignore */ 'webgpu');
    Object.assign(globalThis, globals); // GPUBufferUsage and the like, for programs that make buffers
    return create([...options]);
  } catch (cause) {
    throw new NormError(
      'no-webgpu',
      'The package `webgpu` could not be loaded.',
      'Install it: npm install webgpu. Its binaries need a recent system (on Linux glibc 2.38).',
      cause,
    );
  }
}
