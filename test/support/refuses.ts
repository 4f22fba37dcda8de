/** Bad input is refused, with nothing done. */
import { type Gpu, NormError, type NormErrorCode } from '../../src/index.ts';
import { assert, assertEqual } from '../harness/assert.ts';

/** Runs `body` and counts what it asks of WebGPU that allocates, records or submits, on whatever device. */
export function countWork(device: GPUDevice, body: () => void): Record<string, number> {
  const counts: Record<string, number> = {};
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.end();
  encoder.finish();
  const watched: [object, string[]][] = [
    [device, ['createBuffer', 'createCommandEncoder']],
    [device.queue, ['submit', 'writeBuffer']],
    // The caller's encoders and passes are whichever they are: their methods are those of the prototype.
    [Object.getPrototypeOf(encoder), ['beginComputePass']],
    [Object.getPrototypeOf(pass), ['dispatchWorkgroups', 'setPipeline']],
  ];
  const restore: (() => void)[] = [];
  for (const [owner, names] of watched) {
    const methods = owner as Record<string, (...args: unknown[]) => unknown>;
    for (const name of names) {
      const own = Object.getOwnPropertyDescriptor(methods, name);
      const method = methods[name] as (...args: unknown[]) => unknown;
      const value = function (this: unknown, ...args: unknown[]) {
        counts[name] = (counts[name] ?? 0) + 1;
        return method.apply(this, args);
      };
      Object.defineProperty(methods, name, { value, configurable: true, writable: true });
      restore.push(() => {
        if (own) Object.defineProperty(methods, name, own);
        else delete methods[name];
      });
    }
  }
  try {
    body();
  } finally {
    for (const undo of restore) undo();
  }
  return counts;
}

/**
 * Runs `body`, which must throw a NormError of that code (or of any) with a fix, allocate, record and submit nothing,
 * and leave the memory of `gpu` as it is.
 */
export function refuses(gpu: Gpu, code: NormErrorCode | null, body: () => unknown): void {
  const before = JSON.stringify(gpu.memory());
  let thrown: unknown;
  const work = countWork(gpu.device, () => {
    try {
      body();
    } catch (error) {
      thrown = error;
    }
  });
  assert(
    thrown instanceof NormError,
    `expected a NormError '${code ?? 'of any code'}', got ${thrown ?? 'no error'}: ${body}`,
  );
  if (code) assertEqual(thrown.code, code, `code of "${thrown.message}"`);
  assert(thrown.fix.length > 5 && thrown.message.includes(thrown.fix), `no fix in "${thrown.message}"`);
  assertEqual(JSON.stringify(gpu.memory()), before, `memory after "${thrown.message}"`);
  assertEqual(JSON.stringify(work), '{}', `what was done before "${thrown.message}"`);
}
