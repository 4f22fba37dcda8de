import { NormError, type NormErrorCode } from './errors.ts';

/**
 * What WebGPU says asynchronously: of earlier calls, and of the device.
 *
 * Errors of calls wait here until a data() or idle() throws them, once. The loss of the device rejects whatever is
 * being waited for, and stays.
 */
export class Watch {
  /** Resolves when the device is lost, with the reason. */
  readonly lost: Promise<string>;
  /** Set once the device is lost. */
  lostError: NormError | undefined;
  readonly #checks = new Set<Promise<NormError | undefined>>();
  readonly #waiting = new Set<(error: NormError) => void>();

  constructor(device: GPUDevice) {
    this.lost = device.lost.then((info) => {
      const reason = `${info.reason ?? 'unknown'}${info.message ? `: ${info.message}` : ''}`;
      this.lostError = deviceLost(`The GPU device was lost (${reason}).`);
      this.rejectWaiting(this.lostError);
      return reason;
    });
  }

  /** Keeps what a check of an earlier call finds. */
  add(check: Promise<NormError | undefined>): void {
    const watched = check.then(
      (error) => {
        if (!error) this.#checks.delete(watched);
        return error;
      },
      () => {
        this.#checks.delete(watched); // the device went away; `lost` says so
        return undefined;
      },
    );
    this.#checks.add(watched);
  }

  /** Waits for the checks begun so far and throws what they found, once. */
  async settle(): Promise<void> {
    const checks = [...this.#checks];
    const errors = await Promise.all(checks);
    for (const check of checks) this.#checks.delete(check);
    // A cause before its consequences: a shader that did not compile before the submit that was refused for it.
    const order: NormErrorCode[] = ['out-of-memory', 'shader', 'validation'];
    const found = errors.filter((error) => error !== undefined);
    found.sort((a, b) => order.indexOf(a.code) - order.indexOf(b.code));
    if (found[0]) throw found[0];
  }

  /** The promise, or a typed error once the device is lost, whichever comes first: nothing hangs. */
  orLost<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      const settle = (finish: () => void) => {
        this.#waiting.delete(reject);
        finish();
      };
      promise.then(
        (value) => settle(() => resolve(value)),
        (cause) => {
          // What is waited for here fails only where the device is gone; some platforms say so before `lost` does.
          const gone = deviceLost('The GPU device stopped answering.', cause);
          setTimeout(() => settle(() => reject(gone)), 1000);
        },
      );
    });
  }

  /** Rejects everything that is being waited for. */
  rejectWaiting(error: NormError): void {
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }
}

function deviceLost(message: string, cause?: unknown): NormError {
  return new NormError('device-lost', message, 'Call init() again and restore your tensors.', cause);
}
