/**
 * Runs `body` in an error scope and returns its result and what the scope will say. Pushed and popped without an await
 * in between: error scopes belong to the device, which others may share.
 */
export function scoped<T>(
  device: GPUDevice,
  filter: GPUErrorFilter,
  body: () => T,
): [result: T, error: Promise<GPUError | null>] {
  device.pushErrorScope(filter);
  let error: Promise<GPUError | null> = Promise.resolve(null);
  let result: T;
  try {
    result = body();
  } finally {
    error = device.popErrorScope();
    error.catch(() => {}); // rejects where the device is lost, which is reported elsewhere
  }
  return [result, error];
}
